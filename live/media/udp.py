"""The one UDP port for everybody, read until it is empty and written without waiting.

IPv4 always, and IPv6 on the same port where the machine has it. Where the machine has several addresses, each
has a socket of its own on that port, so that who asked one of them is answered from it: an ICE agent takes no
other answer (RFC 8445 §7.2.5.2.1), and the kernel, asked to answer from any, picks the address of its route.

What the kernel does not take at once waits in a queue of `QUEUE_LIMIT` bytes; when that is full, the newest
datagrams are dropped, as a full network would.
"""

import asyncio
import contextlib
import errno
import socket
import struct
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from aioice.ice import get_host_addresses

from live.media.ice import Address
from live.media.srtp import DATAGRAM_LIMIT
from live.media.tcp import TCP, Streams

#: Datagrams read before others get their turn.
BATCH = 256

#: Bytes that wait for the kernel.
QUEUE_LIMIT = 4 * 1024 * 1024

_KERNEL_BUFFER = 8 * 1024 * 1024

#: Linux's names, which the socket module lacks (linux/udp.h).
_SOL_UDP, _UDP_SEGMENT = 17, 103
_SIZE = struct.Struct("H")

#: Addresses that get a socket of their own; who asks a further one is answered from wherever the route says.
_OWN_LIMIT = 64

_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104  # compared, not bound

Receive = Callable[[bytes, Address], None]


class Port:
    """The sockets: one for each family, and one for each address where a family has several.

    Args:
        receive: called for each datagram, in order.
        pause: called after each batch of datagrams: the time to send what they caused.

    Attributes:
        number: the UDP port that is bound.
        streams: the same over TCP.
        takes_tcp: the port's number was free for TCP too.
        segments: runs of equal datagrams go by one call; turned off when the kernel refuses.
        counts: datagrams `received`, `sent`, `queued`, `dropped` (queue full) and `unsendable` (network
        errors).
    """

    def __init__(self, receive: Receive, pause: Callable[[], None]) -> None:
        self.number = 0
        self.counts = dict.fromkeys(("received", "sent", "queued", "dropped", "unsendable"), 0)
        self.segments = False
        self._receive = receive
        self._pause = pause
        self._four: socket.socket | None = None
        self._six: socket.socket | None = None
        self._own: dict[int, socket.socket] = {}
        self._hosts: set[str] = set()
        self._anywhere = False
        self.streams = Streams(receive, pause)
        self.takes_tcp = False
        self._queue: deque[tuple[bytes, Address, str]] = deque()
        self._queued = 0
        self._buffer = bytearray(DATAGRAM_LIMIT)
        self._view = memoryview(self._buffer)

    def open(self, host: str, port: int, addresses: Sequence[str] = ()) -> None:
        """Binds and begins to read.

        Args:
            host: the address to bind; empty or unspecified binds every one.
            port: 0 takes a free one.
            addresses: the machine's own; the only one of its family needs no socket of its own.

        Raises:
            OSError: the port is taken or the host is not ours.
        """
        if ":" not in host:
            self._four = _bound(socket.AF_INET, host or "0.0.0.0", port)  # noqa: S104  # every address by default
            port = self._four.getsockname()[1]
        if not host or ":" in host:
            with contextlib.suppress(OSError) if not host else contextlib.nullcontext():
                self._six = _bound(socket.AF_INET6, host or "::", port)
                port = self._six.getsockname()[1]
        self.number = port
        with contextlib.suppress(OSError):
            self.streams.open(host, port)
            self.takes_tcp = True
        self.segments = all(_segments(sock) for sock in self._sockets())
        loop = asyncio.get_running_loop()
        for sock in self._sockets():
            loop.add_reader(sock.fileno(), self._readable, sock, ())
        self._anywhere = host in _ANYWHERE
        families = [_family(address) for address in addresses]
        self._hosts = {
            a for a, family in zip(addresses, families, strict=True) if families.count(family) == 1
        }
        self.answer_from(addresses)

    def answer_from(self, addresses: Iterable[str]) -> None:
        """Answers from these addresses of the machine too, when they are asked.

        One that cannot be bound is left to the socket for all, and tried again with the next call.
        """
        for address in addresses:
            general = self._four if _family(address) == socket.AF_INET else self._six
            known = address in self._hosts or len(self._own) >= _OWN_LIMIT
            if self._anywhere and general is not None and not known:
                with contextlib.suppress(OSError):
                    self._hosts.add(self._open_own(address, general))

    def _open_own(self, address: str, general: socket.socket) -> str:
        """The port is ours already; only for this moment is it allowed to be bound once more."""
        general.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock = _bound(_family(address), address, self.number, again=True)
        finally:
            general.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        self._own[sock.fileno()] = sock
        asyncio.get_running_loop().add_reader(sock.fileno(), self._readable, sock, (sock.fileno(),))
        return address

    def _sockets(self) -> list[socket.socket]:
        return [sock for sock in (self._four, self._six, *self._own.values()) if sock is not None]

    def _socket_to(self, address: Address) -> socket.socket | None:
        """The socket that a UDP address is to be answered by."""
        if len(address) in (3, 5):
            return self._own.get(address[-1])  # type: ignore[arg-type]  # a descriptor: TCP's never comes here
        return self._four if len(address) == 2 else self._six  # noqa: PLR2004  # host and port

    def _readable(self, sock: socket.socket, mark: tuple[int, ...]) -> None:
        counts, view, receive = self.counts, self._view, self._receive
        for _ in range(BATCH):
            try:
                size, address = sock.recvfrom_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                counts["unsendable"] += 1
                continue
            counts["received"] += 1
            if size:
                receive(bytes(view[:size]), address + mark if mark else address)
        self._pause()

    def send(self, datagram: bytes | memoryview, address: Address, source: str = "") -> None:
        """Sends now if the kernel takes it, else as soon as it does, unless its `source` is forgotten."""
        if address[-1] == TCP:
            self.counts["sent" if self.streams.send(datagram, address) else "dropped"] += 1
            return
        sock = self._socket_to(address)
        if sock is None:
            self.counts["unsendable"] += 1
            return
        if self._queue:
            self._wait(bytes(datagram), address, source)
            return
        try:
            sock.sendto(datagram, _name(address))
        except BlockingIOError:
            self._wait(bytes(datagram), address, source)
        except OSError:
            self.counts["unsendable"] += 1
        else:
            self.counts["sent"] += 1

    @property
    def descriptors(self) -> tuple[int, int]:
        """The sockets for IPv4 and IPv6; -1 for one that is not there."""
        four, six = self._four, self._six
        return (four.fileno() if four else -1, six.fileno() if six else -1)

    @property
    def waits(self) -> bool:
        """Datagrams wait for the kernel: later ones must queue behind them."""
        return bool(self._queue)

    @property
    def room(self) -> int:
        """Bytes that may wait besides those that do."""
        return QUEUE_LIMIT - self._queued

    def send_segments(self, datagrams: memoryview, size: int, address: Address, source: str = "") -> None:
        """Sends datagrams that lie one behind the other, each of `size` bytes, the last perhaps shorter.

        One call to the kernel for all of them (UDP generic segmentation offload, Linux); where the kernel or
        the network card cannot, one for each.
        """
        plain = not self.segments or self._queue or address[-1] == TCP
        sock = None if plain else self._socket_to(address)
        if sock is not None and len(datagrams) > size:
            try:
                sock.sendmsg([datagrams], [(_SOL_UDP, _UDP_SEGMENT, _SIZE.pack(size))], 0, _name(address))
            except BlockingIOError:
                pass
            except OSError as error:
                self.segments = error.errno != errno.EIO  # no checksum offload: it will never work here
            else:
                self.counts["sent"] += -(-len(datagrams) // size)
                return
        for start in range(0, len(datagrams), size):
            self.send(datagrams[start : start + size], address, source)

    def _wait(self, datagram: bytes, address: Address, source: str = "") -> None:
        if self._queued + len(datagram) > QUEUE_LIMIT:
            self.counts["dropped"] += 1
            return
        if not self._queue:
            loop = asyncio.get_running_loop()
            for sock in self._sockets():
                loop.add_writer(sock.fileno(), self._writable)
        self._queue.append((datagram, address, source))
        self._queued += len(datagram)
        self.counts["queued"] += 1

    def forget(self, source: str = "", to: Collection[Address] = ()) -> None:
        """Drops what waits of a source, or for addresses that are nobody's any more."""
        if not self._queue:
            return
        kept = [item for item in self._queue if not (source and item[2] == source) and item[1] not in to]
        self.counts["dropped"] += len(self._queue) - len(kept)
        self._queue = deque(kept)  # of an empty one, `_writable` takes its leave
        self._queued = sum(len(datagram) for datagram, _, _ in kept)

    def _writable(self) -> None:
        queue = self._queue
        while queue:
            datagram, address, _ = queue[0]
            sock = self._socket_to(address)
            try:
                if sock is not None:
                    sock.sendto(datagram, _name(address))
                    self.counts["sent"] += 1
            except BlockingIOError:
                return
            except OSError:
                self.counts["unsendable"] += 1
            queue.popleft()
            self._queued -= len(datagram)
        loop = asyncio.get_running_loop()
        for sock in self._sockets():
            loop.remove_writer(sock.fileno())

    def close(self) -> None:
        """Stops reading and frees the port; what waits is dropped."""
        loop = asyncio.get_running_loop()
        for sock in self._sockets():
            loop.remove_reader(sock.fileno())
            loop.remove_writer(sock.fileno())
            sock.close()
        self._four = self._six = None
        self._own.clear()
        self.streams.close()
        self._queue.clear()


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _name(address: Address) -> Address:
    """An address as the kernel takes it: without the socket's descriptor."""
    return address[:-1] if len(address) in (3, 5) else address  # type: ignore[return-value]  # 2 or 4 remain


def _bound(family: socket.AddressFamily, host: str, port: int, *, again: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(again))
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, _KERNEL_BUFFER)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _segments(sock: socket.socket) -> bool:
    try:
        sock.setsockopt(_SOL_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def own_addresses() -> list[str]:
    """The machine's addresses, loopback and link-local ones left out."""
    return get_host_addresses(use_ipv4=True, use_ipv6=True)


def advertised(host: str, public: Iterable[str]) -> list[str]:
    """The addresses that candidates name: the configured ones, or the bound one, or the machine's interfaces.

    Browsers do not pair with a loopback address of another machine's, and Firefox not even with its own, so
    127.0.0.1 is named only when there is nothing else.
    """
    chosen = list(public)
    if not chosen and host and host not in ("0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        chosen = [host]
    if not chosen:
        four = get_host_addresses(use_ipv4=True, use_ipv6=False)
        six = get_host_addresses(use_ipv4=False, use_ipv6=True) if not host or host == "::" else []
        chosen = ([] if host == "::" else four) + six
    return chosen or ["127.0.0.1"]
