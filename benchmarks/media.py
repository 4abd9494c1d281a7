"""Madoi's two bodies and Janus, side by side: what it costs to send one stage to many viewers.

Each server is a process of its own with a speaker (150 packets of video of 1,200 bytes, 50 of sound of 100
bytes a second) and so many viewers, who report once a second. All servers stay up while they take turns,
round by round; medians count. The load client is the same for all; of most viewers' media the kernel keeps
the count only. Times are the server process's user and system CPU, which on one machine includes the kernel's
way to the viewer's socket. The last line is JSON, of 300 viewers if they were measured.

Run: ``python benchmarks/media.py [viewers ...] [--rounds N] [--seconds S] [--only NAME] [--spread]
[--apart] [--beside FOLDER]``; with 100, 300 and 1,000 viewers it takes five minutes. `--spread` lets a
frame's packets come one by one over the time of the frame, as behind a slow line, instead of at once.
`--apart` (root) gives the server the first core for itself, and the second one all that would be on other
machines (`load/apart.py`).
`--beside` tells what a change is worth: the worker of another checkout takes its turns in the same rounds, as
runs one after the other differ by more than most changes do.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop

from benchmarks.load import apart, janus, process
from benchmarks.load.hall import Hall, Round, Server
from benchmarks.load.madoi import Madoi
from live.media import fanout
from live.media.udp import advertised

LIMIT = 900.0
"""The whole ends after so long, seconds."""
JSON_VIEWERS = 300


class Place:
    """Where servers and viewers are.

    Attributes:
        server, viewers: their addresses.
        inside: a context in which the server has to be started.
    """

    def __init__(self, apart_from_viewers: bool) -> None:
        if apart_from_viewers:
            self.server, self.viewers = apart.SERVER, apart.VIEWERS
            self.inside = apart.server_side().inside
        else:
            self.server = self.viewers = advertised("", [])[0]
            self.inside = contextlib.nullcontext


class Column:
    """A server's figures for one number of viewers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rounds: list[Round] = []
        self.setup = self.memory = float("nan")
        self.why = ""

    @property
    def cost(self) -> float | None:
        """µs per packet and viewer, the rounds' median; None when it could not be measured."""
        return None if self.why else statistics.median(r.cost for r in self.rounds)


def servers(host: str, only: list[str], beside: str) -> list[Server]:
    """Those that can run here."""
    bodies = ["native", "python"] if fanout.native is not None else ["python"]
    folders = [".", beside] if beside else ["."]
    found: list[Server] = [Madoi(body, host, folder) for body in bodies for folder in folders]
    if janus.installed():
        found.append(janus.Janus(host))
    return [server for server in found if not only or any(word in server.name for word in only)]


def keeps_up(earlier: Column | None, viewers: int, per_viewer: float) -> str:
    """Why a server is not tried with so many viewers; empty when it is."""
    if earlier is None or earlier.cost is None:
        return "" if earlier is None else "not with fewer either"
    cores = earlier.cost * per_viewer * viewers / 1e6
    free = (os.cpu_count() or 1) * 0.75
    ours = 1.4 if earlier.name.startswith("madoi") else free  # one process; more viewers cost less each
    return f"it would need {cores:.1f} cores" if cores > min(ours, free) else ""


async def compare(
    count: int, place: Place, chosen: argparse.Namespace, earlier: dict[str, Column]
) -> dict[str, Column]:
    """Fills a hall per server and lets them play in turn."""
    columns: dict[str, Column] = {}
    halls: list[tuple[Hall, Column]] = []
    try:
        for server in servers(place.server, chosen.only, chosen.beside):
            column = columns[server.name] = Column(server.name)
            column.why = keeps_up(earlier.get(server.name), count, 200)
            if column.why:
                continue
            hall = Hall(server, place.viewers, spread=chosen.spread)
            halls.append((hall, column))
            with place.inside():
                await server.start()
            if chosen.apart:
                process.keep_to(server.pid, core=0)
            await hall.open()
            column.setup, column.memory = await hall.fill(count)
        for turn in range(chosen.rounds + 1):
            for hall, column in halls:
                took = await hall.play(chosen.seconds if turn else 1.0)
                if turn:  # the first one warms up
                    column.rounds.append(took)
    finally:
        for hall, _ in halls:
            await hall.close()
    return columns


def show(count: int, columns: dict[str, Column]) -> None:
    """Prints a table."""
    print(f"\n{count} viewers")
    for line in (
        "µs CPU per packet core   first viewer, ms      last viewer, ms      lost  by it  set-up  memory",
        "and viewer           %    p50    p99    max    p50    p99    max                    ms      kB",
    ):
        print(f"{'':<18} {line}")
    for column in columns.values():
        if column.why:
            print(f"{column.name:<18} –  ({column.why})")
            continue
        middle = {
            side: [statistics.median(getattr(r, side)[n] for r in column.rounds) for n in range(3)]
            for side in ("first", "last")
        }
        core = statistics.median(r.core for r in column.rounds)
        lost, gave_up = max(r.lost for r in column.rounds), max(r.gave_up for r in column.rounds)
        spread = f"{min(r.cost for r in column.rounds):.2f}–{max(r.cost for r in column.rounds):.2f}"
        print(
            f"{column.name:<18} {column.cost:5.2f} {spread:>11} {100 * core:4.0f}"
            + "".join(f" {v:6.1f}" for v in middle["first"] + middle["last"])
            + f" {lost:8.5f} {gave_up:6d} {column.setup:8.2f} {column.memory:7.0f}"
        )


def last_line(count: int, columns: dict[str, Column]) -> dict[str, object]:
    """The figures that matter, for programs."""
    native, python, peer = (
        columns[name].cost if name in columns else None for name in ("madoi native", "madoi python", "janus")
    )
    return {
        "bench": "media",
        "viewers": count,
        "madoi_native_us": _rounded(native),
        "madoi_python_us": _rounded(python),
        "janus_us": _rounded(peer),
        "native_ratio": _rounded(native / peer if native and peer else None),
        "python_ratio": _rounded(python / peer if python and peer else None),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


async def run(chosen: argparse.Namespace) -> None:
    place = Place(chosen.apart)
    process.allow_sockets(65536)
    if fanout.native is None:
        print(f"the native body is not built: {fanout.native_problem}")
    if not janus.installed():
        print("Janus is not installed (apt install janus): Madoi alone")
    said: dict[int, dict[str, object]] = {}
    columns: dict[str, Column] = {}
    async with asyncio.timeout(LIMIT):
        for count in chosen.viewers:
            columns = await compare(count, place, chosen, columns)
            show(count, columns)
            said[count] = last_line(count, columns)
    print(json.dumps(said.get(JSON_VIEWERS) or said[chosen.viewers[-1]]))


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs to send one stage to many viewers.")
    parser.add_argument("viewers", nargs="*", type=int, default=[100, 300, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--spread", action="store_true", help="packets one by one, not a frame at once")
    parser.add_argument("--apart", action="store_true", help="a core for the server alone (root)")
    parser.add_argument(
        "--beside", default="", metavar="FOLDER", help="a checkout whose worker takes turns too"
    )
    chosen = parser.parse_args()
    if chosen.apart:
        apart.go()
    uvloop.run(run(chosen))


if __name__ == "__main__":
    main()
