"""Layers that nobody wants: their publisher is told, slowly to rest and at once to go on."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import PublicationSpec
from live.sfu.demand import LINGER, LONGEST, Demand
from live.sfu.rtcp import ReportBlock, write_remb, write_rr
from tests.kit.theatre import EXTENSIONS, VP8, Camera, Theatre, camera_slot, camera_spec

RIDS = ("q", "h", "f")


class Studio:
    """A simulcast camera whose page does as the notices say."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.theatre = theatre = Theatre()
        theatre.stage(["ann"])
        spec = PublicationSpec("sim", "ann", "camera", "video", {96: VP8}, (), None, RIDS, EXTENSIONS)
        theatre.router.publish("ann", spec, theatre.clock.now)
        self.cameras = {
            rid: Camera(1000 + 100 * n, rid=rid, packets=1 + 3 * n, picture=1000 * n)
            for n, rid in enumerate(RIDS)
        }
        self.sizes = {rid: camera.packets for rid, camera in self.cameras.items()}
        self.wakes = 0
        for camera in self.cameras.values():
            theatre.film("ann", camera)
        if obeys:
            theatre.clock.every(0.05, self._obey)

    @property
    def idle(self) -> tuple[str, ...]:
        return self.theatre.notices[-1].idle.get("ann", {}).get("camera", ())

    def _obey(self) -> None:
        for rid, camera in self.cameras.items():
            packets = 0 if rid in self.idle else self.sizes[rid]
            if packets and not camera.packets:
                camera.want_key = True
                self.wakes += 1
            camera.packets = packets

    def run(self, seconds: float) -> None:
        self.theatre.clock.run(seconds)

    def estimate(self, peer: str, bitrate: int) -> None:
        lossy = write_rr(9, [ReportBlock(5000, 30, 0, 0, 0, 0, 0)])
        self.theatre.up_control(peer, lossy + write_remb(9, bitrate, [5000]))


def test_what_nobody_watches_rests_and_a_newcomer_sees_it_soon():
    studio = Studio()
    studio.run(LINGER - 1)
    assert studio.idle == ()
    studio.run(3.0)
    assert studio.idle == RIDS
    came = studio.theatre.clock.now
    bob = studio.theatre.watch("bob", slots=(camera_slot(0),))
    while not bob.order[5000]:
        studio.run(0.01)
    assert studio.theatre.clock.now - came < 0.25
    studio.run(3.0)
    assert not {"q", "f"} & {*studio.idle}
    assert not bob.missing(5000)
    assert studio.theatre.notices[-1].lines == {"ann": 3}


def test_the_upper_layers_rest_while_all_lines_are_poor_and_nobody_waits_for_them():
    studio = Studio()
    bob = studio.theatre.watch("bob", slots=(camera_slot(0),))
    studio.run(2.0)
    studio.theatre.clock.every(0.5, lambda: studio.estimate("bob", 20_000))
    studio.run(12.0)
    assert "f" in studio.idle  # the one between is tried now and then
    carol = studio.theatre.watch("carol", slots=(camera_slot(0),))
    came = studio.theatre.clock.now
    while not carol.order[5000]:
        studio.run(0.01)
    assert studio.theatre.clock.now - came < 0.2  # the small picture, at once
    assert carol.order[5000][0].timestamp
    studio.run(2.0)
    assert "f" not in studio.idle
    assert len(carol.order[5000]) > 1.5 * len([p for p in carol.order[5000] if p.marker])
    for viewer in (bob, carol):
        assert not viewer.missing(5000)
        assert viewer.longest_freeze(5000) < 0.3


def test_a_publisher_who_does_not_listen_is_shown_all_the_same():
    studio = Studio(obeys=False)
    studio.run(8.0)
    assert studio.idle == RIDS
    bob = studio.theatre.watch("bob", slots=(camera_slot(0),))
    studio.run(2.0)
    assert len(bob.frames(5000)) > 40
    assert studio.idle == ("h",)


def test_a_muted_camera_rests_and_wakes():
    studio = Studio()
    bob = studio.theatre.watch("bob", slots=(camera_slot(0),))
    studio.run(2.0)
    studio.theatre.stage(["ann"], muted={"ann": ["camera"]})
    studio.run(8.0)
    assert studio.idle == RIDS
    before = len(bob.order[5000])
    studio.theatre.stage(["ann"])
    studio.run(1.0)
    assert len(bob.order[5000]) > before + 20


def test_a_camera_that_rests_is_not_lost():
    theatre = Theatre()
    theatre.stage(["ann"])
    camera = Camera(1000)
    theatre.camera("ann", camera, camera_spec("ann", 1000), report=1e6)
    theatre.clock.run(7.0)
    assert theatre.notices[-1].idle == {"ann": {"camera": ("",)}}
    camera.packets = 0
    theatre.clock.run(8.0)
    assert not theatre.notices[-1].away


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=60))
def test_a_layer_rests_seldom_and_never_while_it_is_wanted(plan):
    demand, now, wanted, rests = Demand(), 0.0, 0.0, []
    for wants, seconds in plan:
        for _ in range(seconds):
            now += 1.0
            if wants:
                demand.want(now)
                wanted = now
            if demand.settle(now):
                rests.append(now)
            assert not (demand.idle and now - wanted < LINGER - 1)
            assert demand.idle or now - wanted <= LONGEST + 1
    assert all(b - a >= LINGER for a, b in itertools.pairwise(rests))
