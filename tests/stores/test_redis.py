"""Redis with replicas, Sentinel and a cluster: real servers, killed for real."""

import asyncio
import contextlib
import secrets

import pytest

from live.gateway import writing
from live.protocol.frames import Done
from live.stores import EDITIONS, Position, Row, Saved, StoreAway, Taken, open_store
from live.stores.redis import RedisStore
from live.stores.routes import BadUrl, read_url
from rooms.chat import DeleteMessage, Post
from tests.kit.polling import until
from tests.kit.redis import waited
from tests.kit.rooms import gateway

START = Position(1, 0)


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "service", "replicas"),
    [
        ("redis://h:1/0?replicas=2", "one", (), "", 2),
        ("redis+sentinel://u:p%40@a,b:2/room/3", "sentinel", (("a", 26379), ("b", 2)), "room", 0),
        ("rediss+cluster://[::1]:7,c?replicas=1", "cluster", (("::1", 7), ("c", 6379)), "", 1),
    ],
)
def test_urls_say_where_redis_is(url, kind, hosts, service, replicas):
    address = read_url(url)
    assert (address.kind, address.hosts, address.service, address.replicas) == (
        kind,
        hosts,
        service,
        replicas,
    )
    if service:
        assert address.options == {"db": 3, "username": "u", "password": "p@", "tls": False}


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1",
        "redis+cluster://",
        "redis+cluster://a:x",
        "redis://h?replicas=many",
        "redis+cluster://a?b=c",
    ],
)
async def test_a_url_that_says_nothing_is_refused(url):
    with pytest.raises(BadUrl):
        read_url(url)
    with pytest.raises(StoreAway):
        await open_store(url)


async def test_an_append_counts_only_when_a_replica_has_it(replicated):
    store = await open_store(f"{replicated.url}?replicas=1")
    await store.append("room", START, [b"1"])
    replicated.replica.kill()
    with pytest.raises(StoreAway, match="0 of 1 replicas"):
        await store.append("room", Position(1, 1), [b"2"])
    assert await store.position("room") == (1, 2), "it is written, and nobody may say so"
    with pytest.raises(StoreAway):
        await store.position("room", kept=True)
    await asyncio.to_thread(replicated.replica.start)

    async def kept():
        try:
            return await store.position("room", kept=True)
        except StoreAway:
            return None

    assert await until(kept, 20) == (1, 2)
    await store.append("room", Position(1, 2), [b"3"])
    await store.close()


async def test_nobody_is_told_done_before_a_replica_has_it(replicated, monkeypatch):
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", 2.5)
    async with gateway(f"{replicated.url}?replicas=1") as node:
        session = await node.session()
        async with node.viewer(session, "moderator:mio") as mio:
            assert isinstance(await mio.do(Post(text="before")), Done)
            replicated.replica.kill()
            refused = await mio.do(Post(text="during"), nonce="the-same-nonce")
            assert refused.why == "store_away"
            assert (await mio.do(Post(text="during"), nonce="the-same-nonce")).why == "store_away"
            await asyncio.to_thread(replicated.replica.start)

            async def done():
                answer = await mio.do(Post(text="during"), nonce="the-same-nonce")
                return answer if isinstance(answer, Done) else None

            await until(done, 30)
            await until(lambda: mio.texts == ["before", "during"])


async def test_people_stay_in_the_room_through_a_failover(replicated):
    async with gateway(f"{replicated.url}?replicas=1") as node:
        session = await node.session()
        async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:ken") as ken:
            said = [(await mio.do(Post(text=str(n)))).seq for n in range(5)]
            replicated.master.kill()
            await asyncio.to_thread(replicated.fail_over)
            # The new master has no replica of its own yet: nothing may be acknowledged. It gets one.
            replicated.master.options = ("--replicaof", "127.0.0.1", str(replicated.replica.port))
            await asyncio.to_thread(replicated.master.start)

            async def done():
                answer = await mio.do(Post(text="after"), nonce="after-failover", within=20)
                return answer.seq if isinstance(answer, Done) else None

            assert await until(done, 40) > max(said)
            await until(lambda: mio.texts == ken.texts == [*map(str, range(5)), "after"])
            assert mio.closed is ken.closed is None
            assert mio.welcome.lost == 0


async def test_a_failover_loses_nothing_that_a_replica_has_confirmed(replicated):
    store = await open_store(f"{replicated.url}?replicas=1")
    for seq in range(20):
        await store.append("room", Position(1, seq), [b"%d" % seq])
    replicated.master.kill()
    with pytest.raises(StoreAway):
        await store.append("room", Position(1, 20), [b"20"])
    await asyncio.to_thread(replicated.fail_over)

    async def told():
        try:
            return await store.position("room")
        except StoreAway:
            return None

    tail = await until(told, 20)
    assert tail == (EDITIONS, 20), "another server, another history"
    assert [row.body for row in await store.read("room", 0, 99)] == [b"%d" % seq for seq in range(20)]
    await store.close()
    alone = await open_store(replicated.url)
    await alone.append("room", tail, [b"without waiting for anybody"])
    await alone.close()


async def test_a_failover_that_lost_a_part_is_seen_by_the_tail(replicated):
    store = await open_store(replicated.url)
    await store.append("room", START, [b"1", b"2"])
    await asyncio.to_thread(waited, lambda: replicated.replica.ask("HGET", "meta:{room}", "seq") == b"2")
    replicated.replica.ask("REPLICAOF", "NO", "ONE")  # cut off; what follows will be lost
    await store.append("room", Position(1, 2), [b"3"])
    replicated.master.kill()
    other = await open_store(replicated.replica.url)
    with pytest.raises(Taken) as taken:
        await other.append("room", Position(1, 3), [b"4"])
    assert taken.value.tail == (EDITIONS, 2)
    await store.close()
    await other.close()


async def test_rooms_lie_on_every_node_of_a_cluster_and_each_in_one_slot(cluster):
    store = await open_store(cluster.url)
    for n in range(12):
        await store.append(f"room{n}", START, [b"x"])
        await store.put_card(f"room{n}", "p", b"card")
        await store.lease(f"room{n}", ["p"], 30)
        await store.save_snapshot(f"room{n}", Position(1, 1), b"s")
    assert {f"room{n}" for n in range(12)} <= await store.rooms()
    held = [{key.decode().split("{")[-1] for key in node.ask("KEYS", "*{room*")} for node in cluster.nodes]
    assert all(held)
    assert sum(len(rooms) for rooms in held) == len(set().union(*held))
    for n in range(12):
        await store.erase(f"room{n}")

    async def gone():
        return not any(node.ask("KEYS", "*{room*") for node in cluster.nodes)

    await until(gone)
    await store.close()


async def test_a_slot_that_moves_is_followed(cluster):
    store = await open_store(cluster.url)
    await store.append("wanderer", START, [b"1"])
    slot = cluster.nodes[0].ask("CLUSTER", "KEYSLOT", "log:{wanderer}")
    ids = [node.ask("CLUSTER", "MYID").decode() for node in cluster.nodes]
    here = next(n for n, node in enumerate(cluster.nodes) if node.ask("CLUSTER", "COUNTKEYSINSLOT", slot))
    there = (here + 1) % 3
    keys = cluster.nodes[here].ask("CLUSTER", "GETKEYSINSLOT", slot, 9)
    cluster.nodes[there].ask("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[here])
    cluster.nodes[here].ask("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[there])
    cluster.nodes[here].ask("MIGRATE", "127.0.0.1", cluster.nodes[there].port, "", 0, 5000, "KEYS", *keys)
    for node in (cluster.nodes[there], cluster.nodes[here]):
        node.ask("CLUSTER", "SETSLOT", slot, "NODE", ids[there])
    with pytest.raises(Taken) as taken:
        await store.append("wanderer", Position(1, 1), [b"2"])
    assert taken.value.tail == (EDITIONS, 1), "the new node is another server"
    await store.append("wanderer", taken.value.tail, [b"2"])
    assert [row.body for row in await store.read("wanderer", 0, 9)] == [b"1", b"2"]
    await store.erase("wanderer")
    await store.close()


async def test_erased_bytes_leave_a_file_whose_rewriting_was_under_way(own_redis):
    """Redis refuses a second rewrite meanwhile, and the first one keeps what was there when it began."""
    store: RedisStore = await open_store(own_redis.url)
    own_redis.ask("CONFIG", "SET", "rdb-key-save-delay", "20000")  # 20 ms per key: a slow child
    await asyncio.gather(*(store.put_card("crowd", str(n), b"x") for n in range(3)))
    for n in range(40):
        await store.append(f"r{n}", START, [b"x"])
    await store.append("room", START, [b"canary-in-the-base"])
    own_redis.ask("BGREWRITEAOF")
    assert own_redis.info("persistence")["aof_rewrite_in_progress"]
    await store.erase("room")
    own_redis.ask("CONFIG", "SET", "rdb-key-save-delay", "0")

    def absent():
        files = [path for path in own_redis.folder.rglob("*") if path.is_file() and "temp-" not in path.name]
        try:
            return not any(b"canary-in-the-base" in path.read_bytes() for path in files)
        except FileNotFoundError:
            return False

    await until(absent, 30)
    await store.close()


async def test_deleted_words_leave_the_append_only_file_and_the_dump(own_redis):
    own_redis.ask("CONFIG", "SET", "save", "3600 1")
    own_redis.ask("SAVE")
    canary = "canary-that-was-deleted"

    def on_disk():
        files = [path for path in own_redis.folder.rglob("*") if path.is_file() and "temp-" not in path.name]
        try:
            return sorted(path.suffix for path in files if canary.encode() in path.read_bytes())
        except FileNotFoundError:
            return ["changing"]

    async with gateway(own_redis.url) as node:
        session = await node.session()
        async with node.viewer(session, "moderator:mio") as mio:
            await mio.do(Post(text=canary))
            (message,) = await mio.holds(lambda room: list(room.messages.values()))
            own_redis.ask("SAVE")
            assert on_disk()
            await mio.do(DeleteMessage(id=message.id))
            await until(lambda: on_disk() == [], 30)


async def test_words_leave_the_file_though_nobody_heard_that_they_were_taken_out(replicated):
    url, files = f"{replicated.master.url}?replicas=1", replicated.master.folder
    canary = secrets.token_hex(16).encode()
    store = await open_store(url)
    await store.append("room", START, [canary])
    replicated.replica.kill()
    with pytest.raises(StoreAway):
        await store.redact("room", Position(1, 1), {1: b"-"}, Saved(1, b"clean"))
    replicated.master.kill()  # before anything was written anew
    await store.close()
    assert _holds(canary, files)
    await asyncio.to_thread(replicated.master.start)
    store = await open_store(url)
    await until(lambda: not _holds(canary, files), 20)
    await until(lambda: not replicated.master.ask("KEYS", "unclean:*"))
    assert await store.read("room", 0, 9) == [Row(1, b"-")]
    await store.close()


def _holds(canary, folder):
    with contextlib.suppress(FileNotFoundError):  # Redis is changing its files just now
        return any(canary in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    return True


async def test_a_master_that_comes_back_is_not_read(replicated):
    """Sentinels demote it sooner or later; until then only our own doubt keeps us from it."""
    master, replica = replicated.master, replicated.replica
    store = await open_store(replicated.url)
    await store.append("room", START, [b"1"])
    await asyncio.gather(*(store.read("room", 0, 1) for _ in range(8)))  # as many connections lie idle
    await asyncio.to_thread(replicated.cut_replica)
    await store.append("room", Position(1, 1), [b"old"])
    master.ask("ACL", "SETUSER", "default", "-replicaof", "-slaveof")
    master.pause()
    await asyncio.to_thread(replicated.fail_over)

    async def answered():
        with contextlib.suppress(StoreAway):
            return await store.position("room")

    tail = await until(answered, 30)
    assert (tail.history, tail.seq) == (1, 1)
    await store.append("room", tail, [b"new"])
    master.resume()
    assert master.info("replication")["role"] == "master"
    for _ in range(20):
        found = await asyncio.gather(*(store.read("room", 0, 9) for _ in range(8)), return_exceptions=True)
        assert all(
            isinstance(rows, StoreAway) or [row.body for row in rows] == [b"1", b"new"] for rows in found
        )
        positions = await asyncio.gather(*(store.position("room") for _ in range(8)), return_exceptions=True)
        assert all(isinstance(one, StoreAway) or one == (tail.epoch, 2) for one in positions)
    assert await store.read("room", 0, 9)
    assert replica.info("replication")["role"] == "master"
    await store.close()


async def test_what_is_read_comes_from_the_server_that_told_the_tail(replicated):
    store = await open_store(replicated.master.url)
    await store.append("room", START, [b"1"])
    assert await store.read("room", 0, 9) == [Row(1, b"1")]
    store._told_by["log:{room}"] = replicated.replica.info("server")["run_id"]
    for question in (store.read("room", 0, 9), store.snapshot("room")):
        with pytest.raises(StoreAway, match="another server"):
            await question
    assert (await store.position("room")).seq == 1
    assert await store.read("room", 0, 9) == [Row(1, b"1")]
    await store.close()


async def test_leases_leave_no_names_behind(own_redis):
    store = await open_store(own_redis.url)
    await store.lease("room", ["p1/1"], 30)
    await store.lease("room", ["p2/1"], 1)
    assert 29_000 < own_redis.ask("PTTL", "leases:{room}") <= 30_000
    assert await store.leases("room") == {"p1/1", "p2/1"}
    assert 29_000 < own_redis.ask("PTTL", "leases:{room}") <= 30_000
    await store.close()
