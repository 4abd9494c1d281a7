"""The room: a fold of its log, and the one place where a command meets it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Final

import msgspec

from rooms.acts import Act, ActRecorded, Acts
from rooms.attendance import Attendance, Stay
from rooms.chat import RECENT, Channel, Chat
from rooms.core import (
    NOTHING,
    STAFF_ROLES,
    STAGE_ROLES,
    Asked,
    Command,
    Event,
    Gone,
    Level,
    Refused,
    Role,
    visible,
)
from rooms.door import Door, Entered, Left, Standing
from rooms.hands import ExpireHands, Hands
from rooms.polls import Polls
from rooms.questions import Questions
from rooms.session import Session, State
from rooms.stage import Stage
from rooms.vocabulary import AnyEvent

ANSWERS_KEPT: Final = 4096
"""Nonce hashes remembered per room; of an older repeat only `forgets` can tell that it may be one."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one command caused: all its events under one number.

    Attributes:
        seq: position in the room's log, from 1 without gaps.
        at: milliseconds since the epoch.
        events: in order; folded together or not at all.
        key: hash of person and nonce.
    """

    seq: int
    at: int
    events: Sequence[AnyEvent]
    key: str = ""

    def erases(self) -> Gone:
        """Tell whose words end with this entry."""
        return reduce(or_, (event.erases() for event in self.events), NOTHING)

    def without(self, gone: Gone) -> "Entry":
        """Give the entry without those words; itself, if it holds none of them."""
        events = [event.without(gone) for event in self.events]
        return self if events == list(self.events) else msgspec.structs.replace(self, events=events)


class Snapshot(msgspec.Struct, frozen=True):
    """A compacted log: events that rebuild the room as it was after `seq`, answers given, and stays."""

    seq: int
    events: Sequence[AnyEvent]
    answers: dict[str, int]
    stays: list[Stay] = []


@dataclass
class Room:
    """Everything known of one session, as slices. Only events change it."""

    seq: int = 0
    session: Session = field(default_factory=Session)
    door: Door = field(default_factory=Door)
    stage: Stage = field(default_factory=Stage)
    hands: Hands = field(default_factory=Hands)
    chat: Chat = field(default_factory=Chat)
    questions: Questions = field(default_factory=Questions)
    polls: Polls = field(default_factory=Polls)
    acts: Acts = field(default_factory=Acts)
    attendance: Attendance = field(default_factory=Attendance)
    answers: dict[str, int] = field(default_factory=dict)

    def fold(self, entry: Entry) -> None:
        """Apply the next entry.

        Raises:
            ValueError: the entry is not the next one; the caller must fill the gap first.
        """
        if entry.seq != self.seq + 1:
            raise ValueError(f"entry {entry.seq} after {self.seq}")
        for event in entry.events:
            event.apply(self)
            if isinstance(event, Entered):
                self.attendance.enter(event.person, entry.at)
            elif isinstance(event, Left):
                self.attendance.leave(event.person, entry.at)
        self.seq = entry.seq
        if entry.key:
            self.answers[entry.key] = entry.seq
            while len(self.answers) > ANSWERS_KEPT:
                del self.answers[next(iter(self.answers))]

    def answered(self, key: str) -> int | None:
        """Give the seq under which a command was answered before, if it was."""
        return self.answers.get(key) if key else None

    def forgets(self, since: int) -> bool:
        """Tell whether an answer that was given after entry `since` may have been forgotten."""
        if len(self.answers) < ANSWERS_KEPT:
            return False
        return since + 1 < next(iter(self.answers.values()))

    def level_of(self, person: str, role: Role) -> Level | None:
        """Tell how much a person sees who holds a ticket of `role` now; none: removed from the room."""
        known = self.door.people.get(person)
        if known is not None and known.standing in {Standing.REMOVED, Standing.BLOCKED}:
            return None
        if role in STAFF_ROLES:
            return None if known is not None and known.is_refused else Level.STAFF
        if known is None or known.standing is not Standing.INSIDE:
            return Level.EVERYONE
        return Level.STAGE if role in STAGE_ROLES else Level.ADMITTED

    def facts(self, *, recent: int | None = None, names: frozenset[str] | None = None) -> Iterator[Event]:
        """Yield events that rebuild this room from an empty one.

        Args:
            recent: give less of the old chat.
            names: of the ballots, give only those of who answers to these: a big box is not walked for each.
        """
        yield from self.session.facts()
        yield from self.door.facts()
        yield from self.hands.facts()
        yield from self.stage.facts()
        yield from self.chat.facts(recent=recent)
        yield from self.questions.facts()
        yield from self.polls.facts(names)
        yield from self.acts.facts()

    def view(self, level: Level, names: frozenset[str]) -> list[Event]:
        """Give the snapshot for a viewer: the facts, through the same gate as everything live."""
        return visible(level, names, self.facts(recent=RECENT, names=names))

    def page(
        self, level: Level, channel: Channel, *, before: str = "", after: str = "", limit: int = 50
    ) -> tuple[list[Event], bool]:
        """Give a page of chat history that a viewer of `level` may see, and whether there is more."""
        events, more = self.chat.page(channel, before=before, after=after, limit=limit)
        seen = visible(level, frozenset(), events)
        return seen, more and bool(seen)

    def snapshot(self) -> Snapshot:
        """Compact the log so far."""
        return Snapshot(
            seq=self.seq,
            events=list(self.facts()),  # type: ignore[arg-type] # the union of all events
            answers=dict(self.answers),
            stays=list(self.attendance.stays()),
        )

    @classmethod
    def restore(cls, snapshot: Snapshot) -> "Room":
        """Build the room that `snapshot` was taken of."""
        room = cls()
        for event in snapshot.events:
            event.apply(room)
        room.seq, room.answers = snapshot.seq, dict(snapshot.answers)
        room.attendance = Attendance.of(snapshot.stays)
        return room


def decide(room: Room, asked: Asked, command: Command) -> list[Event]:
    """Decide `command` in `room` as it stands, after checking who asks it.

    Returns:
        The events of one entry; none when there is nothing to do.

    Raises:
        Refused: with a stable code; nothing changes.
    """
    if room.session.voids(asked.generation):
        raise Refused("bad_ticket")
    level = room.level_of(asked.person, asked.role)
    if level is None and not command.after_removal:
        raise Refused("removed")
    if asked.role not in command.needs:
        raise Refused("forbidden")
    if room.session.state is State.CLOSED and not command.after_the_end:
        raise Refused("ended")
    if (level or Level.EVERYONE) < Level.ADMITTED and not command.at_the_door:
        raise Refused("not_admitted")
    events = command.decide(room, asked)
    if events and command.is_act(room, asked):
        act = Act(id=asked.id, by=asked.person, what=command.act, about=command.about(room), at=asked.at)
        events.append(ActRecorded(act=room.acts.chained(room.session.id, act)))
    return events


def due(room: Room, now: int) -> list[Command]:
    """List what the server's clock must ask of the room at `now` milliseconds."""
    late = any(hand.until is not None and hand.until < now for hand in room.hands.hands.values())
    return [ExpireHands()] if late else []


def next_due(room: Room) -> int | None:
    """Tell when `due` will next have something, in milliseconds since the epoch."""
    times = [hand.until for hand in room.hands.hands.values() if hand.until is not None]
    return min(times) + 1 if times else None
