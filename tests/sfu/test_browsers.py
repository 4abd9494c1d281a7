"""What real browsers sent (tests/packets): descriptors are understood, layers left out without gaps."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from live.sfu import Codec, Encoding, PublicationSpec
from live.sfu.contract import AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, Audience, Slot
from live.sfu.descriptor import Frames
from live.sfu.downtrack import Downtrack
from live.sfu.payloads import Red
from live.sfu.publication import Publisher
from live.sfu.rtcp import Bye, SenderReport, parse_rtcp
from live.sfu.rtp import Rtp, parse_rtp
from live.sfu.timeline import Skew, Timeline

PACKETS = Path(__file__).parent.parent / "packets"
PICTURES = sorted(p.stem for p in PACKETS.glob("*-*.json") if not p.stem.endswith(("opus", "red")))


def recorded(name):
    """What was agreed, and the packets that are no retransmissions."""
    agreed = json.loads((PACKETS / f"{name}.json").read_text())
    codecs = {pt: Codec(codec, clock, pt, None, fmtp) for codec, clock, pt, fmtp in agreed["codecs"]}
    packets = [parse_rtp(data) for data in framed(name)]
    return codecs, agreed["extensions"], [p for p in packets if p.pt in codecs]


def framed(name):
    """The packets of a file, each behind its length."""
    data, at, packets = (PACKETS / f"{name}.bin").read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 2])
        packets.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return packets


@pytest.mark.parametrize("name", [n for n in PICTURES if n.startswith("chromium")])
def test_every_descriptor_of_chromium_is_understood(name):
    _, extensions, packets = recorded(name)
    frames = Frames()
    for rtp in packets:
        descriptor, _ = frames.read(rtp.extensions[extensions[DEPENDENCY_DESCRIPTOR]], 1.0, newest=True)
        assert descriptor.frame is not None
    assert len(frames.structure.targets) >= 2


@pytest.mark.parametrize("name", [n for n in PICTURES if not n.endswith("large")])
@pytest.mark.parametrize("least", [True, False])
def test_a_browsers_picture_goes_through_whole_or_without_its_upper_layers(name, least):
    codecs, extensions, packets = recorded(name)
    spec = PublicationSpec(
        "p", "ann", "camera", "video", codecs, (Encoding(packets[0].ssrc),), extensions=extensions
    )
    publication = Publisher("ann", 1.0).add(spec)
    publication.audience = Audience.EVERYONE
    layer = publication.layers[0]
    viewer = Downtrack("bob", Slot("v0", "video", 5000, None, (*codecs.values(),), {}, "v0"))
    viewer.aim(layer.whole, 1.0)
    out = []
    for n, rtp in enumerate(packets):
        for fanout in layer.receive(rtp, 1.0 + n / 100):
            out += [parse_rtp(header + fanout.body) for _, header in fanout.headers]
        if least and viewer.point is layer.whole and len(layer.points) > 1:
            viewer.aim(layer.points[0], 1.0)
    assert sorted(p.sequence for p in out) == list(range(1, len(out) + 1))
    if least and name.startswith("chromium"):
        assert viewer.point is layer.points[0]
        assert len(out) < 0.9 * len(packets)
    else:
        assert len(out) > 0.9 * len(packets)


LARGE = [n for n in PICTURES if n.endswith("large")]


class Watched:
    """Plays a recording, again and again, to a viewer who reads the descriptors."""

    def __init__(self, name):
        codecs, self.extensions, self.packets = recorded(name)
        codec = self.codec = next(iter(codecs.values()))
        ssrc = self.packets[0].ssrc
        spec = PublicationSpec(
            "p", "ann", "camera", "video", {codec.pt: codec}, (Encoding(ssrc),), extensions=self.extensions
        )
        self.publication = Publisher("ann", 1.0).add(spec)
        self.publication.audience = Audience.EVERYONE
        self.layer = self.publication.layers[0]
        ids = {DEPENDENCY_DESCRIPTOR: 9}
        self.viewer = Downtrack("bob", Slot("v0", "video", 5000, None, (codec,), ids, "v0", True))
        self.now, self.plays, self.numbers = 1.0, 0, itertools.count(65_000)
        self.frames, self.had, self.sequence = Frames(), {}, 0

    def play(self, first, end):
        """Let some packets come; gives the (spatial, temporal) layers that reach the viewer."""
        self.plays += not first
        seen = set()
        for rtp in self.packets[first:end]:
            self.now += 1 / 30
            again = Rtp(
                marker=rtp.marker,
                pt=rtp.pt,
                sequence=next(self.numbers) & 0xFFFF,
                timestamp=rtp.timestamp + self.plays * 20 * 90000 & 0xFFFFFFFF,
                ssrc=rtp.ssrc,
                extensions=rtp.extensions,
                payload=rtp.payload,
            )
            for fanout in self.layer.receive(again, self.now):
                for _, header in fanout.headers:
                    seen.add(self.decode(parse_rtp(header + fanout.body)))
        return seen

    def decode(self, rtp):
        """What a packet belongs to; the numbers go on, and what its frame refers to was there."""
        self.sequence += 1
        assert rtp.sequence == self.sequence
        descriptor, number = self.frames.read(rtp.extensions[9], self.now, newest=True)
        if descriptor.structure is not None:
            self.had.clear()
        assert descriptor.frame is not None
        assert all(self.had[number - back] for back in descriptor.frame.references)
        self.had[number] = descriptor.ends
        return descriptor.frame.spatial, descriptor.frame.temporal

    def drops_at(self):
        """The first packet after Chromium was allowed too little for its upper spatial layer."""
        frames = Frames()
        for place, rtp in enumerate(self.packets):
            frames.read(rtp.extensions[self.extensions[DEPENDENCY_DESCRIPTOR]], 1.0, newest=True)
            if frames.active != (1 << len(frames.structure.targets)) - 1:
                return place
        raise AssertionError("nothing was left out")


@pytest.mark.parametrize("name", LARGE)
def test_each_point_of_chromiums_scalable_picture_is_what_it_says(name):
    watched = Watched(name)
    end = watched.drops_at()
    watched.play(0, end)
    points = list(watched.layer.points)
    assert {point.spatial for point in points} == {0, 1}
    for point in points:
        watched.viewer.aim(point, watched.now)
        key = {(0, 0), (1, 0)} if point.spatial else {(0, 0)}
        wanted = {(point.spatial, temporal) for temporal in range(point.temporal + 1)}
        assert watched.play(0, end) == key | wanted


@pytest.mark.parametrize("name", LARGE)
def test_who_sees_a_layer_that_chromium_leaves_out_falls_at_a_keyframe_and_rises_again(name):
    watched = Watched(name)
    watched.viewer.aim(watched.layer.whole, watched.now)
    drop = watched.drops_at()
    assert {spatial for spatial, _ in watched.play(0, drop)} == {0, 1}
    assert watched.play(drop, None) == set()
    assert watched.layer.keyframes.asked, "the lower layer cannot be begun without"
    low = watched.viewer.target
    assert (low.spatial, low) == (0, watched.layer.best)
    assert {spatial for spatial, _ in watched.play(0, drop)} == {0, 1}
    assert watched.viewer.point is watched.layer.whole
    assert not watched.layer.keyframes.asked


def test_chromiums_redundancy_is_understood():
    codecs, _, packets = recorded("chromium-red")
    blocks = [Red(rtp.payload).blocks for rtp in packets if codecs[rtp.pt].name == "red"]
    assert len(blocks) > 20
    assert {pt for block in blocks for pt in block} <= {
        pt for pt, codec in codecs.items() if codec.name == "opus"
    }


@pytest.mark.parametrize("name", ["chromium-opus", "firefox-opus"])
@pytest.mark.parametrize("lost", [set(), {0}, {3, 4}])
def test_a_browsers_sound_goes_through_as_it_came(name, lost):
    codecs, extensions, packets = recorded(name)
    spec = PublicationSpec(
        "p", "ann", "microphone", "audio", codecs, (Encoding(packets[0].ssrc),), extensions=extensions
    )
    publication = Publisher("ann", 1.0).add(spec)
    publication.audience = Audience.EVERYONE
    layer = publication.layers[0]
    ids = {AUDIO_LEVEL: 5}
    viewer = Downtrack("bob", Slot("a0", "audio", 7000, None, (Codec("opus", 48000, 111),), ids, "a0"))
    viewer.aim(layer.whole, 1.0)
    came, out = [rtp for n, rtp in enumerate(packets) if n not in lost], []
    for n, rtp in enumerate(came):
        assert codecs[rtp.pt].name == "opus"
        for fanout in layer.receive(rtp, 1.0 + n / 50):
            out += [parse_rtp(header + fanout.body) for _, header in fanout.headers]
    assert [rtp.payload for rtp in out] == [rtp.payload for rtp in came]
    assert {rtp.pt for rtp in out} == {111}
    for which in ("sequence", "timestamp"):
        mask = 0xFFFF if which == "sequence" else 0xFFFFFFFF
        steps = [
            [(getattr(b, which) - getattr(a, which)) & mask for a, b in itertools.pairwise(some)]
            for some in (came, out)
        ]
        assert steps[0] == steps[1]
    levels = [rtp.extensions[extensions[AUDIO_LEVEL]][0] & 0x7F for rtp in came]
    assert [rtp.extensions[5][0] & 0x7F for rtp in out] == levels
    assert min(levels) < 60, "the browser's fake microphone beeps"


@pytest.mark.parametrize(("name", "ends"), [("chromium-vp8-l1t3", False), ("firefox-vp8", True)])
def test_a_browsers_sender_reports_are_a_clock(name, ends):
    values = [value for data in framed(f"{name}-rtcp") for value in parse_rtcp(data)]
    assert isinstance(values[-1], Bye) is ends
    reports = [value for value in values if isinstance(value, SenderReport)]
    assert len(reports) >= 5
    assert len({report.ssrc for report in reports}) == 1
    skew = Skew()
    timeline = Timeline(skew, 90_000)
    first = reports[0]
    for now, report in ((1.0 + (r.ntp - first.ntp) / 2**32, r) for r in reports):
        skew.report(report.ntp, now)
        if report is not first:
            moment = timeline.moment(report.timestamp, now)
            assert abs(moment - now) < 0.02, "the report before tells where this one is"
        timeline.report(report)
