"""Acknowledged means on disk: nothing that was answered is missing after SIGKILL."""

import asyncio
import contextlib
import subprocess
import sys

import pytest

from live.stores import EDITIONS, Position, StoreAway, Taken, open_store
from tests.kit.polling import until

WRITER = """
import asyncio, sys
from live.stores import Position, open_store

async def write():
    store = await open_store(sys.argv[1])
    for seq in range(100_000):
        await store.append("room", Position(1, seq), [b"%d" % seq])
        print(seq + 1, flush=True)

asyncio.run(write())
"""


def kill_a_writer(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE) as writer:
        for line in writer.stdout:
            if int(line) >= 50:
                writer.kill()
                break
        return int((writer.stdout.read().splitlines() or [line])[-1])


async def test_the_embedded_store_loses_nothing_to_kill(tmp_path):
    acknowledged = await asyncio.to_thread(kill_a_writer, tmp_path)
    store = await open_store(tmp_path)
    rows = await store.read("room", 0, 200_000)
    assert len(rows) >= acknowledged >= 50
    assert [row.body for row in rows] == [b"%d" % seq for seq in range(len(rows))]
    await store.close()


async def test_redis_loses_nothing_to_kill_and_readers_are_told(own_redis):
    store = await open_store(own_redis.url)
    for seq in range(50):
        await store.append("room", Position(1, seq), [b"%d" % seq])
    own_redis.kill()
    with pytest.raises(StoreAway):
        await store.append("room", Position(1, 50), [b"50"])
    own_redis.start()
    with pytest.raises(Taken) as taken:
        await store.append("room", Position(1, 50), [b"50"])
    assert taken.value.tail == (EDITIONS, 50), "another server process, another history"
    await store.append("room", taken.value.tail, [b"50"])
    assert [row.body for row in await store.read("room", 0, 99)] == [b"%d" % seq for seq in range(51)]
    await store.close()


async def test_a_cancelled_question_stays_cancelled(own_redis):
    store = await open_store(own_redis.url)
    for turns in range(120):
        asking = asyncio.create_task(store.check() if turns % 2 else store.position("room"))
        for _ in range(turns // 2 % 10):
            await asyncio.sleep(0)
        if not asking.done():
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
    await store.close()


async def test_a_follower_misses_nothing_when_announcements_are_lost(own_redis):
    store, writer = await open_store(own_redis.url), await open_store(own_redis.url)
    heard = []

    async def listen():
        async with contextlib.aclosing(store.follow("room", Position(1, 0))) as news:
            async for batch in news:
                heard.extend(batch.rows)

    listening = asyncio.create_task(listen())
    for seq in range(30):
        if seq % 10 == 5:
            await until(lambda seen=seq: len(heard) == seen)
            await (await writer._routes.listener()).execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await writer.append("room", Position(1, seq), [b"%d" % seq])
    await until(lambda: len(heard) == 30)
    assert [row.body for row in heard] == [b"%d" % seq for seq in range(30)]
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await store.close()
    await writer.close()
