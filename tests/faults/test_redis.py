"""The store fails under two nodes and their people: Redis is killed, stops, cannot be reached, fails over."""

import asyncio
import contextlib

import pytest

from live.stores import open_store
from tests.kit.crowd import Crowd
from tests.kit.line import Line
from tests.kit.polling import until
from tests.kit.redis import RedisServer
from tests.kit.rooms import FAST, OPEN, Gateway

AWAY_SECONDS = 5.0


@contextlib.asynccontextmanager
async def two_nodes(here, there):
    """Two nodes on one Redis, each with a way of its own, and a session that both serve."""
    stores = [await open_store(here), await open_store(there)]
    try:
        async with Gateway(stores[0], limits=FAST) as one, Gateway(stores[1], limits=FAST) as other:
            session = await one.session(capacity=OPEN.capacity, qa=OPEN.qa)
            yield session, [one.url(session), other.url(session)]
    finally:
        for store in stores:
            await store.close()


@contextlib.asynccontextmanager
async def opened(url):
    store = await open_store(url)
    try:
        yield store
    finally:
        await store.close()


def _tail(server, session):
    """Where a master says that the log ends."""
    assert server.info("replication")["role"] == "master"
    return server.ask("HGET", f"meta:{{{session}}}", "seq")


async def test_redis_is_killed_twice(scene, own_redis):
    async with two_nodes(own_redis.url, own_redis.url) as (session, urls), Crowd(urls, 6) as crowd:
        crowd.talk()
        for _ in range(2):
            await crowd.more(30)
            own_redis.kill()
            await asyncio.to_thread(own_redis.start)
        await crowd.more(30)
        await crowd.settle()
        async with opened(own_redis.url) as store:
            await scene.judge(store, session, crowd.people)


async def test_redis_stops_for_five_seconds(scene, own_redis):
    async with two_nodes(own_redis.url, own_redis.url) as (session, urls), Crowd(urls, 6) as crowd:
        crowd.talk()
        await crowd.more(30)
        own_redis.pause()
        await asyncio.sleep(AWAY_SECONDS)  # the fault itself
        own_redis.resume()
        await crowd.more(30)
        await crowd.settle()
        async with opened(own_redis.url) as store:
            await scene.judge(store, session, crowd.people)


async def test_one_node_is_cut_off_from_redis_for_five_seconds(scene, own_redis):
    async with Line(own_redis.port) as line:
        there = f"redis://127.0.0.1:{line.port}/0"
        async with two_nodes(own_redis.url, there) as (session, urls), Crowd(urls, 6) as crowd:
            crowd.talk()
            await crowd.more(30)
            line.stall()
            await crowd.more(20)  # the other node goes on
            await asyncio.sleep(AWAY_SECONDS)  # the fault itself
            line.flow()
            await crowd.more(30)
            await crowd.settle()
            async with opened(own_redis.url) as store:
                await scene.judge(store, session, crowd.people)


async def test_the_disk_of_redis_is_full_and_it_ends_itself(scene, own_redis):
    """With `appendfsync always` Redis rather dies than goes on; who looks after it starts it again."""
    async with two_nodes(own_redis.url, own_redis.url) as (session, urls), Crowd(urls, 6) as crowd:
        crowd.talk()
        await crowd.more(30)
        own_redis.fill_disk()
        await until(lambda: own_redis.ended, 40)
        await until(lambda: all(one.outbox for one in crowd.people), 20)
        await asyncio.to_thread(own_redis.start)
        await crowd.more(30)
        await crowd.settle()
        async with opened(own_redis.url) as store:
            await scene.judge(store, session, crowd.people)


async def test_the_disk_of_redis_is_full_and_it_refuses_to_write(scene, tmp_path):
    """With `everysec` it says MISCONF until there is space; nobody is told *done*, nobody is sent away."""
    lenient = RedisServer(tmp_path / "redis", "--appendfsync", "everysec").start()
    try:
        async with two_nodes(lenient.url, lenient.url) as (session, urls), Crowd(urls, 6) as crowd:
            crowd.talk()
            await crowd.more(30)
            lenient.fill_disk()
            await until(lambda: lenient.info("persistence")["aof_last_write_status"] == "err", 40, 0.1)
            await until(lambda: all(one.outbox for one in crowd.people), 20)
            tail = _tail(lenient, session)
            await asyncio.sleep(1)  # the fault itself
            assert _tail(lenient, session) == tail, "nothing is taken"
            assert all(one.over is None for one in crowd.people)
            lenient.empty_disk()
            await crowd.more(30)
            await crowd.settle()
            async with opened(lenient.url) as store:
                await scene.judge(store, session, crowd.people)
    finally:
        lenient.stop()


async def fail_over(replicated, crowd, *, acknowledges):
    """Cut the replica off, let people talk, and kill the master; the old master comes back as a replica."""
    crowd.talk()
    await crowd.more(30)
    await crowd.quiet()
    await until(lambda: not any(one.outbox for one in crowd.people), 20)
    await asyncio.to_thread(replicated.cut_replica)
    crowd.talk()
    if acknowledges:
        await crowd.more(20)
    else:
        await until(lambda: sum(len(one.outbox) for one in crowd.people) >= 10)
    replicated.master.kill()
    await asyncio.to_thread(replicated.fail_over)
    replicated.master.options = ("--replicaof", "127.0.0.1", str(replicated.replica.port))
    await asyncio.to_thread(replicated.master.start)
    await crowd.more(20)
    await crowd.settle()


async def test_a_failover_loses_nothing_that_was_acknowledged(scene, replicated):
    url = f"{replicated.url}?replicas=1"
    async with two_nodes(url, url) as (session, urls), Crowd(urls, 6) as crowd:
        await fail_over(replicated, crowd, acknowledges=False)
        async with opened(replicated.url) as store:
            await scene.judge(store, session, crowd.people)


async def test_control_a_failover_without_wait_loses_and_tells(scene, replicated):
    async with two_nodes(replicated.url, replicated.url) as (session, urls), Crowd(urls, 6) as crowd:
        await fail_over(replicated, crowd, acknowledges=True)
        async with opened(replicated.url) as store:
            verdict = await scene.caught(store, session, crowd.people)
        assert verdict.lost
        assert not verdict.untold, f"\n{verdict}"
        assert not verdict.duplicated, f"\n{verdict}"
        assert not verdict.wrong, f"\n{verdict}"


async def split(replicated, session, crowd):
    """Stop the master past a failover: then there are two, and the nodes still talk to the old one."""
    crowd.talk()
    await crowd.more(30)
    replicated.master.pause()
    await until(lambda: all(one.outbox for one in crowd.people), 20)
    await asyncio.to_thread(replicated.fail_over)
    replicated.master.resume()
    await until(lambda: len({_tail(one, session) for one in (replicated.master, replicated.replica)}) > 1)


async def unite(replicated, crowd):
    """Wait until the sentinel has made the old master the new one's replica."""
    await until(lambda: replicated.master.info("replication")["role"] == "slave", 40, 0.1)
    await crowd.more(20)
    await crowd.settle()


async def test_two_masters_at_once_lose_nothing_that_was_acknowledged(scene, replicated):
    url = f"{replicated.url}?replicas=1"
    async with two_nodes(url, url) as (session, urls), Crowd(urls, 6) as crowd:
        await split(replicated, session, crowd)
        await unite(replicated, crowd)
        async with opened(replicated.url) as store:
            await scene.judge(store, session, crowd.people)


async def test_control_two_masters_without_wait_lose_and_tell(scene, replicated):
    async with two_nodes(replicated.url, replicated.url) as (session, urls), Crowd(urls, 6) as crowd:
        await split(replicated, session, crowd)
        await crowd.more(10)  # by the one that nobody will remember
        await unite(replicated, crowd)
        async with opened(replicated.url) as store:
            verdict = await scene.caught(store, session, crowd.people)
        assert verdict.lost
        assert not verdict.untold, f"\n{verdict}"


async def test_control_a_redis_without_a_file_loses_everything(scene, tmp_path):
    forgetful = RedisServer(tmp_path / "redis", "--appendonly", "no").start()
    try:
        async with two_nodes(forgetful.url, forgetful.url) as (session, urls), Crowd(urls, 4) as crowd:
            crowd.talk()
            await crowd.more(20)
            await crowd.quiet()
            forgetful.kill()
            await asyncio.to_thread(forgetful.start)
            await crowd.settle(10)
            async with opened(forgetful.url) as store:
                assert (await scene.caught(store, session, crowd.people)).lost
    finally:
        forgetful.stop()


@pytest.mark.parametrize("mischief", ["repeated", "reordered", "lost"])
async def test_announcements_are(scene, own_redis, mischief):
    """Pub/Sub promises nothing: what it says may come twice, late, or not at all."""
    async with (
        two_nodes(own_redis.url, own_redis.url) as (session, urls),
        opened(own_redis.url) as liar,
        Crowd(urls, 6) as crowd,
    ):
        meddling = asyncio.create_task(MISCHIEF[mischief](liar, session, crowd.dice))
        crowd.talk()
        await crowd.more(80)
        meddling.cancel()
        await asyncio.gather(meddling, return_exceptions=True)
        await crowd.settle()
        await scene.judge(liar, session, crowd.people)


async def meddle(liar, session, dice):
    """Say again, and in another order, what has been announced before."""
    redis = await liar._routes.listener()
    channel, heard = f"rows:{{{session}}}", []
    async with redis.pubsub() as pubsub:
        await pubsub.subscribe(channel)
        while True:
            message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=1)
            if message is None:
                continue
            if message["data"] in heard:
                continue  # our own lie
            heard.append(message["data"])
            for old in dice.sample(heard, min(3, len(heard))):
                await redis.publish(channel, old)


async def forge_order(liar, session, dice):
    """Announce entries before they come by the right way: the next page of the log, backwards."""
    redis = await liar._routes.listener()
    channel = f"rows:{{{session}}}"
    while True:
        tail = await liar.position(session)
        rows = await liar.read(session, max(0, tail.seq - 6), 6)
        for row in dice.sample(rows, len(rows)):
            head = f"{tail.epoch} {row.seq} {len(row.body)}\n".encode()
            await redis.publish(channel, head + row.body)
        await asyncio.sleep(0.01)  # mischief goes on until it is cancelled


async def deafen(liar, _session, _dice):
    """Cut every subscription, again and again."""
    redis = await liar._routes.listener()
    while True:
        await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.3)  # likewise


MISCHIEF = {"repeated": meddle, "reordered": forge_order, "lost": deafen}
