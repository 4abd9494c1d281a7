"""Media over TCP, for those whose network lets no UDP through.

Passive ICE-TCP candidates (RFC 6544) on the UDP port's number; datagrams are framed by a two-byte length
(RFC 4571). A connection whose first frame is no STUN message, or to which nothing was worth answering in
`_PROVING` seconds, is cut. What a slow line does not take in about a second is dropped, as a full network
would: later it would be of no use, and it could not be taken back when its publisher is muted.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable

from live.media.ice import Address, is_stun
from live.media.srtp import DATAGRAM_LIMIT

#: Open connections.
_CONNECTIONS = 2000

#: Bytes that may wait for a line: at most, while little is known of it, and at least; and in the kernel.
_UNSENT, _UNKNOWN, _LEAST, _KERNEL = 512 * 1024, 128 * 1024, 16 * 1024, 16 * 1024

#: Seconds after which something is known of a line, and that are looked back over.
_KNOWN, _WINDOW = 0.25, 2.0

_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", None)

#: Seconds in which a new connection must have earned an answer, and in which an old one must say something.
_PROVING, _IDLE = 10.0, 60.0

#: The third element of a TCP peer's address.
TCP = "tcp"

_PREFIX = 2


class Streams:
    """The listening sockets and their connections.

    Args:
        receive: called for each datagram.
        pause: called after each burst of them.
    """

    def __init__(self, receive: Callable[[bytes, Address], None], pause: Callable[[], None]) -> None:
        self.receive = receive
        self.pause = pause
        self.connections: dict[Address, _Connection] = {}
        self._listeners: list[socket.socket] = []
        self._accepting: set[asyncio.Task[object]] = set()

    def open(self, host: str, port: int) -> None:
        """Listens; raises `OSError` when the port is taken."""
        loop = asyncio.get_running_loop()
        families = []
        if ":" not in host:
            families.append((socket.AF_INET, host or "0.0.0.0"))  # noqa: S104  # every address by default
        if ":" in host or not host:
            families.append((socket.AF_INET6, host or "::"))
        for family, address in families:
            with contextlib.suppress(OSError) if self._listeners else contextlib.nullcontext():
                listener = _listening(family, address, port)
                self._listeners.append(listener)
                loop.add_reader(listener.fileno(), self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError, ConnectionError):
            sock, _ = listener.accept()
            if len(self.connections) >= _CONNECTIONS:
                sock.close()
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _NOTSENT_LOWAT is not None:
                sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _KERNEL)
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.connect_accepted_socket(lambda: _Connection(self), sock))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    def send(self, datagram: bytes | memoryview, address: Address) -> bool:
        """Sends a datagram; False when its connection is gone or full."""
        connection = self.connections.get(address)
        return connection is not None and connection.send(datagram)

    def close(self) -> None:
        """Stops listening and cuts every connection."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            loop.remove_reader(listener.fileno())
            listener.close()
        self._listeners.clear()
        for connection in list(self.connections.values()):
            connection.cut()


class Backlog:
    """How much may wait for a line: what it takes in about a second, as long as something waits."""

    __slots__ = ("_since", "_written")

    def __init__(self) -> None:
        self._since = 0.0
        self._written = 0

    def takes(self, size: int, waiting: int, now: float) -> bool:
        """Whether `size` bytes may be written behind those that wait; then they are counted."""
        if not waiting:
            self._since, self._written = now, 0
        taken, passed = self._written - waiting, now - self._since
        if passed > _WINDOW:
            taken, passed = taken // 2, passed / 2
            self._since, self._written = now - passed, taken + waiting
        most = _UNKNOWN if passed < _KNOWN else min(_UNSENT, max(_LEAST, taken / passed))
        if waiting + size > most:
            return False
        self._written += size
        return True


class _Connection(asyncio.Protocol):
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._transport: asyncio.Transport | None = None
        self._address: Address = ("", 0, TCP)
        self._rest = bytearray()
        self._backlog = Backlog()
        self._heard = self._answered = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self._transport = transport  # type: ignore[assignment]  # a stream's transport
        self._address = (peer[0], peer[1], TCP)
        self._streams.connections[self._address] = self
        self._timer = asyncio.get_running_loop().call_later(_PROVING, self._look)

    def data_received(self, data: bytes) -> None:
        rest = self._rest
        rest += data
        at = 0
        while len(rest) - at >= _PREFIX:
            size = int.from_bytes(rest[at : at + _PREFIX], "big")
            if size > DATAGRAM_LIMIT:
                self.cut()
                return
            if len(rest) - at < _PREFIX + size:
                break
            frame = bytes(rest[at + _PREFIX : at + _PREFIX + size])
            at += _PREFIX + size
            if not self._answered and not is_stun(frame):
                self.cut()
                return
            if frame:
                self._streams.receive(frame, self._address)
        del rest[:at]
        self._heard = True
        self._streams.pause()

    def send(self, datagram: bytes | memoryview) -> bool:
        transport = self._transport
        if transport is None:
            return False
        size = _PREFIX + len(datagram)
        if not self._backlog.takes(size, transport.get_write_buffer_size(), time.monotonic()):
            return False
        transport.write(b"".join((len(datagram).to_bytes(_PREFIX, "big"), datagram)))
        self._answered = True
        return True

    def _look(self) -> None:
        if not self._answered or not self._heard:
            self.cut()
            return
        self._heard = False
        self._timer = asyncio.get_running_loop().call_later(_IDLE, self._look)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._streams.connections.get(self._address) is self:
            del self._streams.connections[self._address]

    def cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _listening(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(256)
    except OSError:
        sock.close()
        raise
    return sock
