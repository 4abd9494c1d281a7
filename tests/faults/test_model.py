"""Law 6 as a model: whatever happens, each page ends with what a viewer holds who never left.

Two nodes, real hubs over the real store, each by a way of its own that can be cut; pages are real connections
without a socket, so that every drop, repetition and reordering is decided here. The witness is a fold of all
entries, read from the store as they come. Snapshots, trimming, the ring and pages are made so small that all
ways to resume are taken. A failure prints the steps that led to it.
"""

import asyncio
import random
import secrets
from collections import Counter
from typing import ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import rooms.room
from live.gateway import acquaintance, delivery, host, hub, telling, writing
from live.gateway.connection import Connection
from live.gateway.host import SERVER
from live.protocol.codes import Close
from live.protocol.frames import Card, Do, Done, Events, Hello, Refused, ServerFrame, Snapshot, Welcome
from live.stores import StoreAway, following, open_store
from rooms import Entry, Level, Open, Room, SetState, State, visible
from rooms import Refused as Refusal
from rooms.chat import SetChatRules
from rooms.door import Entered, Filed, TellCard
from tests.kit.commands import PEOPLE, some_command
from tests.kit.crowd import AGAIN
from tests.kit.mirror import Mirror
from tests.kit.polling import until
from tests.kit.rooms import FAST, OPEN, authenticate
from tests.kit.way import Way

ANSWERS = 40
SMALL = {
    "SNAPSHOT_EVERY": 10,
    "KEPT": 60,
    "RING": 6,
    "PAGE": 5,
    "ERASE_SECONDS": (0.01, 0.05),
    "PATIENCE_SECONDS": 0.5,
    "PAUSES": (0.02, 0.1),
}
PERSON, NODE = st.integers(0, len(PEOPLE) - 1), st.integers(0, 1)
WAYS = st.sampled_from(["in order", "shuffled", "twice", "late", "lost"])
NAMES = st.sampled_from(["mio-san", "rei-san", "ＭＩＯ－ＳＡＮ", "saki-san", "another-san"])
"""Those of the staff too, so that who is marked as looking like them changes."""
TORN = st.sampled_from([None, "put_card", "append", "swap_card"])
"""At which of its questions a node that is told of a new name loses the store, if it does."""
TALK = st.tuples(st.integers(0, 1 << 16), st.lists(WAYS, min_size=1, max_size=4))


class Page:
    """A page, its outbox, and the wire to a node; `asked` lies on the wire until the machine delivers it."""

    def __init__(self, ticket):
        self.ticket = ticket
        self.mirror, self.cards, self.welcome = Mirror(), {}, None
        self.epoch = self.seq = None
        self.outbox, self.acknowledged, self.asked = {}, {}, []
        self.since, self.unsure = {}, 0
        self.visit = self.connection = None
        self.closed, self.odd = None, []  # asserting here would hurt the room, which writes to us
        self._ref, self._refs = 0, {}

    # -- the line, as `live.gateway.viewing.Line` has it -----------------------------------------------

    def send(self, message, kind=None):
        self.connection.send_ready(message, kind)
        self.wake()

    def wake(self):
        connection = self.connection
        while (message := connection.drain()) is not None:
            if self.closed is None:
                self._take(msgspec.json.decode(message.payload, type=ServerFrame))
        if connection.closing is not None and self.closed is None:
            self.closed = connection.closing

    async def drained(self):
        await asyncio.sleep(0)  # a real line would give others their turn
        return self.closed is None

    # -- coming and going ----------------------------------------------------------------------------

    async def connect(self, node, session):
        self.cut()
        self.closed, self.connection = None, Connection(0, FAST)
        line = _Wire(self, self.connection)
        hello = Hello(v=1, ticket=self.ticket, epoch=self.epoch, seq=self.seq)
        assert line.connection.receive(msgspec.json.encode(hello).decode(), 0, 0) == hello
        line.wake()
        caller = await authenticate(session, self.ticket)
        try:
            raw = await node._store.card(session, caller.person)  # as the desk reads it
        except StoreAway:
            self.closed = Close.STORE_AWAY
            return
        if raw is not None:
            caller = msgspec.structs.replace(caller, name=msgspec.json.decode(raw, type=Card).name)
        self.visit = await node.join(session, caller, hello, line)
        line.wake()
        self.asked = []
        for nonce, command in self.outbox.items():
            self._ask(nonce, command)

    def cut(self):
        """Lose the line; whoever still writes to it writes to nobody."""
        if self.visit is not None:
            self.visit.leave()
        self.visit = None
        self.closed = self.closed or 1006
        self.asked = []

    @property
    def here(self):
        return self.visit is not None and self.closed is None and self.seq is not None

    # -- asking --------------------------------------------------------------------------------------

    def say(self, command):
        nonce = secrets.token_hex(8)
        self.outbox[nonce] = command
        if self.here:
            self._ask(nonce, command)

    def _ask(self, nonce, command):
        self._ref += 1
        self._refs[self._ref] = nonce
        known = max(self.welcome.seq, self.seq)
        since, self.since[nonce] = self.since.get(nonce), min(self.since.get(nonce, known), known)
        do = Do(ref=self._ref, nonce=nonce, cmd=command, since=since and self.since[nonce])
        self.asked.append(msgspec.json.encode(do).decode())

    def replay(self, dice):
        """Ask again what has long been acknowledged."""
        done = [(nonce, command) for nonce, (command, seq) in self.acknowledged.items() if seq]
        if done and self.here:
            self._ask(*dice.choice(done))

    def deliver(self, how, dice):
        frames, self.asked = self.asked, []
        if how == "lost":
            return
        if how == "late":
            self.asked = frames[1:]
            frames = frames[:1]
        if how == "shuffled":
            dice.shuffle(frames)
        if how == "twice":
            frames = [frame for frame in frames for _ in range(2)]
        for text in frames:
            if self.here:
                frame = self.connection.receive(text, 0, 0)
                if frame is not None:
                    self.visit.receive(frame)
                self.wake()

    # -- hearing -------------------------------------------------------------------------------------

    def _take(self, frame):
        match frame:
            case Welcome():
                self.welcome, self.epoch = frame, frame.epoch
                if frame.lost:
                    self.odd.append(f"{self.ticket} was told of a loss")
            case Snapshot():
                self.mirror, self.cards = Mirror().fold(frame.events), {}
                self._meet(frame.events, frame.cards)
                self.epoch, self.seq = frame.epoch, frame.seq
            case Events():
                self._meet([event for entry in frame.entries for event in entry.events], frame.cards)
                for entry in frame.entries:
                    if entry.seq <= self.seq:
                        self.odd.append(f"{self.ticket} at {self.seq} was sent {entry.seq} again")
                    self.mirror.fold(entry.events)
                self.seq = frame.seq
            case Done():
                self._done(self._refs[frame.ref], frame.seq)
            case Refused() if frame.why not in AGAIN:
                self.unsure += frame.why == "unsure"
                self.outbox.pop(self._refs[frame.ref], None)

    def _meet(self, events, cards):
        """Who comes in has a name from the same frame on, so that it cannot be missed."""
        self.cards |= {card.id: card for card in cards}
        came = {event.person for event in events if isinstance(event, Entered)}
        came |= {event.person.id for event in events if isinstance(event, Filed)}
        if nameless := came - self.cards.keys():
            self.odd.append(f"{self.ticket} at {self.seq} was not told who {nameless} are")

    def _done(self, nonce, seq):
        command = self.outbox.pop(nonce, None)
        if command is not None:
            self.acknowledged[nonce] = (command, seq)
        elif nonce in self.acknowledged:
            before = self.acknowledged[nonce][1]
            if seq != before:
                self.odd.append(f"{self.ticket} was answered {before} and then {seq} for {nonce}")


class _Wire:
    """One connection of a page: what is written to an older one reaches nobody."""

    descriptor, deflates = -1, False

    def __init__(self, page, connection):
        self.connection, self._page = connection, page

    def send(self, message, kind=None, _begun=0):
        if self._page.connection is self.connection and self._page.closed is None:
            self._page.send(message, kind)

    def wake(self):
        if self._page.connection is self.connection:
            self._page.wake()

    async def drained(self):
        return self._page.connection is self.connection and await self._page.drained()


class RoomsUnderFire(RuleBasedStateMachine):
    """Random commands, drops, repetitions, reorderings, node deaths and resumes."""

    where: object = None
    """A Redis URL, or a folder: both nodes then share the one embedded store."""
    took: ClassVar = Counter()
    noticed: ClassVar = []

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()

    def do(self, work):
        """Run it, and keep what did not hold."""
        try:
            self.runner.run(work)
        except AssertionError as failure:
            self.noticed.append(str(failure))
            raise

    @initialize()
    def begin(self):
        self.do(self._begin())

    async def _begin(self):
        self.session = f"s-{secrets.token_hex(6)}"
        stores = [await open_store(self.where)]
        stores.append(await open_store(self.where) if isinstance(self.where, str) else stores[0])
        self.stores = stores
        self.ways = [Way(store) for store in stores]
        self.hubs = [hub.Hub(way) for way in self.ways]
        for node in self.hubs:
            await node.start()
        await self._insist(Open(session=self.session, settings=OPEN))
        await self._insist(SetState(state=State.LIVE))
        self.log, self.witness = [], Room()
        self.pages = [Page(ticket) for ticket in PEOPLE]
        for n, page in enumerate(self.pages):
            await page.connect(self.hubs[n % 2], self.session)
            page.at = n % 2

    async def _insist(self, command):
        """Have it done, however slow the machine's disk is just now: patience is short here."""
        for _ in range(20):
            try:
                return await self.hubs[0].ask(self.session, SERVER, command, nonce=command.__class__.__name__)
            except Refusal as refusal:
                assert refusal.code == "store_away", refusal
        raise AssertionError("the store stayed away")

    # Every rule begins with some talk, which is still on its way when the rule does its harm.

    @rule(talk=TALK)
    def talk(self, talk):
        self._talk(talk)
        self.do(self._watch())

    @rule(talk=TALK, person=PERSON)
    def drop(self, talk, person):
        self._talk(talk)
        self.pages[person].cut()
        self.do(self._watch())

    @rule(talk=TALK, person=PERSON, node=NODE)
    def resume(self, talk, person, node):
        self._talk(talk)
        self.do(self._resume(self.pages[person], node))

    @rule(
        talk=TALK,
        person=PERSON,
        names=st.lists(NAMES, min_size=1, max_size=2),
        torn=TORN,
        heard=st.booleans(),
    )
    def rename(self, talk, person, names, torn, heard):
        """Somebody enters under another name, perhaps by two nodes at the same time."""
        self._talk(talk)
        if torn:
            self.ways[0].cut_at(torn, heard=heard)
        self.do(self._rename(self.pages[person], names))

    @rule(talk=TALK, count=st.integers(5, 80), node=NODE)
    def busy(self, talk, count, node):
        """Much happens, so that who is away has to be paged in, or told anew."""
        self._talk(talk)
        rules = [SetChatRules(slow=n + 1) for n in range(count)]
        self.do(self._ask(node, [*rules, SetChatRules()]))

    @rule(talk=TALK, node=NODE, abruptly=st.booleans())
    def die(self, talk, node, abruptly):
        """A node is gone with all its lines, in the middle of what it was doing; or it still cleans up."""
        self._talk(talk)
        self.do(self._die(node, abruptly))

    @rule(talk=TALK, node=NODE, heard=st.booleans())
    def lose_the_store(self, talk, node, heard):
        """A node's questions do not reach the store from now on, or do, and the answers are lost."""
        self._talk(talk)
        self.ways[node].cut(heard=heard)
        self.took["away"] += 1
        self.do(self._watch())

    @rule(talk=TALK, node=NODE)
    def find_the_store(self, talk, node):
        """A node has its store again."""
        self._talk(talk)
        self.ways[node].mend()
        self.do(self._watch())

    @rule(talk=TALK, node=NODE)
    def deafen(self, talk, node):
        """Announcements are lost."""
        self._talk(talk)
        self.do(self._deafen(node))

    @rule()
    def compare(self):
        self.do(self._compare())

    def teardown(self):
        try:
            if hasattr(self, "pages"):
                self.do(self._compare())
        finally:
            self.do(self._end())
            self.runner.close()

    # -- what the rules do ---------------------------------------------------------------------------

    def _talk(self, talk):
        """Several people ask for something, or again for what was done long ago."""
        seed, ways = talk
        dice = random.Random(seed)  # noqa: S311 - repeatable
        for how in ways:
            page = dice.choice(self.pages)
            for _ in range(dice.randint(1, 4)):
                page.say(some_command(dice, page))
            if dice.random() < 0.3:
                page.replay(dice)
            page.deliver(how, dice)

    async def _ask(self, node, commands):
        for start in range(0, len(commands), 10):
            some = commands[start : start + 10]
            await _try(self.hubs[node].ask(self.session, SERVER, one) for one in some)
            await self._watch()
            if not self.ways[node].whole:
                return

    async def _resume(self, page, node):
        await page.connect(self.hubs[node], self.session)
        page.at = node
        page.deliver("in order", None)
        await self._watch()

    async def _rename(self, page, names):
        caller = await authenticate(self.session, page.ticket)
        cards = [Card(caller.person, name, caller.role) for name in names]
        asked = zip(self.hubs, cards, strict=False)
        if not await _try(node.put_card(self.session, card) for node, card in asked):
            page.cut()  # who is not told that it is done comes again
            self.took["torn"] += 1
        self.took["renamed"] += 1
        await self._watch()

    async def _die(self, node, abruptly):
        if abruptly:
            self.ways[node].cut(heard=False)  # whatever it still does on its way out reaches nothing
            await _kill(self.hubs[node])
        for page in self.pages:
            if page.at == node:
                page.cut()
        await self._close(self.hubs[node])
        self.ways[node] = Way(self.stores[node])
        self.hubs[node] = hub.Hub(self.ways[node])
        await self.hubs[node].start()
        self.took["killed" if abruptly else "died"] += 1
        await self._watch()

    async def _close(self, node):
        await node.close()
        for way in ("ring", "pages", "snapshot"):
            self.took[way] += node.counts.resumes.labels(way)._value.get()

    async def _deafen(self, node):
        store = self.stores[node]
        if hasattr(store, "_routes"):
            redis = await store._routes.listener()
            await redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        await self._watch()

    async def _watch(self):
        """The witness reads what is new, before it can be trimmed."""
        await asyncio.sleep(0)  # what has just been asked for begins
        while rows := await self.stores[0].read(self.session, self.witness.seq, 1000):
            for row in rows:
                assert row.seq == self.witness.seq + 1, f"a gap in the log after {self.witness.seq}"
                self.log.append(msgspec.json.decode(row.body, type=Entry))
                self.witness.fold(self.log[-1])

    async def _compare(self):
        for way in self.ways:
            way.mend()
        try:
            await until(self._settled, 10, 0.02)
        except TimeoutError:
            raise AssertionError("\n".join(self.waiting_for)) from None
        keys = Counter(entry.key for entry in self.log if entry.key)
        assert not [key for key, count in keys.items() if count > 1], "a command has two entries"
        blinding = self.hubs[0]._world.blinding
        stored = await self.stores[0].cards(self.session)
        cards = {person: msgspec.json.decode(body, type=Card) for person, body in stored.items()}
        for page in self.pages:
            assert not page.odd, "\n".join(page.odd)
            who = page.ticket.rstrip("?").partition(":")[2]
            for nonce, (command, seq) in page.acknowledged.items():
                key = blinding.key(self.session, who, nonce)
                assert not seq or self.log[seq - 1].key == key, f"{command} of {who} is not {seq}"
            level, names = page.welcome.you.level, frozenset({page.welcome.you.id, page.welcome.you.alias})
            assert level is self.witness.level_of(who, page.welcome.you.role)
            fresh = Mirror().fold(visible(level, names, self.witness.facts(names=names)))
            assert page.mirror.settled() == fresh.settled(), f"{page.ticket} at {page.seq}"
            # Who is not inside is told of others when they speak to them, and always of themselves.
            held = {one: card for one, card in page.cards.items() if level >= Level.ADMITTED or one == who}
            stale = [card for one, card in held.items() if card != cards[one]]
            assert not stale, f"{page.ticket} at {page.seq} still has {stale}"
            page.unsure, unsure = 0, page.unsure
            self.took["unsure"] += unsure
            self.took["marked"] += any(card.alike for card in held.values())
        self.took["compared"] += 1

    async def _settled(self):
        """Everybody is back, everything is answered, and everybody has heard of the last entry."""
        for n, page in enumerate(self.pages):
            if not page.here:
                await self._resume(page, n % 2)
            page.deliver("in order", None)
            if page.outbox and not page.asked and not page.connection._under_way:
                await self._resume(page, page.at)  # what was lost on the wire is asked again by the next line
        await self._watch()
        # Nothing is asked of a node here: it has to come to the end of the log by itself.
        rooms = [room for node in self.hubs if (room := node._find(self.session)) is not None]
        tail = await self.stores[0].position(self.session)
        tails = [room.log.position for room in rooms]
        if any(room.people.strangers or room._delivery._unsent for room in rooms):
            return False
        self.waiting_for = [] if set(tails) == {tail} else [f"the log is at {tail}, the nodes at {tails}"]
        self.waiting_for += [f"{one.ticket} is away: {one.closed}" for one in self.pages if not one.here]
        self.waiting_for += [
            f"{one.ticket} has no answer to {one.outbox}" for one in self.pages if one.outbox
        ]
        return not self.waiting_for and tail.seq == self.witness.seq

    async def _end(self):
        for node in self.hubs:
            await self._close(node)
        for store in set(self.stores):
            try:
                await store.erase(self.session)
            except StoreAway:
                pass
            await store.close()


async def _try(questions):
    """Ask several things at once, of a store that may be away; returns whether all were answered."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    failures = [answer for answer in answers if isinstance(answer, Exception)]
    for failure in failures:
        if not isinstance(failure, StoreAway | Refusal):
            raise failure
    return not failures


async def _kill(node):
    """End all that a node does where it stands: nobody is told, nothing is written."""
    tasks = [node._ticking, *node._running.values(), *node._hosts.values()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def small(monkeypatch):
    for name, value in SMALL.items():
        monkeypatch.setattr(writing, name, value)
    monkeypatch.setattr(rooms.room, "ANSWERS_KEPT", ANSWERS)
    monkeypatch.setattr(following, "CHECK_SECONDS", 0.2)
    monkeypatch.setattr(hub, "SLOW_TICK_SECONDS", 0.05)
    monkeypatch.setattr(host, "PAGE", SMALL["PAGE"])
    monkeypatch.setattr(telling, "DEEPEST", SMALL["KEPT"])
    for module in (acquaintance, delivery):
        monkeypatch.setattr(module, "STORE_AGAIN_SECONDS", 0.05)


def play(where, games=40):
    """Play the model on a store; returns how often what was taken. Of more `games` one is likelier to fail.

    Real hubs in real time need not fail twice in the same way, which Hypothesis tells instead of the failure.
    """
    machine = type("Machine", (RoomsUnderFire,), {"where": where, "took": Counter(), "noticed": []})
    try:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=games,
                stateful_step_count=20,
                deadline=None,
                phases=[Phase.generate],  # to shrink a failure of real hubs takes minutes
                suppress_health_check=list(HealthCheck),
            ),
        )
    except Flaky as failure:
        raise AssertionError("\n".join(machine.noticed)) from failure
    return machine.took


MUST_HAPPEN = (
    "ring",
    "pages",
    "snapshot",
    "died",
    "killed",
    "away",
    "compared",
    "renamed",
    "torn",
    "marked",
    "unsure",
)
"""Without all of them the games have tried too little."""


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("home", ["embedded", "redis"])
def test_whatever_happens_every_page_ends_with_what_a_witness_holds(home, tmp_path, request):
    where = tmp_path if home == "embedded" else request.getfixturevalue("redis_server").url
    took = Counter()
    for _ in range(3):  # what happens is drawn by lot
        took += play(where)
        if all(took[what] for what in MUST_HAPPEN):
            return
    raise AssertionError(f"not all of {MUST_HAPPEN} has happened: {took}")


@pytest.mark.usefixtures("small")
def test_control_the_model_notices_a_room_that_forgets_its_answers(tmp_path, monkeypatch, record_property):
    monkeypatch.setattr(Room, "answered", lambda _room, _key: None)
    with pytest.raises(AssertionError, match=r"has two entries|was answered"):
        play(tmp_path, games=100)
    record_property("faults", ("control", 0, 1))


@pytest.mark.usefixtures("small")
def test_control_the_model_notices_a_room_that_takes_what_is_old_for_new(
    tmp_path, monkeypatch, record_property
):
    monkeypatch.setattr(Room, "forgets", lambda _room, _since: False)
    with pytest.raises(AssertionError, match=r"has two entries|was answered"):
        play(tmp_path, games=100)
    record_property("faults", ("control", 0, 1))


@pytest.mark.usefixtures("small")
def test_control_the_model_notices_a_name_that_nobody_is_told(tmp_path, monkeypatch, record_property):
    monkeypatch.setattr(TellCard, "decide", lambda _command, _room, _asked: [])
    with pytest.raises(AssertionError, match=r"Card\("):
        play(tmp_path, games=100)
    record_property("faults", ("control", 0, 1))
