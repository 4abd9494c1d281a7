"""Streams of real encoders (tests/packets): keyframes are found; what goes in comes out, numbered anew."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from live.sfu import Codec, Encoding, PublicationSpec, Router
from live.sfu.contract import Audience
from live.sfu.payloads import HEADS
from live.sfu.publication import Publisher
from live.sfu.rtp import parse_rtp
from tests.kit.theatre import camera_slot, sound_slot

PACKETS = Path(__file__).parent.parent / "packets"
CODECS = {
    "vp8": Codec("vp8", 90000, 96),
    "vp9": Codec("vp9", 90000, 98),
    "h264": Codec("h264", 90000, 102),
    "opus": Codec("opus", 48000, 111),
}


def golden(name):
    data, at, packets = (PACKETS / f"{name}.bin").read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 2])
        packets.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    return packets


@pytest.mark.parametrize("name", ["vp8", "vp9", "h264"])
def test_every_eighth_frame_is_a_keyframe(name):
    codec = CODECS[name]
    spec = PublicationSpec("p", "ann", "camera", "video", {codec.pt: codec}, (Encoding(1000),))
    publication = Publisher("ann", 1.0).add(spec)
    publication.audience = Audience.EVERYONE
    layer = publication.layers[0]
    frames, keyframes = 0, []
    for data in golden(name):
        layer.receive(parse_rtp(data), 1.0)
        packet = layer.cache.get(layer.highest, 1.0)
        if packet.keyframe:
            keyframes.append(frames)
        frames += bool(packet.marker)
    assert (frames, keyframes) == (24, [0, 8, 16])


@pytest.mark.parametrize("name", list(CODECS))
@pytest.mark.parametrize("skipped", [0, 3])
def test_a_stream_goes_through_from_its_first_keyframe_on(name, skipped):
    codec = CODECS[name]
    kind = "audio" if name == "opus" else "video"
    source = "microphone" if kind == "audio" else "camera"
    ssrc = 2000 if kind == "audio" else 1000
    slot = sound_slot(0) if kind == "audio" else camera_slot(0, codecs=(codec,))
    router: Router[str] = Router()
    router.set_stage(open=True, on_stage=["ann"], backstage=[], muted={}, veiled=False, now=1.0)
    spec = PublicationSpec("p", "ann", source, kind, {codec.pt: codec}, (Encoding(ssrc),))
    router.publish("ann", spec, 1.0)
    router.watch("bob", "bob", behind=False, slots=(slot,), now=1.0)
    into = golden(name)[skipped:]
    for place, data in enumerate(into):
        router.receive_rtp("ann", data, 1.0 + place / 30)
    out = [parse_rtp(header + f.body) for f in router.drain().fanouts for _, header in f.headers]
    came = [parse_rtp(data) for data in into]
    first = next(n for n, p in enumerate(came) if name not in HEADS or HEADS[name](p.payload).keyframe)
    assert [p.payload for p in out] == [p.payload for p in came[first:]]
    assert [p.sequence for p in out] == list(range(1, len(out) + 1))
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(out)]
    assert steps == [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(came[first:])]
    assert router.stats().get("malformed", 0) == 0
