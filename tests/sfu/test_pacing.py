"""What waits for a full socket: in order, bounded in bytes and in time, nothing lost while there is room."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Fanout
from live.sfu.contract import Cast, Head
from live.sfu.pacing import DEADLINE, LIMIT, OVERHEAD, Pacing

HEADER = bytes(12)


def fanout(number: int, size: int, viewers: int) -> Fanout[int]:
    return Fanout(number.to_bytes(4) + bytes(size), [(n, HEADER) for n in range(viewers)])


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 1500), st.integers(0, 300)),
        st.tuples(st.just("take"), st.integers(0, 400_000), st.integers(0, 300)),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(steps)
def test_order_is_kept_and_nothing_leaves_late_or_twice(steps):
    pacing, now, put, taken = Pacing[int](), 0.0, {}, []
    for number, (what, first, second) in enumerate(steps):
        now += second / 1000
        if what == "put":
            put[number] = (now, second)
            pacing.put([fanout(number, first, second)], now)
            continue
        out = pacing.take(first, now)
        sizes = [(len(f.body) + OVERHEAD) * len(f) for f in out]
        assert len(out) <= 1 or sum(sizes) <= first
        assert first > 0 or not out
        numbers = [int.from_bytes(f.body[:4]) for f in out]
        assert all(put[n][0] + DEADLINE >= now for n in numbers)
        taken += numbers
    assert taken == sorted(set(taken))
    sent = sum(put[n][1] for n in taken)
    waiting = sum(put[n][1] for n in list(put)[len(put) - len(pacing) :])
    assert sent + pacing.dropped + waiting == sum(viewers for _, viewers in put.values())
    assert pacing.size <= LIMIT


def test_a_keyframe_for_a_thousand_viewers_goes_in_order_through_a_small_socket():
    pacing, now, sent = Pacing[int](), 0.0, []
    pacing.put([fanout(n, 1200, 1000) for n in range(30)], now)
    while len(pacing):
        now += 0.005
        sent += pacing.take(1_000_000, now)
    assert [int.from_bytes(f.body[:4]) for f in sent] == [*range(30)]
    assert pacing.dropped == 0


def test_what_waits_is_bounded_and_the_oldest_goes_first():
    pacing = Pacing[int]()
    for number in range(200):
        pacing.put([fanout(number, 1200, 1000)], 0.0)
    assert pacing.size <= LIMIT
    assert pacing.dropped > 100_000
    first = pacing.take(1, 0.1)
    assert int.from_bytes(first[0].body[:4]) > 100
    pacing.forget("")
    assert len(pacing) == pacing.size == 0


def test_what_lost_its_audience_goes_and_nothing_else():
    pacing = Pacing[int]()
    cast = Cast([(n, 96, n, 0, n) for n in range(3)])
    head = Head(0x80, 0, -1, 7, 0)
    waits = {
        "ann": [Fanout.cast_to(cast, head, b"a1", "ann"), Fanout.cast_to(cast, head, b"a2", "ann")],
        "ben": [Fanout.cast_to(cast, head, b"b", "ben"), Fanout(b"again", [(1, HEADER)], "ben")],
    }
    for fanouts in waits.values():
        pacing.put(fanouts, 0.0)
    pacing.forget("ben", 1)
    assert pacing.dropped == 2
    pacing.forget("ben", 9)
    pacing.forget("ann")
    assert pacing.dropped == 2 + 6
    assert pacing.size == (1 + OVERHEAD) * 2
    (left,) = pacing.take(LIMIT, 0.1)
    assert left.headers == [row for row in waits["ben"][0].headers if row[0] != 1]
    assert pacing.size == 0
    alone = Fanout.cast_to(Cast([(1, 96, 0, 0, 1)]), head, b"x", "ben")
    pacing.put([alone], 0.2)
    pacing.forget("ben", 1)
    assert len(pacing) == pacing.size == 0
