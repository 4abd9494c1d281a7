"""Peers gone mad: floods, forged SSRCs and absurd estimates cost only the peer that sends them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Router
from live.sfu.publication import Publisher
from live.sfu.rtcp import (
    _PAIR,
    RTPFB,
    Nack,
    ReportBlock,
    packet,
    parse_rtcp,
    weigh_rtcp,
    write_nack,
    write_pli,
    write_remb,
    write_rr,
)
from live.sfu.twcc import MAX_READ, TransportFeedback, write_feedback
from tests.kit.network import Link
from tests.kit.theatre import Camera, Theatre, camera_spec


def two_viewers(**router) -> tuple[Theatre, list[int]]:
    """Eve, who may go mad, and Bob, whose packets are counted."""
    theatre = Theatre(router=Router(**router))
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000, size=600), camera_spec("ann", 1000))
    theatre.watch("eve", nacks=False)
    bob = theatre.watch("bob")
    theatre.clock.run(2)
    return theatre, [len(bob.order[5000])]


def still_fed(theatre: Theatre, before: list[int]) -> bool:
    """Bob got all of two seconds."""
    theatre.clock.run(2)
    bob = theatre.spectators["bob"]
    return len(bob.order[5000]) >= before[0] + 175 and not bob.missing(5000)


u32 = st.integers(0, 2**32 - 1)
ssrcs = st.sampled_from([0, 1, 1000, 1001, 5000, 6000, 7000, 2**32 - 1])
forged = st.one_of(
    st.builds(write_remb, ssrcs, st.sampled_from([0, 1, 2**17, 2**63, 2**80]), st.just([5000])),
    st.builds(write_pli, ssrcs, ssrcs),
    st.builds(write_nack, ssrcs, ssrcs, st.lists(st.integers(0, 65535), max_size=60)),
    st.builds(
        lambda ssrc, fraction, lost, highest, jitter, sr, delay: write_rr(
            9, [ReportBlock(ssrc, fraction, lost, highest, jitter, sr, delay)]
        ),
        ssrcs, st.integers(0, 255), st.integers(-(2**23), 2**23 - 1), u32, u32, u32, u32,
    ),
    st.builds(
        lambda base, ticks: write_feedback(TransportFeedback(9, 5000, base, 0, (5000, *ticks))),
        st.integers(0, 65535),
        st.lists(st.none() | st.integers(0, 9000), max_size=60),
    ),
    st.binary(max_size=64).map(lambda data: packet(RTPFB, 15, data)),
)  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(st.lists(forged, max_size=40), st.booleans())
def test_what_a_mad_viewer_sends_costs_nobody_else(packets, transport_wide):
    theatre, before = two_viewers(transport_wide=transport_wide)
    for data in packets:
        theatre.router.receive_rtcp("eve", data, theatre.clock.now)
    out = theatre.router.drain()
    assert sum(len(f.body) for f in out.fanouts) <= 60_000
    assert still_fed(theatre, before)
    assert not theatre.router._viewers["bob"].line.limited


def operations(call) -> int:
    """Functions called meanwhile, ours and the interpreter's."""
    count = 0

    def note(_frame, event, _function) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(None)
    return count


def nack_of_absent_numbers() -> bytes:
    """1,372 bytes, 5,780 numbers."""
    return packet(RTPFB, 1, _PAIR.pack(9, 5000) + bytes((0x80, 0, 0xFF, 0xFF)) * 340)


def tiny_feedbacks(statuses: int) -> bytes:
    """As many packets of transport feedback as fit a datagram, each about so many lost packets."""
    told = bytes(2) + statuses.to_bytes(2) + bytes(4) + statuses.to_bytes(2)
    return packet(RTPFB, 15, _PAIR.pack(9, 5000) + told) * 62


@pytest.mark.parametrize("data", [nack_of_absent_numbers(), tiny_feedbacks(MAX_READ), tiny_feedbacks(4096)])
def test_the_largest_datagram_is_little_work(data):
    assert len(data) <= 1500
    theatre, _ = two_viewers(transport_wide=True)
    assert operations(lambda: theatre.router.receive_rtcp("eve", data, theatre.clock.now)) < 6 * MAX_READ
    assert weigh_rtcp(data) > 5000


def test_who_asks_for_what_is_gone_soon_has_no_allowance_left():
    theatre, before = two_viewers()
    for n in range(200):
        data = write_nack(9, 5000, range(20_000 + 100 * n, 20_100 + 100 * n))
        theatre.router.receive_rtcp("eve", data, theatre.clock.now)
    stats = theatre.router.stats()
    assert 100 < stats["nacks_missed"] < 2000
    assert stats["nacks_refused"] > 100
    assert still_fed(theatre, before)


@given(st.lists(forged, max_size=20), st.binary(max_size=40))
def test_any_bytes_can_be_weighed_and_values_weigh_at_least_themselves(packets, rubbish):
    data = b"".join(packets)
    assert weigh_rtcp(data + rubbish) >= weigh_rtcp(data)
    if data:
        numbers = sum(len(v.sequences) for v in parse_rtcp(data) if isinstance(v, Nack))
        assert weigh_rtcp(data) >= numbers + len(packets)


def test_a_viewer_who_keeps_asking_for_keyframes_is_not_served_by_everybody():
    theatre, before = two_viewers()
    camera = theatre.senders["ann/1000"]
    asked = camera.asked
    for _ in range(100):
        theatre.router.receive_rtcp("eve", write_pli(9, 5000), theatre.clock.now)
        theatre.clock.run(0.1)
    assert camera.asked - asked <= 5 + 10 * 0.5 + 1
    assert theatre.spectators["bob"].longest_freeze(5000) < 0.2
    assert still_fed(theatre, [len(theatre.spectators["bob"].order[5000])])
    assert before


def test_an_absurd_estimate_neither_starves_nor_floods():
    for bitrate in (0, 2**80):
        theatre, before = two_viewers()
        for _ in range(20):
            theatre.router.receive_rtcp("eve", write_remb(9, bitrate, [5000]), theatre.clock.now)
            theatre.clock.run(0.5)
        eve = theatre.spectators["eve"]
        count = len(eve.order[5000])
        theatre.clock.run(1)
        assert len(eve.order[5000]) > count + 80
        assert still_fed(theatre, before)


def test_feedback_for_packets_never_sent_says_nothing():
    theatre, _ = two_viewers(transport_wide=True)
    line = theatre.router._viewers["eve"].line
    theatre.clock.run(2)
    before = line.bandwidth.rate
    for base in range(20_000, 60_000, 500):
        data = write_feedback(TransportFeedback(9, 5000, base, 0, (100, *([None] * 400), 200)))
        theatre.router.receive_rtcp("eve", data, theatre.clock.now)
    assert line.bandwidth.rate == before
    assert not line.limited


def test_what_is_remembered_is_bounded():
    theatre, _ = two_viewers(transport_wide=True)
    theatre.clock.run(30)
    eve = theatre.router._viewers["eve"]
    assert eve.departures is not None
    assert len(eve.departures) <= eve.departures.LIMIT
    for base in range(0, 65536, 7):
        theatre.router.receive_rtcp("eve", write_nack(9, 5000, [base]), theatre.clock.now + base / 1000)
    assert len(eve.tracks[5000]._resent) <= 256


def test_a_publisher_over_its_cap_is_cut_and_others_are_not():
    theatre = Theatre(router=Router(publisher_most=200_000))
    theatre.stage(["ann", "ben"])
    theatre.camera("ann", Camera(1000, size=1000), camera_spec("ann", 1000))
    theatre.camera("ben", Camera(1100), camera_spec("ben", 1100))
    bob = theatre.watch("bob", nacks=False)
    theatre.connect("bob", Link(theatre.clock))
    theatre.clock.run(10)
    ann = sum(8 * len(p.payload) for p in bob.order[5000])
    assert ann < 10 * 300_000 + 2 * 300_000
    assert len(bob.order[5001]) > 890
    assert theatre.router.stats()["over_cap"] > 100


def test_a_publisher_of_countless_small_packets_is_cut_and_one_at_its_cap_is_not():
    taken = {}
    for name, size, rate in (("large", 1200, 940), ("small", 60, 4000)):
        publisher = Publisher(name, 0.0, 6_000_000)
        publisher.add(camera_spec(name, 1000))
        taken[name] = sum(publisher.may_send(size, n / rate) for n in range(10 * rate))
    assert taken["large"] > 0.99 * 9400
    assert taken["small"] <= 1875 * 12 + 1


def test_a_viewers_cap_holds():
    theatre = Theatre(router=Router(viewer_most=700_000))
    theatre.stage(["ann", "ben"])
    theatre.camera("ann", Camera(1000, size=690), camera_spec("ann", 1000))
    theatre.camera("ben", Camera(1100, size=690), camera_spec("ben", 1100))
    theatre.watch("bob")
    receiver = theatre.connect("bob", Link(theatre.clock))
    theatre.clock.run(10)
    assert receiver.rate(5) < 700_000
    assert receiver.rate(5) > 400_000
