from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu.twcc import Arrivals, TransportFeedback, parse_feedback, write_feedback

ticks = st.lists(st.none() | st.integers(-2000, 2000), min_size=1, max_size=200)


@settings(max_examples=100)
@given(ticks, st.integers(0, 2**16 - 1), st.integers(0, 255), st.integers(0, 2**20))
def test_feedback_survives_writing_and_reading(steps, base, count, start):
    arrivals, tick = [], 10_000 + start
    for step in [*steps, 5]:
        tick = max(0, tick + (step or 0))
        arrivals.append(None if step is None else tick)
    feedback = TransportFeedback(7, 8, base, count, tuple(arrivals))
    assert parse_feedback(write_feedback(feedback)[4:]) == feedback


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), min_size=1, max_size=120),
    st.integers(0, 65535),
)
def test_arrivals_are_reported_once_and_losses_in_between(steps, first):
    arrivals, number, now, expected, read = Arrivals(), first, 50.0, {}, {}
    for place, (lost, wait) in enumerate(steps):
        number += lost + 1
        now += wait / 1000
        arrivals.note(number & 0xFFFF, now)
        expected[number & 0xFFFF] = int(now * 4000)
        if place % 40 == 39:
            _read(arrivals, read)
    _read(arrivals, read)
    seen = {n: t for n, t in read.items() if t is not None}
    assert seen == {n: t & 0xFFFFFFFF for n, t in expected.items()}
    assert len(read) == number - (first + steps[0][0] + 1) + 1


def _read(arrivals, read):
    for packet in arrivals.feedback(1, 2):
        feedback = parse_feedback(packet[4:])
        for place, tick in enumerate(feedback.arrivals):
            read[(feedback.base + place) & 0xFFFF] = tick


def test_a_long_silence_takes_two_packets():
    arrivals = Arrivals()
    arrivals.note(1, 10.0)
    arrivals.note(2, 30.0)
    first, second = arrivals.feedback(1, 2)
    assert parse_feedback(first[4:]).count == 0
    assert parse_feedback(second[4:]) == TransportFeedback(1, 2, 2, 1, (120_000,))
    assert not arrivals.feedback(1, 2)


def test_unreported_arrivals_are_bounded():
    arrivals = Arrivals()
    for number in range(5000):
        arrivals.note(number, 10.0 + number / 1000)
    reported = [t for p in arrivals.feedback(1, 2) for t in parse_feedback(p[4:]).arrivals if t is not None]
    assert len(reported) == Arrivals.LIMIT
