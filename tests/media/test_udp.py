import asyncio
import socket

import pytest

from live.media import udp
from live.media.udp import QUEUE_LIMIT, Port, advertised


@pytest.fixture
async def port():
    arrived = []
    made = Port(
        lambda datagram, address: arrived.append((datagram, address)), lambda: arrived.append("pause")
    )
    made.open("127.0.0.1", 0)
    made.arrived = arrived
    yield made
    made.close()


async def test_datagrams_arrive_in_order_and_batches_end_with_a_pause(port, wait):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        for n in range(300):
            sender.sendto(n.to_bytes(2, "big"), ("127.0.0.1", port.number))
        here = sender.getsockname()
        await wait(lambda: len(port.arrived) >= 302)
        datagrams = [item for item in port.arrived if item != "pause"]
        assert datagrams == [(n.to_bytes(2, "big"), here) for n in range(300)]
        assert port.arrived[udp.BATCH] == "pause"
        assert port.arrived[-1] == "pause"
        sender.settimeout(5)
        port.send(b"back", here)
        assert sender.recv(10) == b"back"


class FullSocket:
    """A kernel that takes nothing until it is told to."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.full = True
        self.sent = []

    def fileno(self) -> int:
        return self.real.fileno()

    def close(self) -> None:
        self.real.close()

    def sendto(self, datagram, address) -> None:
        if self.full:
            raise BlockingIOError
        self.sent.append((bytes(datagram), address))


async def test_what_the_kernel_does_not_take_waits_in_order_up_to_a_limit(port, wait):
    full = port._four = FullSocket(port._four)
    here = ("127.0.0.1", 9)
    for n in range(10):
        port.send(bytes([n]), here)
    await asyncio.sleep(0)
    full.full = False
    port.send(b"last", here)
    await wait(lambda: len(full.sent) == 11)
    assert [datagram for datagram, _ in full.sent] == [*(bytes([n]) for n in range(10)), b"last"]
    full.full = True
    big = bytes(1000)
    for _ in range(QUEUE_LIMIT // 1000 + 50):
        port.send(big, here)
    assert port.counts["dropped"] >= 50


async def test_an_address_that_cannot_be_reached_is_counted_only(port):
    port.send(b"x", ("::1", 9, 0, 0))
    port.send(bytes(70000), ("127.0.0.1", 9))
    assert port.counts["unsendable"] == 2


async def test_both_families_share_the_port(wait):
    arrived = []
    both = Port(lambda _, address: arrived.append(address), lambda: None)
    both.open("", 0)
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (host, both.number))
    await wait(lambda: len(arrived) == 2)
    both.close()


def test_candidates_name_what_is_configured_or_bound_or_the_interfaces(monkeypatch):
    assert advertised("", ["203.0.113.5"]) == ["203.0.113.5"]
    assert advertised("192.0.2.9", []) == ["192.0.2.9"]
    found = advertised("", [])
    assert found
    assert "127.0.0.1" not in found or found == ["127.0.0.1"]
    monkeypatch.setattr(udp, "get_host_addresses", lambda **_: [])
    assert advertised("", []) == ["127.0.0.1"]


async def test_who_asks_one_of_several_addresses_is_answered_from_it(wait):
    """Asked at 127.0.0.2, the kernel by itself would answer from 127.0.0.1, the address of its route."""
    arrived = []
    port = Port(lambda datagram, address: arrived.append((datagram, address)), lambda: None)
    port.open("", 0, ["127.0.0.1", "127.0.0.2"])
    try:
        for host in ("127.0.0.2", "127.0.0.1", "127.0.0.3"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
                asker.connect((host, port.number))
                asker.settimeout(5)
                asker.send(b"hello")
                await wait(lambda: arrived)
                _, address = arrived.pop()
                assert address[:2] == asker.getsockname()
                if host == "127.0.0.3":  # an address that came later
                    port.answer_from(["127.0.0.1", "127.0.0.2", "127.0.0.3"])
                    asker.send(b"again")
                    await wait(lambda: arrived)
                    _, address = arrived.pop()
                port.send(b"one", address)
                port.send_segments(memoryview(b"twothree"), 3, address)
                assert [asker.recv(10) for _ in range(4)] == [b"one", b"two", b"thr", b"ee"]
        with pytest.raises(OSError, match="in use"):
            Port(lambda *_: None, lambda: None).open("", port.number)
    finally:
        port.close()


async def test_an_address_that_cannot_be_bound_is_left_to_the_socket_for_all(port):
    other = Port(lambda *_: None, lambda: None)
    other.open("", 0, ["127.0.0.1", "192.0.2.77"])
    assert len(other._own) == 1
    other.close()
    assert len(port._own) == 0
