"""What happens in a room is sent once a tick, to everybody as far as each may see it.

A tick becomes one `Message` per level; whoever has events of their own (`SUBJECT`) in it gets a frame of
their own. Who has to hear the room anew waits aside until that has been told.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import structlog

from live.gateway.acquaintance import STORE_AGAIN_SECONDS, Acquaintances
from live.gateway.broadcast import Broadcast
from live.gateway.message import Message
from live.gateway.setting import TELLING, TELLING_SECONDS, Setting
from live.gateway.telling import Telling
from live.gateway.viewing import Cards, Member, Members, addressed, events_for, seen_by
from live.gateway.writing import Log
from live.protocol.codes import Close
from live.protocol.frames import Events
from live.stores import StoreAway
from rooms import Entry, Level, State
from rooms.door import Filed
from rooms.session import LinksVoided

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
ALIKE: Final = 256
"""How many who are sent the same bytes are sent them before anything else happens."""


class Delivery:
    """Sends the members of a room what happens in it.

    Args:
        setting: The node's.
        log: Of the room.
        members: To whom.
        people: Whose cards go with it.
        telling: Tells the whole room.
        catch_up: Sends a member what is no history: signals, tallies, the stage.
    """

    def __init__(
        self,
        setting: Setting,
        log: Log,
        members: Members,
        people: Acquaintances,
        *,
        telling: Telling,
        catch_up: Callable[[Member], None],
    ) -> None:
        self._setting = setting
        self._log = log
        self._members = members
        self._people = people
        self._telling = telling
        self._catch_up = catch_up
        self._late: dict[Member, int] = {}  # who waits to be told the whole room, and how much of it was lost
        self._lateness = asyncio.Event()
        self._unsent: list[Entry] = []
        self._anew = False
        self._flushing: asyncio.TimerHandle | None = None
        self._holding = False
        self._flushed_at = 0.0
        self._flush_took = 0.0

    def take(self, entries: Sequence[Entry]) -> None:
        """Send these with the next tick; none at all: another history has begun."""
        self._unsent.extend(entries)
        if not entries:
            self._anew = True
        loop = asyncio.get_running_loop()
        if self._flushing is None:
            least = TICK_SECONDS if len(self._members) <= CROWD else CROWD_TICK_SECONDS
            tick = max(least, min(TICK_OF_WORK * self._flush_took, LONGEST_TICK_SECONDS))
            self._flushing = loop.call_at(max(loop.time(), self._flushed_at + tick), self._flush_in_time)
        elif self._holding and self._log.waiting < len(entries):  # most of what was said is in
            self._flushing.cancel()
            self._flushing = loop.call_later(0, self.flush)

    def _flush_in_time(self) -> None:
        """Flush, after what is being written now: that would wait for a whole tick otherwise."""
        self._holding = not self._log.idle
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
            log.exception("fan-out failed", session=self._log.session)
            self._members.close_all(Close.RESYNC)
        self._flush_took = (self._flush_took + clock() - self._flushed_at) / 2  # once delayed is not slow

    def _flush(self) -> None:
        self._flushing, self._holding = None, False
        if self._anew:
            if not self._people.strangers:
                self._start_over()
            return
        known = self._known()
        entries, self._unsent = self._unsent[:known], self._unsent[known:]
        if not entries:
            return
        if any(isinstance(event, LinksVoided) for one in entries for event in one.events):
            self._see_out_the_void()
        filed = {event.person.id for one in entries for event in one.events if isinstance(event, Filed)}
        moved = self._moved(filed)
        for member in moved:
            self._late.setdefault(member, 0)
        deliver(self._members, entries, self._people.cards, self._setting.broadcast, self._late)
        if moved and not self._unsent:
            for member in moved:
                self._tell_whole(member)
        elif moved:
            self._lateness.set()
        if self._log.room.session.state is State.CLOSED and not self._unsent:
            self._members.close_all(Close.ENDED)

    def _known(self) -> int:
        """How many of the unsent entries come before the first that names a stranger."""
        if not self._people.strangers:
            return len(self._unsent)
        strange = (n for n, one in enumerate(self._unsent) if self._people.names_a_stranger(one))
        return next(strange, len(self._unsent))

    def _see_out_the_void(self) -> None:
        voids = self._log.room.session.voids
        for member in [one for one in self._members.values() if voids(one.caller.generation)]:
            del self._members[member.caller.person]
            member.tell(lambda connection: connection.close(Close.BAD_TICKET))

    def _moved(self, people: Iterable[str]) -> set[Member]:
        """Find members whose level changed, and see those out who have been removed."""
        moved = set()
        for member in [self._members[person] for person in people if person in self._members]:
            level = self._log.room.level_of(member.caller.person, member.caller.role)
            if level is None:
                del self._members[member.caller.person]
                member.tell(lambda connection: connection.close(Close.REMOVED))
            elif level is not member.level:
                self._members.move(member, level)
                moved.add(member)
        return moved

    def _start_over(self) -> None:
        """Another history: everybody gets the room anew, and hears what was lost, if anything was."""
        self._anew, self._unsent = False, []
        if not self._log.room.session.id or self._log.room.session.state is State.CLOSED:
            self._members.close_all(Close.ENDED)
            return
        self._see_out_the_void()
        self._moved(list(self._members))
        self._late = dict.fromkeys(self._members.values(), self._log.lost)
        self._lateness.set()

    async def run(self) -> None:
        """Tell the room anew to those who wait for it, until cancelled; meanwhile they are sent nothing else.

        Many are sent the same bytes, one after the other. What is made for one alone takes its turn.
        """
        while True:
            await self._lateness.wait()
            self._lateness.clear()
            while self._late:
                if not await self._nobody_is_strange():
                    continue
                own = self._telling.wholes.own(self._log.room)
                alike = [member for member in self._late if not own & member.names]
                for member in alike[:ALIKE]:
                    self._tell_whole(member)
                if alike:
                    await asyncio.sleep(0)
                    continue
                async with asyncio.TaskGroup() as tellers:
                    for _ in range(min(TELLING, len(self._late))):
                        tellers.create_task(self._tell_some(), name=f"tell {self._log.session}")

    async def _tell_some(self) -> None:
        while self._late:
            async with self._setting.telling:
                if await self._nobody_is_strange() and self._late:
                    member = next(iter(self._late))
                    self._tell_whole(member)
                    await member.reads(TELLING_SECONDS)
                    await asyncio.sleep(0)

    async def _nobody_is_strange(self) -> bool:
        """Bring everybody to the newest entry, so that the room as it is can be told; False for now not."""
        try:
            await self._people.meet_strangers()
        except StoreAway:
            await asyncio.sleep(STORE_AGAIN_SECONDS)
            return False
        if self._unsent or self._anew:
            self.flush()
        return True

    def _tell_whole(self, member: Member) -> None:
        lost = self._late.pop(member, 0)
        if self._members.get(member.caller.person) is member:
            self._telling.welcome(member, lost)
            self._telling.whole(member)
            self._catch_up(member)


def deliver(
    members: Members,
    entries: Sequence[Entry],
    cards: Cards,
    broadcast: Broadcast,
    late: Collection[Member] = (),
) -> None:
    """Send entries to everybody who is not `late`, as far as each may see them."""
    position = entries[-1].seq
    special = addressed(entries)
    apart = set(late)
    for member in members.values() if special else ():
        if special & member.names and member not in late:
            apart.add(member)
            frame = events_for(member, entries, cards, position)
            if frame.entries:
                member.push(Message.of(frame))
    for level in Level:
        crowd = members.crowd(level, apart)
        if any(crowd) and (message := _for_level(level, entries, cards, position)) is not None:
            broadcast(crowd, message, None)


def _for_level(level: Level, entries: Sequence[Entry], cards: Cards, position: int) -> Message | None:
    seen = seen_by(level, frozenset(), entries)
    if not seen:
        return None
    people = cards.fresh(level, [event for entry in seen for event in entry.events])
    return Message.of(Events(seq=position, entries=seen, cards=people))
