"""The estimate of a line: converges, swings no more than stated, recovers, and believes no nonsense."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu.allocation import LOSSY
from live.sfu.bandwidth import LEAST, MOST, Bandwidth, Departures, Reports
from live.sfu.rtcp import ReportBlock
from live.sfu.twcc import Arrivals, TransportFeedback, parse_feedback
from tests.kit.network import Clock, Link


class Stream:
    """Sends as much as is believed (or `offers`), numbered, over a line; the other end gives feedback."""

    def __init__(self, line: Link, *, offers: float = 20e6, first: float = 300_000, every: float = 0.06):
        self.clock, self.line, self.offers = line.clock, line, offers
        self.bandwidth, self.departures, self.arrivals = Bandwidth(), Departures(), Arrivals()
        self.bandwidth.begin(first)
        self.history: list[float] = []
        self.clock.every(every, self._report, first=every)
        self.clock.every(0.1, lambda: self.history.append(self.rate))
        self._next()

    @property
    def rate(self) -> float:
        return self.bandwidth.rate or LEAST

    def _next(self) -> None:
        number = self.departures.leave(self.clock.now, 1200)
        self.line.send(bytes(1200), lambda _: self.arrivals.note(number, self.clock.now))
        self.clock.at(self.clock.now + 9600 / min(self.rate, self.offers), self._next)

    def _report(self) -> None:
        for packet in self.arrivals.feedback(1, 2):
            arrived, lost = self.departures.told(parse_feedback(packet[4:]))
            now = self.clock.now
            self.bandwidth.counted(len(arrived), lost, self.rate, now)
            self.bandwidth.feedback(arrived, now)


@pytest.mark.parametrize("capacity", [150e3, 500e3, 1.5e6, 4e6])
@pytest.mark.parametrize(("delay", "loss"), [(0.01, 0.0), (0.05, 0.01), (0.12, 0.0)])
def test_it_converges_and_swings_no_more_than_stated(capacity, delay, loss):
    """Within 45 s between 55 % and 125 % of what the line carries, and no wider swing than twofold then."""
    clock = Clock()
    stream = Stream(Link(clock, rate=capacity, delay=delay, loss=loss))
    clock.run(45)
    stream.history.clear()
    clock.run(30)
    assert min(stream.history) > 0.55 * capacity
    assert max(stream.history) < 1.25 * capacity
    assert max(stream.history) < 2 * min(stream.history)


def block(ssrc: int, highest: int, lost: int) -> ReportBlock:
    return ReportBlock(ssrc, 0, lost, highest, 0, 0, 0)


@dataclass
class Fed:
    highest: int = 0
    placed: int = 0


def test_what_the_publishers_line_lost_is_not_blamed_on_the_viewers():
    reports, fed = Reports(), Fed()
    assert reports.count([block(1, 100, 5), block(9, 100, 5)], {1: fed}) == (0, 0)
    fed.highest, fed.placed = 100, 80
    assert reports.count([block(1, 200, 25), block(9, 900, 700)], {1: fed}) == (80, 0)
    fed.highest, fed.placed = 200, 160
    assert reports.count([block(1, 300, 65)], {1: fed}) == (60, 20)
    assert reports.count([block(1, 300, 0)], {1: fed}) == (0, 0)
    assert reports.count([block(1, 50, 900)], {1: fed}) == (0, 0)
    assert reports.count([block(1, 150, 950)], {1: Fed()}) == (0, 0)


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.floats(0, 1e30), st.integers(0, 500), st.integers(0, 500), st.floats(0, 1e9))),
)
def test_whatever_is_told_the_estimate_stays_within_its_bounds(told):
    bandwidth = Bandwidth()
    for at, (remb, received, lost, sending) in enumerate(told):
        bandwidth.remb(remb, float(at))
        bandwidth.counted(received, lost, sending, float(at))
        assert bandwidth.rate is not None
        assert LEAST <= bandwidth.rate <= MOST
        assert 0 <= bandwidth.loss <= 1


arrivals = st.lists(st.none() | st.integers(0, 2**24), max_size=50)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 65535), arrivals), max_size=20), st.integers(0, 300))
def test_each_packet_is_told_of_once_and_nothing_else_is(feedbacks, sent):
    departures, bandwidth = Departures(), Bandwidth()
    for number in range(sent):
        assert departures.leave(number / 100, 1000) == number
    told = 0
    for at, (base, ticks) in enumerate(feedbacks):
        arrived, lost = departures.told(TransportFeedback(1, 2, base, 0, tuple(ticks)))
        told += len(arrived)
        assert len(arrived) + lost <= len(ticks)
        bandwidth.feedback(arrived, 10.0 + at)
        assert LEAST <= (bandwidth.rate or LEAST) <= MOST
    assert told <= sent
    assert len(departures) == sent - told


def test_departures_are_bounded():
    departures = Departures()
    for number in range(70_000):
        assert departures.leave(0.0, 1) == number & 0xFFFF
    assert len(departures) == departures.LIMIT


def test_random_loss_below_a_tenth_alone_does_not_lower_it():
    steps = itertools.repeat((95, 5), 50)
    bandwidth = Bandwidth()
    for at, (received, lost) in enumerate(steps):
        bandwidth.remb(2e6, float(at))
        bandwidth.counted(received, lost, 1e6, float(at))
    assert bandwidth.rate == 2e6


def test_it_falls_with_the_line_and_recovers():
    clock = Clock()
    line = Link(clock, rate=2e6, delay=0.03)
    stream = Stream(line)
    clock.run(45)
    line.rate = 400e3
    clock.run(4)
    assert stream.rate < 500e3
    line.rate = 2e6
    clock.run(40)
    assert stream.rate > 1.1e6


def troubles(share, packets, every, seconds, seed=1):
    """When more than a tenth was found lost, of a line that loses packets by chance."""
    dice, bandwidth, found = random.Random(seed), Bandwidth(), []  # noqa: S311  an emulated line
    for step in range(1, round(seconds / every) + 1):
        lost = sum(dice.random() < share for _ in range(packets))
        if bandwidth.counted(packets - lost, lost, 1e6, step * every) and bandwidth.loss > LOSSY:
            found.append(step * every)
    return found


@pytest.mark.parametrize(("packets", "every"), [(40, 1.0), (85, 1.0), (8, 0.1), (20, 0.1)])
def test_chance_is_not_taken_for_a_line_that_loses_a_tenth(packets, every):
    """One report, or half a second of feedback, of a line that loses every twentieth says nothing yet."""
    minutes = 30
    assert len(troubles(0.05, packets, every, 60 * minutes)) < minutes
    for seed in range(20):
        assert troubles(0.25, packets, every, 30, seed)[0] <= 5
        assert troubles(0.5, packets, every, 30, seed)[0] <= 1
