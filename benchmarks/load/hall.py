"""One server with its speaker and its audience: filling it, playing to it, and what both cost."""

from __future__ import annotations

import asyncio
import statistics
from dataclasses import dataclass
from typing import Protocol

from benchmarks.load import process
from benchmarks.load.audience import Audience, Viewer
from benchmarks.load.descriptions import answer, offer, remote
from benchmarks.load.publisher import Publisher
from benchmarks.load.transport import Identity

AT_ONCE = 8
"""Viewers that join at the same time while a hall is being filled."""
PATIENCE = 30.0
"""Seconds that anything may take before a benchmark gives up."""
QUIET = 0.6
"""Seconds until what is on the way has arrived."""


class Server(Protocol):
    """What can be measured."""

    name: str

    @property
    def pid(self) -> int: ...
    async def start(self) -> None: ...
    async def publish(self, offer: str) -> str: ...
    async def watch(self) -> tuple[str, str]: ...
    async def answer(self, viewer: str, sdp: str) -> None: ...
    async def lost(self) -> int: ...
    async def close(self) -> None: ...


@dataclass(frozen=True)
class Round:
    """What some seconds of media cost a server.

    Attributes:
        cost: µs of CPU per packet that reached a viewer.
        core: share of one core.
        first, last: added latency to the first and the last viewer who joined, ms (p50, p99, most).
        lost: of all packets for all viewers, the share that never came.
        gave_up: datagrams that the server says it dropped.
    """

    cost: float
    core: float
    first: tuple[float, float, float]
    last: tuple[float, float, float]
    lost: float
    gave_up: int


class Hall:
    """Open it with `open`, then `fill`, then `play`."""

    def __init__(self, server: Server, host: str, *, spread: bool = False) -> None:
        self.server = server
        self._host = host
        self._identity = Identity()
        self.publisher = Publisher(self._identity, host, spread=spread)
        self.audience = Audience()

    async def open(self) -> None:
        """Connects the speaker, who does not play yet; the server has been started."""
        transport = self.publisher.transport
        transport.connect(remote(await self.server.publish(offer(transport.side))))
        await until(lambda: transport.srtp is not None, "the speaker's handshake")

    async def fill(self, count: int) -> tuple[float, float]:
        """Lets viewers join until there are `count`; gives ms of CPU and kB of memory of each new one."""
        new = count - len(self.audience.viewers)
        cpu, memory = process.cpu(self.server.pid), process.memory(self.server.pid)
        turns = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._join(turns, whole=n in (0, new - 1)) for n in range(new)))
        cpu = process.cpu(self.server.pid) - cpu
        self.publisher.play()
        await until(lambda: all(v.seen_at for v in self.audience.viewers), "every viewer's first picture")
        await asyncio.sleep(2.0)  # reports, retransmission buffers
        self.publisher.pause()
        memory = process.memory(self.server.pid) - memory
        return cpu / new * 1e3, memory / new / 1e3

    async def _join(self, turns: asyncio.Semaphore, *, whole: bool) -> None:
        async with turns:
            viewer = await self.join(whole=whole)
            await until(lambda: viewer.transport.srtp is not None, "a viewer's handshake")

    async def join(self, *, whole: bool = False) -> Viewer:
        """One more viewer, whose handshake has begun."""
        viewer = Viewer(self._identity, self._host, whole=whole)
        self.audience.viewers.append(viewer)
        name, offered = await self.server.watch()
        await self.server.answer(name, answer(offered, viewer.transport.side))
        viewer.transport.connect(remote(offered))
        return viewer

    async def play(self, seconds: float) -> Round:
        """Plays for so long and counts everything that came of it."""
        await asyncio.sleep(QUIET)
        sampled = [v for v in self.audience.viewers if v.whole]
        for viewer in sampled:
            viewer.got = 0
            del viewer.latencies[:]
        sent, gave_up = self.publisher.sent, await self.server.lost()
        ports = {viewer.transport.port for viewer in self.audience.viewers}
        before, cpu = process.drops(ports), process.cpu(self.server.pid)
        self.publisher.play()
        await asyncio.sleep(seconds)
        self.publisher.pause()
        await asyncio.sleep(QUIET)
        cpu = process.cpu(self.server.pid) - cpu
        after = process.drops(ports)
        sent = self.publisher.sent - sent
        arrived = sum(
            viewer.got if viewer.whole else after[viewer.transport.port] - before[viewer.transport.port]
            for viewer in self.audience.viewers
        )
        wanted = sent * len(self.audience.viewers)
        return Round(
            cost=cpu / max(1, arrived) * 1e6,
            core=cpu / seconds,
            first=_latency(sampled[0]),
            last=_latency(sampled[-1]),
            lost=1 - arrived / wanted,
            gave_up=await self.server.lost() - gave_up,
        )

    async def close(self) -> None:
        """Everybody leaves, the server ends."""
        self.publisher.close()
        self.audience.close()
        await self.server.close()


def _latency(viewer: Viewer) -> tuple[float, float, float]:
    if len(viewer.latencies) < 2:
        return (float("inf"),) * 3
    parts = statistics.quantiles(viewer.latencies, n=100)
    return parts[49] / 1e6, parts[98] / 1e6, max(viewer.latencies) / 1e6


async def until(check, what: str, seconds: float = PATIENCE) -> None:
    """Polls until `check()` is true.

    Raises:
        TimeoutError: it never was.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not check():
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        await asyncio.sleep(0.01)
