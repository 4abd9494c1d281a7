"""What somebody held a moment ago is worth nothing now: at every command, while connected and on resume.

OWASP ASVS 5.0 8.2.1, 8.3.1, 8.3.2.
"""

import asyncio

import msgspec
import pytest

from live.gateway import host, writing
from live.gateway.connection import Connection
from live.gateway.host import SERVER
from live.gateway.viewing import Caller
from live.protocol.codes import Close
from live.protocol.frames import AskPage, Do, Done, Events, Hello, Limits, Page, Rate, Refused, ServerFrame
from live.stores import open_store
from rooms import Entry, Level, Role
from rooms import Refused as Refusal
from rooms.chat import Post, Posted, SetChatRules
from rooms.door import Remove
from rooms.queue import SetQuestionRules
from rooms.session import LinksVoided, VoidLinks
from rooms.stage import StepDown
from tests.kit import rooms
from tests.kit.polling import until
from tests.kit.rooms import Gateway, gateway

FAST = Limits(window=64, commands=Rate(10_000, 10_000))


async def test_asvs_8_3_2_a_moderator_who_is_removed_asks_hears_and_resumes_nothing(node):
    session = await node.session()
    async with node.viewer(session, "organiser:olga") as olga, node.viewer(session, "moderator:mio") as mio:
        done = await olga.do(Post(text="before", channel="staff"))
        await mio.reached(done.seq)
        position = mio.epoch, mio.seq
        removed = asyncio.create_task(olga.do(Remove(person="mio")))
        for ref in range(900, 906):  # on the wire while the removal is decided
            await mio.send(Do(ref=ref, nonce=f"nonce-{ref}", cmd=SetChatRules(slow=ref - 800)))
        assert isinstance(await removed, Done)
        assert await mio.gone() == Close.REMOVED
        out = (await removed).seq
        assert all(one.seq < out for one in mio.answers.values() if isinstance(one, Done))
        await olga.do(Post(text="canary-after", channel="staff"))
        for epoch, seq in (position, (None, None)):
            mio.epoch, mio.seq = epoch, seq
            await mio.connect()
            assert await mio.gone() == Close.REMOVED
        assert "before" in mio.said()
        assert "canary-after" not in mio.said()
        with pytest.raises(Refusal, match="removed"):
            await node.hub.ask(session, Caller("mio", Role.MODERATOR), SetChatRules(slow=7))


async def test_asvs_8_3_2_a_speaker_who_is_removed_comes_back_as_a_visitor(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "speaker:sato") as sato:
        assert sato.welcome.you.level is Level.STAGE
        await sato.do(Post(text="before", channel="backstage"))
        await mio.do(Remove(person="sato"))
        assert await sato.gone() == Close.REMOVED
        await mio.do(Post(text="canary-behind", channel="backstage"))
        await sato.connect()  # with the position and the epoch of the level held before
        assert sato.welcome.you.level is Level.EVERYONE
        await mio.do(Post(text="canary-behind too", channel="backstage"))
        for command in (Post(text="me again", channel="backstage"), StepDown()):
            assert (await sato.do(command)).why == "not_admitted"
        assert (await sato.do(SetQuestionRules(closed=True))).why == "forbidden"
        await sato.send(AskPage(ref=77, channel="backstage"))
        page = await until(lambda: sato.answers.get(77))
        assert isinstance(page, Page)
        assert (page.events, page.more) == ([], False)
        assert "canary-behind" not in sato.said()
        assert not sato.texts, "what the former level saw is not on the page any more"


async def test_asvs_9_2_a_void_ticket_decides_nothing_whatever_node_it_is_at(where, monkeypatch):
    """The log itself refuses: a node that has not heard of it yet appends nothing behind the voiding."""

    async def authenticate(session, ticket):
        caller = await rooms_authenticate(session, ticket)
        return caller and msgspec.structs.replace(caller, generation=1)

    rooms_authenticate = rooms.authenticate
    monkeypatch.setattr(rooms, "authenticate", authenticate)
    store = await open_store(where)
    async with Gateway(store) as one, Gateway(store, limits=FAST) as two:
        session = await one.session()
        async with two.viewer(session, "attendee:saki") as saki:

            async def talk():
                while saki.closed is None:
                    await asyncio.gather(*(saki.do(Post(text="!")) for _ in range(20)))

            talking = asyncio.create_task(talk())
            await until(lambda: len(saki.answers) > 50)
            void = await one.hub.ask(session, SERVER, VoidLinks(generation=2))
            assert await saki.gone() == Close.BAD_TICKET
            talking.cancel()
            await asyncio.gather(talking, return_exceptions=True)
            await saki.connect()
            assert await saki.gone() == Close.BAD_TICKET
            with pytest.raises(Refusal, match="bad_ticket"):
                await two.hub.ask(session, Caller("saki", Role.ATTENDEE, generation=1), Post(text="?"))
        rows = await store.read(session, 0, 100_000)
        entries = [msgspec.json.decode(row.body, type=Entry) for row in rows]
        assert any(isinstance(event, LinksVoided) for event in entries[void - 1].events)
        late = [event for entry in entries[void:] for event in entry.events if isinstance(event, Posted)]
        assert not late
    await store.close()


async def test_what_is_voided_and_asked_in_one_breath_is_refused(node):
    session = await node.session()
    room = await node.hub._host(session)
    answers = []
    room.wish(SERVER, VoidLinks(generation=2), "", answers.append)
    room.wish(Caller("mio", Role.MODERATOR, generation=1), SetChatRules(slow=9), "", answers.append)
    room.wish(Caller("mio", Role.MODERATOR, generation=2), SetChatRules(slow=8), "", answers.append)
    void, old, new = await until(lambda: len(answers) == 3 and answers)
    assert (old.code, new) == ("bad_ticket", void + 1)


class Reader:
    """A viewer who reads page by page; between the first two, something happens."""

    descriptor, deflates = -1, False

    def __init__(self, meanwhile):
        self.connection = Connection(0, FAST)
        self.frames = []
        self._meanwhile = meanwhile

    def send(self, message, kind=None, _begun=0):
        self.connection.send_ready(message, kind)
        self.wake()

    def wake(self):
        while (message := self.connection.drain()) is not None:
            self.frames.append(msgspec.json.decode(message.payload, type=ServerFrame))

    async def drained(self):
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return True


@pytest.mark.parametrize("how", ["removed", "voided"])
async def test_who_is_demoted_while_being_paged_in_gets_no_further_page(where, monkeypatch, how):
    monkeypatch.setattr(writing, "RING", 6)
    monkeypatch.setattr(host, "PAGE", 5)
    async with gateway(where) as node:
        session = await node.session()
        async with node.viewer(session, "organiser:olga") as olga:
            mio = await node.viewer(session, "moderator:mio").connect()
            hello = Hello(v=1, ticket="moderator:mio", epoch=mio.epoch, seq=mio.seq)
            await mio.drop()
            for n in range(18):
                done = await olga.do(Post(text=f"staff {n}", channel="staff"))
            assert isinstance(done, Done)

            async def demote():
                if how == "removed":
                    await olga.do(Remove(person="mio"))
                else:
                    await node.hub.ask(session, SERVER, VoidLinks(generation=2))

            reader = Reader(demote)
            caller = Caller("mio", Role.MODERATOR, "澪", registered=True, generation=1)
            await node.hub.join(session, caller, hello, reader)
            assert reader.connection.closing is (Close.REMOVED if how == "removed" else Close.BAD_TICKET)
            pages = [frame for frame in reader.frames if isinstance(frame, Events)]
            assert len(pages) == 1
            assert not any(isinstance(frame, Done | Refused) for frame in reader.frames)
