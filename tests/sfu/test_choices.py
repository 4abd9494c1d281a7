"""The small deciders: keyframe requests, active speaker, seats, allocation, quality, codecs."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Codec
from live.sfu.allocation import LOSSY, Line, allocate
from live.sfu.keyframes import KeyframeRequests
from live.sfu.layer import match
from live.sfu.quality import FAIR, GOOD, LOST, POOR, Lines, grade
from live.sfu.seating import Seating
from live.sfu.speakers import INTERVAL, ActiveSpeaker, Voices


def test_wishes_merge_and_a_newcomer_does_not_wait():
    requests = KeyframeRequests()
    requests.want(10.0, newcomer=True)
    requests.want(10.0, newcomer=True)
    assert requests.take(10.0)
    assert not requests.take(10.05)
    requests.arrived()
    requests.want(10.1, newcomer=False)
    assert not requests.take(10.1)
    requests.want(10.1, newcomer=True)
    assert requests.take(10.1)
    requests.arrived()
    requests.want(10.2, newcomer=False)
    assert not requests.take(10.3)
    assert requests.take(10.6)


def test_an_unanswered_request_is_repeated_ever_slower():
    requests = KeyframeRequests()
    requests.want(0.0, newcomer=True)
    taken = [n / 10 for n in range(100) if requests.take(n / 10)]
    assert 5 <= len(taken) <= 9
    requests.arrived()
    assert not requests.take(100.0)


def test_a_storm_of_newcomers_is_throttled():
    requests, sent = KeyframeRequests(), 0
    for step in range(2000):
        now = 100 + step / 1000
        requests.want(now, newcomer=True)
        if requests.take(now):
            sent += 1
            requests.arrived()
    assert sent <= 10


def talk(voices, speaker, levels, seconds, start):
    now = start
    while now < start + seconds:
        for person, level in levels.items():
            for _ in range(5):
                voices.heard(person, level)
        voices.tick(now)
        speaker.decide(voices, ["ann", "ben"], now)
        now += INTERVAL
    return now


def test_the_active_speaker_changes_with_hysteresis():
    voices, speaker = Voices(), ActiveSpeaker()
    now = talk(voices, speaker, {"ann": 25, "ben": 127}, 1.0, 0.0)
    assert speaker.speaking == "ann"
    now = talk(voices, speaker, {"ann": 25, "ben": 15}, 0.2, now)
    assert speaker.current == "ann"
    now = talk(voices, speaker, {"ann": 127, "ben": 20}, 1.5, now)
    assert speaker.current == speaker.speaking == "ben"
    talk(voices, speaker, {"ann": 127, "ben": 127}, 5.0, now)
    assert speaker.current == "ben"
    assert speaker.speaking is None
    speaker.decide(voices, [], 20.0)
    assert speaker.current is None


def test_seats_are_the_lowest_free_and_kept_over_a_reload():
    seating = Seating(2, 2)
    ann, ben, cid = ("ann", "camera", "video"), ("ben", "camera", "video"), ("cid", "camera", "video")
    everyone = {"ann", "ben", "cid"}
    seating.seat(everyone, [ann, ben])
    assert seating.holders == {"v0": ann, "v1": ben}
    seating.seat(everyone, [ben])
    assert seating.holders == {"v0": ann, "v1": ben}
    seating.seat(everyone, [ben, cid])
    assert seating.holders == {"v0": cid, "v1": ben}
    seating.seat({"cid"}, [cid, ben])
    assert seating.holders == {"v0": cid}


def test_one_screen_at_a_time():
    seating = Seating(2, 2)
    first, second = ("ann", "screen", "video"), ("ben", "screen", "video")
    seating.seat({"ann", "ben"}, [first, second])
    assert seating.holders == {"screen": first}
    seating.seat({"ann", "ben"}, [second])
    assert seating.holders == {"screen": second}


rates = st.lists(st.integers(50, 3000), min_size=1, max_size=3).map(sorted)


@settings(max_examples=100)
@given(st.integers(0, 6000), st.lists(rates, max_size=6))
def test_allocation_keeps_the_budget_but_for_one_picture(budget, wishes):
    grants, spending, next_step = allocate(budget, wishes)
    cost = sum(w[g] for w, g in zip(wishes, grants, strict=True) if g is not None)
    assert abs(cost - spending) < 1e-6
    assert not wishes or grants[0] is not None
    assert spending <= max(budget, wishes[0][0] if wishes else 0)
    if next_step is None:
        assert all(g == len(w) - 1 for w, g in zip(wishes, grants, strict=True))
    else:
        assert next_step >= spending


def test_without_an_estimate_everything_is_granted():
    assert allocate(float("inf"), [[100, 500], [50]]) == ([1, 0], 550, None)


def test_a_step_up_is_tried_and_a_failure_makes_the_next_wait_longer():
    line, trials, was = Line(), [], 1
    for tenth in range(600):
        now = tenth / 10
        line.estimated(300_000, now)
        grants, spending, step = allocate(line.budget(), [[200_000, 900_000]])
        if grants == [1] and was != 1:
            trials.append(now)
        was = grants[0]
        line.granted(spending, step, now)
    assert 3 <= len(trials) <= 6
    assert trials[0] >= 4
    gaps = [b - a for a, b in itertools.pairwise(trials)]
    assert gaps == sorted(gaps)


def test_a_new_picture_is_not_stopped_because_the_estimate_has_not_risen_yet():
    line = Line()
    line.granted(200_000, None, 1.0)
    line.estimated(280_000, 1.0)
    line.granted(1_700_000, None, 2.0)
    for tenth in range(30):
        assert not line.estimated(280_000 + tenth * 50_000, 2.0 + tenth / 10)
    assert line.budget() == float("inf")
    line.estimated(2_000_000, 5.0)
    line.loss = 30
    assert line.estimated(900_000, 5.1)
    assert line.budget() == 900_000


def test_quality_falls_at_once_and_rises_with_patience():
    lines = Lines()
    lines.note("ann", grade(0, 0.001))
    assert lines.quality["ann"] == GOOD
    lines.note("ann", grade(40, 0.001))
    assert lines.quality["ann"] == POOR
    for _ in range(3):
        assert lines.quality["ann"] == POOR
        lines.note("ann", grade(8, 0.001))
    assert lines.quality["ann"] == FAIR
    lines.note("ann", LOST)
    lines.note("ann", GOOD)
    assert lines.quality["ann"] == GOOD
    lines.keep([])
    assert not lines.quality


def test_codecs_match_by_what_a_decoder_cares_about():
    mode0 = Codec("h264", 90000, 100, None, {"packetization-mode": "0"})
    mode1 = Codec("h264", 90000, 102, None, {"packetization-mode": "1", "profile-level-id": "640c1f"})
    other = Codec("h264", 90000, 33, None, {"packetization-mode": "1", "profile-level-id": "42e01f"})
    assert match(other, (mode0, mode1)) is mode1
    assert match(Codec("h264", 90000, 33), (mode1,)) is None
    profile2 = Codec("vp9", 90000, 98, None, {"profile-id": "2"})
    assert match(Codec("vp9", 90000, 41), (profile2,)) is None
    assert match(Codec("vp9", 90000, 41, None, {"profile-id": "2"}), (profile2,)) is profile2
    assert match(Codec("opus", 48000, 109), (Codec("opus", 48000, 111),)).pt == 111


def test_nobody_is_paused_by_a_low_estimate_alone():
    line = Line()
    line.estimated(60_000, now=0.0)
    line.granted(300_000, None, now=0.0)
    for second in range(1, 8):
        line.estimated(60_000, now=float(second))
    assert line.limited
    wishes = [[80_000.0, 900_000.0], [80_000.0, 900_000.0]]
    assert allocate(line.budget(), wishes, line.floor(8.0))[0] == [0, 0]


def test_a_line_that_loses_packets_is_not_trusted_for_a_while():
    line = Line()
    line.loss = LOSSY
    line.estimated(60_000, now=0.0)
    wishes = [[80_000.0], [80_000.0]]
    assert allocate(60_000, wishes, line.floor(59.0))[0] == [0, None]
    assert allocate(60_000, wishes, line.floor(60.0))[0] == [0, 0]
