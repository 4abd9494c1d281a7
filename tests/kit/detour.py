"""A detour for one peer's media: every datagram from the server passes here, and is counted on its way."""

import asyncio
import re
from typing import Self

import httpx

_CANDIDATE = re.compile(r"^a=candidate:.*\r?\n", re.MULTILINE)
_UDP = re.compile(r"^(a=candidate:\S+ 1 udp \d+ )(\S+) (\d+)( typ host)", re.MULTILINE | re.IGNORECASE)


class Detour(httpx.AsyncHTTPTransport):
    """An HTTP transport for `httpx.AsyncClient` that puts the detour's address into the server's answers.

    The detour goes on listening when the peer has let go, so that what the server still sends is seen.

    Attributes:
        rtp: when each RTP packet came from the server, by the loop's clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rtp: list[float] = []
        self._near: _End | None = None
        self._far: _End | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Pass a request on; an answer with candidates comes back with one, ours."""
        answer = await super().handle_async_request(request)
        if not answer.headers.get("content-type", "").startswith("application/sdp"):
            return answer
        text = (await answer.aread()).decode()
        found = _UDP.search(text)
        if answer.status_code != httpx.codes.CREATED or found is None:
            return answer
        near = await self._open(found[2], int(found[3]))
        ours = f"{found[1]}{found[2]} {near}{found[4]}\r\n"
        body = _CANDIDATE.sub("", text)
        place = re.search(r"^a=ice-ufrag:", body, re.MULTILINE)
        if place is None:
            raise AssertionError(text)
        body = body[: place.start()] + ours + body[place.start() :]
        kept = [one for one in answer.headers.raw if one[0].lower() != b"content-length"]
        return httpx.Response(answer.status_code, headers=kept, content=body.encode())

    async def _open(self, host: str, port: int) -> int:
        loop = asyncio.get_running_loop()
        _, far = await loop.create_datagram_endpoint(_End, remote_addr=(host, port))
        transport, near = await loop.create_datagram_endpoint(_End, local_addr=(host, 0))
        self._near, self._far = near, far
        near.passes, far.passes = self._to_server, self._to_peer
        found: int = transport.get_extra_info("sockname")[1]
        return found

    def _to_server(self, data: bytes) -> None:
        if self._far is not None and self._far.transport is not None:
            self._far.transport.sendto(data)

    def _to_peer(self, data: bytes) -> None:
        if is_rtp(data):
            self.rtp.append(asyncio.get_running_loop().time())
        if self._near is not None and self._near.transport is not None and self._near.heard:
            self._near.transport.sendto(data, self._near.heard)

    async def __aexit__(self, *args: object) -> None:
        """Close both ends."""
        for end in (self._near, self._far):
            if end is not None and end.transport is not None:
                end.transport.close()
        await super().__aexit__(None, None, None)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self


class _End(asyncio.DatagramProtocol):
    """One of the two sockets."""

    def __init__(self) -> None:
        self.transport: asyncio.DatagramTransport | None = None
        self.heard: tuple[str, int] | None = None
        self.passes = lambda _data: None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.heard = addr
        self.passes(data)

    def error_received(self, exc: Exception) -> None:
        """A peer that has gone refuses what still comes; that is counted, too."""


def is_rtp(data: bytes) -> bool:
    """Tell RTP from STUN, DTLS and RTCP on one port (RFC 7983 §7, RFC 5761 §4)."""
    return len(data) > 1 and 128 <= data[0] <= 191 and not 192 <= data[1] <= 223
