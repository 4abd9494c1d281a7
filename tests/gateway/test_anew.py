"""Many are told the whole room at once, and many come in while others talk: the loop goes on meanwhile."""

import asyncio
import contextlib
from collections import Counter
from typing import ClassVar

import msgspec

from live.gateway.connection import Connection
from live.gateway.setting import TELLING
from live.gateway.viewing import Caller, Member
from live.protocol.frames import Hello, ServerFrame
from live.stores import open_store
from live.stores.redis import RedisStore
from rooms import Role
from rooms.chat import Post
from rooms.door import Arrive
from rooms.queue import Ask, Vote
from tests.kit.polling import until
from tests.kit.rooms import FAST, OPEN, Gateway

PEOPLE, VOTERS = 1000, 200
MIO = Caller("mio", Role.MODERATOR, "mio-san")


class Reader:
    """A viewer without a socket: what it was sent waits until it reads."""

    unread: ClassVar = Counter()
    """How many readers have yet to read a message."""
    most: ClassVar = 0
    """The most messages, each counted once, that waited to be read at the same time."""

    descriptor, deflates = -1, False

    def __init__(self):
        self.connection = Connection(0, FAST)
        self.connection.receive(msgspec.json.encode(Hello(v=1, ticket="t")).decode(), 0, 0)
        self.snapshots, self.welcomes = [], []

    def send(self, message, _kind=None, _begun=0):
        if message.payload.startswith(b'{"t":"snapshot"'):
            self.snapshots.append(message)
            self.unread[message] += 1
            Reader.most = max(Reader.most, len(self.unread))
        elif message.payload.startswith(b'{"t":"welcome"'):
            self.welcomes.append(msgspec.json.decode(message.payload, type=ServerFrame))

    def wake(self):
        while self.connection.drain() is not None:
            pass

    async def drained(self):
        await asyncio.sleep(0)
        for message in self.snapshots:
            self.unread[message] -= 1
            if not self.unread[message]:
                del self.unread[message]
        return True

    def forget(self):
        self.snapshots, self.welcomes = [], []


@contextlib.asynccontextmanager
async def lag():
    """The longest time that the loop was kept from doing anything else, in seconds."""
    loop = asyncio.get_running_loop()
    found = [0.0]

    def look(due):
        found[0] = max(found[0], loop.time() - due)
        found[1:] = [loop.call_later(0.01, look, loop.time() + 0.01)]

    look(loop.time())
    try:
        yield found
    finally:
        found[1].cancel()


async def come_in(host, caller, line):
    member = Member(caller, f"a-{caller.person}", line, "1")
    assert await host.take_in(member, Hello(v=1, ticket="t")) is None
    return member


async def test_a_thousand_people_are_told_a_new_history_while_the_loop_goes_on(tmp_path):
    store = await open_store(tmp_path)
    async with Gateway(store) as node:
        session = await node.session(capacity=OPEN.capacity, qa=OPEN.qa)
        people = [Caller(f"p{n}", Role.ATTENDEE, f"人{n}") for n in range(PEOPLE)]
        for one in people:
            await store.put_card(session, one.person, msgspec.json.encode(one.card))
        await asyncio.gather(*(node.hub.ask(session, one, Arrive(registered=True)) for one in people))
        await asyncio.gather(
            *(node.hub.ask(session, MIO, Post(text=f"{n} " + "ことば" * 60)) for n in range(300))
        )
        await node.hub.ask(session, MIO, Ask(text="どう声をかけますか？"))
        question = next(iter((await node.hub.room(session)).questions.items))
        await asyncio.gather(*(node.hub.ask(session, one, Vote(id=question)) for one in people[:VOTERS]))
        host = node.hub._find(session)
        readers = {one.person: Reader() for one in people}
        for one in people:
            await come_in(host, one, readers[one.person])
        for reader in readers.values():
            reader.forget()
        Reader.unread, Reader.most = Counter(), 0
        rows = await store.read(session, 0, 9999)
        async with lag() as longest:
            await store.restore(session, await store.position(session), rows, None)
            await until(lambda: all(reader.snapshots for reader in readers.values()), 30)
        assert longest[0] < 0.5
        assert Reader.most <= TELLING + 1
        sent = {person: reader.snapshots for person, reader in readers.items()}
        assert all(len(snapshots) == 1 for snapshots in sent.values())
        assert len({sent[one.person][0] for one in people[VOTERS:]}) == 1
        for one in (people[0], people[-1]):
            member, (welcome,) = host.members[one.person], readers[one.person].welcomes
            snapshot = msgspec.json.decode(sent[one.person][0].payload, type=ServerFrame)
            assert welcome.epoch == snapshot.epoch == host._telling.epoch(member)
            assert snapshot.events == host.room.view(member.level, member.names)
    await store.close()


class Slow(RedisStore):
    """A store that takes its time to find cards."""

    async def cards(self, room, people=None):
        await asyncio.sleep(0.1)  # the fault itself
        return await super().cards(room, people)


async def test_while_people_stream_in_by_another_node_frames_keep_coming(redis_server):
    store, slow = await open_store(redis_server.url), await Slow.connect(redis_server.url)
    async with Gateway(store) as one, Gateway(slow) as two:
        session = await one.session(capacity=OPEN.capacity)
        async with two.viewer(session, "moderator:mio") as mio, two.viewer(session, "attendee:kay") as kay:
            said, came = [], []

            async def stream():
                while True:
                    caller = Caller(f"p{len(came)}", Role.ATTENDEE, f"人{len(came)}")
                    await one.hub.put_card(session, caller.card)
                    await one.hub.ask(session, caller, Arrive(registered=True))
                    came.append(caller.person)
                    said.append(f"発言 {len(said)}")
                    await one.hub.ask(session, MIO, Post(text=said[-1]))

            streaming = asyncio.create_task(stream())
            for count in (5, 20, 40):
                await until(lambda count=count: min(len(mio.texts), len(kay.texts)) >= count)
            assert not streaming.done()
            assert mio.texts == said[: len(mio.texts)]
            streaming.cancel()
            await asyncio.gather(streaming, return_exceptions=True)
            await until(lambda: mio.texts == kay.texts == said)
            assert mio.cards.keys() >= {*came, "mio", "kay"}
    await store.close()
    await slow.close()
