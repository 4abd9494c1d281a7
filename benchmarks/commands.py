"""`make bench-commands`: acknowledged commands a second, every one of them on disk before it counts.

A node is a process with the room hub as `madoi serve` has it, without sockets: people ask, so many of them at
once, each as soon as the last was answered. Redis is a real one with `appendfsync always`; the embedded store
syncs each commit. Nodes that contend write into the same rooms.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
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


async def ask(where: str, rooms: list[str], in_flight: int, seconds: float) -> tuple[int, float, list[float]]:
    """Ask for a time; returns how many were acknowledged, the CPU seconds, and how long each took."""
    store = await open_store(where)
    hub = Hub(store)
    await hub.start()
    staff = Caller("mika", Role.MODERATOR)
    for room in rooms:
        await hub.room(room)
    spent = time.process_time()
    end = time.perf_counter() + seconds
    took: list[float] = []

    async def person(number: int) -> int:
        room, done = rooms[number % len(rooms)], 0
        while (begin := time.perf_counter()) < end:
            nonce = f"{begin}-{number}"
            await hub.ask(room, staff, Post(text="二百バイトほどの発言。" * 6), nonce)
            took.append(time.perf_counter() - begin)
            done += 1
        return done

    done = sum(await asyncio.gather(*(person(number) for number in range(in_flight))))
    spent = time.process_time() - spent
    await hub.close()
    await store.close()
    return done, spent, took


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
    took = sorted(second for _, _, each in results for second in each)
    done = sum(count for count, _, _ in results)
    return {
        "per_second": done / seconds,
        "cpu_us": 1e6 * sum(spent for _, spent, _ in results) / done,
        "p50_ms": 1000 * took[len(took) // 2],
        "p99_ms": 1000 * took[int(len(took) * 0.99)],
    }


def main() -> None:
    """Measure, and print a table and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    cases = [  # store, nodes, rooms, commands in flight on each node, key in the last line
        ("embedded", 1, 1, 256, "embedded_1_room"),
        ("embedded", 1, 100, 256, "embedded_100_rooms"),
        ("redis", 1, 1, 256, "redis_1_room"),
        ("redis", 1, 100, 256, "redis_100_rooms"),
        ("redis", 2, 1, 256, "redis_1_room_2_nodes"),
        ("redis", 2, 100, 256, "redis_100_rooms_2_nodes"),
        ("embedded", 1, 1, 1, "embedded_idle_p50_ms"),
        ("redis", 1, 1, 1, "redis_idle_p50_ms"),
    ]
    line: dict[str, object] = {"bench": "commands"}
    print(f"acknowledged commands, all on disk, medians of {options.rounds} rounds")
    print("store      nodes rooms in flight  per second  µs CPU   p50 ms   p99 ms")
    with tempfile.TemporaryDirectory(prefix="madoi-bench-") as folder:
        redis = RedisServer(Path(folder)).start()
        try:
            for store, nodes, rooms, in_flight, key in cases:
                runs = []
                for number in range(options.rounds):
                    where = redis.url if store == "redis" else f"{folder}/{key}-{number}"
                    runs.append(measure(where, nodes, rooms, in_flight, options.seconds))
                found = {figure: statistics.median(run[figure] for run in runs) for figure in runs[0]}
                print(
                    f"{store:10}{nodes:6}{rooms:6}{nodes * in_flight:10}{found['per_second']:12,.0f}"
                    f"{found['cpu_us']:8.0f}"
                    f"{found['p50_ms']:9.2f}{found['p99_ms']:9.2f}"
                )
                line[key] = round(found["p50_ms"], 2) if key.endswith("_ms") else round(found["per_second"])
        finally:
            redis.stop()
    print(json.dumps(line))


if __name__ == "__main__":
    main()
