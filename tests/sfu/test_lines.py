"""Viewers behind lines of their own: what is sent follows what they carry; good lines are left alone."""

from __future__ import annotations

import pytest

from live.sfu import Router
from live.sfu.rtcp import ReportBlock, write_pli, write_remb, write_rr
from live.sfu.rtp import parse_rtp
from tests.kit.network import Link
from tests.kit.receiver import Receiver
from tests.kit.theatre import Camera, Microphone, Spectator, Theatre, camera_slot, camera_spec, sound_spec

RATE = 505_000
"""Bits per second of one `camera`."""


def camera(ssrc: int) -> Camera:
    return Camera(ssrc, size=690)


def two_cameras(rate: float, *, remb: bool = True, slots=None, **line) -> tuple[Theatre, Spectator, Receiver]:
    theatre = Theatre()
    theatre.stage(["ann", "ben"])
    theatre.camera("ann", camera(1000), camera_spec("ann", 1000))
    theatre.camera("ben", camera(1100), camera_spec("ben", 1100))
    theatre.sound("ann", Microphone(1300, level=20), sound_spec("ann", 1300))
    bob = theatre.watch("bob", **({} if slots is None else {"slots": slots}))
    receiver = theatre.connect("bob", Link(theatre.clock, rate=rate, **line), remb=remb)
    return theatre, bob, receiver


@pytest.mark.parametrize("remb", [True, False])
def test_a_line_for_one_picture_keeps_that_one_and_the_sound_whole(remb):
    theatre, bob, receiver = two_cameras(800_000, remb=remb)
    theatre.clock.run(10)
    lost, pauses = receiver.line.lost, theatre.router.stats()["pauses"]
    before = len(bob.packets[7000])
    theatre.clock.run(25)
    sound = len(bob.packets[7000]) - before
    assert sound > 0.98 * 25 * 50
    assert receiver.numbered
    assert receiver.line.lost - lost < 60
    assert theatre.router.stats()["pauses"] - pauses <= 1
    firsts = [n for n, p in bob.packets[5000].items() if bob.arrived[5000][n] > theatre.clock.now - 20]
    assert len(firsts) > 0.98 * 20 * 90


def test_a_line_with_room_is_never_limited_nor_numbered_nor_padded():
    theatre, bob, receiver = two_cameras(3_000_000, delay=0.05)
    theatre.clock.run(20)
    assert receiver.numbered == bob.padded == receiver.line.lost == 0
    assert theatre.router.stats()["pauses"] == 0


def test_random_loss_alone_stops_no_picture():
    theatre, bob, _ = two_cameras(float("inf"), delay=0.025, loss=0.05)
    theatre.clock.run(20)
    assert theatre.router.stats()["pauses"] == 0
    for ssrc in (5000, 5001):
        assert bob.longest_freeze(ssrc) < 0.5


@pytest.mark.parametrize("rtx", [True, False])
def test_what_a_better_line_carries_comes_back_after_a_probe(rtx):
    slots = tuple(camera_slot(i, rtx=rtx) for i in range(2))
    theatre, bob, receiver = two_cameras(800_000, slots=slots)
    theatre.clock.run(4)
    receiver.line.rate = 5_000_000
    count = len(bob.packets[5001])
    theatre.clock.run(26)
    assert len(bob.packets[5001]) > count + 90
    assert bool(bob.padded) is rtx
    assert not theatre.router._viewers["bob"].line.limited
    assert theatre.router.stats()["pauses"] == 1


def test_resending_does_not_keep_a_full_line_full():
    """A viewer asks again for whatever it misses: the answers must not be what fills its line."""
    theatre, _, receiver = two_cameras(600_000, queue=0.3)
    theatre.clock.run(8)
    lost = receiver.line.lost
    theatre.clock.run(8)
    assert receiver.line.lost - lost < 100
    stats = theatre.router.stats()
    assert stats["nacks_answered"] < 800


def test_numbers_are_whole_in_their_order_and_only_for_whom_they_pay():
    router: Router[str] = Router()
    theatre = Theatre(router=router)
    theatre.stage(["ann"])
    theatre.camera("ann", camera(1000), camera_spec("ann", 1000))
    eve = theatre.watch("eve")
    theatre.watch("bob", nacks=False)
    receiver = theatre.connect("bob", Link(theatre.clock, rate=300_000))
    numbers: list[int] = []
    take = receiver.send

    def note(data, deliver):
        number = parse_rtp(data).extensions.get(6)
        if number is not None:
            numbers.append(int.from_bytes(number))
        take(data, deliver)

    receiver.send = note
    theatre.clock.run(8)
    assert len(numbers) > 200
    assert numbers == list(range(len(numbers)))
    assert all(6 not in p.extensions for p in eve.order[5000])


def test_of_most_reports_nothing_comes_and_of_some_something_does():
    """The theatre looks, whenever the router says that a report comes to nothing, whether that is so."""
    theatre = Theatre()
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    theatre.watch("bob")
    theatre.clock.run(1.0)
    told = write_rr(9, [ReportBlock(5000, 0, 0, 20, 0, 0, 0)]) + write_remb(9, 5_000_000, [5000])
    for _ in range(20):
        theatre.up_control("bob", told)
        theatre.clock.run(0.1)
    assert theatre.idle_reports == 20
    theatre.up_control("bob", write_pli(9, 5000))
    theatre.clock.run(0.1)
    assert theatre.idle_reports == 20
