"""Nodes die: processes of their own, killed while they broadcast, on a disk that is full, in a storm."""

import asyncio
import contextlib
import resource
import time

import pytest

from live.protocol.codes import Close
from live.stores import open_store
from tests.kit.crowd import Crowd
from tests.kit.node import Node
from tests.kit.polling import until
from tests.kit.readers import bring
from tests.kit.stuck import StuckReader

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
GROWTH_MB = 48
"""What a node may need on top for a crowd in trouble: some hundred outboxes at their limit would be 32 MB."""


@pytest.fixture(autouse=True)
def _thousands():
    """As many sockets as the system allows, here and in the nodes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def nodes(store, count=1):
    made = [Node(store, "room") for _ in range(count)]
    try:
        for node in made:
            await node.start()
        yield made
    finally:
        for node in made:
            node.kill()


async def judge(scene, store, crowd):
    whole = await open_store(store)
    try:
        return await scene.judge(whole, "room", crowd.people)
    finally:
        await whole.close()


async def test_a_node_is_killed_while_it_broadcasts(scene, own_redis):
    async with nodes(own_redis.url, 2) as (one, other), Crowd([one.url, other.url], 8) as crowd:
        crowd.talk()
        for victim in (one, other):
            await crowd.more(40)
            victim.kill()
            await crowd.more(20)  # by way of the one that is left
            await victim.start()
        await crowd.more(20)
        await crowd.settle()
        await judge(scene, own_redis.url, crowd)


async def test_the_process_with_the_embedded_store_is_killed(scene, tmp_path):
    async with nodes(tmp_path / "data") as (node,), Crowd([node.url], 6) as crowd:
        crowd.talk()
        for _ in range(2):
            await crowd.more(40)
            node.kill()
            await node.start()
        await crowd.more(20)
        await crowd.settle()
        node.kill()
        await judge(scene, tmp_path / "data", crowd)


async def test_the_disk_is_full_for_a_while(scene, tmp_path):
    async with nodes(tmp_path / "data") as (node,), Crowd([node.url], 5) as crowd:
        crowd.talk()
        await crowd.more(20)
        written = max(path.stat().st_size for path in (tmp_path / "data").iterdir())
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (written + 20_000, resource.RLIM_INFINITY))
        stuck_since, so_far = time.monotonic(), crowd.acknowledged

        def full():
            """Nothing has been acknowledged for longer than anything takes."""
            nonlocal stuck_since, so_far
            if crowd.acknowledged != so_far:
                stuck_since, so_far = time.monotonic(), crowd.acknowledged
            return time.monotonic() - stuck_since > 1.5

        await until(full, 40)
        assert any(one.outbox for one in crowd.people)
        assert all(one.over is None for one in crowd.people)
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, UNLIMITED)
        await crowd.more(20)
        await crowd.settle()
        node.kill()
        await judge(scene, tmp_path / "data", crowd)


async def test_two_thousand_come_back_at_once(scene, own_redis):
    """As `make bench-resume`, but every one of them is examined, and some were just asking for something."""
    async with nodes(own_redis.url) as (node,), Crowd([node.url], 4) as crowd:
        readers = await bring(crowd, node, 2000)
        memory = node.megabytes
        for one in readers[::4]:
            crowd.act(one)
        for one in readers:
            one.cut()
        await until(lambda: not any(one.here for one in readers), 20)
        mika = crowd.moderator
        for _ in range(150):
            mika.say(crowd.words())
        await until(lambda: not mika.outbox, 60)
        for one in readers:
            one.come()
        await until(lambda: all(one.here or one.over for one in readers), 60)
        for one in readers[1::4]:
            crowd.act(one)
        await crowd.settle(60)
        assert node.megabytes - memory < GROWTH_MB, "memory is bounded"
        await judge(scene, own_redis.url, crowd)


async def test_slow_readers_hold_nobody_up_and_are_asked_to_come_back(scene, tmp_path):
    """A hundred of four hundred do not read."""
    async with nodes(tmp_path / "data") as (node,), Crowd([node.url], 10) as crowd:
        readers = await bring(crowd, node, 290)
        stuck = [StuckReader(node.port, "room", f"stuck{n}") for n in range(100)]
        for reader in stuck:
            await asyncio.to_thread(reader.enter)
        memory = node.megabytes
        for _ in range(60):
            # Who is closed has some seconds to fetch what waits, and the reason behind it.
            if await node.closes(Close.TOO_SLOW) == len(stuck):
                break
            for one in crowd.people[:10]:
                for _ in range(2):
                    one.say(crowd.words("長い話" * 300))
            await until(lambda: not any(one.outbox for one in crowd.people), 30)
            said = max(one.seq for one in crowd.people)
            await until(lambda seq=said: all(one.seq >= seq for one in crowd.people), 30)
        codes = [await asyncio.to_thread(reader.read_to_the_close) for reader in stuck]
        for one in readers[::4]:
            crowd.act(one)
        await crowd.settle()
        assert codes == [Close.TOO_SLOW] * len(stuck)
        assert all(one.connections == 1 for one in crowd.people), "nobody else was disturbed"
        assert node.megabytes - memory < GROWTH_MB, "memory is bounded"
        node.kill()
        await judge(scene, tmp_path / "data", crowd)
