"""`make bench-commands`: acknowledged commands a second, every one of them on disk before it counts.

A node is a process with the room hub as `madoi serve` has it, without sockets: people ask, so many of them at
once, each as soon as the last was answered. Redis is a real one with `appendfsync always`; the embedded store
syncs each commit. Nodes that contend write into the same rooms.
"""

import asyncio
import multiprocessing
import tempfile
import time
from pathlib import Path

import uvloop

from live.gateway.host import SERVER
from live.gateway.hub import Hub
from live.gateway.viewing import Caller
from live.stores import open_store
from rooms import Kind, Open, Role, SetState, Settings, State
from rooms.chat import Post
from tests.kit.redis import RedisServer


async def make(where: str, rooms: list[str]) -> None:
    """Open the rooms and their doors."""
    store = await open_store(where)
    hub = Hub(store)
    await hub.start()
    for room in rooms:
        await hub.ask(room, SERVER, Open(session=room, settings=Settings(title="bench", kind=Kind.LECTURE)))
        await hub.ask(room, SERVER, SetState(state=State.LIVE))
    await hub.close()
    await store.close()


async def ask(where: str, rooms: list[str], in_flight: int, seconds: float) -> tuple[int, list[float]]:
    """Ask for a time; returns how many were acknowledged and how long some of them took."""
    store = await open_store(where)
    hub = Hub(store)
    await hub.start()
    staff = Caller("mika", Role.MODERATOR)
    for room in rooms:
        await hub.room(room)
    end = time.perf_counter() + seconds
    took: list[float] = []

    async def person(room: str) -> int:
        done = 0
        while (begin := time.perf_counter()) < end:
            await hub.ask(room, staff, Post(text="二百バイトほどの発言。" * 6))
            took.append(time.perf_counter() - begin)
            done += 1
        return done

    counts = await asyncio.gather(*(person(rooms[n % len(rooms)]) for n in range(in_flight)))
    await hub.close()
    await store.close()
    return sum(counts), took


def node(where: str, rooms: list[str], in_flight: int, seconds: float, pipe) -> None:
    """One process."""
    pipe.send(uvloop.run(ask(where, rooms, in_flight, seconds)))


def measure(where: str, nodes: int, rooms: int, in_flight: int, seconds: float) -> dict[str, float]:
    """Run a case in fresh rooms."""
    names = [f"bench-{time.time_ns():x}-{n}" for n in range(rooms)]
    uvloop.run(make(where, names))
    spawn = multiprocessing.get_context("spawn")
    runs = []
    for _ in range(nodes):
        ours, theirs = spawn.Pipe(False)
        process = spawn.Process(target=node, args=(where, names, in_flight, seconds, theirs))
        process.start()
        runs.append((process, ours))
    results = [pipe.recv() for _, pipe in runs]
    for process, _ in runs:
        process.join()
    took = sorted(second for _, each in results for second in each)
    return {
        "per_second": sum(count for count, _ in results) / seconds,
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[int(len(took) * 0.99)],
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        print(measure(folder, 1, 1, 256, 4))
        with RedisServer(Path(folder) / "r") as r:
            print(measure(r.url, 1, 1, 256, 4))
            print(measure(r.url, 1, 1, 1, 2))
            print(measure(r.url, 2, 1, 256, 4))
