"""The small deciders: keyframe requests, active speaker, seats, allocation, quality, codecs."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Codec
from live.sfu.allocation import FLOOR, PROBE, TRIAL, Line, allocate
from live.sfu.keyframes import BURST, RETRY, KeyframeRequests
from live.sfu.keyframes import INTERVAL as PACE
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


wishes_for_keyframes = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from(["newcomer", "loss", "keyframe", "nothing"])), max_size=80
)


@settings(max_examples=300)
@given(wishes_for_keyframes)
def test_a_newcomer_is_asked_for_at_once_or_within_a_retry_and_requests_stay_few(steps):
    """Whatever else happens: a newcomer's request goes out now, or one did not longer ago than a retry."""
    requests, now, sent = KeyframeRequests(), 10.0, [-1.0]
    for hundredths, what in steps:
        end = now + hundredths / 100
        while requests.due <= end:
            now = max(now, requests.due)
            assert requests.take(now)
            sent.append(now)
        now = end
        if what == "keyframe":
            requests.arrived()
        elif what != "nothing":
            requests.want(now, newcomer=what == "newcomer")
        if what == "newcomer":
            assert requests.due <= max(now, sent[-1] + PACE)
    first = 10.0
    assert len(sent) - 1 <= 2 * BURST + 1 + (now - first) / RETRY


def test_a_lost_request_costs_the_next_newcomer_a_retry_at_most():
    requests = KeyframeRequests()
    requests.want(0.0, newcomer=True)
    taken = [n / 10 for n in range(80) if requests.take(n / 10)]
    requests.want(8.0, newcomer=True)
    assert requests.due <= max(8.0, taken[-1] + RETRY)


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


def test_a_persons_picture_and_sound_have_seats_of_one_number():
    """Then a browser takes them for one stream."""
    seating = Seating(3, 3)
    claims = [(name, source, kind) for name, source, kind in (
        ("ann", "microphone", "audio"), ("ben", "camera", "video"), ("cid", "camera", "video"),
        ("ann", "camera", "video"), ("cid", "microphone", "audio"), ("ben", "microphone", "audio"),
    )]  # fmt: skip
    everyone = {"ann", "ben", "cid", "dan"}
    for n in range(len(claims)):
        seating.seat(everyone, (), claims[: n + 1])
    assert {seat: claim[0] for seat, claim in seating.holders.items()} == {
        "a0": "ann", "v1": "ben", "v2": "cid", "v0": "ann", "a2": "cid", "a1": "ben",
    }  # fmt: skip
    seating.seat(everyone, (), [c for c in claims if c[0] != "ben"])
    seating.seat(everyone, (), [*(c for c in claims if c[0] != "ben"), ("dan", "camera", "video")])
    assert seating.holders["v1"][0] == "dan"


def test_seats_are_the_lowest_free_and_kept_over_a_reload():
    seating = Seating(2, 2)
    ann, ben, cid = ("ann", "camera", "video"), ("ben", "camera", "video"), ("cid", "camera", "video")
    everyone = {"ann", "ben", "cid"}
    seating.seat(everyone, (), [ann, ben])
    assert seating.holders == {"v0": ann, "v1": ben}
    seating.seat(everyone, (), [ben])
    assert seating.holders == {"v0": ann, "v1": ben}
    seating.seat(everyone, (), [ben, cid])
    assert seating.holders == {"v0": cid, "v1": ben}
    seating.seat({"cid"}, (), [cid, ben])
    assert seating.holders == {"v0": cid}


def test_one_screen_at_a_time():
    seating = Seating(2, 2)
    first, second = ("ann", "screen", "video"), ("ben", "screen", "video")
    seating.seat({"ann", "ben"}, (), [first, second])
    assert seating.holders == {"screen": first}
    seating.seat({"ann", "ben"}, (), [second])
    assert seating.holders == {"screen": second}


def test_who_is_on_stage_takes_the_seat_of_somebody_backstage_and_gives_it_back_to_nobody():
    seating = Seating(2, 2)
    claims = [(name, "camera", "video") for name in ("ann", "ben", "cid")]
    backstage = {"ann", "ben"}
    seating.seat((), backstage, claims[:2])
    seating.seat({"cid"}, backstage, claims)
    assert seating.holders == {"v0": claims[2], "v1": claims[1]}
    seating.seat({"cid"}, backstage, claims[:2])
    assert seating.holders == {"v0": claims[2], "v1": claims[1]}  # she is reloading
    seating.seat((), backstage, claims[:2])
    assert seating.holders == {"v0": claims[0], "v1": claims[1]}
    seating.seat((), {*backstage, "cid"}, claims[1:])
    assert seating.holders == {"v0": claims[2], "v1": claims[1]}  # among equals, who does not publish yields


def test_the_sound_of_a_screen_takes_nobodys_voice():
    seating = Seating(2, 2)
    ann, ben = (("ann", "microphone", "audio"), ("ben", "microphone", "audio"))
    film = ("ann", "screen", "audio")
    seating.seat({"ann", "ben"}, (), [ann, film])
    assert seating.holders == {"a0": ann, "a1": film}
    seating.seat({"ann", "ben"}, (), [ann, film, ben])
    assert seating.holders == {"a0": ann, "a1": ben}
    seating.seat({"ann", "ben"}, (), [film, ben])
    assert seating.holders == {"a0": ann, "a1": ben}


SOURCES = (("camera", "video"), ("microphone", "audio"), ("screen", "video"), ("screen", "audio"))
PEOPLE = [f"p{n}" for n in range(12)]
people = st.sampled_from(PEOPLE)
toggles = st.lists(st.tuples(people, st.sampled_from(SOURCES)), max_size=20, unique=True)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sets(people, max_size=6), st.sets(people), toggles), max_size=12))
def test_six_on_stage_who_publish_have_their_seats_and_keep_them_whoever_comes_and_goes(changes):
    seating, published, before = Seating(6, 6), [], {}
    for on_stage, others, toggled in changes:
        claims = {(person, source, kind) for person, (source, kind) in toggled}
        published = [c for c in published if c not in claims] + sorted(claims.difference(published))
        seating.seat(on_stage, others - on_stage, published)
        now = {claim: seat for seat, claim in seating.holders.items()}
        assert len(now) == len(seating.holders)
        assert now.keys() >= {c for c in published if c[0] in on_stage and c[1] != "screen"}
        kept = {c: seat for c, seat in before.items() if c[0] in on_stage}
        assert {c: now.get(c) for c in kept} == kept
        before = {c: seat for c, seat in now.items() if c[0] in on_stage and c[1] != "screen"}
        sharing = [c for c in published if c[0] in on_stage and c[1:] == ("screen", "video")]
        assert not sharing or seating.holders["screen"] in sharing


rates = st.lists(st.integers(50, 3000), min_size=1, max_size=3).map(sorted)


@settings(max_examples=200)
@given(st.integers(0, 6000), st.lists(rates, max_size=6), st.integers(0, 400), st.integers(0, 2))
def test_allocation_keeps_the_budget_but_for_one_picture_and_the_floor(budget, wishes, floor, firm):
    grants, spending, next_step = allocate(budget, wishes, floor, firm)
    cost = sum(w[g] for w, g in zip(wishes, grants, strict=True) if g is not None)
    assert abs(cost - spending) < 1e-6
    assert not wishes or grants[0] is not None
    assert spending <= max(budget, floor, wishes[0][0] if wishes else 0)
    if next_step is None:
        assert all(g == len(w) - 1 for w, g in zip(wishes, grants, strict=True))
    else:
        assert next_step >= spending


@settings(max_examples=200)
@given(st.integers(0, 6000), st.integers(0, 3000), st.lists(rates, max_size=6), st.integers(0, 2))
def test_a_larger_budget_is_not_spent_on_less(budget, more, wishes, firm):
    _, less, _ = allocate(budget, wishes, 0.0, firm)
    _, spending, _ = allocate(budget + more, wishes, 0.0, firm)
    assert spending >= less


@settings(max_examples=100)
@given(st.integers(0, 6000), st.lists(rates, min_size=1, max_size=6))
def test_a_shared_screen_is_whole_before_anybody_else_is_seen(budget, wishes):
    grants, _, _ = allocate(budget, wishes, 0.0, 1)
    if any(grant is not None for grant in grants[1:]):
        best = max(i for i, rate in enumerate(wishes[0]) if i == 0 or rate <= budget)
        assert grants[0] == best


def test_without_an_estimate_everything_is_granted():
    assert allocate(float("inf"), [[100, 500], [50]]) == ([1, 0], 550, None)


def lossy(line: Line, now: float, share: float = 0.4) -> bool:
    line.bandwidth.counted(round(100 * (1 - share)), round(100 * share), line.spending, now)
    return line.judge(now)


def test_a_step_up_is_tried_and_a_failure_makes_the_next_wait_longer():
    """A line that carries 600 kbit/s, offered 200 or 900: the larger picture is tried ever more seldom."""
    line, trials, was = Line(), [], 1
    line.granted(900_000, None, 0.0)
    for tenth in range(1200):
        now = tenth / 10
        if line.spending > 600_000:
            lossy(line, now)
        for _ in range(2):
            grants, spending, step = allocate(line.budget(), [[200_000, 900_000]])
            again = line.granted(spending, step, now)
        if grants == [1] and was != 1:
            trials.append(now)
        was = grants[0]
        assert not again
    assert 3 <= len(trials) <= 5
    gaps = [b - a for a, b in itertools.pairwise(trials)]
    assert gaps == sorted(gaps)
    assert line.steps == len(trials)


def test_a_probe_that_fails_shows_nothing_worse():
    line = Line()
    line.can_pad = True
    line.granted(900_000, None, 0.0)
    assert lossy(line, 1.0)
    shown, padded = set(), False
    for tenth in range(11, 1200):
        now = tenth / 10
        grants, spending, step = allocate(line.budget(), [[200_000, 900_000]])
        line.granted(spending, step, now)
        if line.padding:
            padded = True
            lossy(line, now)
        shown.add(grants[0])
    assert padded
    assert shown == {0}


def test_a_new_picture_is_not_stopped_because_the_estimate_has_not_risen_yet():
    line = Line()
    line.granted(1_700_000, None, 0.0)
    for tenth in range(60):
        line.bandwidth.remb(280_000 + tenth * 3_000, tenth / 10)
        assert not line.judge(tenth / 10)
    assert line.budget() == float("inf")
    line.bandwidth.remb(900_000, 6.0)
    assert lossy(line, 6.0)
    assert line.budget() <= 900_000


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10_000_000), st.sampled_from([0.0, 0.0, 0.05, 0.5])), max_size=120),
    st.booleans(),
)
def test_whatever_the_estimate_does_pictures_do_not_flap(evidence, can_pad):
    """Between two steps up at least a trial passes; the budget holds but for one picture and the floor."""
    line, ups, was = Line(), [], None
    line.can_pad = can_pad
    wishes = [[80_000.0, 400_000.0, 1_500_000.0], [80_000.0, 400_000.0]]
    line.granted(1_900_000, None, 0.0)
    for tenth, (rate, loss) in enumerate(evidence):
        now = tenth / 2
        line.bandwidth.remb(rate, now)
        lossy(line, now, loss)
        _, spending, step = allocate(line.budget(), wishes, line.floor(now))
        assert spending <= max(line.budget(), FLOOR)
        line.granted(spending, step, now)
        if was is not None and spending > was and line.limited:
            ups.append(now)
        was = spending
    assert all(b - a >= TRIAL for a, b in itertools.pairwise(ups))


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
    line.granted(300_000, None, now=0.0)
    for second in range(8):
        line.bandwidth.remb(60_000, float(second))
        line.judge(float(second))
    assert line.limited
    wishes = [[80_000.0, 900_000.0], [80_000.0, 900_000.0]]
    assert allocate(line.budget(), wishes, line.floor(8.0))[0] == [0, 0]


def test_a_line_that_loses_packets_is_not_trusted_for_a_while():
    line = Line()
    line.granted(160_000, None, now=0.0)
    line.bandwidth.remb(60_000, 0.0)
    lossy(line, 0.0)
    wishes = [[80_000.0], [80_000.0]]
    assert allocate(60_000, wishes, line.floor(59.0))[0] == [0, None]
    assert allocate(60_000, wishes, line.floor(60.0))[0] == [0, 0]


def test_a_cap_holds_on_the_best_of_lines():
    line = Line(500_000)
    line.bandwidth.remb(50_000_000, 0.0)
    wishes = [[80_000.0, 400_000.0, 1_500_000.0], [80_000.0, 400_000.0]]
    for second in range(100):
        grants, spending, step = allocate(line.budget(), wishes, line.floor(0.0))
        assert grants == [1, 0]
        assert not line.granted(spending, step, float(second))


def test_a_line_that_got_wide_again_is_climbed_without_a_pause_after_each_step():
    line, ladder, now = Line(), [[30e3, 60e3, 120e3, 240e3]], 0.0
    line.can_pad = True
    widened = None
    while widened is None or line.limited:
        now += 0.1
        line.bandwidth.remb(20e3 if widened is None else 1e7, now)
        line.judge(now)
        for _ in range(2):
            _, spending, more = allocate(line.budget(), ladder)
            if not line.granted(spending, more, now):
                break
        if line.limited and widened is None:
            widened = now
        assert now < 60
    assert line.steps == 3
    assert now - (widened or 0.0) < 5 + 3 * (PROBE + TRIAL) + 3
