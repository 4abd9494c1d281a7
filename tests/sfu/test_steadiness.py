"""Whatever happened on a stage and its lines: once it is quiet, every visible slot of every viewer is fed.

A search for the viewer whose second picture stood still: people come and go, publishers pause, lines lose
packets and get narrow, tiers and mutes change, keyframes are asked for; then everything is good again.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.kit.network import Link
from tests.kit.theatre import POOL, Camera, Theatre, camera_spec

PEOPLE = ("ann", "ben")
VIEWERS = ("bob", "cid")
QUIET = 12.0
"""Seconds after which a limited line has been tried again: the first pause, a probe, a trial."""
people = st.sampled_from(PEOPLE)
viewers = st.sampled_from(VIEWERS)
seconds = st.floats(0.05, 1.5)


class Steadiness(RuleBasedStateMachine):
    """Two cameras, two viewers behind lines of their own."""

    @initialize()
    def begin(self) -> None:
        self.theatre = theatre = Theatre(delay=0.02)
        self.cameras: dict[str, Camera] = {}
        self.muted: dict[str, tuple[str, ...]] = {}
        self.watching: set[str] = set()
        self.count = 0
        theatre.stage(PEOPLE)
        for place, person in enumerate(PEOPLE):
            self.cameras[person] = camera = Camera(1000 + 100 * place, size=300)
            theatre.camera(person, camera, camera_spec(person, camera.ssrc))
        for viewer in VIEWERS:
            self.come(viewer)

    def come(self, viewer: str) -> None:
        theatre = self.theatre
        if viewer not in theatre.spectators:
            theatre.watch(viewer)
            theatre.connect(viewer, Link(theatre.clock, delay=0.02, seed=len(viewer)))
        else:
            theatre.router.watch(viewer, viewer, False, POOL, theatre.clock.now)
            theatre.flush()
        self.watching.add(viewer)

    @rule(viewer=viewers, seconds=seconds)
    def a_viewer_goes_and_comes(self, viewer: str, seconds: float) -> None:
        self.theatre.router.leave(viewer, self.theatre.clock.now)
        self.theatre.clock.run(seconds)
        spectator = self.theatre.spectators[viewer]
        for ssrc in spectator.packets:  # a new peer begins new numbers
            spectator.packets[ssrc].clear()
            spectator._high.pop(ssrc, None)
        self.theatre.indices.connected(viewer)
        self.come(viewer)

    @rule(person=people, seconds=seconds)
    def a_camera_pauses(self, person: str, seconds: float) -> None:
        camera = self.cameras[person]
        packets, camera.packets = camera.packets, 0
        self.theatre.clock.run(2 * seconds)
        camera.packets = packets

    @rule(loss=st.floats(0.05, 0.8), seconds=seconds)
    def the_publishers_lines_lose(self, loss: float, seconds: float) -> None:
        self.theatre._up.loss = loss
        self.theatre.clock.run(seconds)
        self.theatre._up.loss = 0.0

    @rule(viewer=viewers, loss=st.floats(0.05, 1.0), seconds=seconds)
    def a_viewers_line_loses(self, viewer: str, loss: float, seconds: float) -> None:
        line = self.theatre.receivers[viewer].line
        line.loss = loss
        self.theatre.clock.run(seconds)
        line.loss = 0.0

    @rule(viewer=viewers, rate=st.floats(50_000, 600_000), seconds=seconds)
    def a_viewers_line_gets_narrow(self, viewer: str, rate: float, seconds: float) -> None:
        line = self.theatre.receivers[viewer].line
        line.rate = rate
        self.theatre.clock.run(2 * seconds)
        line.rate = float("inf")

    @rule(viewer=viewers, tier=st.sampled_from(["video", "audio", "captions"]), seconds=seconds)
    def a_tier_is_chosen(self, viewer: str, tier, seconds: float) -> None:
        self.theatre.router.choose(viewer, tier, self.theatre.clock.now)
        self.theatre.clock.run(seconds)
        self.theatre.router.choose(viewer, "video", self.theatre.clock.now)

    @rule(person=people, seconds=seconds)
    def a_camera_is_muted(self, person: str, seconds: float) -> None:
        self.theatre.stage(PEOPLE, muted={person: ["camera"]})
        self.theatre.clock.run(seconds)
        self.theatre.stage(PEOPLE)

    @rule(viewer=viewers, slot=st.sampled_from([5000, 5001]))
    def a_keyframe_is_asked_for(self, viewer: str, slot: int) -> None:
        self.theatre.ask_keyframe(viewer, slot)

    @rule(person=people)
    def somebody_reloads(self, person: str) -> None:
        self.count += 1
        old = self.cameras[person]
        old.packets = 0
        theatre = self.theatre
        theatre.router.leave(person, theatre.clock.now)
        self.cameras[person] = camera = Camera(2000 + 10 * self.count, size=300)
        theatre.camera(person, camera, camera_spec(person, camera.ssrc, id=f"{person}{self.count}"))

    @precondition(lambda self: hasattr(self, "theatre"))
    @rule(seconds=seconds)
    def time_passes(self, seconds: float) -> None:
        self.theatre.clock.run(seconds)

    def teardown(self) -> None:
        if not hasattr(self, "theatre"):
            return
        theatre = self.theatre
        theatre.clock.run(QUIET)
        waited = 0.0
        while waited < 60 and not self.fed():  # a line blamed several times pauses twice as long each time
            theatre.clock.run(1.0)
            waited += 1.0
        assert self.fed(), {v: self.slots(v) for v in VIEWERS}
        before = {v: [len(theatre.spectators[v].order[s]) for s in (5000, 5001)] for v in VIEWERS}
        theatre.clock.run(1.0)
        for viewer in VIEWERS:
            for place, ssrc in enumerate((5000, 5001)):
                came = len(theatre.spectators[viewer].order[ssrc]) - before[viewer][place]
                assert came >= 85, (viewer, ssrc, came, self.slots(viewer))

    def slots(self, viewer: str) -> list[bool]:
        downtracks = self.theatre.router._viewers[viewer].downtracks
        return [d.layer is not None for d in downtracks[:2]]

    def fed(self) -> bool:
        return all(all(self.slots(viewer)) for viewer in VIEWERS)


Steadiness.TestCase.settings = settings(
    max_examples=3,
    stateful_step_count=8,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSteadiness = Steadiness.TestCase
