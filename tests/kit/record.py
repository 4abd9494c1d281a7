"""Records what real browsers publish, as golden packets for tests/packets: ``python -m tests.kit.record``.

Each page publishes a small fake camera, or the fake microphone, to a media plane in this process; the packets
are written as the router gets them (unprotected RTP), each behind its length; what was agreed lies beside.
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
from live.sfu.rtp import parse_rtp
from tests.browser.conftest import FLAGS
from tests.browser.firefox import Firefox

FOLDER = Path(__file__).parent.parent / "packets"
PICTURE_PACKETS, SOUND_PACKETS = 60, 40
KEYFRAME_AFTER = 24
"""Packets after which a keyframe is asked for, so that a recording has two."""

PUBLISH = """
async ({kind, codec, mode, red}) => {
  const media = await navigator.mediaDevices.getUserMedia(
    kind === "video" ? {video: {width: 160, height: 120, frameRate: 10}} : {audio: true});
  const pc = window.publisher = new RTCPeerConnection();
  const encoding = {maxBitrate: 80000};
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
STOP = "() => { publisher.close(); return true; }"


@dataclass(frozen=True)
class Take:
    """One recording."""

    name: str
    kind: str
    codec: str
    mode: str = ""
    red: bool = False


CHROMIUM = (
    Take("chromium-vp8-l1t3", "video", "vp8", "L1T3"),
    Take("chromium-vp9-l3t3-key", "video", "vp9", "L3T3_KEY"),
    Take("chromium-vp9-l1t2", "video", "vp9", "L1T2"),
    Take("chromium-av1-l2t2", "video", "av1", "L2T2"),
    Take("chromium-h264-l1t2", "video", "h264", "L1T2"),
    Take("chromium-opus", "audio", "opus"),
    Take("chromium-red", "audio", "opus", red=True),
)
FIREFOX = (
    Take("firefox-vp8", "video", "vp8"),
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
        packets: list[bytes] = []
        listen = hall.router.receive_rtp

        def tapped(peer: Any, data: bytes, now: float, *more: Any) -> None:
            if parse_rtp(data).payload:
                packets.append(data)
            listen(peer, data, now, *more)

        hall.router.receive_rtp = tapped  # type: ignore[method-assign]
        await evaluate(ANSWER, answer.sdp)
        wanted = PICTURE_PACKETS if take.kind == "video" else SOUND_PACKETS
        end, asked = time.monotonic() + 20, False
        while len(packets) < wanted and time.monotonic() < end:
            await asyncio.sleep(0.02)
            if take.kind == "video" and len(packets) >= KEYFRAME_AFTER and not asked:
                asked = True
                for layer in hall.router._layers():
                    layer.keyframes.want(time.monotonic(), newcomer=True)
        await evaluate(STOP, None)
        spec = peer.publications[0]
        agreed = {
            "codecs": [[c.name, c.clock, c.pt, dict(c.fmtp)] for c in spec.codecs.values()],
            "extensions": dict(spec.extensions),
        }
        packets = packets[:wanted]
        data = b"".join(len(p).to_bytes(2) + p for p in packets)
        (FOLDER / f"{take.name}.bin").write_bytes(data)
        (FOLDER / f"{take.name}.json").write_text(json.dumps(agreed, indent=1) + "\n")
        print(f"{take.name}: {len(packets)} packets, {len(data)} bytes")  # noqa: T201  a command


def vars_of(take: Take) -> dict[str, Any]:
    """What the page has to know."""
    return {"kind": take.kind, "codec": take.codec, "mode": take.mode, "red": take.red}


async def main() -> None:
    recorder = Recorder()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = await (await browser.new_context(permissions=["camera", "microphone"])).new_page()
        await page.route(
            "http://localhost/", lambda route: route.fulfill(body="<p>", content_type="text/html")
        )
        await page.goto("http://localhost/")
        for take in CHROMIUM:
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

        for take in FIREFOX:
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
