"""Network namespaces of our own, joined by a line that does what we say: loss, delay, a rate, silence.

Packets travel between two TUN devices through this process, so nothing of the kernel's traffic control is
needed. A namespace is kept alive by an open file alone: it ends, with all in it, when this process does,
however that comes about. Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) and /dev/net/tun; see `problem`.
"""

import contextlib
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Self, TypeVar

T = TypeVar("T")

_NEWNET = 0x40000000  # linux/sched.h
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001  # linux/if_tun.h
_MTU = 1500
_UDP = 17
_libc = ctypes.CDLL(None, use_errno=True)


def problem() -> str:
    """Why there can be no namespaces here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        return "/dev/net/tun is missing"
    try:
        Namespace().close()
    except OSError as error:
        return f"no network namespace can be made: {error}"
    return ""


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Namespace:
    """One machine's network: a loopback, and what a `Wan` adds."""

    def __init__(self) -> None:
        self.descriptor = _in_thread(self._make)

    @staticmethod
    def _make() -> int:
        _checked(_libc.unshare(_NEWNET))
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def do(self, act: Callable[[], T]) -> T:
        """Call `act` inside, in a thread of its own: sockets that it makes stay inside."""

        def within() -> T:
            _checked(_libc.setns(self.descriptor, _NEWNET))
            return act()

        return _in_thread(within)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Be inside with the calling thread: its sockets and the processes that it starts are there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        _checked(_libc.setns(self.descriptor, _NEWNET))
        try:
            yield
        finally:
            _checked(_libc.setns(home, _NEWNET))
            os.close(home)

    @property
    def prefix(self) -> list[str]:
        """What to put before a command line so that it runs inside."""
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.descriptor}", "--"]

    def run(self, *command: str) -> None:
        """Run a command inside; raises `CalledProcessError`."""
        subprocess.run([*self.prefix, *command], check=True, capture_output=True)

    def tun(self, name: str, addresses: list[str]) -> int:
        """Add a device with addresses (`10.0.0.1/24`, `fd00::1/64`); gives the descriptor of its far end."""

        def make() -> int:
            tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH", name.encode(), _TUN_WITHOUT_HEADER))
            return tun

        tun = self.do(make)
        for address in addresses:
            more = ["nodad"] if ":" in address else []
            self.run("ip", "address", "add", address, "dev", name, *more)
        self.run("ip", "link", "set", name, "up", "mtu", str(_MTU), "txqueuelen", "1000")
        return tun

    def close(self) -> None:
        """Let go; the namespace ends with the last process or socket in it."""
        os.close(self.descriptor)


def _in_thread(act: Callable[[], T]) -> T:
    """A namespace is a thread's: what changes it has a thread of its own, which then ends."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(act())
        except BaseException as error:  # noqa: BLE001  raised again by the caller
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


@dataclass
class Way:
    """One direction of a line.

    Attributes:
        delay: seconds.
        jitter: up to so many seconds more; packets stay in order, as on most lines.
        loss: probability that a packet vanishes.
        rate: bits per second; 0 has no limit.
        queue: seconds of traffic that wait for the rate before packets are dropped.
        udp: UDP passes.
        versions: of IP that pass.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    rate: float = 0.0
    queue: float = 0.3
    udp: bool = True
    versions: str = "46"
    lost: int = 0
    passed: int = 0
    free_at: float = 0.0
    last_due: float = 0.0
    dice: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311  an emulated line

    def due(self, packet: bytes, now: float) -> float | None:
        """When a packet arrives that sets out now; None for never."""
        barred = str(packet[0] >> 4) not in self.versions or (not self.udp and _protocol(packet) == _UDP)
        if barred or (self.loss and self.dice.random() < self.loss):
            self.lost += 1
            return None
        start = now
        if self.rate:
            if self.free_at - now > self.queue:
                self.lost += 1
                return None
            start = self.free_at = max(self.free_at, now) + len(packet) * 8 / self.rate
        self.passed += 1
        self.last_due = max(self.last_due, start + self.delay + self.dice.random() * self.jitter)
        return self.last_due


class Nat:
    """Gives the near side's UDP flows other source ports from the first `rebind` on."""

    def __init__(self) -> None:
        self._ports = itertools.count(20_000)
        self._out: dict[bytes, int] = {}
        self._back: dict[tuple[bytes, int], bytes] = {}
        self.active = False

    def rebind(self) -> None:
        """Forget every flow: what is sent now leaves from a new port, what comes for the old one is lost."""
        self.active = True
        self._out.clear()
        self._back.clear()

    def outbound(self, packet: bytes) -> bytes | None:
        """Change the source port of an IPv4 UDP packet."""
        at = _udp4(packet)
        if not self.active or at is None:
            return packet
        flow = packet[12:16] + packet[at : at + 2]
        port = self._out.get(flow)
        if port is None:
            port = self._out[flow] = next(self._ports)
            self._back[packet[12:16], port] = flow[4:]
        return _with_port(packet, at, at, port.to_bytes(2, "big"))

    def inbound(self, packet: bytes) -> bytes | None:
        """Change the destination port back; None when nobody sent from there."""
        at = _udp4(packet)
        if not self.active or at is None:
            return packet
        port = int.from_bytes(packet[at + 2 : at + 4], "big")
        known = self._back.get((packet[16:20], port))
        return None if known is None else _with_port(packet, at, at + 2, known)


class Wan:
    """A line between two namespaces, `near` with 10.77.n.2 and fd77:n::2, `far` with …1.

    Use it as a context manager; attributes may be changed at any time.

    Attributes:
        near: the near side's addresses, IPv4 before IPv6; `far` likewise.
        up: from near to far.
        down: from far to near.
        cut: nothing passes either way.
        nat: before the near side.
    """

    def __init__(self, near: Namespace, far: Namespace, number: int = 1, versions: str = "46") -> None:
        self.up, self.down = Way(), Way(dice=random.Random(2))  # noqa: S311  an emulated line
        self.cut = False
        self.nat = Nat()
        hosts = {"4": "10.77.{}.{}/24", "6": "fd77:{}::{}/64"}
        addresses = [[hosts[version].format(number, host) for version in versions] for host in (2, 1)]
        self.near, self.far = ([address.partition("/")[0] for address in side] for side in addresses)
        self._near = near.tun(f"wan{number}", addresses[0])
        self._far = far.tun(f"wan{number}", addresses[1])
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stopped)
        self._thread.join()
        for descriptor in (self._stop, self._near, self._far):
            os.close(descriptor)

    def both(self, **how: float | str) -> None:
        """Set attributes of both directions."""
        for way in (self.up, self.down):
            for name, value in how.items():
                setattr(way, name, value)

    def _carry(self) -> None:
        waiting: list[tuple[float, int, int, bytes]] = []
        order = itertools.count()
        poll = select.poll()
        for descriptor in (self._stop, self._near, self._far):
            poll.register(descriptor, select.POLLIN)
        while True:
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _, _, descriptor, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):
                    os.write(descriptor, packet)
            wait = max(0.0, waiting[0][0] - now) * 1000 if waiting else None
            ready = {descriptor for descriptor, _ in poll.poll(wait)}
            if self._stop in ready:
                return
            for source, sink in ((self._near, self._far), (self._far, self._near)):
                for packet in _packets(source) if source in ready else ():
                    due = self._pass(packet, source)
                    if due is not None:
                        heapq.heappush(waiting, (due[0], next(order), sink, due[1]))

    def _pass(self, packet: bytes, source: int) -> tuple[float, bytes] | None:
        if self.cut:
            return None
        way, change = (self.up, self.nat.outbound) if source == self._near else (self.down, self.nat.inbound)
        changed = change(packet)
        due = None if changed is None else way.due(packet, time.monotonic())
        return None if due is None or changed is None else (due, changed)


def _packets(tun: int) -> Iterator[bytes]:
    for _ in range(64):
        try:
            yield os.read(tun, _MTU + 64)
        except OSError:
            return


def _protocol(packet: bytes) -> int:
    """The protocol above IP; extension headers of IPv6 do not occur in what we send."""
    return packet[9] if packet[0] >> 4 == 4 else packet[6]


def _udp4(packet: bytes) -> int | None:
    """Where the UDP header of an unfragmented IPv4 packet begins."""
    if packet[0] >> 4 != 4 or packet[9] != _UDP or int.from_bytes(packet[6:8], "big") & 0x1FFF:
        return None
    return (packet[0] & 0x0F) * 4


def _with_port(packet: bytes, header: int, at: int, port: bytes) -> bytes:
    """Replace two bytes at `at`, and bring the UDP checksum along (RFC 1624)."""
    changed = bytearray(packet)
    old = int.from_bytes(packet[at : at + 2], "big")
    changed[at : at + 2] = port
    checksum = int.from_bytes(packet[header + 6 : header + 8], "big")
    if checksum:
        total = (~checksum & 0xFFFF) + (~old & 0xFFFF) + int.from_bytes(port, "big")
        total = (total & 0xFFFF) + (total >> 16)
        total = (total & 0xFFFF) + (total >> 16)
        changed[header + 6 : header + 8] = ((~total & 0xFFFF) or 0xFFFF).to_bytes(2, "big")
    return bytes(changed)


def udp_socket(namespace: Namespace, family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    """A bound UDP socket inside, that does not block."""

    def make() -> socket.socket:
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.bind(address)
        return sock

    return namespace.do(make)
