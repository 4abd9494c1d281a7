"""One room on this node: its log, its viewers, and what flows between them."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from live.gateway.absence import Absences
from live.gateway.acquaintance import Acquaintances
from live.gateway.connection import Connection
from live.gateway.delivery import Delivery
from live.gateway.message import Message
from live.gateway.presence import GRACE_SECONDS, RENEW_MS, Presence, stamp_of
from live.gateway.setting import TELLING_SECONDS, Setting
from live.gateway.tallies import Tallies
from live.gateway.telling import Telling
from live.gateway.viewing import Caller, Member, Members
from live.gateway.writing import Log, Outcome, Wish
from live.protocol.codes import Close
from live.protocol.frames import (
    AskPage,
    Client,
    Do,
    Done,
    Hello,
    Page,
    Refused,
    Server,
    Signal,
    Stage,
    Typing,
)
from live.stores import StoreAway
from rooms import Asked, Command, Entry, Level, Role, Room, due
from rooms import Refused as Refusal
from rooms.chat import Post
from rooms.door import Knock
from rooms.stage import ExpireSeat

PAGE: Final = 256
"""Entries in one frame of a deep resume."""
PAGE_SECONDS: Final = 15.0
"""How long a viewer may take to read one page."""
SERVER = Caller(person="server", role=Role.ORGANISER, name="")
"""Who asks what the clock demands."""
STAGE: Final = b"stage "
"""Begins a whisper about the stage, which a node's media tells to other nodes' viewers."""


class Host:
    """A room as this node holds it. Everything public is synchronous except what has to ask the store."""

    def __init__(self, session: str, setting: Setting) -> None:
        self.session = session
        self.log = Log(session, setting.store, setting.clock, setting.counts)
        self.log.heard = self._heard
        self.members = Members()
        self.presence = Presence()
        self.people = Acquaintances(
            self.log, setting.store, setting.fresh, partial(self.ask, SERVER), self._forget_ready
        )
        self.used_at = setting.clock()
        self._setting = setting
        self._tallies = Tallies()
        self._absences = Absences()
        self._notices: Mapping[Level, Message] = {}
        self._telling = Telling(self.log, self.people, setting.clock)
        self._delivery = Delivery(
            setting,
            self.log,
            self.members,
            self.people,
            telling=self._telling,
            catch_up=self._catch_up_on_signals,
        )

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
            tasks.create_task(self.people.run(met=self._delivery.flush), name=f"strangers {self.session}")
            tasks.create_task(self._delivery.run(), name=f"late {self.session}")

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
        self._telling.forget_ready()

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
        if not self.log.ended and self._telling.follows(member, reached) and self._telling.holds(reached.seq):
            self._admit(member, reached)
            return None
        async with self._setting.telling:
            await self.people.meet_strangers()
            if self.log.ended:  # the room was closed meanwhile
                return Close.RESYNC
            self._admit(member, reached)
            try:
                await member.reads(TELLING_SECONDS)
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
        if not self._telling.follows(member, hello) or self._telling.holds(hello.seq):
            return hello
        member.greeted = member.level
        self._telling.welcome(member)
        async with self._setting.paging:
            while self._telling.follows(member, hello) and not self._telling.holds(hello.seq):
                rows = await self._setting.store.read(self.session, hello.seq or 0, PAGE)
                if not rows or rows[0].seq != (hello.seq or 0) + 1:
                    break  # trimmed
                await self.people.meet_strangers()
                if self._level(member.caller) is not member.level:
                    break  # demoted or put out meanwhile: `_admit` sees to it
                self._telling.page(member, [msgspec.json.decode(row.body, type=Entry) for row in rows])
                hello = msgspec.structs.replace(hello, seq=rows[-1].seq)
                if not await member.reads(PAGE_SECONDS):
                    return None
        await self.people.meet_strangers()
        return hello

    def _admit(self, member: Member, hello: Hello) -> None:
        """Give a member its place: the one before it with the same identity goes. There are no strangers."""
        self._delivery.flush()
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
            gone = self._telling.lost(member, hello)
            self._telling.welcome(member, gone)
        paged = member.greeted is not None
        if self._telling.replay(member, hello):
            how = "pages" if paged else "ring"
        else:
            self._telling.whole(member)
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

    def _heard(self, entries: Sequence[Entry], own: bool) -> None:
        if not entries:
            self.people.forget_all()
        for entry in entries:
            self.people.hear(entry, own)
        self._delivery.take(entries)
        self._setting.changed(self.session, self.room)

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
