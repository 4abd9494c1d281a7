"""WebSocket frames by hand, also such as no library would write (RFC 6455 §5.2)."""

import asyncio
import base64
import os
import zlib

from live.protocol.codes import SUBPROTOCOL

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def frame(opcode, payload=b"", *, fin=True, rsv=0, masked=True, length=None, wide=0):
    """Build one frame.

    Args:
        opcode: four bits.
        payload: before masking.
        fin: whether it is the message's last.
        rsv: the three reserved bits; 4 is RSV1.
        masked: as every client's has to be.
        length: told instead of the true one.
        wide: 2 or 8 bytes of length although fewer would do.
    """
    told = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    mark = masked << 7
    if told < 126 and not wide:
        head += bytes([mark | told])
    elif told < 1 << 16 and wide != 8:
        head += bytes([mark | 126]) + told.to_bytes(2, "big")
    else:
        head += bytes([mark | 127]) + told.to_bytes(8, "big")
    if not masked:
        return head + payload
    key = os.urandom(4)
    stream = key * (len(payload) // 4 + 1)
    return head + key + bytes(a ^ b for a, b in zip(payload, stream, strict=False))


def deflated(payload):
    """Compress a message's payload (RFC 7692 §7.2.1)."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (squeeze.compress(payload) + squeeze.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff")


def upgrade(port, path, *more):
    """Build the request for a socket, with more header fields."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        *more,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


class RawSocket:
    """A client whose every byte is the test's; what it reads are whole frames."""

    def __init__(self, reader, writer):
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port, path, *, deflate=False):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(upgrade(port, path, *["Sec-WebSocket-Extensions: permessage-deflate"] * deflate))
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer, answer
        assert (b"permessage-deflate" in answer) is deflate
        return cls(reader, writer)

    def send(self, data):
        self._writer.write(data)

    async def read(self):
        """Return (opcode, payload) of the next frame; the server's are never masked."""
        first, second = await self._reader.readexactly(2)
        length = second & 127
        if length > 125:
            length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
        payload = await self._reader.readexactly(length)
        if first & 64:
            payload = zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")
        return first & 15, payload

    async def verdict(self):
        """Read on; return the code that the server closes with, `pong`, or `gone` without a word."""
        try:
            async with asyncio.timeout(30):
                while True:
                    opcode, payload = await self.read()
                    if opcode == CLOSE:
                        return int.from_bytes(payload[:2], "big") if payload else 1005
                    if opcode == TEXT and b'"t":"pong"' in payload:
                        return "pong"
        except (asyncio.IncompleteReadError, ConnectionError):
            return "gone"

    def abort(self):
        """Leave without a word."""
        self._writer.transport.abort()
