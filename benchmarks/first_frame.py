"""From the click on 「入室」 to the first frame shown, in Chromium on the loopback, and where the time goes.

One speaker publishes from Chromium; another Chromium comes in again and again, each time as somebody new in
a fresh profile, with its page loaded and its name filled in. The clock runs in the page, from the click's
event to the first requestVideoFrameCallback. The last line is JSON.
Run: ``python benchmarks/first_frame.py [joins]``; 25 joins take about a minute.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.async_api import Browser, async_playwright

from benchmarks.browsers import RECORD, Watching, chromium, enters
from tests.kit.polling import until
from tests.kit.server import MadoiServer

JOINS = 25
TARGET = 300.0
"""Milliseconds, p95 (media.md §3)."""

MARKS = """
(() => {
  const marks = window.__marks = {};
  const mark = (name) => { marks[name] ??= performance.now(); };
  addEventListener('click', (event) => {
    if (event.target.closest('[data-testid=enter]')) mark('click');
  }, true);
  const real = window.fetch;
  window.fetch = async (input, init) => {
    const method = init?.method ?? 'GET';
    const media = String(input).includes('/whep/') && method !== 'DELETE';
    if (media) mark(method === 'POST' ? 'asked' : 'answering');
    const answer = await real(input, init);
    if (media) mark(method === 'POST' ? 'offered' : 'answered');
    return answer;
  };
  const Socket = window.WebSocket;
  window.WebSocket = class extends Socket {
    constructor(...given) {
      super(...given);
      mark('socket');
      this.addEventListener('message', ({ data }) => {
        if (String(data).includes('"welcome"')) mark('welcome');
      });
    }
  };
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...given) {
      super(...given);
      this.addEventListener('iceconnectionstatechange', () => {
        if (this.iceConnectionState === 'connected') mark('ice');
      });
      this.addEventListener('connectionstatechange', () => {
        if (this.connectionState === 'connected') mark('dtls');
      });
      this.addEventListener('track', ({ track }) => {
        if (track.kind === 'video') track.addEventListener('unmute', () => mark('media'));
      });
    }
  };
})();
"""
STEPS = ("socket", "welcome", "asked", "offered", "answering", "answered", "ice", "dtls", "media", "shown")
"""In the order in which they mostly come; `media` is the first packet of a picture."""

READ = """
() => {
  const first = window.__line.shown[0];
  return first ? { ...window.__marks, shown: first[0] - performance.timeOrigin } : null;
}
"""


async def join(browser: Browser, link: str) -> dict[str, float]:
    """Comes in once; gives each step's milliseconds since the click."""
    context = await browser.new_context(locale="ja-JP", viewport={"width": 800, "height": 600})
    try:
        for script in (MARKS, RECORD):
            await context.add_init_script(script)
        page = await context.new_page()
        await page.goto(link)
        await page.get_by_test_id("enter").wait_for()
        await page.wait_for_load_state("networkidle")
        await page.get_by_test_id("enter").click()
        marks: dict[str, float] = await until(lambda: page.evaluate(READ), within=30, every=0.2)
        return {name: at - marks["click"] for name, at in marks.items()}
    finally:
        await context.close()


async def measure(joins: int) -> dict[str, object]:
    """Comes in so many times; gives the figures."""
    with tempfile.TemporaryDirectory() as folder:
        server = MadoiServer(Path(folder) / "data").start()
        try:
            async with (
                async_playwright() as playwright,
                chromium(playwright, None, server.url) as stage,
                chromium(playwright, None, server.url) as hall,
            ):
                session = server.make_session("入室").id
                server.move(session, "live")
                speaker = await enters(
                    stage, server.page(session, server.ticket(session, "speaker", "佐藤")), (320, 180, 30)
                )
                viewer = await enters(hall, server.page(session, server.ticket(session, "attendee", "先客")))
                await Watching(viewer).shows(30)
                await viewer.context.close()
                runs = []
                for number in range(joins):
                    ticket = server.ticket(session, "attendee", f"客{number}")
                    runs.append(await join(hall, server.page(session, ticket)))
                await speaker.context.close()
        finally:
            server.stop()
    shown = sorted(run["shown"] for run in runs)
    return {
        "joins": joins,
        "p50_ms": round(statistics.median(shown)),
        "p95_ms": round(shown[min(len(shown) - 1, int(len(shown) * 0.95))]),
        "worst_ms": round(shown[-1]),
        "steps_ms": {
            step: round(statistics.median(run[step] for run in runs if step in run))
            for step in STEPS
            if any(step in run for run in runs)
        },
    }


def table(figures: dict[str, object]) -> str:
    """The figures in words."""
    steps = figures["steps_ms"]
    assert isinstance(steps, dict)
    lines = [f"{step:>10}  {ms:5} ms after the click (median)" for step, ms in steps.items()]
    lines.append(
        f"first frame over {figures['joins']} joins: p50 {figures['p50_ms']} ms, p95 {figures['p95_ms']} ms "
        f"(target {TARGET:.0f}), worst {figures['worst_ms']} ms"
    )
    return "\n".join(lines)


def main() -> int:
    """The program."""
    joins = int(sys.argv[1]) if sys.argv[1:] else JOINS
    if not shutil.which("chromium"):
        print("bench-join: please install chromium")
        return 1
    try:
        figures = asyncio.run(measure(joins))
    except KeyboardInterrupt:
        print("stopped")
        return 130
    print(table(figures))
    print(json.dumps({"bench": "first_frame", **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
