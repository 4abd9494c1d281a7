"""Law 11 while the source changes: layers by estimate, persons by seat and screen, under loss and reorder."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import PublicationSpec, Router, Slot
from live.sfu.contract import STAGE
from live.sfu.rtcp import ReportBlock, SenderReport, write_remb, write_rr, write_sr
from live.sfu.rtp import Rtp, parse_rtp, write_rtp
from tests.kit.theatre import EXTENSIONS, VP8, camera_slot, camera_spec, vp8_payload

RIDS = ("q", "h", "f")
FRAME = 2
fates = st.sampled_from(["ok"] * 8 + ["lose", "late"])
steps = st.lists(
    st.tuples(
        st.sampled_from(RIDS),
        st.sampled_from([True, True, False]),  # a keyframe
        st.lists(fates, min_size=FRAME, max_size=FRAME),
        st.sampled_from([None, 5_000, 10_000, 5_000_000]),  # the viewer's estimate
    ),
    min_size=40,
    max_size=90,
)


class Source:
    def __init__(self, peer, ssrc, rid, first):
        self.peer, self.ssrc, self.rid = peer, ssrc, rid
        self.sequence, self.picture = first, first & 0x7FFF

    def frame(self, router, fates, now, *, key):
        """Send one frame; a late packet comes after its successor."""
        self.picture = self.picture + 1 & 0x7FFF
        late = []
        for place, fate in enumerate(fates):
            rtp = Rtp(
                marker=0x80 * (place == FRAME - 1),
                pt=96,
                sequence=self.sequence,
                timestamp=int(now * 90000) & 0xFFFFFFFF,
                ssrc=self.ssrc,
                extensions={4: self.rid.encode()} if self.rid else {},
                payload=vp8_payload(self.picture, key=key, start=place == 0, tl0=self.picture)
                + self.ssrc.to_bytes(4),
            )
            self.sequence = self.sequence + 1 & 0xFFFF
            if fate == "late":
                late.append(write_rtp(rtp))
            elif fate == "ok":
                router.receive_rtp(self.peer, write_rtp(rtp), now)
        for data in late:
            router.receive_rtp(self.peer, data, now + 0.001)

    def report(self, router, now):
        report = SenderReport(self.ssrc, int(now * 2**32), int(now * 90000) & 0xFFFFFFFF, 0, 0)
        router.receive_rtcp(self.peer, write_sr(report), now)


def collect(router):
    return [parse_rtp(header + f.body) for f in router.drain().fanouts for _, header in f.headers]


def check(out):
    """In order of the numbers: sources change only at keyframes, pictures and time go forward."""
    assert len({p.sequence for p in out}) == len(out)
    source = picture = timestamp = None
    for rtp in sorted(out, key=lambda p: p.sequence):
        whose = int.from_bytes(rtp.payload[-4:])
        number = (rtp.payload[2] & 0x7F) << 8 | rtp.payload[3]
        starts = rtp.payload[0] & 0x10
        if whose != source:
            assert starts
            assert rtp.payload[6] & 1 == 0, "a delta frame before a keyframe"
        if picture is not None:
            assert (number - picture) & 0x7FFF < 2**14
            assert (rtp.timestamp - timestamp) & 0xFFFFFFFF < 2**31
            assert (number == picture) == (rtp.timestamp == timestamp)
            if whose != source:
                assert number == picture + 1 & 0x7FFF
        source, picture, timestamp = whose, number, rtp.timestamp


@settings(max_examples=80, deadline=None)
@given(steps, st.integers(0, 0xFFFF))
def test_layers_change_only_at_keyframes(plan, first):
    router: Router[str] = Router()
    router.set_stage(open=True, on_stage=["ann"], backstage=[], muted={}, veiled=False, now=1.0)
    spec = PublicationSpec("p", "ann", "camera", "video", {96: VP8}, (), None, RIDS, EXTENSIONS)
    router.publish("ann", spec, 1.0)
    router.watch("bob", "bob", behind=False, slots=(camera_slot(0),), now=1.0)
    sources = {r: Source("ann", 1000 + n, r, first + 999 * n & 0xFFFF) for n, r in enumerate(RIDS)}
    now, out = 1.0, []
    for number, (rid, key, fates, estimate) in enumerate(plan):
        now += 0.05
        sources[rid].frame(router, fates, now, key=key)
        if number % 10 == 3:
            for source in sources.values():
                source.report(router, now)
        if estimate is not None:
            lossy = write_rr(9, [ReportBlock(5000, 30, 0, 0, 0, 0, 0)])
            router.receive_rtcp("bob", lossy + write_remb(9, estimate, [5000]), now)
        router.handle_timer(now)
        out += collect(router)
    check(out)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 2), st.booleans(), st.lists(fates, min_size=FRAME, max_size=FRAME), st.booleans()
        ),
        min_size=10,
        max_size=80,
    )
)
def test_persons_change_only_at_keyframes(plan):
    """A foreign viewer's one slot, over people who come, go and share their screen."""
    router: Router[str] = Router()
    names = ["ann", "ben", "cid"]
    slot: Slot = camera_slot(0, follows=STAGE)
    router.watch("obs", "obs", behind=False, slots=(slot,), now=1.0)
    sources = [Source(name, 1000 + 10 * n, None, 700 * n) for n, name in enumerate(names)]
    for n, name in enumerate(names):
        router.publish(name, camera_spec(name, 1000 + 10 * n, source="screen" if n == 2 else "camera"), 1.0)
    now, out = 1.0, []
    present = set(names)
    for who, key, fates, toggles in plan:
        now += 0.05
        if toggles:
            present ^= {names[who]}
        router.set_stage(open=True, on_stage=present, backstage=[], muted={}, veiled=False, now=now)
        sources[who].frame(router, fates, now, key=key)
        router.handle_timer(now)
        out += collect(router)
    check(out)
