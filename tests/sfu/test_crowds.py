"""What a router does at one moment does not grow with the crowd: it is counted here, not timed."""

from __future__ import annotations

from live.sfu import Router
from live.sfu.turns import AT_ONCE
from tests.kit.theatre import POOL, Camera, camera_spec, sound_spec
from tests.sfu.test_relay import simulcast

CROWD = 400
PEOPLE = ("ann", "ben")


class Crowd:
    """A camera and a microphone of each of `PEOPLE`, before many viewers."""

    def __init__(self, size: int = CROWD) -> None:
        self.now = 1.0
        self.router: Router[str] = Router()
        self.cameras = {person: Camera(1000 * n) for n, person in enumerate(PEOPLE, 1)}
        self.stage()
        for person, camera in self.cameras.items():
            self.router.publish(person, camera_spec(person, camera.ssrc), self.now)
            self.router.publish(person, sound_spec(person, camera.ssrc + 9), self.now)
        for n in range(size):
            self.router.watch(f"v{n}", f"v{n}", False, POOL, self.now)

    def stage(self, on_stage=PEOPLE, **muted) -> None:
        self.router.set_stage(
            open=True, on_stage=on_stage, backstage=(), muted=muted, veiled=False, now=self.now
        )

    @property
    def grants(self) -> int:
        return self.router._serving.grants

    def film(self, ticks: int) -> list[int]:
        """Time passes; gives how many lines were allocated in each tick."""
        counts = []
        for _ in range(ticks):
            self.now += 0.1
            for person, camera in self.cameras.items():
                for packet in camera.frame():
                    self.router.receive_rtp(person, packet, self.now)
            before = self.grants
            self.router.handle_timer(self.now)
            counts.append(self.grants - before)
            for peer, packet in self.router.drain().rtcp:
                if peer in self.cameras:
                    self.cameras[peer].control(packet)
        return counts

    def shown(self, seat: int) -> int:
        return sum(v.downtracks[seat].layer is not None for v in self.router._viewers.values())


def test_each_tick_allocates_a_few_lines_and_each_second_all():
    crowd = Crowd()
    crowd.film(12)
    counts = crowd.film(20)
    assert max(counts) <= AT_ONCE
    assert sum(counts) == 2 * CROWD
    crowd = Crowd(12 * AT_ONCE)
    crowd.film(12)
    counts = crowd.film(10)
    assert max(counts) <= 12 * AT_ONCE // 10 + 1
    assert sum(counts) >= 12 * AT_ONCE - 10


def test_a_small_room_is_allocated_at_once():
    crowd = Crowd(AT_ONCE)
    crowd.film(10)
    assert sorted(crowd.film(10))[-2:] == [0, AT_ONCE]


def test_what_ends_stops_for_all_without_a_new_allocation_of_open_lines():
    crowd = Crowd()
    crowd.film(10)
    assert (crowd.shown(0), crowd.shown(1)) == (CROWD, CROWD)
    before = crowd.grants
    crowd.stage(ann=("camera", "microphone"))
    assert (crowd.shown(0), crowd.shown(1)) == (0, CROWD)
    crowd.router.leave("ben", crowd.now)
    assert (crowd.shown(0), crowd.shown(1)) == (0, 0)
    assert crowd.grants == before


def test_what_did_not_change_is_not_served_anew():
    crowd = Crowd()
    crowd.film(10)
    before = crowd.grants
    crowd.stage()
    crowd.stage((*PEOPLE, "cid"))
    assert crowd.grants == before
    crowd.router.publish("cid", sound_spec("cid", 5000), crowd.now)
    assert crowd.grants == before, "sound needs no allocation"
    crowd.router.publish("cid", camera_spec("cid", 5001), crowd.now)
    assert crowd.grants == before + CROWD


def test_whoever_sees_a_layer_that_falls_silent_gets_another_at_once_in_a_crowd_too():
    crowd = Crowd()
    low, high = Camera(7000, rid="q"), Camera(8000, rid="f", size=200)
    crowd.stage((*PEOPLE, "cid"))
    crowd.router.publish("cid", simulcast("cid"), crowd.now)
    for n in range(30):
        for camera in (low, high) if n < 15 else (low,):
            camera.want_key = n % 5 == 0
            for packet in camera.frame():
                crowd.router.receive_rtp("cid", packet, crowd.now)
        crowd.film(1)
        layers = crowd.router._publications["cid-camera"].layers
        if n == 14:
            assert len(layers[1].downtracks()) == CROWD
        if n == 22:
            assert len(layers[0].downtracks()) == CROWD, "0.6 s of silence, and a keyframe"
