"""One room on this node: its log, its viewers, and what flows between them."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec
import structlog

from live.gateway.absence import Absences
from live.gateway.acquaintance import STORE_AGAIN_SECONDS, Acquaintances
from live.gateway.broadcast import Broadcast
from live.gateway.connection import Connection
from live.gateway.message import Message
from live.gateway.presence import GRACE_SECONDS, RENEW_MS, Presence, stamp_of
from live.gateway.tallies import Tallies
from live.gateway.viewing import Blinding, Caller, Member, Members, Replays, Wholes, deliver, seen_by
from live.gateway.writing import KEPT, Log, Outcome, Wish
from live.protocol.codes import Close
from live.protocol.frames import (
    AskPage,
    Client,
    Do,
    Done,
    Events,
    Hello,
    Page,
    Refused,
    Server,
    Signal,
    Stage,
    Typing,
    Welcome,
    You,
)
from live.stores import Store, StoreAway
from live.telemetry import Numbers
from rooms import Asked, Command, Entry, Level, Role, Room, State, due
from rooms import Refused as Refusal
from rooms.chat import Post
from rooms.door import Filed, Knock
from rooms.session import LinksVoided
from rooms.stage import ExpireSeat

log = structlog.get_logger()

TICK_SECONDS: Final = 0.02
CROWD_TICK_SECONDS: Final = 0.05
CROWD: Final = 1000
TICK_OF_WORK: Final = 1.5
LONGEST_TICK_SECONDS: Final = 0.2
"""In a hall so full that writing to everybody takes long, a tick lasts half as long again as the writing: a
third of the time is for commands, and every frame then carries more."""
HOLD_SECONDS: Final = 0.02
"""How long a tick waits for what is being written to the store at its end."""
PAGE: Final = 256
"""Entries in one frame of a deep resume."""
PAGING: Final = 16
"""How many viewers of this node are paged in at the same time."""
TELLING: Final = 16
"""How many viewers of this node are told a whole room at the same time."""
TELLING_SECONDS: Final = 0.5
"""How long the next one waits until this one has read it: who reads slowly holds up nobody for longer."""
ALIKE: Final = 256
"""How many who are sent the same bytes are sent them before anything else happens."""
PAGE_SECONDS: Final = 15.0
"""How long a viewer may take to read one page."""
DEEPEST: Final = KEPT
"""Who is further behind than this gets a snapshot, which is the shorter way then."""
SERVER = Caller(person="server", role=Role.ORGANISER, name="")
"""Who asks what the clock demands."""

Change = Callable[[str, Room], None]


STAGE: Final = b"stage "
"""Begins a whisper about the stage, which a node's media tells to other nodes' viewers."""


class Setting(msgspec.Struct, frozen=True):
    """What a host needs from the world.

    Attributes:
        store: Where logs lie.
        blinding: The site's blinded names.
        clock: Milliseconds since 1970.
        fresh: Makes an identifier that nobody can guess.
        changed: Called with the session and its room after every change.
        paging: Who may read old entries from the store at the same time.
        telling: Who may be sent a whole room of their own at the same time.
        staged: Called with the session and what another node whispers about its stage.
        counts: Where it is counted what happens.
        waiting: How many may wait at one door.
        broadcast: Sends a message to many lines.
    """

    store: Store
    blinding: Blinding
    clock: Callable[[], int]
    fresh: Callable[[], str]
    changed: Change
    paging: asyncio.Semaphore
    telling: asyncio.Semaphore
    staged: Callable[[str, bytes], None]
    counts: Numbers
    waiting: int
    broadcast: Broadcast


class Host:
    """A room as this node holds it. Everything public is synchronous except what has to ask the store."""

    def __init__(self, session: str, setting: Setting) -> None:
        self.session = session
        self.log = Log(session, setting.store, setting.clock, setting.counts)
        self.log.heard = self._heard
        self.members = Members()
        self.presence = Presence()
        self._tallies = Tallies()
        self._absences = Absences()
        self.used_at = setting.clock()
        self._setting = setting
        self.people = Acquaintances(
            self.log, setting.store, setting.fresh, partial(self.ask, SERVER), self._forget_ready
        )
        self._replays = Replays()
        self._wholes = Wholes()
        self._late: dict[Member, int] = {}  # who waits to be told the whole room, and how much of it was lost
        self._lateness = asyncio.Event()
        self._unsent: list[Entry] = []
        self._anew = False
        self._flushing: asyncio.TimerHandle | None = None
        self._holding = False
        self._flushed_at = 0.0
        self._flush_took = 0.0
        self._notices: Mapping[Level, Message] = {}

    @property
    def room(self) -> Room:
        """The room as it stands on disk."""
        return self.log.room

    async def load(self) -> None:
        """Read the room and its cards.

        Raises:
            StoreAway: The store does not answer.
        """
        await self.log.load()
        await self.people.load()

    async def run(self) -> None:
        """Own the room until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.log.run(), name=f"log {self.session}")
            tasks.create_task(self._overhear(), name=f"whispers {self.session}")
            tasks.create_task(self.people.run(met=self.flush), name=f"strangers {self.session}")
            tasks.create_task(self._tell_the_late(), name=f"late {self.session}")

    async def _overhear(self) -> None:
        async with contextlib.aclosing(self._setting.store.whispers(self.session)) as whispers:
            async for body in whispers:
                if body.startswith(STAGE):
                    self._setting.staged(self.session, body.removeprefix(STAGE))
                else:
                    try:
                        self.presence.overhear(body, self._setting.clock())
                    except msgspec.DecodeError:  # of a newer server; it may be lost like any whisper
                        self._setting.counts.unread.inc()

    # -- asking ------------------------------------------------------------------------------------

    def wish(
        self,
        caller: Caller,
        command: Command,
        nonce: str,
        settle: Callable[[Outcome], None],
        since: int | None = None,
    ) -> None:
        """Ask a command; `settle` learns the outcome once. See `Do` for `since`."""
        if isinstance(command, Knock) and len(self.room.door.waiting()) >= self._setting.waiting:
            settle(Refusal("full", at=self._setting.waiting))
            return
        blinding = self._setting.blinding
        asked = Asked(
            person=caller.person,
            role=caller.role,
            at=self._setting.clock(),
            id=self._setting.fresh(),
            key=blinding.key(self.session, caller.person, nonce or self._setting.fresh()),
            alias=blinding.alias(self.session, caller.person),
            generation=caller.generation,
        )
        self.log.wish(Wish(command, asked, settle, since, repeatable=bool(nonce)))

    async def ask(self, caller: Caller, command: Command, nonce: str = "", since: int | None = None) -> int:
        """Ask a command and wait for its entry's number (0: nothing was to be done). See `Do` for `since`.

        Raises:
            rooms.Refused: With its code.
        """
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.wish(
            caller,
            command,
            nonce,
            lambda outcome: None if answer.done() else answer.set_result(outcome),
            since,
        )
        outcome = await answer
        if isinstance(outcome, Refusal):
            raise outcome
        return outcome

    def is_void(self, caller: Caller) -> bool:
        """Whether the caller's ticket was voided since it was verified."""
        return self.room.session.voids(caller.generation)

    def _level(self, caller: Caller) -> Level | None:
        """How much a caller may see by what has been heard so far; None: no longer part of the room."""
        return None if self.is_void(caller) else self.room.level_of(caller.person, caller.role)

    def _forget_ready(self) -> None:
        self._replays.forget()
        self._wholes.forget()

    # -- coming and going --------------------------------------------------------------------------

    async def take_in(self, member: Member, hello: Hello) -> Close | None:
        """Give a member its place, near what it knows; the close code if that cannot be.

        Few are sent the whole room at a time, so that a thousand who come at once cost no thousand rooms of
        memory.

        Raises:
            StoreAway: The store does not answer.
        """
        reached = await self._page_in(member, hello)
        if reached is None:
            return Close.TOO_SLOW
        if not self.log.ended and self._follows(member, reached) and self._in_ring(reached.seq):
            self._admit(member, reached)
            return None
        async with self._setting.telling:
            await self.people.meet_strangers()
            if self.log.ended:  # the room was closed meanwhile
                return Close.RESYNC
            self._admit(member, reached)
            try:
                await self._is_read(member)
            except BaseException:
                self.leave(member)
                raise
        return None

    async def _page_in(self, member: Member, hello: Hello) -> Hello | None:
        """Bring who was away for long nearer: what the ring no longer holds is read from the store, in pages.

        Few do this at a time, and each page waits until the one before it is written, so that a thousand who
        come back at once cost no thousand logs of memory.

        Args:
            member: Who resumes; not yet among the members.
            hello: With the position to resume from.

        Returns:
            The greeting with the position reached, from which `_admit` goes on; as it was, when nothing had
            to be paged in or it cannot be (`_admit` sends a snapshot then); None when the reader was too slow
            or went away.
        """
        await self.people.meet_strangers()
        member.level = self.room.level_of(member.caller.person, member.caller.role) or Level.EVERYONE
        if not self._follows(member, hello) or self._in_ring(hello.seq):
            return hello
        member.greeted = member.level
        self._welcome(member)
        async with self._setting.paging:
            while self._follows(member, hello) and not self._in_ring(hello.seq):
                rows = await self._setting.store.read(self.session, hello.seq or 0, PAGE)
                if not rows or rows[0].seq != (hello.seq or 0) + 1:
                    break  # trimmed
                await self.people.meet_strangers()
                if self._level(member.caller) is not member.level:
                    break  # demoted or put out meanwhile: `_admit` sees to it
                self._push_page(member, [msgspec.json.decode(row.body, type=Entry) for row in rows])
                hello = msgspec.structs.replace(hello, seq=rows[-1].seq)
                try:
                    async with asyncio.timeout(PAGE_SECONDS):
                        if not await member.line.drained():
                            return None
                except TimeoutError:
                    return None
        await self.people.meet_strangers()
        return hello

    def _push_page(self, member: Member, entries: Sequence[Entry]) -> None:
        seen = seen_by(member.level, member.names, entries)
        people = self.people.cards.named(event for entry in seen for event in entry.events)
        member.push(Message.of(Events(seq=entries[-1].seq, entries=seen, cards=people)))

    def _admit(self, member: Member, hello: Hello) -> None:
        """Give a member its place: the one before it with the same identity goes. There are no strangers."""
        self.flush()
        level = self.room.level_of(member.caller.person, member.caller.role)
        if level is None or self.is_void(member.caller):
            why = Close.REMOVED if level is None else Close.BAD_TICKET
            member.tell(lambda connection: connection.close(why))
            return
        if (older := self.members.get(member.caller.person)) is not None:
            older.tell(lambda connection: connection.close(Close.TAKEN_OVER))
        member.level = level
        self.members[member.caller.person] = member
        member.tell(Connection.greeted)
        if member.greeted is not level:
            gone = self._gone(member, hello)
            self._welcome(member, gone)
        paged = member.greeted is not None
        if self._replay(member, hello):
            how = "pages" if paged else "ring"
        else:
            self._snapshot(member)
            how = "new" if hello.seq is None else "snapshot"
        self._setting.counts.resumes.labels(how).inc()
        self._catch_up_on_signals(member)
        self.presence.renewed = 0

    def see_out(self, person: str) -> None:
        """Close a person's connection for good."""
        if (member := self.members.get(person)) is not None:
            member.tell(lambda connection: connection.close(Close.REMOVED))

    def leave(self, member: Member) -> None:
        """Forget a member whose connection is gone; the lease stays for its grace."""
        if self.members.get(member.caller.person) is member:
            del self.members[member.caller.person]
        self.used_at = self._setting.clock()

    def close_all(self, code: Close) -> None:
        """Close every connection."""
        for member in self.members.values():
            member.tell(lambda connection: connection.close(code))

    # -- what members say --------------------------------------------------------------------------

    def receive(self, member: Member, frame: Client) -> None:
        """Act on a frame that the connection let through."""
        now = self._setting.clock()
        # What was heard of may not have been flushed yet: nobody asks for more than the lesser of two levels.
        level = min(member.level, self._level(member.caller) or Level.EVERYONE)
        match frame:
            case Do():
                self._do(member, frame)
            case AskPage():
                self._page(member, frame, level)
            case Signal() if level >= Level.ADMITTED:
                self.presence.wave(member.caller.person, frame.kind, now)
            case Typing() if level >= Level.ADMITTED:
                self.presence.typing(member.caller.person, now)
            case _:
                pass

    def _do(self, member: Member, frame: Do) -> None:
        def settle(outcome: Outcome) -> None:
            answer = _answer(frame.ref, outcome)
            member.tell(lambda connection: connection.answer(answer))

        if isinstance(frame.cmd, Post):
            self.presence.wrote(member.caller.person)
        self.wish(member.caller, frame.cmd, frame.nonce, settle, frame.since)

    def _page(self, member: Member, frame: AskPage, level: Level) -> None:
        events, more = self.room.page(
            level, frame.channel, before=frame.before, after=frame.after, limit=frame.limit
        )
        page = Page(ref=frame.ref, events=events, more=more, cards=self.people.cards.named(events))  # type: ignore[arg-type] # a union
        member.tell(lambda connection: connection.send(page))

    # -- what members are sent ---------------------------------------------------------------------

    def notify(self, frames: Mapping[Level, Server]) -> None:
        """Send everybody the frame of the highest level that they reach; a newer notice replaces an older."""
        self._notices = {level: Message.of(frame) for level, frame in frames.items()}
        if isinstance(stage := frames.get(Level.STAGE), Stage):
            self._absences.told(stage, self.room, self._setting.clock())
        for member in self.members.values():
            self._notice(member)

    def _flush_in_time(self) -> None:
        """Flush, after what is being written now: that would wait for a whole tick otherwise."""
        self._holding = not self.log.idle
        if self._holding:
            self._flushing = asyncio.get_running_loop().call_later(HOLD_SECONDS, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        """Send what was folded since the last time; if that fails, everybody comes back and resumes.

        What names a person whose card is still to be fetched waits, and what comes after it: who lost the
        line in between would resume behind the entry, and never be told the name. When people were met, it
        goes on.
        """
        clock = asyncio.get_running_loop().time
        self._flushed_at = clock()
        try:
            self._flush()
        except Exception:
            log.exception("fan-out failed", session=self.session)
            self.close_all(Close.RESYNC)
        self._flush_took = (self._flush_took + clock() - self._flushed_at) / 2  # once delayed is not slow

    def _flush(self) -> None:
        self._flushing, self._holding = None, False
        if self._anew:
            if not self.people.strangers:
                self._start_over()
            return
        known = self._known()
        entries, self._unsent = self._unsent[:known], self._unsent[known:]
        if not entries:
            return
        if any(isinstance(event, LinksVoided) for one in entries for event in one.events):
            self._see_out_the_void()
        moved = self._moved(
            {event.person.id for one in entries for event in one.events if isinstance(event, Filed)}
        )
        for member in moved:
            self._late.setdefault(member, 0)
        deliver(self.members, entries, self.people.cards, self._setting.broadcast, self._late)
        if moved and not self._unsent:
            for member in moved:
                self._tell_whole(member)
        elif moved:
            self._lateness.set()
        if self.room.session.state is State.CLOSED and not self._unsent:
            self.close_all(Close.ENDED)

    def _known(self) -> int:
        """How many of the unsent entries come before the first that names a stranger."""
        if not self.people.strangers:
            return len(self._unsent)
        strange = (n for n, one in enumerate(self._unsent) if self.people.names_a_stranger(one))
        return next(strange, len(self._unsent))

    def _see_out_the_void(self) -> None:
        for member in [member for member in self.members.values() if self.is_void(member.caller)]:
            del self.members[member.caller.person]
            member.tell(lambda connection: connection.close(Close.BAD_TICKET))

    def _moved(self, people: Iterable[str]) -> set[Member]:
        """Find members whose level changed, and see those out who have been removed."""
        moved = set()
        for member in [self.members[person] for person in people if person in self.members]:
            level = self.room.level_of(member.caller.person, member.caller.role)
            if level is None:
                del self.members[member.caller.person]
                member.tell(lambda connection: connection.close(Close.REMOVED))
            elif level is not member.level:
                self.members.move(member, level)
                moved.add(member)
        return moved

    def _heard(self, entries: Sequence[Entry], own: bool) -> None:
        self._unsent.extend(entries)
        if not entries:
            self.people.forget_all()
            self._anew = True
        for entry in entries:
            self.people.hear(entry, own)
        loop = asyncio.get_running_loop()
        if self._flushing is None:
            least = TICK_SECONDS if len(self.members) <= CROWD else CROWD_TICK_SECONDS
            tick = max(least, min(TICK_OF_WORK * self._flush_took, LONGEST_TICK_SECONDS))
            self._flushing = loop.call_at(max(loop.time(), self._flushed_at + tick), self._flush_in_time)
        elif self._holding and self.log.waiting < len(entries):  # most of what was said is in
            self._flushing.cancel()
            self._flushing = loop.call_later(0, self.flush)
        self._setting.changed(self.session, self.room)

    def _start_over(self) -> None:
        """Another history: everybody gets the room anew, and hears what was lost, if anything was."""
        self._anew, self._unsent = False, []
        if not self.room.session.id or self.room.session.state is State.CLOSED:
            self.close_all(Close.ENDED)
            return
        self._see_out_the_void()
        self._moved(list(self.members))
        self._late = dict.fromkeys(self.members.values(), self.log.lost)
        self._lateness.set()

    async def _tell_the_late(self) -> None:
        """Tell the room anew to those who wait for it; until then they are sent nothing that happens in it.

        Many are sent the same bytes, one after the other. What is made for one alone takes its turn.
        """
        while True:
            await self._lateness.wait()
            self._lateness.clear()
            while self._late:
                if not await self._nobody_is_strange():
                    continue
                own = self._wholes.own(self.room)
                alike = [member for member in self._late if not own & member.names]
                for member in alike[:ALIKE]:
                    self._tell_whole(member)
                if alike:
                    await asyncio.sleep(0)
                    continue
                async with asyncio.TaskGroup() as tellers:
                    for _ in range(min(TELLING, len(self._late))):
                        tellers.create_task(self._tell_some(), name=f"tell {self.session}")

    async def _tell_some(self) -> None:
        while self._late:
            async with self._setting.telling:
                if await self._nobody_is_strange() and self._late:
                    member = next(iter(self._late))
                    self._tell_whole(member)
                    await self._is_read(member)
                    await asyncio.sleep(0)

    async def _nobody_is_strange(self) -> bool:
        """Bring everybody to the newest entry, so that the room as it is can be told; False for now not."""
        try:
            await self.people.meet_strangers()
        except StoreAway:
            await asyncio.sleep(STORE_AGAIN_SECONDS)
            return False
        if self._unsent or self._anew:
            self.flush()
        return True

    def _tell_whole(self, member: Member) -> None:
        lost = self._late.pop(member, 0)
        if self.members.get(member.caller.person) is member:
            self._welcome(member, lost)
            self._snapshot(member)
            self._catch_up_on_signals(member)

    @staticmethod
    async def _is_read(member: Member) -> None:
        """Wait until a member has taken what it was sent, but not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TELLING_SECONDS):
                await member.line.drained()

    def _welcome(self, member: Member, lost: int = 0) -> None:
        caller = member.caller
        frame = Welcome(
            epoch=self._epoch(member),
            seq=self.room.seq,
            now=self._setting.clock(),
            session=self.session,
            you=You(
                id=caller.person, role=caller.role, level=member.level, name=caller.name, alias=member.alias
            ),
            lost=lost,
        )
        member.push(Message.of(frame))

    def _epoch(self, member: Member) -> int:
        """The epoch as a viewer knows it: another level is another history, another edition is not."""
        return (self.log.position.history + 1) * len(Level) + member.level

    def _gone(self, member: Member, hello: Hello) -> int:
        """How many entries the viewer holds that the log has lost."""
        if (
            hello.seq is None
            or hello.epoch is None
            or hello.epoch // len(Level) >= self._epoch(member) // len(Level)
        ):
            return 0
        return max(0, hello.seq - self.room.seq)

    def _follows(self, member: Member, hello: Hello) -> bool:
        """Whether a viewer can go on from the position that it tells."""
        if hello.seq is None or hello.epoch != self._epoch(member):
            return False
        return 0 <= self.room.seq - hello.seq <= DEEPEST

    def _in_ring(self, seq: int | None) -> bool:
        ring = self.log.ring
        return seq == self.room.seq or (seq is not None and bool(ring) and ring[0].seq <= seq + 1)

    def _replay(self, member: Member, hello: Hello) -> bool:
        if not self._follows(member, hello) or not self._in_ring(hello.seq):
            return False
        seq = hello.seq or 0
        member.push(self._replays.of(member, seq, self.log.ring, self.room.seq, self.people.cards))
        return True

    def _snapshot(self, member: Member) -> None:
        member.push(self._wholes.of(member, self.room, self._epoch(member), self.people.cards))

    def _catch_up_on_signals(self, member: Member) -> None:
        if (told := self.presence.told(member.level)) is not None:
            member.push(told, "signals")
        self._tallies.catch_up(self.room, member)
        self._notice(member)

    def _notice(self, member: Member) -> None:
        reached = [level for level in self._notices if level <= member.level]
        if reached:
            member.push(self._notices[max(reached)], "notice")

    def _broadcast(self, level: Level, message: Message, kind: str) -> None:
        self._setting.broadcast(self.members.crowd(level), message, kind)

    # -- twice a second ----------------------------------------------------------------------------

    async def tick(self, now: int) -> None:
        """Renew leases, look who is there, send signals, and ask what the clock demands."""
        late = [ExpireSeat(person=person) for person in self._absences.over(self.room, now)]
        for command in [*due(self.room, now), *late]:
            self.wish(SERVER, command, "", lambda _outcome: None)
        if not self.members:
            return
        self.used_at = now
        with contextlib.suppress(StoreAway):  # leases outlive several ticks
            if now - self.presence.renewed >= RENEW_MS:
                await self._renew(now)
            if (news := self.presence.whisper()) is not None:
                await self._setting.store.whisper(self.session, news)
            self.presence.leased(await self._setting.store.leases(self.session))
        for person, seat in self.presence.newest.items():
            member = self.members.get(person)
            if member is not None and seat != member.seat and stamp_of(seat) > stamp_of(member.seat):
                member.tell(lambda connection: connection.close(Close.TAKEN_OVER))
        self.presence.tell(self.room, self._broadcast, now)
        self._tallies.tell(self.room, self.members.values())

    async def _renew(self, now: int) -> None:
        """Renew everybody's lease; if that fails, the next tick tries before it looks who is there.

        Raises:
            StoreAway: The store does not answer.
        """
        self.presence.renewed = now  # before: who comes in meanwhile is to be renewed at the next tick
        seats = [member.seat for member in self.members.values()]
        try:
            await self._setting.store.lease(self.session, seats, GRACE_SECONDS)
        except StoreAway:
            self.presence.renewed = 0
            raise


def _answer(ref: int, outcome: Outcome) -> Done | Refused:
    if isinstance(outcome, Refusal):
        return Refused(ref=ref, why=outcome.code, at=outcome.at, wait=outcome.wait, by=outcome.by)
    return Done(ref=ref, seq=outcome)
