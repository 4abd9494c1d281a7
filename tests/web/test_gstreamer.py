"""GStreamer's webrtcbin publishes by WHIP and watches by WHEP: a second implementation beside aiortc."""

import subprocess
from pathlib import Path

import pytest

from tests.kit.polling import until
from tests.kit.program import program
from tests.kit.server import ROOT

PYTHON = Path("/usr/bin/python3")
SCRIPT = ROOT / "tests" / "kit" / "gst_peer.py"
PROBE = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstWebRTC
Gst.init(None)
needed = ("webrtcbin", "nicesrc", "dtlsdec", "srtpdec", "vp8enc", "opusenc", "rtpvp8pay", "videotestsrc")
raise SystemExit(not all(Gst.ElementFactory.find(name) for name in needed))
"""


def _here() -> bool:
    probe = [PYTHON, "-c", PROBE]
    return PYTHON.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _here(), reason="no GStreamer with PyGObject (`make system` brings it)")


def gstreamer(what: str, endpoint: str, ticket: str):
    return program(PYTHON, SCRIPT, what, endpoint, ticket)


async def test_webrtcbin_publishes_and_watches(server):
    made = server.make_session("会", door="open")
    server.move(made.id, "live")
    speaker = server.ticket(made.id, "speaker", "佐藤")
    attendee = server.ticket(made.id, "attendee", "参加者")
    async with (
        gstreamer("publish", f"{server.url}/whip/{made.id}", speaker) as sent,
        gstreamer("watch", f"{server.url}/whep/{made.id}", attendee) as seen,
    ):
        await until(lambda: "answered 201" in sent and "answered 201" in seen, within=20)
        await until(lambda: "buffer video 20" in seen and "buffer audio 20" in seen, within=30)
    assert server.media("publishers") == {"0": 0.0}
