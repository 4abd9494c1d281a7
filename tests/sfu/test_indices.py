"""An index of SRTP is used for one packet only, whatever is asked for again (RFC 7714 §8.1)."""

from __future__ import annotations

import pytest

from live.sfu import Router
from live.sfu.contract import TRANSPORT_CC
from live.sfu.rtcp import write_nack
from live.sfu.rtp import parse_rtp
from live.sfu.viewer import NUMBERED_FOR
from tests.kit.theatre import (
    VIEWER_EXTENSIONS,
    Camera,
    Indices,
    Microphone,
    Theatre,
    camera_slot,
    camera_spec,
    sound_slot,
    sound_spec,
)

WIDE = VIEWER_EXTENSIONS[TRANSPORT_CC]


def lossy(*, transport_wide: bool, rtx: bool = False) -> Theatre:
    theatre = Theatre(loss=0.1, router=Router(transport_wide=transport_wide))
    theatre._up.loss = 0.0  # a microphone sends nothing again
    theatre.stage(["ann", "ben"])
    theatre.camera("ann", Camera(1000, size=690), camera_spec("ann", 1000))
    theatre.camera("ben", Camera(1100, size=690), camera_spec("ben", 1100))
    theatre.sound("ann", Microphone(1300, level=20), sound_spec("ann", 1300))
    slots = (camera_slot(0, rtx=rtx), camera_slot(1, rtx=rtx), sound_slot(0))
    theatre.watch("bob", slots=slots)
    theatre.watch("eve", slots=slots)
    return theatre


def test_the_guard_tells_another_packet_under_one_index_from_the_same_again():
    guard = Indices()
    packet = bytes((0x80, 111, 0, 7)) + bytes(8) + b"sound"
    guard.note("bob", packet)
    guard.note("bob", packet)
    assert guard.repeated == 1
    guard.note("eve", packet + b"!")
    with pytest.raises(AssertionError):
        guard.note("bob", packet + b"!")


@pytest.mark.parametrize("rtx", [True, False])
@pytest.mark.parametrize("transport_wide", [True, False])
def test_sound_and_pictures_without_rtx_are_resent_as_they_were(transport_wide, rtx):
    theatre = lossy(transport_wide=transport_wide, rtx=rtx)
    theatre.clock.run(6)
    assert theatre.indices.repeated > 20
    heard = theatre.spectators["bob"].packets[7000]
    assert len(heard) > 0.99 * (max(heard) - min(heard))
    assert (WIDE in next(iter(heard.values())).extensions) is transport_wide


@pytest.mark.parametrize("rtx", [True, False])
def test_numbers_that_come_and_go_use_no_index_twice(rtx):
    """They come with a tight line and go when it is wide again, for one of two who look alike."""
    theatre = lossy(transport_wide=False, rtx=rtx)
    theatre.clock.run(1)
    viewer = theatre.router._viewers["bob"]
    for _ in range(12):
        viewer.number(True, theatre.clock.now)
        theatre.clock.run(0.25)
        assert viewer.departures.next > 0
        viewer.number(False, theatre.clock.now + NUMBERED_FOR)
        theatre.clock.run(0.25)
    assert theatre.indices.repeated > 20


def test_a_resent_packet_says_nothing_of_the_line():
    theatre = lossy(transport_wide=True)
    theatre.clock.run(2)
    viewer = theatre.router._viewers["bob"]
    last = parse_rtp_of_newest(theatre)
    before = viewer.departures.next
    theatre.router.receive_rtcp("bob", write_nack(9, 7000, [last.sequence]), theatre.clock.now)
    assert viewer.departures.next == before
    assert int.from_bytes(last.extensions[WIDE]) not in viewer.departures._sent


def parse_rtp_of_newest(theatre: Theatre):
    data = max(
        (data for (peer, ssrc, _), data in theatre.indices._sent.items() if (peer, ssrc) == ("bob", 7000)),
        key=lambda data: int.from_bytes(data[4:8]),
    )
    return parse_rtp(data)
