"""Viewers who change layers each by themselves come to be written alike; their counters never go back."""

from __future__ import annotations

import random

import pytest

from live.sfu import PublicationSpec
from live.sfu.contract import DEPENDENCY_DESCRIPTOR, Audience, Slot
from live.sfu.descriptor import Frames
from live.sfu.downtrack import Downtrack
from live.sfu.numbers import ahead
from live.sfu.payloads import Vp8
from live.sfu.publication import Publisher
from live.sfu.rewriting import PICTURE, TL0
from live.sfu.rtp import parse_rtp
from tests.kit.streams import EXTENSIONS, PACKETS, Stream

RIDS = ("q", "h", "f")
VIEWERS = 100


class Simulcast:
    """Three streams of one camera, and viewers who keep all they get."""

    def __init__(self, **mode) -> None:
        self.streams = [
            Stream("vp8", ssrc=1000 + n, first=30_000 * (n + 1) & PICTURE, **mode) for n in range(len(RIDS))
        ]
        codec = self.streams[0].format
        spec = PublicationSpec(
            "p", "ann", "camera", "video", {codec.pt: codec}, rids=RIDS, extensions=EXTENSIONS
        )
        self.publication = Publisher("ann", 1.0).add(spec)
        self.publication.audience = Audience.EVERYONE
        self.layers = self.publication.layers
        for layer, stream in zip(self.layers, self.streams, strict=True):
            layer.bind(stream.ssrc)
        slot = Slot("v0", "video", 5000, None, (codec,), {DEPENDENCY_DESCRIPTOR: 9}, "v0", True)
        self.viewers = {name: Downtrack(name, slot) for name in range(VIEWERS)}
        self.got = {name: {} for name in self.viewers}
        self.now, self.bodies = 1.0, 0

    def film(self, pictures: int, *, key: bool) -> None:
        """Every layer sends pictures, the first of them a keyframe."""
        for n in range(pictures):
            self.now += 1 / 30
            for layer, stream in zip(self.layers, self.streams, strict=True):
                for frame in stream.picture(key=key and not n):
                    for rtp in stream.packets(frame, round(self.now * 90000)):
                        self.take(layer.receive(rtp, self.now))

    def take(self, fanouts) -> None:
        self.bodies = len(fanouts)
        for fanout in fanouts:
            for name, header in fanout.headers:
                rtp = parse_rtp(header + fanout.body)
                self.got[name][rtp.sequence] = rtp

    def walk(self, dice: random.Random, rounds: int) -> None:
        """Each round, half of all go to another layer, one after the other."""
        for _ in range(rounds):
            for viewer in dice.sample([*self.viewers.values()], VIEWERS // 2):
                viewer.aim(dice.choice(self.layers).whole, self.now)
                if dice.random() < 0.1:
                    self.film(1, key=dice.random() < 0.5)
            self.film(dice.randint(2, 9), key=True)

    def groups(self) -> int:
        return max(len(layer.whole.rewrites) for layer in self.layers)


def check(packets, *, described: bool) -> None:
    """Numbers without a gap; counters that go on by one, and at keyframes go ahead."""
    assert sorted(packets) == list(range(1, len(packets) + 1))
    frames, last, before = Frames(), None, None
    for sequence in sorted(packets):
        rtp = packets[sequence]
        head = Vp8(rtp.payload)
        if described:
            descriptor, number = frames.read(rtp.extensions[9], float(sequence), newest=True)
            assert descriptor.frame is not None
            if before is not None:
                assert number >= before if head.keyframe or not head.starts else number == before + 1
            before = number
        if last is not None:
            step, up = ahead(head.picture_id, last.picture_id, PICTURE), ahead(head.tl0, last.tl0, TL0)
            if not head.starts:
                assert (step, up) == (0, 0)
            elif head.keyframe:
                assert step > 0
                assert up > 0
            else:
                assert (step, up) == (1, head.temporal == 0)
        last = head


@pytest.mark.parametrize("described", [False, True])
@pytest.mark.parametrize("temporal", [1, 3])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_any_changes_of_layers_a_keyframe_leaves_two_ways_of_writing_at_most(described, temporal, seed):
    camera = Simulcast(temporal=temporal, descriptor=described, synced=1)
    dice = random.Random(seed)  # noqa: S311  a repeatable walk
    for viewer in camera.viewers.values():
        viewer.aim(dice.choice(camera.layers).whole, camera.now)
    camera.film(4, key=True)
    camera.walk(dice, 12)
    assert camera.groups() > 1, "else nothing is tried here"
    camera.film(4, key=True)
    assert camera.groups() <= 2
    for viewer in camera.viewers.values():
        viewer.aim(camera.layers[2].whole, camera.now)
    camera.film(4, key=True)
    camera.film(4, key=True)
    assert camera.groups() <= 2
    assert sum(len(r.downtracks) for r in camera.layers[2].whole.rewrites) == VIEWERS
    for packets in camera.got.values():
        check(packets, described=described)
        assert len(packets) > 12 * PACKETS
