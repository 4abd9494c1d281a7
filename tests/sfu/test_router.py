"""The router over an emulated network: what viewers get, and what publishers are asked."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from live.sfu import Codec, Encoding, PublicationSpec, Router
from live.sfu.contract import AUDIO_LEVEL, LOUDEST, MID, STAGE, TRANSPORT_CC
from live.sfu.losses import LIMIT
from live.sfu.payloads import Vp8
from live.sfu.rtcp import KeyframeRequest, Nack, ReceiverReport, parse_rtcp, write_nack, write_remb
from live.sfu.rtp import Rtp, parse_rtp, write_rtp
from live.sfu.twcc import parse_feedback
from tests.kit.theatre import (
    EXTENSIONS,
    POOL,
    VP8,
    Camera,
    Microphone,
    Theatre,
    camera_slot,
    camera_spec,
    sound_slot,
    sound_spec,
    vp8_payload,
)


def curtain_up(router, now=1.0, muted=None):
    router.set_stage(open=True, on_stage=["ann"], backstage=[], muted=muted or {}, veiled=False, now=now)


def steady(frames):
    """Timestamps of consecutive frames rise, none by nothing."""
    steps = [(b - a) & 0xFFFFFFFF for (a, _), (b, _) in itertools.pairwise(frames)]
    return all(0 < step < 90000 * 3 for step in steps)


def test_a_viewer_sees_the_camera_on_stage():
    theatre = Theatre()
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    theatre.clock.run(2.0)
    frames = bob.frames(5000)
    assert len(frames) > 50
    assert frames[0][1]
    assert steady(frames)
    assert not bob.missing(5000)
    first = bob.order[5000][0]
    assert (first.sequence, first.pt, first.extensions) == (1, 96, {4: b"v0"})


def test_nobody_receives_their_own():
    theatre = Theatre()
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    own = theatre.watch("ann2", person="ann")
    theatre.clock.run(1.0)
    assert not any(own.packets.values())


def test_a_newcomer_gets_a_keyframe_at_once():
    theatre = Theatre(delay=0.02)
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    theatre.watch("bob")
    theatre.clock.run(2.0)
    came = theatre.clock.now
    carol = theatre.watch("carol")
    while not carol.order[5000]:
        theatre.clock.run(0.005)
    assert theatre.clock.now - came < 0.12
    assert carol.frames(5000)[0][1]


@pytest.mark.parametrize(("loss", "seed"), [(0.05, 1), (0.05, 2), (0.15, 3)])
def test_losses_both_ways_are_repaired(loss, seed):
    theatre = Theatre(loss=loss, delay=0.025, jitter=0.012, seed=seed)
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    plain = theatre.watch("carol", slots=(camera_slot(0, rtx=False),))
    theatre.clock.run(6.0)
    camera.packets = 0
    theatre.clock.run(1.0)
    assert camera.rtx > 10
    assert bob.repaired > 10
    assert len(bob.missing(5000)) <= 2
    assert len(plain.missing(5000)) <= 2
    frames = bob.frames(5000)
    assert steady(frames)
    assert frames[0][1]
    assert theatre.router.stats()["nacks_answered"] > 10


def test_who_loses_more_than_can_be_asked_for_is_asked_for_a_keyframe():
    """One packet of each picture in a burst: none long in a row, but at last more than are remembered."""
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    theatre.watch("bob", nacks=False)
    theatre.clock.run(2.0)
    asked = theatre.router.stats()["plis_sent"]

    def burst(pictures: int) -> int:
        camera.packets = 3
        for _ in range(pictures):
            for data in camera.frame()[::2]:
                theatre.router.receive_rtp("ann", data, theatre.clock.now)
        camera.packets = 0
        theatre.clock.run(0.3)
        return theatre.router.stats()["plis_sent"] - asked

    camera.packets = 0
    theatre.clock.run(0.1)
    assert burst(LIMIT - 1) == 0
    assert burst(LIMIT + 1) == 1


def test_ids_that_the_one_byte_form_cannot_write_are_left_out():
    extensions = {MID: 14, AUDIO_LEVEL: 16, TRANSPORT_CC: 15}
    slot = replace(camera_slot(0), extensions=extensions, two_byte=False)
    sound = replace(sound_slot(0), extensions=extensions, two_byte=False)
    theatre = Theatre(router=Router(transport_wide=True))
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    theatre.sound("ann", Microphone(1100, level=20), sound_spec("ann", 1100))
    bob = theatre.watch("bob", slots=(slot, sound))
    theatre.router.watch("bob", "bob", False, (slot, sound), theatre.clock.now)  # its slots are the same
    theatre.clock.run(1.0)
    assert {p.extensions[14] for p in bob.order[5000]} == {b"v0"}
    assert {p.payload for p in bob.order[7000]} == {(1100).to_bytes(4) + bytes(60)}
    assert {tuple(p.extensions) for p in bob.order[7000]} == {(14,)}
    assert len(bob.frames(5000)) > 20


@pytest.mark.parametrize("seed", range(4))
def test_five_percent_loss_both_ways_freezes_nobody(seed):
    theatre = Theatre(loss=0.05, delay=0.025, jitter=0.005, seed=seed)
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000, packets=5), camera_spec("ann", 1000))
    viewers = [theatre.watch(f"viewer{n}") for n in range(3)]
    theatre.clock.run(8.0)
    for viewer in viewers:
        assert len(viewer.frames(5000)) > 220
        assert viewer.longest_freeze(5000) < 0.5


def test_padding_leaves_no_hole():
    router: Router[str] = Router()
    curtain_up(router)
    router.publish("ann", camera_spec("ann", 1000), 1.0)
    router.watch("bob", "bob", False, POOL, 1.0)
    out = []
    for number in range(40):
        payload = b"" if number % 5 == 4 else vp8_payload(number, key=number == 0)
        rtp = Rtp(marker=0, pt=96, sequence=number, timestamp=9, ssrc=1000, extensions={}, payload=payload)
        router.receive_rtp("ann", write_rtp(rtp), 1.0 + number / 100)
        out += [parse_rtp(h + f.body).sequence for f in router.drain().fanouts for _, h in f.headers]
    assert out == list(range(1, 33))


def test_a_picture_is_whole_with_its_marker_whatever_sound_comes_between():
    router: Router[str] = Router()
    curtain_up(router)
    router.publish("ann", camera_spec("ann", 1000), 1.0)
    router.publish("ann", sound_spec("ann", 2000), 1.0)
    told = []
    for number, (ssrc, pt, marker) in enumerate(
        [(1000, 96, 0), (2000, 111, 0), (1000, 96, 0x80), (2000, 111, 0), (1000, 96, 0)]
    ):
        payload = vp8_payload(number, key=True) if ssrc == 1000 else bytes(40)
        rtp = Rtp(
            marker=marker, pt=pt, sequence=number, timestamp=9, ssrc=ssrc, extensions={}, payload=payload
        )
        router.receive_rtp("ann", write_rtp(rtp), 1.0)
        told.append(router.midframe)
    assert told == [True, True, False, False, True]


def test_who_comes_goes_or_switches_changes_the_cast_and_nothing_else_does():
    router: Router[str] = Router()
    curtain_up(router)
    router.publish("ann", camera_spec("ann", 1000), 1.0)
    numbers = itertools.count(1)

    def cast(*, key: bool = False):
        number = next(numbers)
        payload = vp8_payload(number, key=key)
        rtp = Rtp(
            marker=0, pt=96, sequence=number, timestamp=number, ssrc=1000, extensions={}, payload=payload
        )
        router.receive_rtp("ann", write_rtp(rtp), 1.0)
        return [fanout.cast for fanout in router.drain().fanouts]

    router.watch("bob", "bob", False, POOL, 1.0)
    cast(key=True)
    (first,) = cast()
    assert cast() == [first]
    assert first.peers == ("bob",)
    router.watch("cleo", "cleo", False, POOL, 1.0)
    assert cast() == [first]  # she waits for a keyframe
    cast(key=True)
    (both,) = cast()
    assert both.peers == ("bob", "cleo")
    router.leave("bob", 1.0)
    (left,) = cast()
    assert left.peers == ("cleo",)
    assert first.peers == ("bob",)


def test_a_restarted_encoder_leaves_no_hole():
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    theatre.clock.run(1.0)
    camera.sequence, camera.want_key = 30000, True
    theatre.clock.run(1.0)
    assert len(bob.missing(5000)) <= 1
    assert len(bob.frames(5000)) > 50


def test_sound_and_picture_stay_together():
    """Sender reports place both streams of a publisher on one clock (lip sync)."""
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000, timestamp=77)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    begun = theatre.clock.now
    theatre.clock.run(6.0)
    report = bob.reports[-1]
    assert report.ssrc == 5000
    captured = {p.timestamp: n for n, p in bob.packets[5000].items()}
    first = bob.packets[5000][min(captured.values())].timestamp
    ntp = report.ntp / 2**32 - 2_208_988_800
    sent_at = ntp - ((report.timestamp - first) & 0xFFFFFFFF) / 90000
    assert abs(sent_at - begun) < 0.02
    assert report.packets > 100


def test_the_publisher_gets_transport_feedback_with_its_own_ssrc_and_reports():
    theatre = Theatre(loss=0.1)
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    theatre.clock.run(3.0)
    got = [data for peer, data in theatre.control if peer == "ann"]
    feedback = [parse_feedback(d[4:]) for d in got if d[1] == 205 and d[0] & 31 == 15]
    assert len(feedback) > 20
    assert {f.media for f in feedback} == {1000}
    assert [f.count for f in feedback] == list(range(len(feedback)))
    assert any(None in f.arrivals for f in feedback)
    reports = [v for d in got if d[1] == 201 for v in parse_rtcp(d) if isinstance(v, ReceiverReport)]
    assert any(b.fraction for r in reports for b in r.blocks)
    assert all(b.ssrc == 1000 and b.last_sr for r in reports[1:] for b in r.blocks)


def test_keyframe_wishes_are_merged():
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    for name in ("bob", "cid", "dan"):
        theatre.watch(name)
    theatre.clock.run(1.0)
    before = camera.asked
    for _ in range(20):
        for name in ("bob", "cid", "dan"):
            theatre.ask_keyframe(name, 5000)
        theatre.clock.run(0.05)
    assert 1 <= camera.asked - before <= 3


def simulcast(owner="ann"):
    return PublicationSpec(
        id="sim",
        owner=owner,
        source="camera",
        kind="video",
        codecs={96: VP8},
        rids=("q", "h", "f"),
        extensions=EXTENSIONS,
    )


def test_simulcast_streams_are_learned_and_the_layer_fits_the_line():
    theatre = Theatre()
    theatre.stage(["ann"])
    cameras = [
        Camera(1000, rid="q", packets=1),
        Camera(1100, rid="h", packets=4),
        Camera(1200, rid="f", packets=12),
    ]
    for place, camera in enumerate(cameras):
        camera.picture, camera.timestamp = 1000 * place, 10**6 * place
    theatre.router.publish("ann", simulcast(), theatre.clock.now)
    for camera in cameras:
        theatre.film("ann", camera)
    bob, carol = theatre.watch("bob"), theatre.watch("carol")
    theatre.clock.run(1.0)
    theatre.clock.every(0.25, lambda: theatre.up_control("bob", write_remb(9, 60_000, [5000])))
    theatre.clock.run(8.0)
    assert len(bob.order[5000]) < 0.8 * len(carol.order[5000])
    for viewer in (bob, carol):
        assert not viewer.missing(5000)
        assert steady(viewer.frames(5000))
    switched = [p for p in bob.order[5000] if p.payload[0] & 0x10]
    pictures = [(p.payload[2] & 0x7F) << 8 | p.payload[3] for p in switched]
    assert {(b - a) & 0x7FFF for a, b in itertools.pairwise(pictures)} == {1}
    stats = theatre.router.stats()
    assert stats["switches"] >= 1
    assert stats["switch_ms"] <= 150 * stats["switches"]
    cameras[2].packets = 0
    theatre.clock.run(2.0)
    times = [t for t, _ in carol.frames(5000)]
    assert (times[-1] - times[0]) / 90000 > 9.5


def test_rtx_of_a_learned_stream_is_unwrapped():
    theatre = Theatre(loss=0.08, delay=0.02, seed=5)
    theatre.stage(["ann"])
    camera = Camera(1000)
    spec = PublicationSpec("p", "ann", "camera", "video", {96: VP8}, (), None, (), EXTENSIONS)
    theatre.camera("ann", camera, spec)
    bob = theatre.watch("bob")
    theatre.clock.run(3.0)
    assert camera.rtx > 3
    assert theatre.router.stats()["repaired"] > 3
    assert len(bob.missing(5000)) <= 2


def whep(video=True):
    slots = (camera_slot(0, follows=STAGE), sound_slot(0, LOUDEST))
    return slots if video else slots[1:]


def test_a_foreign_viewer_follows_the_speaker_and_the_screen():
    theatre = Theatre()
    theatre.stage(["ann", "ben"])
    for place, name in enumerate(("ann", "ben")):
        camera = Camera(1000 + 100 * place, ntp_ahead=50.0 * place, timestamp=10**7 * (place + 1))
        theatre.camera(name, camera, camera_spec(name, camera.ssrc))
    ann, ben = Microphone(2000, level=20), Microphone(2100)
    theatre.sound("ann", ann, sound_spec("ann", 2000))
    theatre.sound("ben", ben, sound_spec("ben", 2100))
    viewer = theatre.watch("obs", slots=whep())
    theatre.clock.run(3.0)
    ann.level, ben.level = 127, 20
    theatre.clock.run(3.0)
    assert {p.payload[:4] for p in viewer.order[7000]} == {(2000).to_bytes(4), (2100).to_bytes(4)}
    assert viewer.order[7000][-1].payload[:4] == (2100).to_bytes(4)
    theatre.camera("ben", Camera(1500), camera_spec("ben", 1500, source="screen"))
    theatre.clock.run(1.0)
    frames = viewer.frames(5000)
    assert len(frames) > 190
    assert steady(frames)
    assert not viewer.missing(5000)
    assert not viewer.missing(7000)
    first, last = frames[0][0], frames[-1][0]
    assert abs(((last - first) & 0xFFFFFFFF) / 90000 - 6.9) < 0.3
    assert theatre.notices[-1].speaking == "ben"


def test_seats_are_the_same_for_everybody_and_kept_over_a_reload():
    theatre = Theatre()
    theatre.stage(["ann"], ["ben"])
    theatre.camera("ben", Camera(1100), camera_spec("ben", 1100))
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    bob, mod = theatre.watch("bob"), theatre.watch("mod", behind=True)
    theatre.clock.run(1.0)
    slots = theatre.notices[-1].slots
    assert {s: (x.person, x.behind) for s, x in slots.items()} == {"v0": ("ben", True), "v1": ("ann", False)}
    assert not bob.order[5000]
    assert bob.order[5001]
    assert mod.order[5000]
    theatre.router.leave("ann", theatre.clock.now)
    theatre.flush()
    assert theatre.notices[-1].away == {"ann"}
    theatre.camera("ann-again", Camera(1300), camera_spec("ann", 1300, id="second"))
    theatre.clock.run(1.0)
    assert theatre.notices[-1].slots == slots
    assert not theatre.notices[-1].away
    assert not bob.missing(5001)
    assert steady(bob.frames(5001))


def test_a_full_backstage_hides_nobody_on_stage():
    router: Router[str] = Router()
    crew = [f"crew{n}" for n in range(6)]
    router.set_stage(open=True, on_stage=["ann"], backstage=crew, muted={}, veiled=False, now=1.0)
    router.watch("bob", "bob", False, POOL, 1.0)
    for n, person in enumerate([*crew, "ann"]):
        router.publish(person, camera_spec(person, 1000 + 100 * n), 1.0)
    assert {seat for seat, x in router.drain().notice.slots.items() if x.person == "ann"} == {"v0"}
    key = vp8_payload(1, key=True)
    rtp = Rtp(marker=0, pt=96, sequence=1, timestamp=9, ssrc=1600, extensions={}, payload=key)
    router.receive_rtp("ann", write_rtp(rtp), 1.1)
    assert [peer for fanout in router.drain().fanouts for peer, _ in fanout.headers] == ["bob"]


def test_a_silent_publisher_is_away_and_comes_back():
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000), report=1e6)
    theatre.watch("bob")
    theatre.clock.run(2.0)
    assert theatre.notices[-1].lines == {"ann": 3}
    camera.packets = 0
    theatre.clock.run(7.0)
    assert theatre.notices[-1].away == {"ann"}
    assert theatre.notices[-1].lines == {"ann": 0}
    camera.packets = 1
    theatre.clock.run(2.0)
    assert not theatre.notices[-1].away


def test_somebody_with_one_silent_peer_of_two_is_not_away():
    theatre = Theatre()
    theatre.stage(["ann"])
    screen = Camera(1100)
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    theatre.camera("ann-screen", screen, camera_spec("ann", 1100, source="screen"), report=1e6)
    theatre.clock.run(2.0)
    screen.packets = 0
    theatre.clock.run(8.0)
    assert not theatre.notices[-1].away
    assert theatre.notices[-1].lines == {"ann": 3}


@pytest.mark.parametrize(
    ("published", "left", "away"),
    [
        (("camera", "screen"), "screen", set()),
        (("microphone", "screen"), "screen", set()),
        (("camera", "screen"), "camera", {"ann"}),
        (("screen",), "screen", {"ann"}),
    ],
)
def test_who_stops_sharing_a_screen_is_there_and_who_has_lost_face_and_voice_is_not(published, left, away):
    router: Router[str] = Router()
    curtain_up(router)
    for n, source in enumerate(published):
        spec = sound_spec("ann", 1000) if source == "microphone" else None
        router.publish(source, spec or camera_spec("ann", 1100 + 100 * n, source=source, id=source), 1.0)
    router.leave(left, 2.0)
    assert router.drain().notice.away == away


def test_a_muted_source_leaves_nothing_to_resend_and_needs_a_keyframe_afterwards():
    theatre = Theatre()
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    bob = theatre.watch("bob", nacks=False)
    theatre.clock.run(1.0)
    theatre.stage(["ann"], muted={"ann": ["camera"]})
    theatre.clock.run(0.1)
    heard = len(bob.order[5000])
    theatre.up_control("bob", write_nack(9, 5000, range(1, heard + 200)))
    theatre.clock.run(1.0)
    assert len(bob.order[5000]) == heard
    assert bob.repaired == 0
    theatre.stage(["ann"])
    theatre.clock.run(1.0)
    assert not bob.missing(5000)
    frames = bob.frames(5000)
    resumed = next(n for n, (a, b) in enumerate(itertools.pairwise(frames)) if b[0] - a[0] > 50_000)
    assert frames[resumed + 1][1]


people = st.sampled_from(["ann", "ben", "cid"])
facts = st.fixed_dictionaries(
    {
        "open": st.booleans(),
        "on_stage": st.sets(people),
        "backstage": st.sets(people),
        "muted": st.dictionaries(people, st.sets(st.sampled_from(["camera", "microphone", "screen"]))),
        "veiled": st.booleans(),
    }
)
steps = st.lists(facts | st.tuples(people, st.integers(1, 12)), min_size=4, max_size=25)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_nothing_crosses_the_curtain(plan):
    """Law 7 at the packets: random facts, everybody's packets, NACKs for all, three kinds of viewers."""
    router: Router[str] = Router()
    sequence, now = 0, 1.0
    viewers = {"front": False, "rear": True, "whep": False}
    for place, name in enumerate(("ann", "ben", "cid")):
        router.publish(name, camera_spec(name, 1000 + 10 * place), now)
        router.publish(name, sound_spec(name, 2000 + 10 * place), now)
    for name, behind in viewers.items():
        router.watch(name, name, behind, whep() if name == "whep" else POOL, now)
    truth = {"open": False, "on_stage": set(), "backstage": set(), "muted": {}, "veiled": False}
    for step in plan:
        now += 0.2
        if isinstance(step, dict):
            truth = step
            router.set_stage(**truth, now=now)
        else:
            name, count = step
            place = ("ann", "ben", "cid").index(name)
            for _ in range(count):
                sequence += 1
                _send(router, name, 1000 + 10 * place, 96, sequence, now)
                _send(router, name, 2000 + 10 * place, 111, sequence, now)
        for viewer in viewers:
            for ssrc in (5000, 5001, 7000):
                router.receive_rtcp(viewer, write_nack(9, ssrc, range(60)), now)
        router.handle_timer(now)
        for fanout in router.drain().fanouts:
            for peer, header in fanout.headers:
                _check(parse_rtp(header + fanout.body), viewers[peer], truth)


def _send(router, name, ssrc, pt, sequence, now):
    payload = vp8_payload(sequence, key=sequence % 4 == 0) if pt == 96 else bytes(40)
    rtp = Rtp(
        marker=0,
        pt=pt,
        sequence=sequence,
        timestamp=sequence,
        ssrc=ssrc,
        extensions={},
        payload=payload + name.encode(),
    )
    router.receive_rtp(name, write_rtp(rtp), now)


def _check(rtp, behind, truth):
    owner = rtp.payload[-3:].decode()
    source = "microphone" if rtp.pt == 111 else "camera"
    assert not truth["veiled"]
    assert source not in truth["muted"].get(owner, ())
    rear = owner in truth["backstage"] or (owner in truth["on_stage"] and not truth["open"])
    assert owner in truth["on_stage"] | truth["backstage"]
    assert behind or not rear


@settings(max_examples=40, deadline=None)
@example(["ok", "swap", "pad", "mute", "mute", "key"], 0)
@given(
    st.lists(st.sampled_from(["ok", "lose", "swap", "pad", "mute", "key"]), min_size=5, max_size=120),
    st.integers(0, 65535),
)
def test_numbers_have_no_gaps_but_true_loss(plan, first):
    """Law 11, whatever happens to the packets and to the slot."""
    router: Router[str] = Router()
    router.publish("ann", camera_spec("ann", 1000), 1.0)
    router.watch("bob", "bob", False, POOL, 1.0)
    curtain_up(router)
    out, now, held, muted = [], 1.0, None, False
    lost = 0
    for number, what in enumerate(plan):
        now += 0.01
        if what == "mute":
            muted = not muted
            curtain_up(router, now, {"ann": ["camera"]} if muted else {})
        payload = b"" if what == "pad" else vp8_payload(number & 0x7FFF, key=what == "key" or number == 0)
        rtp = Rtp(
            marker=0,
            pt=96,
            sequence=(first + number) & 0xFFFF,
            timestamp=3000 * number,
            ssrc=1000,
            extensions={},
            payload=payload,
        )
        if what == "lose":
            lost += 1
            continue
        data = write_rtp(rtp)
        if what == "swap" and held is None:
            held = data
            continue
        router.receive_rtp("ann", data, now)
        if held is not None:
            router.receive_rtp("ann", held, now)
            held = None
        for fanout in router.drain().fanouts:
            out += [parse_rtp(header + fanout.body) for _, header in fanout.headers]
    numbers = [p.sequence for p in out]
    assert len(set(numbers)) == len(numbers)
    if numbers:
        assert min(numbers) == 1
        assert max(numbers) - len(numbers) <= lost + (held is not None)
        opener = out[numbers.index(1)]
        assert opener.payload[6] == 0


def test_a_picture_kept_until_the_next_begins_does_not_outlive_its_permission():
    """A policy slot shows the old source until the new one's keyframe; the curtain still holds."""
    theatre = Theatre()
    theatre.stage(["ann", "ben"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    viewer = theatre.watch("obs", slots=whep())
    theatre.clock.run(1.0)
    theatre.router.publish("ben", camera_spec("ben", 1100, source="screen"), theatre.clock.now)
    before = len(viewer.order[5000])
    theatre.clock.run(0.5)
    assert len(viewer.order[5000]) > before
    theatre.stage(["ben"], ["ann"])
    theatre.clock.run(0.1)
    count = len(viewer.order[5000])
    theatre.clock.run(1.0)
    assert len(viewer.order[5000]) == count


names = st.sampled_from(["ann", "bob", "eve"])
noise = st.lists(st.tuples(st.sampled_from(["rtp", "rtcp"]), names, st.binary(max_size=60)))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["rtp", "rtcp"]), st.sampled_from(["ann", "bob", "eve"]), st.binary(max_size=60)
        )
    )
)
def test_noise_never_raises_and_is_counted(noise):
    router: Router[str] = Router()
    curtain_up(router)
    router.publish("ann", camera_spec("ann", 1000), 1.0)
    router.watch("bob", "bob", False, POOL, 1.0)
    for kind, peer, data in noise:
        prefix = (
            b"\x80\x60\x00\x01\x00\x00\x00\x01\x00\x00\x03\xe8" if kind == "rtp" and len(data) % 2 else b""
        )
        (router.receive_rtp if kind == "rtp" else router.receive_rtcp)(peer, prefix + data, 1.0)
    router.handle_timer(1.2)
    router.drain()
    router.receive_rtcp("bob", b"\0", 1.0)
    assert router.stats()["malformed"] >= 1


def test_a_viewer_cannot_amplify():
    theatre = Theatre()
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    theatre.watch("bob", nacks=False)
    theatre.clock.run(1.0)
    for _ in range(100):
        theatre.router.receive_rtcp("bob", write_nack(9, 5000, range(1, 60)), theatre.clock.now)
    assert len(theatre.router.drain().fanouts) <= 400


def test_memory_is_bounded_by_streams_and_time_sleeps_when_nobody_is_there():
    router: Router[str] = Router()
    assert router.next_timer(1.0) is None
    curtain_up(router)
    router.publish("ann", PublicationSpec("p", "ann", "camera", "video", {96: VP8}), 1.0)
    for ssrc in range(500):
        rtp = Rtp(
            marker=0,
            pt=96,
            sequence=1,
            timestamp=1,
            ssrc=ssrc,
            extensions={},
            payload=vp8_payload(1, key=True),
        )
        router.receive_rtp("ann", write_rtp(rtp), 1.0)
    assert router.stats()["layers"] == 1
    router.leave("ann", 1.0)
    router.handle_timer(5.0)
    assert router.next_timer(5.0) is None


def test_mistakes_of_the_owner_are_refused():
    router: Router[str] = Router()
    router.publish("ann", camera_spec("ann", 1000), 1.0)
    with pytest.raises(ValueError, match="in use"):
        router.publish("ann", camera_spec("ann", 1000), 1.0)
    with pytest.raises(ValueError, match="share an SSRC"):
        router.watch("bob", "bob", False, (camera_slot(0), camera_slot(0)), 1.0)
    with pytest.raises(ValueError, match="codec"):
        router.publish("ben", PublicationSpec("x", "ben", "camera", "video", {}), 1.0)


def test_payload_types_are_mapped_for_each_viewer_and_an_unknown_codec_is_not_sent():
    theatre = Theatre()
    theatre.stage(["ann"])
    spec = PublicationSpec(
        "p", "ann", "camera", "video", {96: Codec("vp8", 90000, 96)}, (Encoding(1000),), None, (), EXTENSIONS
    )
    theatre.camera("ann", Camera(1000), spec)
    firefox = theatre.watch("bob", slots=(camera_slot(0, codecs=(Codec("vp8", 90000, 120, 124),)),))
    deaf = theatre.watch("cid", slots=(camera_slot(0, codecs=(Codec("vp9", 90000, 98),)),))
    theatre.clock.run(1.0)
    assert {p.pt for p in firefox.order[5000]} == {120}
    assert not deaf.order[5000]
    theatre.clock.run(8.0)
    assert theatre.senders["ann/1000"].asked <= 2


def test_watching_again_keeps_the_numbering_and_the_curtain_applies_at_once():
    theatre = Theatre()
    theatre.stage([], ["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    bob = theatre.watch("bob", behind=True)
    theatre.clock.run(1.0)
    theatre.router.watch("bob", "bob", False, POOL, theatre.clock.now)
    theatre.clock.run(0.1)
    count = len(bob.order[5000])
    theatre.router.receive_rtcp("bob", write_nack(9, 5000, range(1, 50)), theatre.clock.now)
    assert not theatre.router.drain().fanouts
    theatre.clock.run(1.0)
    assert len(bob.order[5000]) == count
    theatre.router.watch("bob", "bob", True, POOL, theatre.clock.now)
    theatre.clock.run(1.0)
    assert len(bob.order[5000]) > count
    assert not bob.missing(5000)


def test_requests_name_the_publishers_stream():
    theatre = Theatre(loss=0.1, seed=3)
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    theatre.watch("bob")
    theatre.clock.run(2.0)
    values = [v for peer, d in theatre.control if peer == "ann" for v in parse_rtcp(d)]
    assert {v.media for v in values if isinstance(v, Nack | KeyframeRequest)} == {1000}


H264 = Codec("h264", 90000, 96, 97, {"packetization-mode": "1"})


def test_a_newcomer_between_sps_and_slice_still_gets_the_whole_keyframe():
    router: Router[str] = Router()
    curtain_up(router)
    router.publish("ann", PublicationSpec("p", "ann", "camera", "video", {96: H264}, (Encoding(1000),)), 1.0)
    slots = (camera_slot(0, codecs=(H264,)),)
    for number, payload in enumerate((b"\x67sps", b"\x68pps", b"\x65slice", b"\x65more", b"\x61delta")):
        if number == 2:
            router.watch("bob", "bob", False, slots, 1.0)
        timestamp = 9000 + 3000 * (number == 4)
        rtp = Rtp(
            marker=0, pt=96, sequence=number, timestamp=timestamp, ssrc=1000, extensions={}, payload=payload
        )
        router.receive_rtp("ann", write_rtp(rtp), 1.0)
    sent = [parse_rtp(h + f.body) for f in router.drain().fanouts for _, h in f.headers]
    assert [p.sequence for p in sent] == [1, 2, 3, 4, 5]
    assert [p.payload[:1] for p in sent] == [b"\x67", b"\x68", b"\x65", b"\x65", b"\x61"]


def test_a_stream_may_change_its_ssrc_but_two_cannot_take_turns():
    theatre = Theatre()
    theatre.stage(["ann"])
    theatre.camera("ann", first := Camera(1000), camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    theatre.clock.run(1.0)
    theatre.film("ann", second := Camera(1900))
    theatre.clock.run(0.5)
    assert theatre.router.stats()["unknown_ssrc"] > 20
    first.packets = 0
    theatre.clock.run(2.0)
    frames = bob.frames(5000)
    assert len(frames) > 80
    assert steady(frames)
    assert not bob.missing(5000)
    assert second.asked == 1


def outage(theatre, line, seconds):
    """Nothing passes on a line for so long; gives when it does again."""
    line.loss = 1.0
    theatre.clock.run(seconds)
    line.loss = 0.0
    return theatre.clock.now


def first_keyframe_after(spectator, ssrc, moment):
    """When the first packet of the first keyframe after a moment arrived."""
    arrived = spectator.arrived[ssrc]
    keys = (n for n, p in spectator.packets[ssrc].items() if p.payload and Vp8(p.payload).keyframe)
    return min(arrived[n] for n in keys if arrived[n] > moment)


@pytest.mark.parametrize("seconds", [0.8, 2.0, 10.0])
def test_after_a_publishers_outage_a_keyframe_comes_at_once_and_numbers_have_no_hole(seconds):
    theatre = Theatre(delay=0.025)
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    theatre.clock.run(3.0)
    mended = outage(theatre, theatre._up, seconds)
    theatre.clock.run(1.0)
    assert first_keyframe_after(bob, 5000, mended) - mended < 0.2
    assert not bob.missing(5000)
    assert steady([f for f in bob.frames(5000) if f[0] is not None][-20:])
    assert camera.rtx == 0


def test_after_a_viewers_long_outage_a_keyframe_replaces_what_is_no_longer_kept():
    theatre = Theatre(delay=0.025)
    theatre.stage(["ann"])
    theatre.camera("ann", Camera(1000), camera_spec("ann", 1000))
    bob = theatre.watch("bob")
    theatre.clock.run(3.0)
    mended = outage(theatre, theatre._down, 10.0)
    theatre.clock.run(1.0)
    assert first_keyframe_after(bob, 5000, mended) - mended < 0.4
    assert theatre.router.stats()["plis_sent"] < 5


def test_a_still_screen_that_loses_a_packet_is_repaired_without_a_keyframe():
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.router.publish("ann", camera_spec("ann", 1000), theatre.clock.now)
    theatre.senders["ann/1000"] = camera
    bob = theatre.watch("bob")
    for packet in (*camera.frame(), *camera.frame()):
        theatre.up("ann", packet)
    theatre.clock.run(3.0)
    asked = camera.asked
    for packet in camera.frame()[1:]:
        theatre.up("ann", packet)
    theatre.clock.run(0.5)
    assert (camera.asked, camera.rtx) == (asked, 1)
    assert not bob.missing(5000)
