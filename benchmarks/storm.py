"""Three hundred people within two seconds: when each sees a picture, and what it does to those there.

A speaker plays (see `benchmarks.load.publisher`) to a hundred viewers, some of whom keep every packet. Then
viewers join evenly over two seconds, each through the worker's own questions, ICE, DTLS and SRTP, as `madoi
serve` would let them. Their clock runs from the first question to the kernel's receipt of the first packet of
a picture, which is a keyframe's. A freeze is the longest time without a packet of the picture at those who
were there before. The last line is JSON.

Run: ``python benchmarks/storm.py [joins] [--seconds S] [--body NAME]``; it takes under a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

import uvloop

from benchmarks.load import process
from benchmarks.load.audience import Viewer
from benchmarks.load.hall import Hall, until
from benchmarks.load.madoi import Madoi
from live.media.udp import advertised

WATCHING, SAMPLED = 100, 10
"""Viewers before the storm, and how many of them keep every packet."""
TARGET, FREEZE = 3000.0, 200.0
"""Milliseconds: everybody sees something within the first, nobody stands still for the second."""
LIMIT = 120.0
"""The whole ends after so long, seconds."""


async def storm(hall: Hall, joins: int, seconds: float) -> tuple[list[float], int]:
    """Lets people come; gives each one's ms to the first picture, and how many never had one."""
    began: list[tuple[Viewer, int]] = []
    loop = asyncio.get_running_loop()
    start = loop.time()

    async def come(at: float) -> None:
        await asyncio.sleep(start + at - loop.time())
        now = time.time_ns()
        began.append((await hall.join(), now))

    await asyncio.gather(*(come(n * seconds / joins) for n in range(joins)))
    try:
        await until(lambda: all(viewer.seen_at for viewer, _ in began), "everybody's first picture", 10)
    except TimeoutError:
        print("not everybody saw a picture within ten seconds")
    took = sorted((viewer.seen_at - now) / 1e6 for viewer, now in began if viewer.seen_at)
    return took, joins - len(took)


async def measure(joins: int, seconds: float, body: str) -> dict[str, object]:
    """Fills a hall, plays, and lets the storm come."""
    hall = Hall(Madoi(body, advertised("", [])[0]), advertised("", [])[0])
    try:
        await hall.server.start()
        await hall.open()
        for n in range(WATCHING):
            await hall.join(whole=n % (WATCHING // SAMPLED) == 0)
        await until(lambda: all(v.transport.srtp for v in hall.audience.viewers), "the first viewers")
        hall.publisher.play()
        await asyncio.sleep(2.0)
        there = [viewer for viewer in hall.audience.viewers if viewer.whole]
        for viewer in there:
            del viewer.arrivals[:], viewer.latencies[:]
        cpu = process.cpu(hall.server.pid)
        took, unseen = await storm(hall, joins, seconds)
        cpu = process.cpu(hall.server.pid) - cpu
        await asyncio.sleep(1.0)
        gaps = [(b - a) / 1e6 for viewer in there for a, b in pairwise(viewer.arrivals)]
        waits = [wait / 1e6 for viewer in there for wait in viewer.latencies]
    finally:
        await hall.close()
    return {
        "joins": joins,
        "within_s": seconds,
        "unseen": unseen,
        "first_p50_ms": round(statistics.median(took)),
        "first_p95_ms": round(took[int(len(took) * 0.95)]),
        "first_worst_ms": round(took[-1]),
        "freeze_worst_ms": round(max(gaps)),
        "latency_p99_ms": round(statistics.quantiles(waits, n=100)[98], 1),
        "server_cpu_s": round(cpu, 2),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="A join storm, and what it does to those who watch.")
    parser.add_argument("joins", nargs="?", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--body", choices=("auto", "native", "python"), default="auto")
    chosen = parser.parse_args()
    process.allow_sockets(65536)

    async def bounded() -> dict[str, object]:
        async with asyncio.timeout(LIMIT):
            return await measure(chosen.joins, chosen.seconds, chosen.body)

    figures = uvloop.run(bounded())
    print(
        f"{figures['joins']} joins in {figures['within_s']} s beside {WATCHING} viewers\n"
        f"first picture: p50 {figures['first_p50_ms']} ms, p95 {figures['first_p95_ms']} ms,"
        f" worst {figures['first_worst_ms']} ms (target {TARGET:.0f}), never {figures['unseen']}\n"
        f"those who were there: longest without a packet of the picture {figures['freeze_worst_ms']} ms"
        f" (target {FREEZE:.0f}), latency p99 {figures['latency_p99_ms']} ms\n"
        f"CPU of the worker {figures['server_cpu_s']} s"
    )
    print(json.dumps({"bench": "join", **figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
