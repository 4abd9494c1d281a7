"""OBS Studio's own WebRTC, libdatachannel, publishes by WHIP; aiortc watches and decodes what it sent."""

import base64
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from aiortc.codecs.h264 import H264PayloadDescriptor

from live.sfu.rtp import parse_rtp
from tests.kit.polling import until
from tests.kit.program import program
from tests.kit.server import ROOT
from tests.web.test_whip import Viewer

OBS = ROOT / "tests" / "obs"
PACKETS = ROOT / "tests" / "packets"


def payloads(name):
    """The RTP payloads of a golden stream; each of these is a whole frame."""
    data, at = (PACKETS / name).read_bytes(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        yield parse_rtp(data[at + 2 : at + 2 + size]).payload
        at += 2 + size


def stream(rids):
    """What the publisher plays; without layers, frames as an encoder gives them (Annex B)."""
    frames = list(payloads("h264.bin"))
    picture = frames if rids else [H264PayloadDescriptor.parse(frame)[1] for frame in frames]
    named = {"sound": payloads("opus.bin"), "picture": picture}
    encoded = {kind: [base64.b64encode(one).decode() for one in each] for kind, each in named.items()}
    return {**encoded, "rids": rids} if rids else encoded


def obs(folder, endpoint, ticket, rids=()):
    """Publish; gives the lines that the program has printed."""
    assert (OBS / "node_modules").is_dir(), "libdatachannel is not there: `make test` brings it"
    file = folder / "stream.json"
    file.write_text(json.dumps(stream(rids)))
    return program("node", OBS / "peer.mjs", endpoint, ticket, file)


@asynccontextmanager
async def watching(viewer):
    try:
        yield viewer
    finally:
        await viewer.close()


@pytest.mark.parametrize("rids", [(), ("2", "1", "0")], ids=["plain", "simulcast"])
async def test_what_obs_sends_is_decoded_by_a_viewer_and_ends_with_it(server, made, tmp_path, rids):
    server.move(made.id, "live")
    speaker = server.ticket(made.id, "speaker", "佐藤")
    async with (
        obs(tmp_path, f"{server.url}/whip/{made.id}", speaker, rids) as said,
        httpx.AsyncClient(base_url=server.url, timeout=20) as client,
        watching(Viewer(client, server.ticket(made.id, "attendee", "参加者"))) as viewer,
    ):
        await until(lambda: "connected" in said, within=20)
        assert {"answered 201", f"layers {';'.join(rids) or 'none'}"} <= set(said)
        await viewer.peer.watch(made.id, viewer.on_track)
        # Several groups of pictures: what was lost or misnumbered on the way would have stopped it.
        await until(lambda: viewer.frames["video"] > 20 and viewer.loud > 50, within=40)
    assert server.media("publishers") == {"0": 0.0}
