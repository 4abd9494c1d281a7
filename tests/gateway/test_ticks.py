"""When what happened is sent: with what is being written as a tick ends, but nothing waits for that long."""

import asyncio

import pytest

from live.gateway import delivery
from live.gateway.host import SERVER
from live.stores.embedded import EmbeddedStore
from rooms.chat import Post
from tests.kit.polling import until
from tests.kit.rooms import Gateway


class Gated(EmbeddedStore):
    """A store on disk whose writing can be held up."""

    gate: asyncio.Event

    async def append(self, *what):
        await self.gate.wait()
        return await super().append(*what)


@pytest.fixture
async def room(tmp_path, monkeypatch):
    """A node whose store can be held up, its room with one viewer in it, and a tick long enough to act in."""
    monkeypatch.setattr(delivery, "TICK_SECONDS", 0.3)
    store = await Gated.open(tmp_path)
    store.gate = asyncio.Event()
    store.gate.set()
    try:
        async with Gateway(store) as node:
            session = await node.session()
            async with node.viewer(session, "attendee:ann") as ann:
                await ann.reached(await node.hub.ask(session, SERVER, Post(text="before")))
                yield node, session, ann, store
    finally:
        await store.close()


async def say_two(node, session, store):
    """Let one message be written, and a second be under way when the tick of the first ends."""
    await node.hub.ask(session, SERVER, Post(text="written"))
    store.gate.clear()
    second = asyncio.create_task(node.hub.ask(session, SERVER, Post(text="being written")))
    await until(lambda: node.hub._find(session)._delivery._holding)
    return second


async def test_what_is_being_written_as_a_tick_ends_is_sent_with_it(room, monkeypatch):
    node, session, ann, store = room
    monkeypatch.setattr(delivery, "HOLD_SECONDS", 30)
    second = await say_two(node, session, store)
    assert ann.texts == ["before"]
    store.gate.set()
    await ann.reached(await second)
    assert ann.texts == ["before", "written", "being written"]


async def test_a_write_that_takes_long_holds_up_nobody(room):
    node, session, ann, store = room
    second = await say_two(node, session, store)
    await until(lambda: ann.texts == ["before", "written"])
    assert not second.done()
    store.gate.set()
    await ann.reached(await second)
    assert ann.texts == ["before", "written", "being written"]
