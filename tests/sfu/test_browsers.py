"""What real browsers sent (tests/packets): descriptors are understood, layers left out without gaps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from live.sfu import Codec, Encoding, PublicationSpec
from live.sfu.contract import DEPENDENCY_DESCRIPTOR, Audience, Slot
from live.sfu.descriptor import Frames
from live.sfu.downtrack import Downtrack
from live.sfu.payloads import Red
from live.sfu.publication import Publisher
from live.sfu.rtp import parse_rtp

PACKETS = Path(__file__).parent.parent / "packets"
PICTURES = sorted(p.stem for p in PACKETS.glob("*-*.json") if not p.stem.endswith(("opus", "red")))


def recorded(name):
    """What was agreed, and the packets that are no retransmissions."""
    agreed = json.loads((PACKETS / f"{name}.json").read_text())
    codecs = {pt: Codec(codec, clock, pt, None, fmtp) for codec, clock, pt, fmtp in agreed["codecs"]}
    data, at, packets = (PACKETS / f"{name}.bin").read_bytes(), 0, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 2])
        packets.append(parse_rtp(data[at + 2 : at + 2 + size]))
        at += 2 + size
    return codecs, agreed["extensions"], [p for p in packets if p.pt in codecs]


@pytest.mark.parametrize("name", [n for n in PICTURES if n.startswith("chromium")])
def test_every_descriptor_of_chromium_is_understood(name):
    _, extensions, packets = recorded(name)
    frames = Frames()
    for rtp in packets:
        descriptor, _ = frames.read(rtp.extensions[extensions[DEPENDENCY_DESCRIPTOR]], 1.0, newest=True)
        assert descriptor.frame is not None
    assert len(frames.structure.targets) >= 2


@pytest.mark.parametrize("name", PICTURES)
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


def test_chromiums_redundancy_is_understood():
    codecs, _, packets = recorded("chromium-red")
    blocks = [Red(rtp.payload).blocks for rtp in packets if codecs[rtp.pt].name == "red"]
    assert len(blocks) > 20
    assert {pt for block in blocks for pt in block} <= {
        pt for pt, codec in codecs.items() if codec.name == "opus"
    }
