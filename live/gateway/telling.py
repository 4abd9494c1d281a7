"""What one member is told who comes, comes back, or has to hear the room anew."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from live.gateway.acquaintance import Acquaintances
from live.gateway.message import Message
from live.gateway.viewing import Cards, Member, addressed, events_for
from live.gateway.writing import KEPT, Log
from live.protocol.frames import Hello, Snapshot, Welcome, You
from rooms import SUBJECT, Entry, Level, Room

REPLAYS_KEPT: Final = 64
"""Positions for which what was missed is kept ready; a storm comes back from few."""
DEEPEST: Final = KEPT
"""Who is further behind than this gets a snapshot, which is the shorter way then."""


class Replays:
    """What those who come back are sent: made once for all of a level who were away since the same entry."""

    def __init__(self) -> None:
        self._at = -1
        self._special: dict[int, set[str]] = {}
        self._ready: dict[tuple[Level, int], Message] = {}

    def forget(self) -> None:
        """Cards have changed."""
        self._at = -1

    def of(self, member: Member, after: int, ring: Iterable[Entry], position: int, cards: Cards) -> Message:
        """What a member has missed since entry `after`, up to `position`, the newest in `ring`."""
        if position != self._at or len(self._ready) >= REPLAYS_KEPT:
            self._at, self._special, self._ready = position, {}, {}
        if (message := self._ready.get((member.level, after))) is not None and not (
            self._special[after] & member.names
        ):
            return message
        entries = [entry for entry in ring if entry.seq > after]
        special = self._special.setdefault(after, addressed(entries))
        message = Message.of(events_for(member, entries, cards, position))
        if not special & member.names:
            self._ready[member.level, after] = message
        return message


class Wholes:
    """The whole room as viewers see it: made once for all of a level who have nothing of their own in it."""

    def __init__(self) -> None:
        self._at = -1
        self._own: set[str] | None = None
        self._ready: dict[Level, Message] = {}

    def forget(self) -> None:
        """Cards have changed, or the room is another one."""
        self._at = -1

    def own(self, room: Room) -> set[str]:
        """The names for which alone there is something in the room."""
        self._turn_to(room)
        if self._own is None:
            self._own = {getattr(fact, "to", "") for fact in room.facts() if fact.audience == SUBJECT}
        return self._own

    def of(self, member: Member, room: Room, epoch: int, cards: Cards) -> Message:
        """The snapshot for a member."""
        if self._turn_to(room) or self.own(room) & member.names:  # the first to ask may be the only one
            return _whole(member.level, member.names, room, epoch, cards)
        if member.level not in self._ready:
            self._ready[member.level] = _whole(member.level, frozenset(), room, epoch, cards)
        return self._ready[member.level]

    def _turn_to(self, room: Room) -> bool:
        """Forget what was made of the room before its newest entry; tell whether there is one."""
        if room.seq == self._at:
            return False
        self._at, self._own, self._ready = room.seq, None, {}
        return True


def _whole(level: Level, names: frozenset[str], room: Room, epoch: int, cards: Cards) -> Message:
    events = room.view(level, names)
    people = cards.whole(level, events)
    return Message.of(Snapshot(epoch=epoch, seq=room.seq, events=events, cards=people))  # type: ignore[arg-type] # the union of all events


class Telling:
    """Tells members of a room where they are in it, and what they do not know yet.

    Attributes:
        replays: What those who were away are sent.
        wholes: What those are sent who know nothing that still holds.
    """

    def __init__(self, log: Log, people: Acquaintances, clock: Callable[[], int]) -> None:
        """Tell of the room of a log, and of its people; `clock` gives milliseconds since 1970."""
        self.replays = Replays()
        self.wholes = Wholes()
        self._log = log
        self._people = people
        self._clock = clock

    def forget_ready(self) -> None:
        """Cards have changed: what was made ready holds the old ones."""
        self.replays.forget()
        self.wholes.forget()

    # -- where a viewer is -------------------------------------------------------------------------

    def epoch(self, member: Member) -> int:
        """The epoch as a viewer knows it: another level is another history, another edition is not."""
        return (self._log.position.history + 1) * len(Level) + member.level

    def follows(self, member: Member, hello: Hello) -> bool:
        """Whether a viewer can go on from the position that it tells."""
        if hello.seq is None or hello.epoch != self.epoch(member):
            return False
        return 0 <= self._log.room.seq - hello.seq <= DEEPEST

    def holds(self, seq: int | None) -> bool:
        """Whether all that came after an entry is at hand; for what is not, the store has to be asked."""
        ring = self._log.ring
        return seq == self._log.room.seq or (seq is not None and bool(ring) and ring[0].seq <= seq + 1)

    def lost(self, member: Member, hello: Hello) -> int:
        """How many entries the viewer holds that the log has lost."""
        if (
            hello.seq is None
            or hello.epoch is None
            or hello.epoch // len(Level) >= self.epoch(member) // len(Level)
        ):
            return 0
        return max(0, hello.seq - self._log.room.seq)

    # -- what it is told ---------------------------------------------------------------------------

    def welcome(self, member: Member, lost: int = 0) -> None:
        """Say who it is, where the room is, and how many entries it knew have been `lost`."""
        caller = member.caller
        frame = Welcome(
            epoch=self.epoch(member),
            seq=self._log.room.seq,
            now=self._clock(),
            session=self._log.session,
            you=You(
                id=caller.person, role=caller.role, level=member.level, name=caller.name, alias=member.alias
            ),
            lost=lost,
        )
        member.push(Message.of(frame))

    def page(self, member: Member, entries: Sequence[Entry]) -> None:
        """Send entries that lie further back than what is at hand."""
        member.push(Message.of(events_for(member, entries, self._people.cards, entries[-1].seq)))

    def replay(self, member: Member, hello: Hello) -> bool:
        """Send what was missed since the position that a viewer tells; False if that cannot be."""
        if not self.follows(member, hello) or not self.holds(hello.seq):
            return False
        ring, position = self._log.ring, self._log.room.seq
        member.push(self.replays.of(member, hello.seq or 0, ring, position, self._people.cards))
        return True

    def whole(self, member: Member) -> None:
        """Send the room as it is."""
        member.push(self.wholes.of(member, self._log.room, self.epoch(member), self._people.cards))
