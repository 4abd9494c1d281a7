"""A room that another history has overtaken, and a room that is no longer here."""

import asyncio
import contextlib

import pytest

from live.gateway.host import SERVER
from live.gateway.presence import RENEW_MS
from live.protocol.frames import Done
from live.stores import StoreAway, open_store
from live.stores.embedded import EmbeddedStore
from rooms import Refused
from rooms.chat import Post, SetChatRules
from tests.kit.polling import until
from tests.kit.rooms import Gateway, gateway


async def test_a_quiet_room_comes_to_a_new_history_when_its_replica_is_back(replicated):
    url = f"{replicated.master.url}?replicas=1"
    stores = [await open_store(url) for _ in range(2)]
    async with Gateway(stores[0]) as one, Gateway(stores[1]) as two:
        session = await one.session()
        for node in (one, two):
            await node.hub.room(session)
        logs = [node.hub._find(session).log for node in (one, two)]
        before = {log.position for log in logs}
        replicated.replica.kill()
        replicated.master.kill()
        await asyncio.to_thread(replicated.master.start)
        await until(lambda: all(log._behind for log in logs))
        assert {log.position for log in logs} == before
        await asyncio.to_thread(replicated.replica.start)
        # Nobody says or asks anything.
        await until(lambda: all(log.position.history == 1 for log in logs), 15)
        assert {log.position for log in logs} == {await stores[0].position(session)}
    for store in stores:
        await store.close()


@pytest.mark.parametrize("started", [True, False])
async def test_who_asks_a_room_that_has_gone_is_told_at_once(node, started):
    session = await node.session()
    await node.hub._drop(node.hub._find(session))
    host = await node.hub._host(session)
    if started:
        await host.log.sync()
    await node.hub._drop(host)
    async with asyncio.timeout(5):
        with pytest.raises(Refused, match="store_away"):
            await host.ask(SERVER, SetChatRules(slow=1))
        with pytest.raises(StoreAway):
            await host.log.sync()


async def test_who_waits_for_a_room_that_goes_is_told(node):
    session = await node.session()
    host = await node.hub._host(session)
    asked = [asyncio.ensure_future(host.ask(SERVER, SetChatRules(slow=n + 1))) for n in range(3)]
    synced = asyncio.ensure_future(host.log.sync())
    async with asyncio.timeout(5):
        await node.hub.erase(session)
        answers = await asyncio.gather(*asked, synced, return_exceptions=True)
    assert all(isinstance(one, int | Refused | StoreAway | None) for one in answers)
    with contextlib.suppress(StoreAway):
        assert (await node.hub.room(session)).session.id == ""


async def test_a_history_that_is_over_is_not_gone_back_to(own_redis):
    async with gateway(own_redis.url) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:saki") as saki:
            meta, log = f"meta:{{{session}}}", node.hub._find(session).log
            own_redis.ask("HSET", meta, "run", "another")
            await until(lambda: log.position.history == 1 and saki.snapshots == 2)
            position = log.position
            own_redis.ask("HSET", meta, "epoch", 1)  # as a server answers that was left behind
            await until(lambda: log._behind)
            with pytest.raises(StoreAway, match="is in history 1"):
                await log.sync()
            assert (log.position, saki.snapshots) == (position, 2)
            own_redis.ask("HSET", meta, "epoch", position.epoch)
            await until(lambda: not log._behind)
            assert (await saki.do(Post(text="on we go"))).seq == position.seq + 1


async def test_after_an_outage_everybody_is_present_at_the_first_look(own_redis):
    async with gateway(own_redis.url) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:saki"):
            presence = node.hub._find(session).presence
            await until(lambda: presence.renewed and presence.online)
            own_redis.kill()
            node.now += RENEW_MS
            await until(lambda: presence.renewed == 0)
            await asyncio.to_thread(own_redis.start)
            own_redis.ask("DEL", f"leases:{{{session}}}")  # the grace was over
            presence.leased(set())
            await until(lambda: presence.online == {"saki"}, RENEW_MS / 2000)


class Forgetful(EmbeddedStore):
    """A store that cannot keep a snapshot at the first try."""

    tries = 0

    async def save_snapshot(self, room, at, body):
        self.tries += 1
        if self.tries == 1:
            raise StoreAway("not now")
        await super().save_snapshot(room, at, body)


async def test_a_snapshot_that_could_not_be_saved_is_saved_after_the_next_entry(tmp_path, monkeypatch):
    monkeypatch.setattr("live.gateway.writing.SNAPSHOT_EVERY", 4)
    store = await Forgetful.open(tmp_path)
    async with Gateway(store) as node:
        session = await node.session()
        for slow in (1, 2):
            await node.hub.ask(session, SERVER, SetChatRules(slow=slow))
        await until(lambda: store.tries == 1)
        await node.hub.ask(session, SERVER, SetChatRules(slow=3))
        assert (await until(lambda: store.snapshot(session))).seq == 5
    await store.close()


async def test_what_a_newer_server_whispers_hurts_nobody(node):
    session = await node.session()
    async with node.viewer(session, "attendee:saki") as saki:
        unread = node.hub.counts.unread._value
        for body in (b'{"waves":{"ken":["cartwheel"]}}', b"\xff", b"[]"):
            before = unread.get()

            async def heard(before=before, body=body):
                await node.hub._store.whisper(session, body)
                return unread.get() > before

            await until(heard)
        assert isinstance(await saki.do(Post(text="on we go")), Done)
        assert saki.closed is None
