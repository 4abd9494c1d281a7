"""The RTP header and its extensions (RFC 3550 §5.1, RFC 8285), read and written."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from live.sfu.contract import Malformed

HEADER = struct.Struct("!BBHII")
_EXTENSION = struct.Struct("!HH")
ONE_BYTE = 0xBEDE
TWO_BYTE = 0x1000
ONE_BYTE_IDS = 14
"""The highest id of an element in the one-byte form."""
PLAIN = 0x80
"""First byte of a packet with version 2 and nothing else."""
EXTENDED = 0x90
"""First byte of a packet with a header extension."""
PADDED = 0x20
"""The P bit in its place."""
MARKER = 0x80


class Rtp:
    """A parsed packet.

    Attributes:
        marker: The M bit in its place (0x80) or 0.
        pt: Payload type.
        sequence: 16 bits.
        timestamp: 32 bits.
        ssrc: 32 bits.
        extensions: Element bytes by id; empty when there are none or the profile is unknown.
        payload: Without padding.
        padding: Number of padding bytes that were taken off.
    """

    __slots__ = ("extensions", "marker", "padding", "payload", "pt", "sequence", "ssrc", "timestamp")

    def __init__(
        self,
        *,
        marker: int,
        pt: int,
        sequence: int,
        timestamp: int,
        ssrc: int,
        extensions: dict[int, bytes],
        payload: bytes,
        padding: int = 0,
    ) -> None:
        """Take the fields as they are."""
        self.marker = marker
        self.pt = pt
        self.sequence = sequence
        self.timestamp = timestamp
        self.ssrc = ssrc
        self.extensions = extensions
        self.payload = payload
        self.padding = padding


def parse_rtp(data: bytes) -> Rtp:
    """Read a packet.

    Raises:
        Malformed: Not version 2, or a length points outside the packet.
    """
    size = len(data)
    if size < HEADER.size:
        raise Malformed("shorter than an RTP header")
    first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
    if first >> 6 != 2:  # noqa: PLR2004  the version of RFC 3550
        raise Malformed("not RTP version 2")
    at = HEADER.size + 4 * (first & 0x0F)
    extensions: dict[int, bytes] = {}
    if first & 0x10:
        if size < at + 4:
            raise Malformed("no room for the extension header")
        profile, words = _EXTENSION.unpack_from(data, at)
        start, at = at + 4, at + 4 + 4 * words
        if size < at:
            raise Malformed("extensions reach beyond the packet")
        extensions = parse_extensions(profile, data[start:at])
    padding = 0
    if first & 0x20:
        padding = data[-1]
        if padding == 0 or at + padding > size:
            raise Malformed("padding reaches beyond the payload")
    if at > size:
        raise Malformed("contributing sources reach beyond the packet")
    return Rtp(
        marker=second & MARKER,
        pt=second & 0x7F,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        extensions=extensions,
        payload=data[at : size - padding],
        padding=padding,
    )


def parse_extensions(profile: int, block: bytes) -> dict[int, bytes]:
    """Read extension elements in either form (RFC 8285 §4.2, §4.3); an unknown profile has none.

    Raises:
        Malformed: An element reaches beyond the block.
    """
    if profile == ONE_BYTE:
        return _one_byte(block)
    if profile & 0xFFF0 == TWO_BYTE:
        return _two_byte(block)
    return {}


def _one_byte(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at, size = 0, len(block)
    while at < size:
        head = block[at]
        at += 1
        if head == 0:
            continue
        element = head >> 4
        if element == 15:  # noqa: PLR2004  reserved: stop here (§4.2)
            break
        end = at + (head & 0x0F) + 1
        if end > size:
            raise Malformed("an extension element reaches beyond its block")
        if element:
            found[element] = block[at:end]
        at = end
    return found


def _two_byte(block: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at, size = 0, len(block)
    while at < size:
        element = block[at]
        at += 1
        if element == 0:
            continue
        if at >= size or at + 1 + block[at] > size:
            raise Malformed("an extension element reaches beyond its block")
        end = at + 1 + block[at]
        found[element] = block[at + 1 : end]
        at = end
    return found


def write_extensions(elements: Sequence[tuple[int, bytes]], *, two_byte: bool) -> bytes:
    """The extension header with its elements, padded to words; empty for no elements.

    The one-byte form is taken when every element fits it; otherwise the two-byte form, or, when that was not
    agreed to, the elements that do not fit are left out.
    """
    fitting = [(i, value) for i, value in elements if 1 <= i <= ONE_BYTE_IDS and 1 <= len(value) <= 16]  # noqa: PLR2004  §4.2
    if len(fitting) == len(elements) or not two_byte:
        profile = ONE_BYTE
        block = b"".join([bytes((i << 4 | len(value) - 1,)) + value for i, value in fitting])
    else:
        profile = TWO_BYTE
        block = b"".join([bytes((i, len(value))) + value for i, value in elements])
    if not block:
        return b""
    words = (len(block) + 3) >> 2
    return _EXTENSION.pack(profile, words) + block.ljust(4 * words, b"\0")


def write_rtp(packet: Rtp, *, two_byte: bool = True) -> bytes:
    """The packet's bytes (padding is not written back)."""
    block = write_extensions(list(packet.extensions.items()), two_byte=two_byte)
    first = EXTENDED if block else PLAIN
    head = HEADER.pack(first, packet.marker | packet.pt, packet.sequence, packet.timestamp, packet.ssrc)
    return head + block + packet.payload
