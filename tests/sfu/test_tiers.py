"""What a viewer chose not to receive never leaves the router, and comes back when chosen again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu.rtcp import write_nack
from tests.kit.theatre import Camera, Microphone, Theatre, camera_spec, sound_spec

CAMERA, SCREEN, SOUND = 5000, 5900, 7000


def theatre() -> Theatre:
    made = Theatre()
    made.stage(["ann"])
    made.camera("ann", Camera(1000), camera_spec("ann", 1000))
    made.camera("ann", Camera(1200), camera_spec("ann", 1200, source="screen"))
    made.sound("ann", Microphone(1300, level=20), sound_spec("ann", 1300))
    return made


ALLOWED = {"video": {CAMERA, SCREEN, SOUND}, "audio": {SCREEN, SOUND}, "captions": set()}


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(["video", "audio", "captions"]), max_size=5))
def test_a_tier_sends_what_it_names_and_nothing_else(tiers):
    made = theatre()
    bob = made.watch("bob")
    made.clock.run(0.5)
    for tier in [*tiers, "video"]:
        made.router.choose("bob", tier, made.clock.now)
        made.clock.run(0.1)
        before = {ssrc: len(packets) for ssrc, packets in bob.order.items()}
        for ssrc in (CAMERA, SCREEN, SOUND):
            made.up_control("bob", write_nack(9, ssrc, range(1, 30)))
        made.clock.run(0.7)
        came = {ssrc for ssrc, packets in bob.order.items() if len(packets) > before[ssrc]}
        assert came == ALLOWED[tier]
    assert not bob.missing(CAMERA)
    assert not bob.missing(SCREEN)


def test_others_keep_everything_and_a_stranger_is_no_mistake():
    made = theatre()
    made.watch("bob")
    eve = made.watch("eve")
    made.clock.run(0.5)
    made.router.choose("bob", "captions", made.clock.now)
    made.router.choose("nobody", "audio", made.clock.now)
    before = len(eve.order[CAMERA])
    made.clock.run(1.0)
    assert len(eve.order[CAMERA]) > before + 60


def test_a_watch_may_begin_with_a_tier_and_a_pause_asks_the_publisher_for_nothing():
    made = theatre()
    made.spectators["cid"] = cid = type(made.watch("bob"))("cid")
    camera = made.senders["ann/1000"]
    made.clock.run(1.0)
    asked = camera.asked
    made.router.watch("cid", "cid", False, tuple(cid.slots.values()), made.clock.now, tier="audio")
    made.clock.run(1.0)
    assert not cid.order[CAMERA]
    assert cid.order[SOUND]
    assert camera.asked == asked
