"""Frames as they lie on the wire, made once for everybody who gets them."""

import struct
import zlib
from functools import cached_property
from typing import Final

from live.protocol.codec import encode
from live.protocol.frames import Server

WORTH_DEFLATING: Final = 256
"""Bytes from which a message is sent deflated to those who can read it."""

_TEXT: Final = 0x81
_DEFLATED: Final = 0x40
"""RSV1 (RFC 7692 §6)."""
_TAIL: Final = 4
"""Bytes of the empty block that ends a flush and is not sent (RFC 7692 §7.2.1)."""


class Message:
    """One text message, with its WebSocket header (RFC 6455 §5.2): the same bytes for every transport.

    Attributes:
        plain: For a connection without extensions.
        deflated: For connections with permessage-deflate and no context takeover (RFC 7692 §7.1.1), made when
            the first of them wants it. A small message is left as it is.
    """

    def __init__(self, payload: bytes) -> None:
        self.plain: Final = _header(_TEXT, len(payload)) + payload

    @classmethod
    def of(cls, frame: Server) -> "Message":
        """Encode a frame."""
        return cls(encode(frame))

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def payload(self) -> bytes:
        """What the message says, without its header."""
        return self.plain[{126: 4, 127: 10}.get(self.plain[1], 2) :]

    @cached_property
    def deflated(self) -> bytes:
        """The message for connections that inflate."""
        if len(self.plain) < WORTH_DEFLATING:
            return self.plain
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        body = (deflate.compress(self.payload) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-_TAIL]
        return _header(_TEXT | _DEFLATED, len(body)) + body


def _header(first: int, length: int) -> bytes:
    if length < 126:  # noqa: PLR2004 - the lengths of RFC 6455 §5.2
        return bytes((first, length))
    if length < 1 << 16:
        return struct.pack("!BBH", first, 126, length)
    return struct.pack("!BBQ", first, 127, length)
