from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu.losses import AGE, LIMIT, REORDER, TRIES, Losses
from live.sfu.numbers import SEQUENCE, Renumbering, Unwrapper, ahead
from live.sfu.reception import Reception
from live.sfu.rtcp import SenderReport


def test_jitter_follows_rfc_3550():
    """§6.4.1: J += (|D| - J) / 16, in timestamp units."""
    reception, expected, transit = Reception(1, 8000), 0.0, None
    for place, late in enumerate([0.0, 0.004, 0.001, 0.02, 0.0, 0.0, 0.011]):
        now, timestamp = 100.0 + place * 0.02 + late, place * 160
        reception.receive(place, timestamp, now)
        here = int(now * 8000) - timestamp
        if transit is not None:
            expected += (abs(here - transit) - expected) / 16
        transit = here
        assert abs(reception.jitter - expected) < 1e-9
    assert expected > 5


def test_a_report_block_counts_the_loss_of_its_interval():
    reception = Reception(9, 90000)
    for number in range(65530, 65530 + 100):
        if number % 4:
            reception.receive(number & SEQUENCE, number * 3000, 1.0)
    block = reception.block(1.0)
    assert block.fraction == (25 << 8) // 100 or block.fraction == (24 << 8) // 99
    assert block.highest >> 16 == 1
    for number in range(65630, 65730):
        reception.receive(number & SEQUENCE, number * 3000, 2.0)
    assert reception.block(2.0).fraction == 0
    assert reception.block(2.0).lost == block.lost


def test_lsr_and_dlsr_answer_the_sender():
    reception = Reception(9, 90000)
    reception.receive(1, 1, 1.0)
    reception.sender_report(SenderReport(9, 0x1111_2222_3333_4444, 0, 0, 0), 2.0)
    block = reception.block(2.5)
    assert (block.last_sr, block.delay) == (0x2222_3333, 32768)


def test_a_lone_stray_is_no_restart_but_two_in_a_row_are():
    reception = Reception(1, 90000)
    assert reception.receive(20000, 0, 1.0) == 20000
    assert reception.receive(5000, 0, 1.0) is None
    assert reception.receive(20001, 0, 1.0) == 20001
    assert reception.receive(5000, 0, 1.0) is None
    assert reception.receive(5001, 0, 1.0) == 65536 + 5001


@settings(max_examples=60)
@given(st.integers(0, SEQUENCE), st.lists(st.integers(-200, 300), max_size=80))
def test_unwrapping_follows_every_step(first, steps):
    unwrapper, place = Unwrapper(), first
    assert unwrapper.unwrap(first) == first
    for step in steps:
        place += step
        assert unwrapper.unwrap(place & SEQUENCE) == place
        assert ahead(place & SEQUENCE, (place - step) & SEQUENCE, SEQUENCE) == step


@settings(max_examples=80)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 5)), max_size=60), st.randoms(use_true_random=False))
def test_renumbering_closes_every_hole_and_remembers_late_ones(plan, dice):
    renumbering, kept, source, order = Renumbering(), [], 100, []
    for hole, count in plan:
        if hole:
            renumbering.leave_out(source, count)
            order += [(n, None) for n in range(source, source + count)]
        else:
            kept += range(source, source + count)
            order += [(n, 100 + len(kept) - count + i) for i, n in enumerate(range(source, source + count))]
        source += count
    assert [renumbering.number(n) for n in kept] == list(range(100, 100 + len(kept)))
    dice.shuffle(order)
    assert all(renumbering.number(n) == number for n, number in order)


def test_no_number_is_given_twice_even_when_more_holes_have_been_than_are_remembered():
    renumbering, given = Renumbering(), {}
    for n in range(4 * Renumbering.REMEMBERED):
        if n % 2:
            renumbering.leave_out(n, 1)
        else:
            given[n] = renumbering.number(n)
    late = {n: renumbering.number(n) for n in given}
    assert {n for n, number in late.items() if number is not None} == set(given) - set(range(0, 512 + 1, 2))
    assert all(number in (None, given[n]) for n, number in late.items())
    assert all(renumbering.source(number) == n for n, number in late.items() if number is not None)


def test_losses_are_asked_for_after_a_moment_and_given_up_in_the_end():
    losses, now = Losses(), 10.0
    losses.skipped(5, 8, now)
    assert losses.due(now) == []
    assert losses.due(now + REORDER) == [5, 6, 7]
    assert losses.due(now + REORDER) == []
    losses.found(6, now + 0.05)
    asked = 0
    while losses.next_due < float("inf"):
        now = losses.next_due
        asked += len(losses.due(now))
    assert len(losses) == 0
    assert 2 <= asked <= 2 * TRIES
    assert now <= 10.0 + AGE + 0.5


def test_losses_are_bounded():
    losses = Losses()
    assert not losses.skipped(0, LIMIT, 1.0)
    assert losses.skipped(1000, 100_000, 1.0)
    assert losses.skipped(100_001, 100_010, 1.0)
    assert len(losses) == LIMIT
