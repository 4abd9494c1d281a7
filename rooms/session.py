"""A session's life and settings.

`published → doors → backstage ⇄ live → after → closed`; a session may skip steps forward (a small circle goes
from doors straight to live) and may go back behind the curtain, but never out of *closed*.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, get_args

import msgspec

from rooms.core import STAFF_ROLES, Asked, Command, Event, Level, Refused, Role
from rooms.text import clean

if TYPE_CHECKING:
    from rooms.room import Room


class Kind(StrEnum):
    """The template a session is made from."""

    LECTURE = "lecture"
    CASE = "case"
    NETWORKING = "networking"
    READING = "reading"


class State(StrEnum):
    """Where a session is in its life."""

    PUBLISHED = "published"
    DOORS = "doors"
    BACKSTAGE = "backstage"
    LIVE = "live"
    AFTER = "after"
    CLOSED = "closed"


NEXT: Final[dict[State, frozenset[State]]] = {
    State.PUBLISHED: frozenset({State.DOORS, State.BACKSTAGE, State.LIVE, State.CLOSED}),
    State.DOORS: frozenset({State.PUBLISHED, State.BACKSTAGE, State.LIVE, State.AFTER, State.CLOSED}),
    State.BACKSTAGE: frozenset({State.DOORS, State.LIVE, State.AFTER, State.CLOSED}),
    State.LIVE: frozenset({State.BACKSTAGE, State.AFTER, State.CLOSED}),
    State.AFTER: frozenset({State.LIVE, State.CLOSED}),
    State.CLOSED: frozenset(),
}
ENTRY_STATES: Final = frozenset({State.DOORS, State.BACKSTAGE, State.LIVE, State.AFTER})
"""The entry window: registered attendees come in without knocking."""
ASKING_STATES: Final = frozenset({State.DOORS, State.BACKSTAGE, State.LIVE})
"""When questions are taken."""

CAPACITY_MOST: Final = 100_000

KEPT_MS: Final[dict[str, int]] = {"A": 10 * 60_000, "B": 7 * 24 * 3_600_000}
"""How long a session is kept after its end, by class; other classes are kept until somebody erases them."""

Moment = Annotated[int, msgspec.Meta(ge=0, lt=253_402_300_800_000)]
"""Milliseconds since the epoch, up to the end of the year 9999: beyond, no date can be written."""

Anonymity = Literal["named", "anonymous", "full"]
"""How well a question hides its asker, from not at all to wholly."""
DoorPolicy = Literal["knock", "open"]
Retention = Literal["A", "B", "C", "D"]


class QuestionPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How questions are asked in this session (product contract, section 4).

    Attributes:
        moderated: new questions wait for a moderator; else they open at once.
        anonymity: *named*; *anonymous* to attendees while staff can see; *full*: nobody can tell.
        least: fewest characters.
        most: most characters.
        counts_hidden: vote counts are shown to staff only.
    """

    moderated: bool = True
    anonymity: Anonymity = "anonymous"
    least: int = 5
    most: int = 300
    counts_hidden: bool = False


class Settings(msgspec.Struct, frozen=True):
    """What the organiser decided about a session.

    Attributes:
        title: shown to everyone.
        kind: the template.
        starts_at: milliseconds since the epoch, or none while undecided.
        capacity: most attendees inside at once.
        door: whether people without a personal ticket knock or walk in.
        retention: class A (nothing remains) to D (public archive).
        recording: whether anything about media may reach a disk.
        qa: how questions work.
    """

    title: str
    kind: Kind = Kind.LECTURE
    starts_at: int | None = None
    capacity: int = 500
    door: DoorPolicy = "knock"
    retention: Retention = "C"
    recording: bool = False
    qa: QuestionPolicy = QuestionPolicy()


def hides_less(one: Anonymity, other: Anonymity) -> bool:
    """Tell whether a question asked under `one` hides less of its asker than under `other`."""
    order: tuple[Anonymity, ...] = get_args(Anonymity)
    return order.index(one) < order.index(other)


def erased_at(retention: Retention, state: State, since: int) -> int | None:
    """Tell when everything of a session must be gone, in milliseconds since the epoch; none: not by itself.

    Args:
        retention: the session's class.
        state: where the session stands.
        since: since when it stands there.
    """
    if state not in {State.AFTER, State.CLOSED}:
        return None
    kept = KEPT_MS.get(retention)
    return None if kept is None else since + kept


def retention_for(kind: Kind) -> Retention:
    """Give the retention class that a template starts with: a case leaves nothing behind."""
    return "A" if kind is Kind.CASE else "C"


@dataclass
class Session:
    """The slice of a room that says what session it is and where it stands."""

    id: str = ""
    settings: Settings = field(default_factory=lambda: Settings(title=""))
    state: State = State.PUBLISHED
    since: int = 0
    generation: int = 1
    promised: Anonymity = "named"
    """The best that askers were ever promised here; a form of unknown age may have said so."""

    def settle(self, settings: Settings) -> None:
        """Let `settings` hold from now on."""
        self.settings = settings
        if hides_less(self.promised, settings.qa.anonymity):
            self.promised = settings.qa.anonymity

    def voids(self, generation: int | None) -> bool:
        """Tell whether a ticket made under this generation of links is void; without a ticket none is."""
        return generation is not None and generation < self.generation

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        if self.id:
            yield Opened(id=self.id, settings=self.settings, promised=self.promised)
            yield StateChanged(state=self.state, at=self.since)
            if self.generation > 1:
                yield LinksVoided(generation=self.generation)


class Opened(Event, frozen=True, tag="opened"):
    """The session exists; `promised` is the best anonymity that askers had here before, in a snapshot."""

    audience = Level.EVERYONE
    id: str
    settings: Settings
    promised: Anonymity = "named"

    def apply(self, room: "Room") -> None:
        """Name the session."""
        room.session.id, room.session.promised = self.id, self.promised
        room.session.settle(self.settings)


class SettingsChanged(Event, frozen=True, tag="settings_changed"):
    """The organiser changed what holds from now on."""

    audience = Level.EVERYONE
    settings: Settings

    def apply(self, room: "Room") -> None:
        """Replace the settings."""
        room.session.settle(self.settings)


class StateChanged(Event, frozen=True, tag="state_changed"):
    """The session moved on (or back behind the curtain)."""

    audience = Level.EVERYONE
    state: State
    at: int

    def apply(self, room: "Room") -> None:
        """Move."""
        room.session.state, room.session.since = self.state, self.at


class LinksVoided(Event, frozen=True, tag="links_voided"):
    """Tickets of generations before this one are void; who came in by one is out."""

    audience = Level.STAFF
    generation: int

    def apply(self, room: "Room") -> None:
        """Remember the newest generation."""
        room.session.generation = max(room.session.generation, self.generation)


class VoidLinks(Command, frozen=True, tag="void_links"):
    """Put out whoever came in by a ticket of an older generation (asked by the server alone)."""

    needs: ClassVar = frozenset({Role.ORGANISER})
    after_the_end: ClassVar[bool] = True
    act: ClassVar[str] = "void_links"
    generation: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Void, unless a later one has done so."""
        if self.generation <= room.session.generation:
            return []
        return [LinksVoided(generation=self.generation)]


class Open(Command, frozen=True, tag="open"):
    """Begin the log of a new session (asked by the server, never over the wire)."""

    needs: ClassVar = frozenset({*STAFF_ROLES})
    session: str
    settings: Settings

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Open once."""
        if room.session.id:
            raise Refused("exists")
        title = clean(self.settings.title, most=120)
        settings = msgspec.structs.replace(self.settings, title=title)
        return [Opened(id=self.session, settings=settings)]


class SetState(Command, frozen=True, tag="set_state"):
    """Move the session: open the doors, go live (本番へ), back behind the curtain, end."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "set_state"
    state: State

    def about(self, room: "Room") -> str:  # noqa: ARG002 - the port's shape
        """Name the new state."""
        return self.state

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Move along `NEXT`; entering the window admits every registered person who waits."""
        now = room.session.state
        if self.state == now:
            return []
        if self.state not in NEXT[now]:
            raise Refused("bad_transition")
        moved: list[Event] = [StateChanged(state=self.state, at=asked.at)]
        if self.state in ENTRY_STATES:
            moved.extend(room.door.admissions(room, room.door.waiting(registered=True)))
        return moved


class ChangeSettings(Command, frozen=True, tag="change_settings"):
    """Change settings while the session runs; absent ones stay. Q&A settings hold for new questions only."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "change_settings"
    title: str | None = None
    starts_at: Moment | None = None
    capacity: int | None = None
    door: DoorPolicy | None = None
    moderated: bool | None = None
    anonymity: Anonymity | None = None
    counts_hidden: bool | None = None

    def about(self, room: "Room") -> str:
        """Name the settings that become other ones, and the new values of those that are rules."""
        new, old = (_flat(settings) for settings in (self._made(room), room.session.settings))
        changed = (name for name in self.__struct_fields__ if new[name] != old[name])
        return " ".join(f"{name}={_word(new[name])}" if name in _TOLD else name for name in changed)

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Replace what was given."""
        new = self._made(room)
        return [] if new == room.session.settings else [SettingsChanged(settings=new)]

    def _made(self, room: "Room") -> Settings:
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        if "title" in given:
            given["title"] = clean(self.title or "", most=120)
        if self.capacity is not None and not 1 <= self.capacity <= CAPACITY_MOST:
            raise Refused("bad_capacity")
        qa = {name: given.pop(name) for name in ("moderated", "anonymity", "counts_hidden") if name in given}
        old = room.session.settings
        return msgspec.structs.replace(old, **given, qa=msgspec.structs.replace(old.qa, **qa))


_TOLD: Final = frozenset({"capacity", "door", "moderated", "anonymity", "counts_hidden"})
"""Settings whose values stand in the log of acts; the others are the organiser's words."""


def _flat(settings: Settings) -> dict[str, object]:
    return {**msgspec.structs.asdict(settings), **msgspec.structs.asdict(settings.qa)}


def _word(value: object) -> str:
    return str(value).lower()
