"""How uvicorn has to be set up for the limits that the rest of the program promises."""

import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import uvicorn

from live.gateway.direct import DirectProtocol

SOCKET_BYTES: Final = 64 * 1024
"""Kernel send buffer per connection; autotuning would give a stuck client 4 MB."""
USER_TIMEOUT_MS: Final = 15_000
"""A peer that acknowledges nothing for so long is gone (RFC 5482)."""
MESSAGE_BYTES: Final = 64 * 1024
"""Larger messages end the connection with 1009 below us; between 16 kB and this the answer is 4501."""
HEADER_BYTES: Final = 16 * 1024
BACKLOG: Final = 2048

UVICORN: Final[dict[str, Any]] = {
    "http": "h11",
    "ws": DirectProtocol,
    "ws_max_size": MESSAGE_BYTES,
    "ws_ping_interval": None,
    "ws_per_message_deflate": True,
    "h11_max_incomplete_event_size": HEADER_BYTES,
    "timeout_keep_alive": 20,
    "timeout_graceful_shutdown": 5,
    "server_header": False,
    "access_log": False,
}
"""Arguments for `uvicorn.Config`. Access logs are off: a path may name a session. Pings are `Keepalive`'s."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Open the listening socket; accepted connections inherit its buffer size and timeout.

    Args:
        host: address; "" for all of them.
        port: 0 takes a free one.
        shared: let further sockets of ours listen on the same port; the kernel spreads connections over them.

    Raises:
        OSError: The address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the socket says that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BYTES)
        with contextlib.suppress(AttributeError, OSError):  # Linux only
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        listener.bind((host, port))
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class DrainingServer(uvicorn.Server):
    """A server that says goodbye to its viewers before it closes their connections."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._drain = drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then shut down as usual."""
        if not self.force_exit:
            await self._drain()
        await super().shutdown(sockets)
