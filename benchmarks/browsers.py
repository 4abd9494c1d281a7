"""What the benchmarks with real browsers share: Chromium behind a line, and when each frame was shown."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import statistics
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, Playwright

from tests.browser.conftest import FLAGS
from tests.browser.firefox import Firefox
from tests.kit.polling import until

if TYPE_CHECKING:
    from tests.kit.namespaces import Namespace

CAMERA = """
(() => {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const real = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (wanted) => {
    if (wanted.video) wanted = { ...wanted, video: { width: %d, height: %d, frameRate: %d } };
    return real(wanted);
  };
})();
"""
"""A camera of this width, height and rate: two cores encode and decode everything here."""

RECORD = """
(() => {
  const Real = window.RTCPeerConnection;
  const connections = [], shown = [], states = [];
  window.__line = { connections, shown, states };
  window.RTCPeerConnection = class extends Real {
    constructor(...given) {
      super(...given);
      connections.push(this);
      this.addEventListener('connectionstatechange', () => states.push([Date.now(), this.connectionState]));
    }
  };
  const seen = new WeakSet();
  const follow = (video) => {
    if (seen.has(video)) return;
    seen.add(video);
    const note = (at, { width, height, presentedFrames, receiveTime }) => {
      shown.push([performance.timeOrigin + at, width, height, presentedFrames, at - (receiveTime ?? at)]);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  };
  new MutationObserver(() => document.querySelectorAll('video').forEach(follow))
    .observe(document, { childList: true, subtree: true });
})();
"""
"""Remembers every connection, and of every frame shown: when (ms since 1970), its size, its number, and how
many ms before its last packet had come."""

VOICE = """
(() => {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const real = devices.getUserMedia.bind(devices);
  const context = new AudioContext();
  const loudness = context.createGain(), tone = context.createOscillator();
  loudness.gain.value = 0;
  tone.connect(loudness);
  tone.start();
  window.__speaks = (on) => { context.resume(); loudness.gain.value = on ? 0.5 : 0; };
  devices.getUserMedia = async (wanted) => {
    const stream = await real(wanted);
    for (const track of stream.getAudioTracks()) {
      stream.removeTrack(track);
      const out = context.createMediaStreamDestination();
      loudness.connect(out);
      stream.addTrack(out.stream.getAudioTracks()[0]);
    }
    context.resume();
    return stream;
  };
})();
"""
"""A microphone that is silent but while `__speaks(true)` holds."""

PLAYER = """
(async ([url, ticket]) => {
  const pc = new RTCPeerConnection();
  pc.ontrack = ({ track }) => {
    const element = document.createElement(track.kind);
    element.autoplay = element.muted = true;
    element.srcObject = new MediaStream([track]);
    document.body.append(element);
  };
  for (const kind of ['audio', 'video']) pc.addTransceiver(kind, { direction: 'recvonly' });
  await pc.setLocalDescription();
  const headers = { 'Content-Type': 'application/sdp', Authorization: `Bearer ${ticket}` };
  const answer = await fetch(url, { method: 'POST', headers, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
})
"""
"""A WHEP player of one picture and one sound, which follow the stage."""

READ = """
(async (from) => {
  const { connections, shown, states } = window.__line;
  const sums = {};
  const add = (name, value) => { sums[name] = (sums[name] ?? 0) + (value ?? 0); };
  for (const connection of connections) {
    if (connection.connectionState === 'closed') continue;
    for (const row of (await connection.getStats()).values()) {
      if (row.type !== 'inbound-rtp' || !row.packetsReceived) continue;
      if (row.kind === 'video') {
        add('received', row.framesReceived);
        add('decoded', row.framesDecoded); add('dropped', row.framesDropped);
        add('freezes', row.freezeCount); add('frozen', row.totalFreezesDuration);
        add('keyframes', row.keyFramesDecoded); add('plis', row.pliCount); add('nacks', row.nackCount);
        add('lost', row.packetsLost);
      } else {
        add('concealed', row.concealedSamples - (row.silentConcealedSamples ?? 0));
        add('samples', row.totalSamplesReceived);
      }
    }
  }
  const since = shown.filter(([at]) => at >= from);
  return { now: Date.now(), sums, states, made: connections.length, shown: since };
})
"""


@contextlib.asynccontextmanager
async def chromium(
    playwright: Playwright, namespace: Namespace | None, origin: str
) -> AsyncIterator[Browser]:
    """Chromium, inside a namespace if one is given; pages of `origin` may open cameras without TLS."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*(namespace.prefix if namespace else []), str(shutil.which("chromium"))]
        script = Path(folder) / "chromium"
        script.write_text(f'#!/bin/sh\nexec {" ".join(command)} "$@"\n')
        script.chmod(0o700)
        flags = [*FLAGS, f"--unsafely-treat-insecure-origin-as-secure={origin}"]
        browser = await playwright.chromium.launch(
            executable_path=script, args=flags, handle_sigint=False, handle_sigterm=False
        )
        try:
            yield browser
        finally:
            with contextlib.suppress(Exception):
                await browser.close()


async def enters(
    browser: Browser, link: str, camera: tuple[int, int, int] = (640, 360, 15), *more: str
) -> Page:
    """Opens a fresh profile at a personal link and comes in."""
    context = await browser.new_context(
        locale="ja-JP", permissions=["camera", "microphone"], viewport={"width": 800, "height": 600}
    )
    for script in (RECORD, CAMERA % camera, *more):
        await context.add_init_script(script)
    page = await context.new_page()
    page.set_default_timeout(60_000)
    await page.goto(link)
    await page.get_by_test_id("enter").click()
    await page.get_by_test_id("room").wait_for()
    return page


@dataclass(frozen=True)
class Seen:
    """What a page showed within a span; times in ms since 1970."""

    since: float
    until: float
    shown: list[list[float]]
    sums: dict[str, float]
    made: int

    def gaps(self) -> list[float]:
        """Milliseconds between frames shown, the ends of the span included.

        A busy page skips callbacks of frames that were shown: each takes a usual distance off its gap.
        """
        times = [frame[0] for frame in self.shown]
        steps = [b - a for a, b in itertools.pairwise(times)]
        usual = statistics.median(steps) if steps else 0.0
        skipped = [max(0.0, b[3] - a[3] - 1) for a, b in itertools.pairwise(self.shown)]
        inner = [step - missed * usual for step, missed in zip(steps, skipped, strict=True)]
        ends = [times[0] - self.since, self.until - times[-1]] if times else [self.until - self.since]
        return [*inner, *ends]

    def sizes(self) -> list[str]:
        """The sizes in the order in which they came."""
        sizes: list[str] = []
        for _, width, height, *_ in self.shown:
            if not sizes or sizes[-1] != f"{width:.0f}x{height:.0f}":
                sizes.append(f"{width:.0f}x{height:.0f}")
        return sizes

    def size_at(self, moment: float) -> tuple[float, float]:
        """Width and height of the last frame shown by then; zeros before the first."""
        return next(((f[1], f[2]) for f in reversed(self.shown) if f[0] <= moment), (0.0, 0.0))

    def first_after(self, moment: float) -> float | None:
        """Milliseconds from a moment to the first frame shown after it."""
        return next((frame[0] - moment for frame in self.shown if frame[0] > moment), None)


class Evaluates(Protocol):
    """As much of a page as `Watching` needs."""

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        ...

    async def reload(self) -> Any:
        """Load the page anew."""
        ...


class FirefoxPage:
    """Firefox's one page."""

    def __init__(self, firefox: Firefox) -> None:
        self._firefox = firefox

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited."""
        return await self._firefox.do("evaluate", script=expression)

    async def reload(self) -> Any:
        """Load the page anew."""
        return await self._firefox.do("evaluate", script="location.reload()")


@contextlib.asynccontextmanager
async def firefox(namespace: Namespace, link: str) -> AsyncIterator[FirefoxPage]:
    """Firefox inside a namespace, in a room by a personal link; it may use the page without TLS."""
    trusted = str(urlsplit(link).hostname)
    browser = await Firefox.launch(*namespace.prefix, dom__securecontext__allowlist=trusted)
    try:
        await browser.do("init", script=RECORD)
        await browser.do("goto", url=link)
        await browser.do("click", selector='[data-testid="enter"]')
        await browser.do("wait", selector='[data-testid="room"]')
        yield FirefoxPage(browser)
    finally:
        await browser.close()


class Watching:
    """A page that is watched from `start` on."""

    def __init__(self, page: Evaluates) -> None:
        self.page = page
        self._since = 0.0
        self._sums: dict[str, float] = {}
        self._made = 0

    async def start(self) -> None:
        """Begins a span."""
        read = await self._read()
        self._since, self._sums, self._made = read["now"], read["sums"], read["made"]

    async def seen(self) -> Seen:
        """What has been seen since the start."""
        read = await self._read()
        before: dict[str, float] = self._sums if read["made"] == self._made else {}  # else: built anew
        sums = {name: value - before.get(name, 0) for name, value in read["sums"].items()}
        return Seen(self._since, read["now"], read["shown"], sums, read["made"])

    async def shows(self, frames: int, within: float = 60) -> None:
        """Waits until so many frames have been shown since the page came; raises `TimeoutError`."""

        async def enough() -> bool:
            return bool(await self.page.evaluate("window.__line.shown.length") >= frames)

        await until(enough, within=within, every=0.1)

    async def reaches(self, width: int, within: float = 45) -> None:
        """Waits for ten frames in a row of at least this width; raises `TimeoutError`."""

        async def large() -> bool:
            tail = await self.page.evaluate("window.__line.shown.slice(-10)")
            return len(tail) == 10 and all(frame[1] >= width for frame in tail)

        await until(large, within=within, every=0.2)

    async def _read(self) -> dict[str, Any]:
        read: dict[str, Any] = await self.page.evaluate(f"({READ})({self._since})")
        return read
