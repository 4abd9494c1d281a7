"""Who looks at a room, and what each may see of what happens in it: `rooms.sees` decides everything."""

import asyncio
import hmac
from collections import UserDict
from collections.abc import Callable, Collection, Iterable, Mapping, ValuesView
from typing import Any

import msgspec

from live.gateway.broadcast import Crowd, Line
from live.gateway.connection import Connection
from live.gateway.message import Message
from live.protocol.codes import Close
from live.protocol.frames import Card, Events, Seen
from rooms import SUBJECT, Entry, Event, Level, Role, visible
from rooms.likeness import skeleton

ALIASES_KEPT = 20_000
"""Blinded names that are not computed anew."""
PROSE = frozenset({"text", "answer", "title", "label", "key", "low", "high"})
"""Fields that people wrote; an id in there names nobody."""


class Caller(msgspec.Struct, frozen=True):
    """A person with a verified ticket, as the tickets say it.

    Attributes:
        person: Person id.
        role: In this session.
        name: As shown to others; empty if the card in the store says it.
        profession: If given.
        registered: Holds a personal ticket, so needs no knock.
        generation: Of the session's links that the ticket was made under; None without a ticket.
    """

    person: str
    role: Role
    name: str = ""
    profession: str = ""
    registered: bool = False
    generation: int | None = None

    @property
    def card(self) -> Card:
        """The card that lies beside the log."""
        return Card(id=self.person, name=self.name, role=self.role, profession=self.profession)


class StoredCard(Card, frozen=True, omit_defaults=True):
    """A card as it lies beside the log.

    Attributes:
        untold: Nonce of the `TellCard` that is to tell this change of the card; empty when that is done, and
            on a first card, which comes with the person.
        since: An entry before which nobody has told it.
    """

    untold: str = ""
    since: int = 0


class Blinding:
    """Names that lead nowhere without the site's secret."""

    def __init__(self, secret: bytes) -> None:
        self._mac = hmac.new(secret, digestmod="sha256")
        self._aliases: dict[tuple[str, str], str] = {}

    def alias(self, session: str, person: str) -> str:
        """A person's blinded name in one session."""
        name = self._aliases.get((session, person))
        if name is None:
            if len(self._aliases) >= ALIASES_KEPT:
                self._aliases.clear()
            name = f"a-{self._digest('alias', session, person)[:20]}"
            self._aliases[session, person] = name
        return name

    def key(self, session: str, person: str, nonce: str) -> str:
        """What a command is remembered by; tells nobody who asked."""
        return self._digest("key", session, person, nonce)[:24]

    def _digest(self, *parts: str) -> str:
        mac = self._mac.copy()  # half the time of a digest from the secret
        mac.update("\x00".join(parts).encode())
        return mac.hexdigest()


class Member:
    """One viewer: a line, and how much of the room it sees.

    Attributes:
        line: Its line.
        connection: What that says.
        push: Sends a message by it.
        seat: Name of the lease, `person/stamp`; of two seats of a person the later stamp holds.
        level: What it sees now.
        tallies: What it was last told of each poll.
        greeted: The level under which it has been welcomed before it had a place, if it was.
    """

    __slots__ = (
        "alias",
        "caller",
        "connection",
        "greeted",
        "level",
        "line",
        "names",
        "push",
        "seat",
        "tallies",
    )

    def __init__(self, caller: Caller, alias: str, line: Line, stamp: str) -> None:
        self.caller = caller
        self.alias = alias
        self.names = frozenset({caller.person, alias})
        self.line = line
        self.connection = line.connection
        self.push = line.send
        self.seat = f"{caller.person}/{stamp}"
        self.level = Level.EVERYONE
        self.tallies: dict[str, Message] = {}
        self.greeted: Level | None = None

    def tell(self, act: Callable[[Connection], None]) -> None:
        """Do something with the connection and see that its outputs are drained."""
        act(self.connection)
        self.line.wake()

    async def reads(self, within: float) -> bool:
        """Wait until it has taken what it was sent, for so many seconds at most; tells whether it has."""
        try:
            async with asyncio.timeout(within):
                return await self.line.drained()
        except TimeoutError:
            return False


class Members(UserDict[str, Member]):
    """The members of a room by person id, and as crowds: everybody of a level.

    Crowds are collected anew when somebody has come, gone or moved to another level; whatever changes a
    `UserDict` comes by the two methods below.
    """

    def __init__(self) -> None:
        self._crowds: dict[Level, Crowd] = {}
        super().__init__()

    def __setitem__(self, person: str, member: Member) -> None:
        super().__setitem__(person, member)
        self._crowds.clear()

    def __delitem__(self, person: str) -> None:
        super().__delitem__(person)
        self._crowds.clear()

    def values(self) -> ValuesView[Member]:
        """Everybody, without a look-up for each of thousands."""
        return self.data.values()

    def close_all(self, code: Close) -> None:
        """Close every connection."""
        for member in self.values():
            member.tell(lambda connection: connection.close(code))

    def move(self, member: Member, level: Level) -> None:
        """Let a member see as much as a level does."""
        member.level = level
        self._crowds.clear()

    def crowd(self, level: Level, apart: Collection[Member] = ()) -> Crowd:
        """Everybody of a level but those who are `apart`."""
        if apart:
            return Crowd.of(one.line for one in self.values() if one.level is level and one not in apart)
        if level not in self._crowds:
            self._crowds[level] = Crowd.of(one.line for one in self.values() if one.level is level)
        return self._crowds[level]


class Cards:
    """The cards of a room, and which of them each level has been sent."""

    def __init__(self, cards: Mapping[str, Card]) -> None:
        self.by_id: dict[str, Card] = {}
        self._notable: dict[str, str] = {}
        self._sent: dict[Level, set[str]] = {level: set() for level in Level}
        for card in cards.values():
            self.put(card)

    def put(self, card: Card) -> None:
        """Take a card, in place of an older one of the person; it is sent at the next mention."""
        self.by_id[card.id] = card
        for sent in self._sent.values():
            sent.discard(card.id)
        if card.role is not Role.ATTENDEE and card.name:
            self._notable[card.id] = skeleton(card.name)

    def marked(self, card: Card) -> list[Card]:
        """Return the card as it has to be, and others that it makes look alike, with their marks."""
        if card.role is Role.ATTENDEE:
            known = {looks for person, looks in self._notable.items() if person in self.by_id}
            return [msgspec.structs.replace(card, alike=bool(card.name) and skeleton(card.name) in known)]
        looks = skeleton(card.name)
        others = [
            msgspec.structs.replace(other, alike=True)
            for other in self.by_id.values()
            if other.role is Role.ATTENDEE
            and not other.alike
            and other.name
            and skeleton(other.name) == looks
        ]
        return [msgspec.structs.replace(card, alike=False), *(other for other in others if card.name)]

    def fresh(self, level: Level, events: Iterable[Event]) -> list[Card]:
        """Cards for the people in events that go to a whole level, each once."""
        new = self._mentioned(events) - self._sent[level]
        self._sent[level] |= new
        return [self.by_id[person] for person in sorted(new)]

    def whole(self, level: Level, events: Iterable[Event]) -> list[Card]:
        """Cards for a viewer of a level who knows nobody yet: also those that the level has been sent."""
        known = self._mentioned(events) | (self._sent[level] & self.by_id.keys())
        return [self.by_id[person] for person in sorted(known)]

    def named(self, events: Iterable[Event]) -> list[Card]:
        """Cards for everybody in events that go to one viewer."""
        return [self.by_id[person] for person in sorted(self._mentioned(events))]

    def _mentioned(self, events: Iterable[Event]) -> set[str]:
        found: set[str] = set()
        for event in events:
            _strings(event, found)
        return found & self.by_id.keys()


def _strings(value: Any, found: set[str]) -> None:  # noqa: ANN401 - walks whatever an event holds
    if isinstance(value, str):
        found.add(value)
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            if name not in PROSE:
                _strings(getattr(value, name), found)
    elif isinstance(value, dict):
        for key, item in value.items():
            _strings(key, found)
            _strings(item, found)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _strings(item, found)


def seen_by(level: Level, names: frozenset[str], entries: Iterable[Entry]) -> list[Seen]:
    """What a viewer may see of entries; those without anything are left out."""
    return [
        Seen(seq=entry.seq, at=entry.at, events=events)  # type: ignore[arg-type] # the union of all events
        for entry in entries
        if (events := visible(level, names, entry.events))
    ]


def events_for(member: Member, entries: Iterable[Entry], cards: Cards, position: int) -> Events:
    """What one viewer may see of entries, and everybody's card in it; `position` is where it brings them."""
    seen = seen_by(member.level, member.names, entries)
    people = cards.named(event for entry in seen for event in entry.events)
    return Events(seq=position, entries=seen, cards=people)


def addressed(entries: Iterable[Entry]) -> set[str]:
    """The names that some event is for alone."""
    return {
        to
        for entry in entries
        for event in entry.events
        if event.audience == SUBJECT and isinstance(to := getattr(event, "to", None), str)
    }
