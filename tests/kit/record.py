"""Records what real browsers publish, as golden packets for tests/packets: ``python -m tests.kit.record``.

Each page publishes a small fake camera, or the fake microphone, to a media plane in this process; the packets
are written as the router gets them (unprotected RTP), each behind its length; what was agreed lies beside.
Names of recordings as arguments: only those.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from live.media.control import MediaSettings, StageFacts
from live.media.plane import Plane
from live.sfu import PublicationSpec
from live.sfu.contract import DEPENDENCY_DESCRIPTOR
from live.sfu.descriptor import parse_descriptor
from live.sfu.rtp import Rtp, parse_rtp
from tests.browser.conftest import FLAGS
from tests.browser.firefox import Firefox

FOLDER = Path(__file__).parent.parent / "packets"
PICTURE_PACKETS, SOUND_PACKETS, LARGE_PACKETS = 60, 40, 180
KEYFRAME_AFTER = 24
"""Packets after which a keyframe is asked for, so that a recording has two."""
WARM = 6.0
"""Seconds until a large picture has its spatial layers: the recording begins then, at a keyframe."""

PUBLISH = """
async ({kind, codec, mode, red, large}) => {
  const size = large ? {width: 640, height: 360} : {width: 160, height: 120};
  const media = await navigator.mediaDevices.getUserMedia(
    kind === "video" ? {video: {...size, frameRate: 10}} : {audio: true});
  const pc = window.publisher = new RTCPeerConnection();
  const encoding = {maxBitrate: large ? 600000 : 80000};
  if (mode) encoding.scalabilityMode = mode;
  const transceiver = pc.addTransceiver(media.getTracks()[0],
    {direction: "sendonly", ...(kind === "video" ? {sendEncodings: [encoding]} : {})});
  const known = RTCRtpSender.getCapabilities(kind).codecs;
  const first = known.filter((c) => c.mimeType.toLowerCase() === `${kind}/${red ? "red" : codec}`);
  if (!first.length) return null;
  transceiver.setCodecPreferences([...first, ...known.filter((c) => !first.includes(c) &&
    (red || /rtx|opus/i.test(c.mimeType)))]);
  await pc.setLocalDescription();
  return pc.localDescription.sdp;
}
"""
ANSWER = "async (sdp) => { await publisher.setRemoteDescription({type: 'answer', sdp}); return true; }"
NARROW = """
async () => {
  const sender = publisher.getSenders()[0];
  const parameters = sender.getParameters();
  parameters.encodings[0].maxBitrate = 60000;
  await sender.setParameters(parameters);
  return true;
}
"""
STOP = "() => { publisher.close(); return true; }"


@dataclass(frozen=True)
class Take:
    """One recording.

    Attributes:
        large: 640 × 360, where spatial layers exist; half-way the sender may send too little for all.
        reports: Its RTCP is recorded too.
    """

    name: str
    kind: str
    codec: str
    mode: str = ""
    red: bool = False
    large: bool = False
    reports: bool = False


CHROMIUM = (
    Take("chromium-vp8-l1t3", "video", "vp8", "L1T3", reports=True),
    Take("chromium-vp9-l3t3-key", "video", "vp9", "L3T3_KEY"),
    Take("chromium-vp9-l1t2", "video", "vp9", "L1T2"),
    Take("chromium-av1-l2t2", "video", "av1", "L2T2"),
    Take("chromium-vp9-l3t3-key-large", "video", "vp9", "L3T3_KEY", large=True),
    Take("chromium-av1-l2t2-key-large", "video", "av1", "L2T2_KEY", large=True),
    Take("chromium-h264-l1t2", "video", "h264", "L1T2"),
    Take("chromium-opus", "audio", "opus"),
    Take("chromium-red", "audio", "opus", red=True),
)
FIREFOX = (
    Take("firefox-vp8", "video", "vp8", reports=True),
    Take("firefox-vp9", "video", "vp9"),
    Take("firefox-h264", "video", "h264"),
    Take("firefox-opus", "audio", "opus"),
)


class Recorder:
    """A media plane whose router's ear is tapped."""

    def __init__(self) -> None:
        self.plane = Plane(MediaSettings(port=0, fanout="python"), lambda *_: None, b"golden packets")
        self.plane.open()

    async def record(self, take: Take, evaluate: Any) -> None:
        """Let a page publish, and write what comes."""
        offer = await evaluate(PUBLISH, vars_of(take))
        if not offer:
            print(f"{take.name}: not offered", file=sys.stderr)  # noqa: T201  a command
            return
        room = take.name
        self.plane.stage(room, StageFacts(open=True, on_stage=["ann"]))
        answer = self.plane.publish(room, "ann", "camera", offer)
        hall = self.plane._rooms[room]
        peer = hall.peers[answer.resource]
        spec = peer.publications[0]
        packets: list[bytes] = []
        reports: list[bytes] = []
        listen, heed = hall.router.receive_rtp, hall.router.receive_rtcp
        warm = time.monotonic() + WARM if take.large else 0.0

        def tapped(peer: Any, data: bytes, now: float, *more: Any) -> None:
            rtp = parse_rtp(data)
            if rtp.payload and (packets or (now >= warm and (not warm or _begins(spec, rtp)))):
                packets.append(data)
            listen(peer, data, now, *more)

        def reported(peer: Any, data: bytes, now: float) -> None:
            reports.append(data)
            heed(peer, data, now)

        hall.router.receive_rtp = tapped  # type: ignore[method-assign]
        hall.router.receive_rtcp = reported  # type: ignore[method-assign]
        await evaluate(ANSWER, answer.sdp)
        wanted = LARGE_PACKETS if take.large else PICTURE_PACKETS if take.kind == "video" else SOUND_PACKETS
        end, asked, narrow = time.monotonic() + 40, False, not take.large
        while len(packets) < wanted and time.monotonic() < end:
            await asyncio.sleep(0.02)
            due = time.monotonic() > warm if warm else len(packets) >= KEYFRAME_AFTER
            if take.kind == "video" and due and not asked:
                asked = True
                for layer in hall.router._asking.layers():
                    layer.keyframes.want(time.monotonic(), newcomer=True)
            if not narrow and len(packets) > wanted // 2:
                narrow = True
                await evaluate(NARROW, None)
        await evaluate(STOP, None)
        agreed = {
            "codecs": [[c.name, c.clock, c.pt, dict(c.fmtp)] for c in spec.codecs.values()],
            "extensions": dict(spec.extensions),
        }
        packets = packets[:wanted]
        data = _framed(packets)
        (FOLDER / f"{take.name}.bin").write_bytes(data)
        if take.reports:
            (FOLDER / f"{take.name}-rtcp.bin").write_bytes(_framed(reports))
        (FOLDER / f"{take.name}.json").write_text(json.dumps(agreed, indent=1) + "\n")
        print(f"{take.name}: {len(packets)} packets, {len(data)} bytes")  # noqa: T201  a command


def wanted(take: Take) -> bool:
    """Whether a recording was asked for by its name; without names, all are."""
    return not sys.argv[1:] or take.name in sys.argv[1:]


def _framed(packets: list[bytes]) -> bytes:
    return b"".join(len(p).to_bytes(2) + p for p in packets)


def _begins(spec: PublicationSpec, rtp: Rtp) -> bool:
    """Whether a packet begins a keyframe, by its descriptor."""
    descriptor = rtp.extensions.get(spec.extensions[DEPENDENCY_DESCRIPTOR])
    return descriptor is not None and parse_descriptor(descriptor).structure is not None


def vars_of(take: Take) -> dict[str, Any]:
    """What the page has to know."""
    return {"kind": take.kind, "codec": take.codec, "mode": take.mode, "red": take.red, "large": take.large}


async def main() -> None:
    recorder = Recorder()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = await (await browser.new_context(permissions=["camera", "microphone"])).new_page()
        await page.route(
            "http://localhost/", lambda route: route.fulfill(body="<p>", content_type="text/html")
        )
        await page.goto("http://localhost/")
        for take in (t for t in CHROMIUM if wanted(t)):
            await recorder.record(take, page.evaluate)
        await browser.close()
    await firefox(recorder)
    await recorder.plane.close()


async def firefox(recorder: Recorder) -> None:
    """The same in Firefox, whose driver knows expressions only; its page needs a server."""
    server = await asyncio.start_server(_page, "127.0.0.1", 0)
    driver = await Firefox.launch()
    try:
        await driver.do("goto", url=f"http://localhost:{server.sockets[0].getsockname()[1]}/")

        async def evaluate(function: str, argument: Any) -> Any:
            return await driver.do("evaluate", script=f"({function.strip()})({json.dumps(argument)})")

        for take in (t for t in FIREFOX if wanted(t)):
            await recorder.record(take, evaluate)
    finally:
        await driver.close()
        server.close()


async def _page(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\nConnection: close\r\n\r\n<p>"
    )
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    asyncio.run(main())
