"""A room over two routers: the home relays, the sibling shows, and both keep the curtain."""

from collections import deque
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import PublicationSpec, Router
from live.sfu.contract import AUDIO_LEVEL, MID, RID, TRANSPORT_CC
from live.sfu.rtcp import Nack, parse_rtcp, write_nack
from live.sfu.rtp import parse_rtp
from tests.kit.theatre import POOL, VP8, Camera, Microphone, Spectator, camera_spec, sound_spec

PEOPLE = ("ann", "ben")
SSRC = {"ann": 111_000, "ben": 222_000}


@dataclass
class Hall:
    """Both routers; what is relayed and what is told waits until it is let through, each way in order."""

    now: float = 0.0
    home: Router = field(default_factory=Router)
    sibling: Router = field(default_factory=Router)
    relay: deque = field(default_factory=deque)
    told: deque = field(default_factory=deque)
    far: Spectator = field(default_factory=lambda: Spectator("far"))
    near: Spectator = field(default_factory=lambda: Spectator("near"))
    allowed: set = field(default_factory=set)
    facts: dict = field(default_factory=dict)
    revision: int = 0
    lose: set = field(default_factory=set)
    marks: int = 0
    idle: dict = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home.siblings.name(["sibling"])
        self.home.watch("near", "near", behind=False, slots=POOL, now=0)
        self.sibling.watch("far", "far", behind=False, slots=POOL, now=0)
        self.relay.append(("seats", self.home.seats()))
        self.stage()

    def stage(self, **facts) -> None:
        """The server tells both, the home at once; what the home has goes along with the packets."""
        self.revision += 1
        full = {"open": False, "on_stage": (), "backstage": (), "muted": {}, "veiled": False, **facts}
        self.facts = full
        self.home.set_stage(**full, now=self.now, revision=self.revision)
        self.relay.append(("facts", (full, self.revision)))
        self.told.append((full, self.revision))
        self.drain()

    def public(self, person: str, source: str) -> bool:
        facts = self.facts
        on = facts["open"] and person in facts["on_stage"] and person not in facts["backstage"]
        return on and not facts["veiled"] and source not in facts["muted"].get(person, ())

    def publish(self, peer: str, spec: PublicationSpec) -> None:
        self.home.publish(peer, spec, self.now)
        self.relay.append(("publish", (peer, spec)))
        self.drain()

    def up(self, peer: str, source: str, packets) -> None:
        for packet in packets:
            self.marks += 1
            marked = packet[:-4] + self.marks.to_bytes(4)
            if self.public(peer, source):
                self.allowed.add(self.marks)
            self.home.receive_rtp(peer, marked, self.now)
        self.drain()

    def drain(self) -> None:
        out = self.home.drain()
        if out.notice is not None:
            self.idle = out.notice.idle
            self.relay.append(("seats", self.home.seats()))
        for fanout in out.fanouts:
            for _, header in fanout.headers:
                self.near.receive(header + fanout.body)
        for relayed in out.relayed:
            if len(self.relay) not in self.lose:
                self.relay.append(("packet", relayed))

    def carry(self, count: int | None = None) -> None:
        """Let some of what is on the relay arrive at the sibling."""
        for _ in range(len(self.relay) if count is None else min(count, len(self.relay))):
            kind, what = self.relay.popleft()
            if kind == "facts":
                self.sibling.set_stage(**what[0], now=self.now, revision=what[1])
            elif kind == "seats":
                self.sibling.take_seats(what, self.now)
            elif kind == "publish":
                self.sibling.publish(*what, self.now)
            elif what.stream is None:
                self.sibling.receive_rtcp(what.peer, what.packet, self.now)
            else:
                self.sibling.receive_rtp(what.peer, what.packet, self.now, what.stream)
            self.show()

    def tell(self) -> None:
        """Let the server's own word arrive at the sibling."""
        if self.told:
            facts, revision = self.told.popleft()
            self.sibling.set_stage(**facts, now=self.now, revision=revision)
            self.show()

    def show(self) -> None:
        out = self.sibling.drain()
        if out.notice is not None:
            self.home.siblings.rest("sibling", out.notice.idle, self.now)
        for fanout in out.fanouts:
            for _, header in fanout.headers:
                self.far.receive(header + fanout.body)
        for peer, packet in out.rtcp:
            if peer == "far":
                self.far.control(packet)
            else:
                self.home.siblings.receive(peer, packet, self.now)

    def tick(self, seconds: float = 0.1) -> list[tuple[str, bytes]]:
        """Time passes for both; gives what the home asks of publishers."""
        self.now += seconds
        self.sibling.handle_timer(self.now)
        self.show()
        self.home.handle_timer(self.now)
        out = self.home.drain()
        for relayed in out.relayed:
            self.relay.append(("packet", relayed))
        if out.notice is not None:
            self.idle = out.notice.idle
            self.relay.append(("seats", self.home.seats()))
        return out.rtcp


def simulcast(owner: str) -> PublicationSpec:
    return PublicationSpec(
        id=f"{owner}-camera",
        owner=owner,
        source="camera",
        kind="video",
        codecs={96: VP8},
        mid="0",
        rids=("q", "f"),
        extensions={MID: 1, AUDIO_LEVEL: 2, TRANSPORT_CC: 3, RID: 4},
    )


def test_who_comes_later_learns_streams_that_are_no_longer_named() -> None:
    hall = Hall()
    hall.home.siblings.name([])
    hall.stage(open=True, on_stage=["ann"])
    hall.publish("ann", simulcast("ann"))
    low, high = Camera(1000, rid="q"), Camera(2000, rid="f")
    for camera in (low, high):
        hall.up("ann", "camera", camera.frame())
        camera.rid = None  # as browsers do once they were heard
    hall.home.siblings.name(["sibling"])
    for _ in range(20):
        for camera in (low, high):
            hall.up("ann", "camera", camera.frame())
        hall.carry()
        for peer, packet in hall.tick(1 / 30):
            assert peer == "ann"
            for camera in (low, high):
                camera.control(packet)
    frames = hall.far.frames(5000)
    assert len(frames) > 5
    assert frames[0][1], "it begins with a keyframe"
    assert hall.far.missing(5000) == []
    assert hall.sibling.stats().get("unknown_ssrc", 0) == 0


def test_seats_are_decided_at_home_and_kept_by_the_heir() -> None:
    hall = Hall()
    hall.stage(open=True, on_stage=["ann", "ben"])
    hall.publish("ann", camera_spec("ann", 1000))
    hall.publish("ben", camera_spec("ben", 2000))
    hall.stage(open=True, on_stage=["ben"])
    hall.carry()
    hall.stage(open=True, on_stage=["ben", "cat"])
    hall.publish("cat", camera_spec("cat", 3000))
    hall.carry()
    assert hall.sibling.seats() == hall.home.seats()
    assert hall.sibling.seats()["v1"] == ("ben", "camera", "video")
    for peer in ("ben", "cat"):
        hall.sibling.leave(peer, hall.now)
    hall.sibling.take_seats(None, hall.now)
    hall.sibling.publish("cat again", camera_spec("cat", 5, id="again"), hall.now)
    assert hall.sibling.seats()["v0"] == ("cat", "camera", "video")
    assert hall.sibling.seats()["v1"] == ("ben", "camera", "video")


def test_what_the_relay_lost_is_asked_of_the_home_and_comes_again() -> None:
    hall = Hall()
    hall.stage(open=True, on_stage=["ann"])
    hall.publish("ann", camera_spec("ann", 1000))
    camera = Camera(1000)
    hall.up("ann", "camera", camera.frame())
    hall.carry()
    hall.lose = {0, 1}
    hall.up("ann", "camera", camera.frame())
    hall.relay.clear()
    hall.lose = set()
    for _ in range(30):
        hall.tick(1 / 30)
        hall.up("ann", "camera", camera.frame())
        hall.carry()
    assert hall.home.stats()["relayed_again"] == 3
    assert hall.far.missing(5000) == []
    assert len(hall.far.frames(5000)) == 32


def test_a_sibling_gets_nothing_again_that_was_hidden_meanwhile() -> None:
    hall = Hall()
    hall.stage(open=True, on_stage=["ann"])
    hall.publish("ann", camera_spec("ann", 1000))
    packets = Camera(1000).frame()
    hall.up("ann", "camera", packets)
    hall.stage(open=True, on_stage=["ann"], veiled=True)
    hall.relay.clear()
    numbers = [parse_rtp(packet).sequence for packet in packets]
    hall.home.siblings.receive("ann", write_nack(1, 1000, numbers), hall.now)
    assert hall.home.drain().relayed == []


def test_newer_facts_are_not_undone_by_older_ones_that_took_a_longer_way() -> None:
    router = Router()
    closed = {"on_stage": ["ann"], "backstage": [], "muted": {}, "veiled": False, "now": 0.0}
    assert router.set_stage(open=False, revision=7, **closed)
    assert not router.set_stage(open=True, revision=6, **closed)
    assert router.set_stage(open=True, revision=7, **closed)


def test_lips_match_at_a_sibling_that_joined_after_the_report() -> None:
    hall = Hall()
    hall.home.siblings.name([])
    hall.stage(open=True, on_stage=["ann"])
    hall.publish("ann", simulcast("ann"))
    camera = Camera(1000, rid="q", began=(0.0, 4_000_000_000))
    hall.now = 2.0
    hall.up("ann", "camera", camera.frame())
    hall.home.receive_rtcp("ann", camera.report(hall.now), hall.now)
    hall.now = 5.0
    hall.home.siblings.name(["sibling"])
    hall.home.siblings.welcome()
    reported_at_a_sibling(hall, camera)


def test_lips_match_at_a_sibling_when_the_curtain_opens() -> None:
    hall = Hall()
    hall.stage(open=False, on_stage=["ann"])
    hall.publish("ann", simulcast("ann"))
    camera = Camera(1000, rid="q", began=(0.0, 4_000_000_000))
    hall.now = 2.0
    hall.up("ann", "camera", camera.frame())
    hall.home.receive_rtcp("ann", camera.report(hall.now), hall.now)
    hall.drain()
    assert not [r for kind, r in hall.relay if kind == "packet"], "closed means closed"
    hall.now = 5.0
    hall.stage(open=True, on_stage=["ann"])
    reported_at_a_sibling(hall, camera)
    hall.stage(open=False, on_stage=["ann"])
    for _ in range(10):
        hall.tick()
    hall.far.reports.clear()
    hall.stage(open=True, on_stage=["ann"])
    reported_at_a_sibling(hall, camera)


def reported_at_a_sibling(hall: Hall, camera: Camera) -> None:
    """The viewer has a report with the first pictures, and both routers have the same clock."""
    film(hall, {"q": camera}, 1.0)
    assert {report.ssrc for report in hall.far.reports} == {5000}
    here, there = (r._publications["ann-camera"].layers[0].timeline for r in (hall.home, hall.sibling))
    assert abs(here.moment(camera.timestamp, hall.now) - there.moment(camera.timestamp, hall.now)) < 0.001


def film(hall: Hall, cameras: dict[str, Camera], seconds: float) -> None:
    """A page that sends the layers which do not rest."""
    for _ in range(round(30 * seconds)):
        for rid, camera in cameras.items():
            if rid not in hall.idle.get("ann", {}).get("camera", ()):
                hall.up("ann", "camera", camera.frame())
        hall.carry()
        for _, packet in hall.tick(1 / 30):
            for camera in cameras.values():
                camera.control(packet)


def test_a_layer_rests_when_nobody_wants_it_anywhere_and_wakes_for_a_sibling() -> None:
    hall = Hall()
    cameras = {"q": Camera(1000, rid="q"), "f": Camera(2000, rid="f")}
    hall.stage(open=True, on_stage=["ann"])
    hall.publish("ann", simulcast("ann"))
    hall.home.leave("near", hall.now)
    film(hall, cameras, 15.0)
    assert hall.idle == {}, "somebody watches at the sibling"
    hall.sibling.leave("far", hall.now)
    film(hall, cameras, 15.0)
    assert hall.idle == {"ann": {"camera": ("q", "f")}}
    hall.far, came = Spectator("far"), hall.now
    hall.sibling.watch("far", "far", behind=False, slots=POOL, now=hall.now)
    while not hall.far.frames(5000):
        film(hall, cameras, 1 / 30)
        assert hall.now - came < 0.5
    assert hall.idle == {}
    assert hall.far.missing(5000) == []


def test_a_sibling_that_has_just_joined_wants_everything() -> None:
    hall = Hall()
    cameras = {"q": Camera(1000, rid="q"), "f": Camera(2000, rid="f")}
    hall.stage(open=True, on_stage=["ann"])
    hall.publish("ann", simulcast("ann"))
    hall.home.leave("near", hall.now)
    hall.sibling.leave("far", hall.now)
    film(hall, cameras, 15.0)
    assert hall.idle
    hall.home.siblings.rest("stranger", {}, hall.now)
    film(hall, cameras, 1.5)
    assert hall.idle, "what a stranger says counts for nothing"
    hall.home.siblings.name(["sibling", "another"])
    film(hall, cameras, 1.5)
    assert hall.idle == {}
    hall.home.siblings.name([])
    film(hall, cameras, 15.0)
    assert hall.idle == {"ann": {"camera": ("q", "f")}}


def test_a_sibling_asks_no_packet_of_a_stranger() -> None:
    router = Router()
    router.siblings.name(["sibling"])
    router.siblings.receive("nobody", write_nack(1, 2, [3]), 0.0)
    router.siblings.receive("nobody", b"\x00", 0.0)
    assert router.drain().relayed == []
    assert not [v for v in parse_rtcp(write_nack(1, 2, [3])) if not isinstance(v, Nack)]


stages = st.fixed_dictionaries(
    {
        "open": st.booleans(),
        "on_stage": st.lists(st.sampled_from(PEOPLE), unique=True),
        "backstage": st.lists(st.sampled_from(PEOPLE), unique=True, max_size=1),
        "muted": st.dictionaries(
            st.sampled_from(PEOPLE), st.lists(st.sampled_from(["camera", "microphone"])), max_size=1
        ),
        "veiled": st.sampled_from([False, False, False, True]),
    }
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("stage"), stages),
        st.tuples(st.just("send"), st.sampled_from(PEOPLE)),
        st.tuples(st.just("carry"), st.integers(1, 12)),
        st.tuples(st.just("tell"), st.none()),
        st.tuples(st.just("tick"), st.none()),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps)
def test_no_packet_crosses_the_curtain_however_late_anything_arrives(happenings) -> None:
    """Law 7 over a relay: whatever a sibling shows was public when it passed its home."""
    hall = Hall()
    cameras = {person: Camera(SSRC[person]) for person in PEOPLE}
    voices = {person: Microphone(SSRC[person] + 500) for person in PEOPLE}
    for person in PEOPLE:
        hall.publish(person, camera_spec(person, SSRC[person]))
        hall.publish(person, sound_spec(person, SSRC[person] + 500))
    for what, how in happenings:
        if what == "stage":
            hall.stage(**how)
        elif what == "send":
            hall.up(how, "microphone", [voices[how].frame()])
            hall.up(how, "camera", cameras[how].frame())
        elif what == "carry":
            hall.carry(how)
        elif what == "tell":
            hall.tell()
        else:
            for peer, packet in hall.tick():
                if peer in cameras:
                    cameras[peer].control(packet)
    while hall.told:
        hall.tell()
    hall.carry()
    shown = {int.from_bytes(p.payload[-4:]) for order in hall.far.order.values() for p in order}
    assert shown <= hall.allowed
    assert {int.from_bytes(p.payload[-4:]) for o in hall.near.order.values() for p in o} <= hall.allowed
    assert hall.sibling.seats() == hall.home.seats()
