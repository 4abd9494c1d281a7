"""What can wait, waits: briefly, in order, and never in the way of what cannot."""

import asyncio
import os
import time

import pytest
from pylibsrtp import Policy

from live.media.coalescing import DELAY, LIMIT, Coalescer, can_wait, is_rtcp
from live.media.control import MediaSettings
from live.media.plane import Plane
from live.media.srtp import Srtp, SrtpKeys
from live.sfu.rtcp import (
    PSFB,
    ReportBlock,
    packet,
    write_cname,
    write_nack,
    write_pli,
    write_remb,
    write_rr,
)
from live.sfu.twcc import TransportFeedback, write_feedback
from tests.media.test_plane import _check

PEER, OTHER = ("192.0.2.5", 5000), ("192.0.2.6", 6000)
REPORT = write_rr(9, [ReportBlock(5000, 0, 0, 0, 0, 0, 0)])
FEEDBACK = write_feedback(TransportFeedback(9, 5000, 0, 0, (0, 250)))


@pytest.mark.parametrize(
    ("datagram", "waits"),
    [
        (REPORT, True),
        (REPORT + write_remb(9, 1_000_000, [5000]), True),
        (write_remb(9, 1_000_000, [5000]), True),
        (FEEDBACK, True),
        (write_cname(9, "them"), True),
        (write_nack(9, 5000, [7]), False),
        (write_nack(9, 5000, [7]) + REPORT, False),
        (write_pli(9, 5000), False),
        (packet(PSFB, 4, bytes(16)), False),  # FIR
        (packet(203, 1, bytes(4)), False),  # BYE
    ],
    ids=[
        *("report", "report and REMB", "REMB", "transport feedback", "CNAME"),
        *("NACK", "NACK and report", "PLI", "FIR", "BYE"),
    ],
)
def test_only_what_nobody_is_in_a_hurry_for_waits(datagram, waits) -> None:
    assert is_rtcp(datagram)
    assert can_wait(datagram) is waits


def test_what_is_no_rtcp_never_waits() -> None:
    others = [b"\x80\x60" + bytes(20), b"\x16\xfe\xfd" + bytes(20), _check("ours", "secret"), b"\x80", b""]
    assert not any(is_rtcp(datagram) for datagram in others)


class Taken:
    def __init__(self) -> None:
        self.rows: list[list[tuple[bytes, float]]] = [[]]
        self.coalescer = Coalescer(
            lambda datagram, _, waited: self.rows[-1].append((datagram, waited)), self.pause
        )

    def pause(self) -> None:
        self.rows.append([])

    @property
    def all(self) -> list[bytes]:
        return [datagram for row in self.rows for datagram, _ in row]


async def test_what_waits_is_taken_together_in_order_and_knows_how_long_each_waited() -> None:
    taken = Taken()
    taken.coalescer.hold(b"one", PEER)
    time.sleep(DELAY / 4)  # noqa: ASYNC251  # nothing else may have its turn
    taken.coalescer.hold(b"two", OTHER)
    assert not taken.all
    await asyncio.sleep(DELAY * 2)
    (one, first), (two, second) = taken.rows[0]
    assert (one, two, taken.rows[1:]) == (b"one", b"two", [[]])
    assert first - second >= DELAY / 4
    assert first >= DELAY * 0.9
    taken.coalescer.hold(b"three", PEER)
    await asyncio.sleep(DELAY * 2)
    assert taken.all == [b"one", b"two", b"three"]


async def test_no_more_wait_than_may() -> None:
    taken = Taken()
    for n in range(3 * LIMIT):
        taken.coalescer.hold(bytes([n % 256]), PEER)
    assert len(taken.all) == 3 * LIMIT
    assert taken.all == [bytes([n % 256]) for n in range(3 * LIMIT)]


async def test_who_ends_takes_nothing_more() -> None:
    taken = Taken()
    taken.coalescer.hold(b"one", PEER)
    taken.coalescer.close()
    await asyncio.sleep(DELAY * 2)
    assert not taken.all


async def test_a_viewer_is_taken_in_order_and_its_lost_packets_at_once() -> None:
    heard: list[tuple[object, bytes, float]] = []
    plane = Plane(MediaSettings(port=0, host="127.0.0.1"), lambda _, __: None, b"secret")
    plane.open()
    try:
        clients = {}
        for person, address in (("bob", PEER), ("cat", OTHER)):
            peer = plane._peers[plane.watch("room", person, False, None).resource]
            plane._receive(_check(*peer.local), address)
            assert peer.paths.chosen == address, "the first check is answered at once"
            keys = os.urandom(28), os.urandom(28)
            peer.srtp = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, *keys))
            clients[address] = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, *keys[::-1]))
            plane._connected(peer)
        checks: list[object] = []
        peer._send = lambda _, address: checks.append(address)
        router = plane._rooms["room"].router
        router.receive_rtcp = lambda peer, data, _, waited=0.0: heard.append((peer.person, data, waited))

        def says(address, data) -> None:
            plane._receive(bytes(clients[address].protect_rtcp(data)), address)

        says(PEER, REPORT)
        says(OTHER, FEEDBACK)
        assert not heard
        await asyncio.sleep(0)
        lost = write_nack(9, 5000, [7])
        says(PEER, lost)
        assert [(who, data) for who, data, _ in heard] == [("bob", REPORT), ("cat", FEEDBACK), ("bob", lost)]
        assert heard[0][2] > heard[2][2] == 0.0
        says(OTHER, REPORT)
        await asyncio.sleep(DELAY * 2)
        assert heard[3][:2] == ("cat", REPORT)
        assert heard[3][2] >= DELAY * 0.9
        plane._receive(_check(*peer.local), OTHER)
        assert checks.pop() == OTHER, "the round trip that browsers show is the line's"
        says(OTHER, REPORT)
        plane.delete("room", next(iter(plane._peers)))
        plane.delete("room", next(iter(plane._peers)))
        await asyncio.sleep(DELAY * 2)
        assert len(heard) == 4, "who is gone says nothing more"
    finally:
        await plane.close()
