"""Media that is encrypted end to end: we find the same keyframes and layers, and change no sealed byte.

A browser's transform seals frames before they are cut into packets: payload descriptors are written
afterwards and stay readable. Of the frame, VP8 leaves 10 bytes of a keyframe and 3 of others in the clear,
Opus its first byte; frames with a dependency descriptor are sealed whole.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Encoding, PublicationSpec
from live.sfu.contract import DEPENDENCY_DESCRIPTOR, Audience, Slot
from live.sfu.downtrack import Downtrack
from live.sfu.payloads import Vp8
from live.sfu.publication import Publisher
from live.sfu.rtp import parse_rtp
from tests.sfu.test_browsers import PACKETS, recorded
from tests.sfu.test_golden import CODECS, golden

KEY, DELTA, SOUND = 10, 3, 1
"""Bytes of a frame in the clear."""
NAMES = sorted(p.stem for p in PACKETS.glob("*.bin") if not p.stem.endswith(("red", "rtcp")))


@dataclass
class Made:
    """A recorded stream: what was agreed, its packets, and whether they carry dependency descriptors."""

    codecs: dict
    extensions: dict
    packets: list

    @property
    def codec(self):
        return next(iter(self.codecs.values())).name

    @property
    def described(self):
        number = self.extensions.get(DEPENDENCY_DESCRIPTOR)
        return all(number in rtp.extensions for rtp in self.packets)


def stream(name):
    if name in CODECS:
        return Made({CODECS[name].pt: CODECS[name]}, {}, [parse_rtp(data) for data in golden(name)])
    return Made(*recorded(name))


STREAMS = {name: made for name in NAMES if (made := stream(name)).described or made.codec in ("vp8", "opus")}


def vp8_descriptor(payload):
    """Its length (RFC 7741 §4.2)."""
    at = 1
    if payload[0] & 0x80:
        flags, at = payload[1], 2
        if flags & 0x80:
            at += 2 if payload[at] & 0x80 else 1
        at += bool(flags & 0x40) + bool(flags & 0x30)
    return at


def vp9_descriptor(payload):
    """Its length as far as it says what layer a packet is of (RFC 9628 §4.2)."""
    first, at = payload[0], 1
    if first & 0x80:
        at += 2 if payload[at] & 0x80 else 1
    if first & 0x20:
        at += 1 if first & 0x10 else 2
    return at


def clear(made, payload, *, kept=True):
    """How many bytes of a payload stay readable; not `kept`: without those of a VP8 frame."""
    if made.codec == "opus":
        return SOUND
    if made.codec == "vp8":
        at, begins = vp8_descriptor(payload), payload[0] & 0x17 == 0x10
        if made.described or not begins or not kept:
            return at
        return at + (DELTA if payload[at] & 1 else KEY)
    return vp9_descriptor(payload) if made.codec == "vp9" else 0


def sealed(made, seed, *, kept=True):
    """The packets with everything else scrambled."""
    dice, out = random.Random(seed), []  # noqa: S311 - reproducible rubbish
    for rtp in made.packets:
        one, at = copy.copy(rtp), clear(made, rtp.payload, kept=kept)
        one.payload = rtp.payload[:at] + dice.randbytes(len(rtp.payload[at:]))
        out.append(one)
    return out


def through(made, packets, switches):
    """What a layer says of the packets, and what a viewer gets who changes the point at these places."""
    kind = "audio" if made.codec == "opus" else "video"
    source = "microphone" if kind == "audio" else "camera"
    ssrc = packets[0].ssrc
    spec = PublicationSpec(
        "p", "ann", source, kind, made.codecs, (Encoding(ssrc),), extensions=made.extensions
    )
    publication = Publisher("ann", 1.0).add(spec)
    publication.audience = Audience.EVERYONE
    layer = publication.layers[0]
    viewer = Downtrack("bob", Slot("s", kind, 5000, None, (*made.codecs.values(),), made.extensions, "s"))
    viewer.aim(layer.whole, 1.0)
    said, sent = [], []
    for place, rtp in enumerate(packets):
        if place in switches and viewer.point is not None:
            viewer.aim(layer.points[place % len(layer.points)], 1.0)
        for fanout in layer.receive(copy.copy(rtp), 1.0 + place / 100):
            out = [parse_rtp(header + fanout.body) for _, header in fanout.headers]
            sent += [(p.sequence, p.timestamp, p.marker, p.extensions, p.payload) for p in out]
        packet = layer.cache.get(layer.highest, 1.0 + place / 100)
        layers = (packet.spatial, packet.temporal, packet.dtis, packet.picture)
        said.append((packet.keyframe, packet.starts, packet.ends, *layers, len(layer.points)))
    return said, sent


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_sealed_stream_is_sent_as_the_same_stream_unsealed_is(name, data):
    made = STREAMS[name]
    switches = data.draw(st.sets(st.integers(1, len(made.packets) - 1), max_size=8))
    closed = sealed(made, data.draw(st.integers(0, 2**32)))
    said, sent = through(made, made.packets, switches)
    said_closed, sent_closed = through(made, closed, switches)
    assert said_closed == said
    assert len(sent) > len(made.packets) // 8
    assert [one[:4] for one in sent_closed] == [one[:4] for one in sent]
    ends = {rtp.payload[clear(made, rtp.payload) :] for rtp in closed}
    for (*_, plain), (*_, secret) in zip(sent, sent_closed, strict=True):
        at = clear(made, plain)
        assert secret[:at] == plain[:at]
        assert secret[at:] in ends


@pytest.mark.parametrize(
    "name", [name for name, made in STREAMS.items() if made.codec == "vp8" and not made.described]
)
def test_a_stream_sealed_too_far_is_not_understood(name):
    """The bytes left in the clear are what we look at: without them, keyframes are where there are none."""
    made = STREAMS[name]
    said, _ = through(made, made.packets, ())
    assert any(through(made, sealed(made, seed, kept=False), ())[0] != said for seed in range(5))


def test_the_streams_hold_keyframes_and_layers_of_every_codec():
    assert {made.codec for made in STREAMS.values()} == {"vp8", "vp9", "av1", "h264", "opus"}
    found = [line for made in STREAMS.values() for line in through(made, made.packets, ())[0]]
    assert {line[0] for line in found} == {True, False}
    assert {line[4] for line in found} >= {0, 1, 2}
    assert any(Vp8(rtp.payload).keyframe for rtp in STREAMS["firefox-vp8"].packets)
