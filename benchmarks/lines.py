"""How steady picture and sound are on bad lines: real Chromium, real server, emulated lines.

A speaker's Chromium publishes 640×360 at 15 frames a second with simulcast; another one watches. Between one
of them and the server lies a line of its own network namespace that loses, delays, narrows, falls silent or
changes the source port (`tests/kit/namespaces.py`). Gaps are between frames shown
(requestVideoFrameCallback); freezes, concealment and keyframes are the browser's own statistics. The last
line is JSON.

Needs root, for the namespaces; they end with this program, also after Ctrl-C.
Run: ``python benchmarks/lines.py [scenario ...]``; all take about nine minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from playwright.async_api import Browser, Error, Page, async_playwright

from benchmarks.browsers import PLAYER, RECORD, VOICE, Seen, Watching, chromium, enters, firefox
from tests.kit.namespaces import Namespace, Wan, problem
from tests.kit.polling import until
from tests.kit.server import MadoiServer

SECONDS = 20.0
"""How long a steady line is watched."""
RTT = 0.05
CAMERA = (640, 360, 15)
SWITCHING = 600.0
"""Milliseconds before and after a switch in which gaps are its own."""
SWITCHES = 6
"""How often the speaker changes."""
FREEZE, SWITCH = 500.0, 200.0
"""Milliseconds without a frame: a freeze of media.md §3, and one at a switch of layers."""


def now() -> float:
    """Milliseconds since 1970, as the pages have them."""
    return time.time() * 1000


@dataclass
class Result:
    """One scenario's figures.

    Attributes:
        name: of the scenario.
        seen: by the viewer.
        recover: ms until the first frame after the line was good again, None where that is not asked.
        more: further figures.
    """

    name: str
    seen: Seen
    recover: float | None = None
    more: dict[str, float | str] = field(default_factory=dict)

    def figures(self) -> dict[str, float | str]:
        """Everything as JSON takes it."""
        seen, gaps = self.seen, sorted(self.seen.gaps())
        seconds = (seen.until - seen.since) / 1000
        samples = seen.sums.get("samples", 0)
        return {
            "fps": round(len(seen.shown) / seconds, 1),
            "decoded": int(seen.sums.get("decoded", 0)),
            "freezes": int(seen.sums.get("freezes", 0)),
            "frozen_s": round(seen.sums.get("frozen", 0), 2),
            "gaps_over_500": sum(gap > FREEZE for gap in gaps),
            "longest_gap_ms": round(gaps[-1]),
            "concealed_percent": round(100 * seen.sums.get("concealed", 0) / samples, 2) if samples else 0.0,
            "keyframes": int(seen.sums.get("keyframes", 0)),
            "plis": int(seen.sums.get("plis", 0)),
            "nacks": int(seen.sums.get("nacks", 0)),
            "connections": seen.made,
            "sizes": " ".join(seen.sizes()),
            "undecoded": max(0, int(seen.sums.get("received", 0) - seen.sums.get("decoded", 0))),
            **({"recover_ms": round(self.recover)} if self.recover is not None else {}),
            **self.more,
        }


@dataclass(frozen=True)
class Switch:
    """One change of what is shown, in milliseconds.

    Attributes:
        server: from the choice to the first packet of the new picture, by the media worker's own clock.
        total: from the choice to the new picture's first frame on the screen, on a line without delay.
        gap: the longest time without a new frame around it.
    """

    server: float
    total: float
    gap: float


class Theatre:
    """A server in a namespace, and one line to another namespace."""

    def __init__(self, server: MadoiServer, here: Browser, there: Browser, wan: Wan, afar: Namespace) -> None:
        self.server, self.wan = server, wan
        self._here, self._there, self._afar = here, there, afar

    def _link(self, host: str, session: str, role: str, name: str) -> str:
        ticket = self.server.ticket(session, role, name)
        return f"http://{host}:{self.server.port}/s/{session}#t={ticket}"

    @contextlib.asynccontextmanager
    async def show(
        self, *, publisher_afar: bool = False, udp: bool = True, version: str = "4"
    ) -> AsyncIterator[tuple[Page, Watching]]:
        """A speaker and a viewer, one of them at the other end of the line; the viewer sees pictures."""
        self.wan.cut = False
        self.wan.both(delay=0.0, loss=0.0, rate=0.0, udp=udp, versions=version)
        session = self.server.make_session("回線").id
        self.server.move(session, "live")
        near, far = (
            (self._here, "localhost"),
            (self._there, self.wan.far[0] if version == "4" else f"[{self.wan.far[1]}]"),
        )
        (b1, h1), (b2, h2) = (far, near) if publisher_afar else (near, far)
        speaker = await enters(b1, self._link(h1, session, "speaker", "佐藤"))
        try:
            viewer = await enters(b2, self._link(h2, session, "attendee", "青木"))
            watching = Watching(viewer)
            try:
                await watching.shows(60)
                await watching.start()
                yield speaker, watching
            finally:
                with contextlib.suppress(Error):
                    await viewer.context.close()
        finally:
            with contextlib.suppress(Error):
                await speaker.context.close()

    @contextlib.asynccontextmanager
    async def show_firefox(self) -> AsyncIterator[Watching]:
        """A speaker at Chromium and a viewer at Firefox, which has the line; the viewer sees pictures."""
        self.wan.cut = False
        self.wan.both(delay=0.0, loss=0.0, rate=0.0, udp=True, versions="4")
        session = self.server.make_session("回線").id
        self.server.move(session, "live")
        speaker = await enters(self._here, self._link("localhost", session, "speaker", "佐藤"))
        try:
            link = self._link(self.wan.far[0], session, "attendee", "青木")
            async with firefox(self._afar, link) as page:
                watching = Watching(page)
                await watching.shows(60)
                await watching.start()
                yield watching
        finally:
            with contextlib.suppress(Error):
                await speaker.context.close()

    @contextlib.asynccontextmanager
    async def turns(self) -> AsyncIterator[tuple[list[Page], Watching]]:
        """Two speakers whose cameras differ in shape, and a player of one picture behind the line."""
        self.wan.cut = False
        self.wan.both(delay=0.0, loss=0.0, rate=0.0, udp=True, versions="4")
        session = self.server.make_session("回線").id
        self.server.move(session, "live")
        speakers = [
            await enters(self._here, self._link("localhost", session, "speaker", name), camera, VOICE)
            for name, camera in (("佐藤", CAMERA), ("鈴木", (480, 360, 15)))
        ]
        context = await self._there.new_context()
        try:
            await context.add_init_script(RECORD)
            page = await context.new_page()
            origin = f"http://{self.wan.far[0]}:{self.server.port}"
            await page.goto(f"{origin}/healthz")
            ticket = self.server.ticket(session, "attendee", "青木")
            await page.evaluate(f"({PLAYER})(['{origin}/whep/{session}', '{ticket}'])")
            watching = Watching(page)
            await speakers[1].evaluate("window.__speaks(true)")
            await watching.shows(60)
            await asyncio.sleep(5)
            await watching.start()
            yield speakers, watching
        finally:
            for ended in (context, *(speaker.context for speaker in speakers)):
                with contextlib.suppress(Error):
                    await ended.close()

    def switches(self) -> tuple[float, float]:
        """How many switches the media worker has counted, and their milliseconds."""
        count, total = (sum(self.server.media(f"router_{n}").values()) for n in ("switches", "switch_ms"))
        return count, total

    async def decided(self, before: tuple[float, float], within: float = 20) -> tuple[float, float]:
        """Waits for the next switch and gives the counts; raises `TimeoutError`."""

        async def more() -> tuple[float, float] | None:
            now = await asyncio.to_thread(self.switches)
            return now if now[0] > before[0] else None

        return await until(more, within=within, every=0.1)

    async def switched(
        self,
        watching: Watching,
        before: tuple[float, float],
        fits: Callable[[float, float], bool],
        within: float = 20,
    ) -> Switch:
        """Waits for a frame that fits and gives the figures of the switch; raises `TimeoutError`."""
        began = now()

        async def there() -> list[float] | None:
            shown = (await watching.seen()).shown
            return next((f for f in shown if f[0] > began and fits(f[1], f[2])), None)

        frame = await until(there, within=within, every=0.2)
        await asyncio.sleep(0.7)
        count, total = await asyncio.to_thread(self.switches)
        server = (total - before[1]) / max(1.0, count - before[0])
        around = [f for f in (await watching.seen()).shown if abs(f[0] - frame[0]) < SWITCHING]
        gap = max((b[0] - a[0] for a, b in itertools.pairwise(around)), default=0.0)
        return Switch(server, server + frame[4], gap)


async def clean(theatre: Theatre) -> Result:
    """No fault at all: what this machine can do today."""
    async with theatre.show() as (_, watching):
        await asyncio.sleep(SECONDS)
        return Result("clean", await watching.seen())


async def loss(theatre: Theatre) -> Result:
    """5 % loss both ways at 50 ms, at the viewer."""
    async with theatre.show() as (_, watching):
        theatre.wan.both(delay=RTT / 2, loss=0.05)
        await asyncio.sleep(2)
        await watching.start()
        await asyncio.sleep(SECONDS)
        return Result("loss", await watching.seen())


async def loss_firefox(theatre: Theatre) -> Result:
    """5 % loss both ways at 50 ms, at a viewer with Firefox."""
    async with theatre.show_firefox() as watching:
        theatre.wan.both(delay=RTT / 2, loss=0.05)
        await asyncio.sleep(2)
        await watching.start()
        await asyncio.sleep(SECONDS)
        return Result("loss_firefox", await watching.seen())


async def loss_publisher(theatre: Theatre) -> Result:
    """5 % loss both ways at 50 ms, at the publisher."""
    async with theatre.show(publisher_afar=True) as (_, watching):
        theatre.wan.both(delay=RTT / 2, loss=0.05)
        await asyncio.sleep(2)
        await watching.start()
        await asyncio.sleep(SECONDS)
        return Result("loss_publisher", await watching.seen())


async def narrow(theatre: Theatre) -> Result:
    """300 kbit/s down at the viewer, then the whole width again."""
    async with theatre.show() as (_, watching):
        theatre.wan.both(delay=RTT / 2)
        theatre.wan.down.rate = 300_000
        await asyncio.sleep(SECONDS)
        seen = await watching.seen()
        best = max((frame[1] for frame in seen.shown), default=0)
        theatre.wan.down.rate = 0
        widened = now()
        climbed = None
        while climbed is None and now() - widened < 30_000:
            await asyncio.sleep(0.5)
            after = await watching.seen()
            climbed = next((f[0] - widened for f in after.shown if f[0] > widened and f[1] >= best), None)
        tail = [frame for frame in seen.shown if frame[0] > seen.until - 5000]
        more: dict[str, float | str] = {
            "switches": len(seen.sizes()) - 1,
            "last_5s_fps": round(len(tail) / 5, 1),
            "climb_ms": round(climbed) if climbed is not None else -1,
        }
        return Result("narrow", seen, more=more)


def wide(width: float, height: float) -> bool:
    """A picture of the first speaker's shape, 16:9."""
    return width > 1.5 * height > 0


def tall(width: float, height: float) -> bool:
    """One of the second speaker's, 4:3."""
    return 0 < width < 1.5 * height


async def speaker_switch(theatre: Theatre) -> Result:
    """Two speakers take turns; a WHEP player's one picture follows them."""
    async with theatre.turns() as (speakers, watching):
        switches: list[Switch] = []
        for turn in range(SWITCHES):
            speaks = speakers[turn % 2]
            before = theatre.switches()
            for speaker in speakers:
                await speaker.evaluate(f"window.__speaks({'true' if speaker is speaks else 'false'})")
            switches.append(await theatre.switched(watching, before, wide if turn % 2 == 0 else tall))
            await asyncio.sleep(2)
        return Result("speaker_switch", await watching.seen(), more=summary(switches))


async def layer_switch(theatre: Theatre) -> Result:
    """A viewer's layer is lowered by a second of heavy loss, and comes back on a line that is clean again.

    Gaps lie in such a second; how long a switch takes is told well, as nothing has queued.
    """

    def spoil(bad: bool) -> None:
        theatre.wan.down.loss = 0.3 if bad else 0.0

    return await _layer_switch(theatre, "layer_switch", spoil)


async def layer_switch_narrow(theatre: Theatre) -> Result:
    """The same by a line that is too narrow for a while.

    Nothing is lost, so that a gap is the switch's own; what queued has made the player wait longer.
    """

    def spoil(bad: bool) -> None:
        theatre.wan.down.rate = 300_000 if bad else 0

    return await _layer_switch(theatre, "layer_switch_narrow", spoil)


async def _layer_switch(theatre: Theatre, name: str, spoil: Callable[[bool], None]) -> Result:
    async with theatre.show() as (_, watching):
        await watching.reaches(CAMERA[0])
        await watching.start()
        switches: list[Switch] = []
        for _ in range(2):
            before = theatre.switches()
            spoil(True)
            lowered = asyncio.create_task(
                theatre.switched(watching, before, lambda w, _: 0 < w < CAMERA[0], within=20)
            )
            await theatre.decided(before)
            spoil(False)
            switches.append(await lowered)
            before = theatre.switches()
            try:
                back = await theatre.switched(watching, before, lambda w, _: w >= CAMERA[0], within=60)
            except TimeoutError:
                break
            switches.append(back)
        more = summary(switches) | {"came_back": len(switches) // 2}
        return Result(name, await watching.seen(), more=more)


def summary(switches: list[Switch]) -> dict[str, float | str]:
    """The worst of some switches, and all of them."""
    return {
        "switches": len(switches),
        "switch_worst_ms": round(max(s.total for s in switches)),
        "switch_server_ms": " ".join(f"{s.server:.0f}" for s in switches),
        "switch_shown_ms": " ".join(f"{s.total:.0f}" for s in switches),
        "switch_gap_ms": round(max(s.gap for s in switches)),
        "gaps_over_200_at_switch": sum(s.gap > SWITCH for s in switches),
    }


async def outage(theatre: Theatre) -> Result:
    """Nothing passes for 2 s at the viewer."""
    async with theatre.show() as (_, watching):
        return await _silence(theatre, watching, "outage")


async def outage_firefox(theatre: Theatre) -> Result:
    """Nothing passes for 2 s at a viewer with Firefox."""
    async with theatre.show_firefox() as watching:
        return await _silence(theatre, watching, "outage_firefox")


async def outage_publisher(theatre: Theatre) -> Result:
    """Nothing passes for 2 s at the publisher."""
    async with theatre.show(publisher_afar=True) as (_, watching):
        return await _silence(theatre, watching, "outage_publisher")


async def _silence(theatre: Theatre, watching: Watching, name: str, seconds: float = 2.0) -> Result:
    theatre.wan.both(delay=RTT / 2)
    theatre.wan.cut = True
    await asyncio.sleep(seconds)
    theatre.wan.cut = False
    mended = now()
    await asyncio.sleep(10)
    seen = await watching.seen()
    return Result(name, seen, recover=seen.first_after(mended))


async def long_outage(theatre: Theatre) -> Result:
    """Nothing passes for 10 s at the viewer: longer than the page waits before it acts."""
    async with theatre.show() as (_, watching):
        return await _silence(theatre, watching, "long_outage", 10.0)


async def rebind(theatre: Theatre) -> Result:
    """The viewer's NAT forgets its flows; the next packets leave from other ports."""
    async with theatre.show() as (_, watching):
        return await _rebinds(theatre, watching, "rebind")


async def rebind_publisher(theatre: Theatre) -> Result:
    """The publisher's NAT forgets its flows."""
    async with theatre.show(publisher_afar=True) as (_, watching):
        return await _rebinds(theatre, watching, "rebind_publisher")


async def _rebinds(theatre: Theatre, watching: Watching, name: str) -> Result:
    theatre.wan.both(delay=RTT / 2)
    await asyncio.sleep(1)
    theatre.wan.nat.rebind()
    at = now()
    await asyncio.sleep(15)
    seen = await watching.seen()
    flowing = [frame[0] for frame in seen.shown if frame[0] > at + 300]
    recover = flowing[0] - at if flowing else 15_000.0
    return Result(name, seen, recover=recover)


async def no_udp(theatre: Theatre) -> Result:
    """No UDP passes at the viewer: media comes over TCP; from loading the page anew to pictures."""
    async with theatre.show(udp=False) as (_, watching):
        return await _reloads(watching, "no_udp")


async def ipv6(theatre: Theatre) -> Result:
    """Nothing but IPv6 passes at the viewer; from loading the page anew to pictures."""
    async with theatre.show(version="6") as (_, watching):
        return await _reloads(watching, "ipv6")


async def _reloads(watching: Watching, name: str) -> Result:
    began = now()
    await watching.page.reload()
    await watching.shows(30)
    await watching.start()
    await asyncio.sleep(5)
    seen = await watching.seen()
    first = await watching.page.evaluate("window.__line.shown[0][0]")
    return Result(name, seen, recover=first - began)


SCENARIOS: dict[str, Callable[[Theatre], Awaitable[Result]]] = {
    act.__name__: act
    for act in (
        clean,
        loss,
        loss_firefox,
        loss_publisher,
        narrow,
        speaker_switch,
        layer_switch,
        layer_switch_narrow,
        outage,
        outage_firefox,
        outage_publisher,
        long_outage,
        rebind,
        rebind_publisher,
        no_udp,
        ipv6,
    )
}


async def run(names: list[str]) -> dict[str, dict[str, float | str]]:
    """Plays the scenarios in turn; one that breaks is told and the next is played."""
    figures: dict[str, dict[str, float | str]] = {}
    near, far = Namespace(), Namespace()
    with far.inside(), tempfile.TemporaryDirectory() as folder, Wan(near, far) as wan:
        server = MadoiServer(Path(folder) / "data", host="::").start()
        origin = f"http://{wan.far[0]}:{server.port}"
        try:
            async with (
                async_playwright() as playwright,
                chromium(playwright, far, origin) as here,
                chromium(playwright, near, origin) as there,
            ):
                theatre = Theatre(server, here, there, wan, near)
                for name in names:
                    try:
                        result = await SCENARIOS[name](theatre)
                    except (Error, AssertionError, TimeoutError) as error:
                        print(f"{name}: {(str(error) or repr(error)).splitlines()[0]}", flush=True)
                        continue
                    figures[name] = result.figures()
                    print(f"{name}: {figures[name]}", flush=True)
        finally:
            server.stop()
    return figures


COLUMNS = (
    ("fps", "fps"),
    ("freezes", "freezes"),
    ("frozen_s", "frozen s"),
    ("gaps_over_500", "> 500 ms"),
    ("longest_gap_ms", "longest ms"),
    ("concealed_percent", "concealed %"),
    ("keyframes", "keyframes"),
    ("recover_ms", "back after ms"),
)


def table(figures: dict[str, dict[str, float | str]]) -> str:
    """The figures side by side."""
    rows = [["scenario", *(title for _, title in COLUMNS)]]
    rows += [[name, *(str(row.get(key, "")) for key, _ in COLUMNS)] for name, row in figures.items()]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = []
    for name, *cells in rows:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *padded]))
    return "\n".join(lines)


def main() -> int:
    """The program."""
    names = sys.argv[1:] or list(SCENARIOS)
    unknown = [name for name in names if name not in SCENARIOS]
    if unknown:
        print(f"no such scenario: {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
        return 2
    if why := problem():
        print(f"bench-lines: {why}")
        return 1
    if not shutil.which("chromium"):
        print("bench-lines: please install chromium")
        return 1
    try:
        figures = asyncio.run(run(names))
    except (KeyboardInterrupt, AssertionError) as error:  # Ctrl-C may end the server before us
        print(str(error) or "stopped")
        return 130
    print("\n" + table(figures))
    print(json.dumps({"bench": "lines", **figures}))
    return 0 if len(figures) == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
