"""The one seam to pylibsrtp: protecting and opening RTP and RTCP (RFC 3711, RFC 7714).

pylibsrtp's own methods allocate and copy for each packet. Here one buffer of the process serves every
session, and libsrtp is called on it in place; that uses pylibsrtp's private names `_binding` and `_srtp`,
which `tests/media/test_srtp.py` watches.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib

from live.sfu.contract import FIXED, Head

#: The largest datagram the media plane sends or takes, bytes.
DATAGRAM_LIMIT = 2048

#: Shorter than any RTCP header with its sender, bytes.
_SHORTEST = 8

#: SSRCs of each kind that one peer may use, over all its time: libsrtp keeps a stream for each, and looks for
#: each packet's in a row. One that is forgotten could be replayed, so none is.
SOURCES = 128

#: What protection adds at most: a 16-byte tag and the four-byte SRTCP index.
_TRAILER = 16 + 4

#: Bytes that a run of sealed packets may have: what one UDP send takes.
RUN_LIMIT = 60_000

_room = ffi.new("char[]", RUN_LIMIT + DATAGRAM_LIMIT + 256)
_length = ffi.new("int *")
_buffer = memoryview(ffi.buffer(_room))


class SrtpError(Exception):
    """A packet is forged, replayed, too long or too short; it must be dropped."""


class SrtpKeys(NamedTuple):
    """What a DTLS handshake exported: a profile and both master keys with their salts (RFC 5764)."""

    profile: int
    receive: bytes
    send: bytes

    @property
    def tag_length(self) -> int:
        """Bytes that protection adds to an RTP packet."""
        return 10 if self.profile == Policy.SRTP_PROFILE_AES128_CM_SHA1_80 else 16


class SessionKey(NamedTuple):
    """What RTP is sealed with: derived from a master key and its salt."""

    key: bytes
    salt: bytes


def gcm_session_key(keys: SrtpKeys) -> SessionKey | None:
    """The key that our RTP is sealed with under AEAD_AES_128_GCM; None under another profile.

    RFC 7714 §11 takes the derivation of RFC 3711 §4.3 (AES in counter mode over a label), with a salt of 96
    bits that zeros fill up to 112.
    """
    if keys.profile != Policy.SRTP_PROFILE_AEAD_AES_128_GCM:
        return None
    master, salt = keys.send[:16], int.from_bytes(keys.send[16:28]) << 16

    def derive(label: int, length: int) -> bytes:
        start = (label << 48 ^ salt) << 16
        stream = Cipher(algorithms.AES(master), modes.CTR(start.to_bytes(16))).encryptor()
        return stream.update(bytes(length))

    return SessionKey(derive(0, 16), derive(2, 12))


def _session(keys: SrtpKeys, *, outbound: bool) -> Session:
    policy = Policy(
        key=keys.send if outbound else keys.receive,
        ssrc_type=Policy.SSRC_ANY_OUTBOUND if outbound else Policy.SSRC_ANY_INBOUND,
        srtp_profile=keys.profile,
    )
    policy.allow_repeat_tx = True
    policy.window_size = 1024
    return Session(policy)


def _call(function: Any, session: Any, packet: bytes | bytearray | memoryview, room: int) -> memoryview:  # noqa: ANN401  # cffi functions and objects have no types
    size = len(packet)
    if not _SHORTEST <= size <= room:
        raise SrtpError("the packet's length is impossible")
    _buffer[:size] = packet
    _length[0] = size
    if function(session, _room, _length):
        raise SrtpError("libsrtp refused the packet")
    return _buffer[: _length[0]]


class Template:
    """Packets to be sealed one right behind the other, as UDP segmentation wants them, for many viewers.

    Args:
        packets: what their headers are made of, and their bodies; sealed they fit `RUN_LIMIT`.
        tag: bytes that protection adds to each.

    Attributes:
        count: how many packets.
        size: bytes of the first, sealed; of the others too, but the last may be shorter.
        packets: for each what writes it, where, and what; see `Srtp.seal_template`.
        room: where they lie when they are sealed.

    Raises:
        SrtpError: one of them has an impossible length.
    """

    __slots__ = ("count", "packets", "room", "size")

    def __init__(self, packets: Sequence[tuple[Head, bytes]], tag: int) -> None:
        self.count = len(packets)
        self.packets: list[tuple[Callable[..., None], int, Any, int, Head, bytes]] = []
        end = 0
        for head, body in packets:
            size = FIXED.size + len(body)
            if size > DATAGRAM_LIMIT - _TRAILER:
                raise SrtpError("the packet's length is impossible")
            write = struct.Struct(f"{FIXED.format}{len(body)}s").pack_into
            self.packets.append((write, end, _room + end, size, head, body))
            end += size + tag
        self.size = FIXED.size + len(packets[0][1]) + tag
        self.room = _buffer[:end]


class Srtp:
    """Both directions of one DTLS association.

    Every method gives a view of a buffer that the next call of any `Srtp` overwrites: send it or copy it at
    once. Every method raises `SrtpError`.

    Attributes:
        tag_length: bytes that protection adds to an RTP packet.
        session_key: what our RTP is sealed with, where `gcm_session_key` knows it.
        sealer: the native fan-out's own state. A peer's RTP is sealed by it or by `seal`, never by both, as
            each counts the roll-overs of the sequence numbers.
    """

    def __init__(self, keys: SrtpKeys) -> None:
        self._outbound = _session(keys, outbound=True)
        self._inbound = _session(keys, outbound=False)
        self._send = self._outbound._srtp[0]  # noqa: SLF001  # the seam
        self._receive = self._inbound._srtp[0]  # noqa: SLF001  # the seam
        self.tag_length = keys.tag_length
        self.session_key = gcm_session_key(keys)
        self.sealer: object | None = None
        self._proven: tuple[set[bytes], set[bytes]] = (set(), set())

    def protect(self, packet: bytes | bytearray | memoryview) -> memoryview:
        """Encrypts and signs an RTP packet."""
        return _call(lib.srtp_protect, self._send, packet, DATAGRAM_LIMIT - _TRAILER)

    def seal(self, header: bytes, body: bytes) -> memoryview:
        """Encrypts and signs the RTP packet `header + body` without joining them first."""
        return _buffer[: self._seal_at(0, header, body)]

    def seal_template(self, template: Template, row: tuple[int, int, int, int]) -> memoryview:
        """Seals a template's packets under a viewer's numbers: the values of its `ROW`."""
        pt, shift, later, ssrc = row
        session, protect = self._send, lib.srtp_protect
        for pack, offset, place, size, (first, marker, own, number, timestamp), body in template.packets:
            pack(
                _buffer,
                offset,
                first,
                marker | (pt if own < 0 else own),
                number + shift & 0xFFFF,
                timestamp + later & 0xFFFFFFFF,
                ssrc,
                body,
            )
            _length[0] = size
            if protect(session, place, _length):
                raise SrtpError("libsrtp refused the packet")
        return template.room

    def seal_run(self, packets: Sequence[tuple[bytes, bytes]]) -> memoryview:
        """Seals packets one right behind the other, as UDP segmentation wants them; they fit `RUN_LIMIT`."""
        end = 0
        for header, body in packets:
            end += self._seal_at(end, header, body)
        return _buffer[:end]

    def _seal_at(self, offset: int, header: bytes, body: bytes) -> int:
        middle = offset + len(header)
        end = middle + len(body)
        size = end - offset
        if not _SHORTEST <= size <= DATAGRAM_LIMIT - _TRAILER:
            raise SrtpError("the packet's length is impossible")
        _buffer[offset:middle] = header
        _buffer[middle:end] = body
        _length[0] = size
        if lib.srtp_protect(self._send, _room + offset, _length):
            raise SrtpError("libsrtp refused the packet")
        sealed: int = _length[0]
        return sealed

    def protect_rtcp(self, packet: bytes | bytearray | memoryview) -> memoryview:
        """Encrypts and signs a compound RTCP packet."""
        return _call(lib.srtp_protect_rtcp, self._send, packet, DATAGRAM_LIMIT - _TRAILER)

    def unprotect(self, packet: bytes | bytearray | memoryview) -> memoryview:
        """Verifies and decrypts an RTP packet."""
        return self._open(lib.srtp_unprotect, packet, bytes(packet[8:12]), self._proven[0])

    def unprotect_rtcp(self, packet: bytes | bytearray | memoryview) -> memoryview:
        """Verifies and decrypts a compound RTCP packet."""
        return self._open(lib.srtp_unprotect_rtcp, packet, bytes(packet[4:8]), self._proven[1])

    def _open(
        self,
        function: Any,  # noqa: ANN401  # as in `_call`
        packet: bytes | bytearray | memoryview,
        ssrc: bytes,
        proven: set[bytes],
    ) -> memoryview:
        """Opens what comes from a proven SSRC, or proves another one while there are not too many."""
        known = ssrc in proven
        if not known and len(proven) >= SOURCES:
            raise SrtpError("the peer uses too many SSRCs")
        opened = _call(function, self._receive, packet, DATAGRAM_LIMIT)
        if not known:
            proven.add(ssrc)
        return opened


__all__ = ["DATAGRAM_LIMIT", "RUN_LIMIT", "Error", "Srtp", "SrtpError", "SrtpKeys", "Template"]
