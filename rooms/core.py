"""What a command, an event and an entry are, and who may see what.

Everything in this package is a value or a rule. Clocks, identifiers and dice arrive in `Asked`; nothing here
can reach a socket, a store or a log.
"""

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

if TYPE_CHECKING:
    from rooms.room import Room


class Role(StrEnum):
    """What a person is in a session; a fact of the signed ticket."""

    ORGANISER = "organiser"
    MODERATOR = "moderator"
    SPEAKER = "speaker"
    PRESENTER = "presenter"
    ATTENDEE = "attendee"


class Level(IntEnum):
    """How much of a room a viewer sees: a linear order, so one comparison decides."""

    EVERYONE = 0
    ADMITTED = 1
    STAGE = 2
    STAFF = 3


Subject = Literal["subject"]
SUBJECT: Final[Subject] = "subject"
"""The audience of events that carry `to`: only that person (or that person's blinded alias) sees them."""

STAFF_ROLES: Final = frozenset({Role.ORGANISER, Role.MODERATOR})
STAGE_ROLES: Final = frozenset({Role.SPEAKER, Role.PRESENTER})
ANY_ROLE: Final = frozenset(Role)


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a failure of ours
    """The command was understood and changes nothing.

    Attributes:
        code: stable machine code; the client owns the sentence.
        at: the current version or limit that the command missed.
        wait: milliseconds after which the same command may succeed.
        by: the person whose act came first, where staff may know it.
    """

    def __init__(
        self, code: str, *, at: int | None = None, wait: int | None = None, by: str | None = None
    ) -> None:
        super().__init__(code)
        self.code, self.at, self.wait, self.by = code, at, wait, by


class Asked(msgspec.Struct, frozen=True):
    """Who asks, when, and the fresh facts that a decision may use.

    Attributes:
        person: id of the asker.
        role: the role on the asker's ticket, verified for this very command.
        at: milliseconds since the epoch.
        id: a fresh identifier for whatever the command creates.
        key: hash of person and nonce; a key is answered once.
        alias: the asker's blinded name in this session, for fully anonymous questions.
        generation: of the session's links that the asker's ticket was made under; None without a ticket.
    """

    person: str
    role: Role
    at: int
    id: str
    key: str = ""
    alias: str = ""
    generation: int | None = None

    @property
    def is_staff(self) -> bool:
        """Whether the asker moderates."""
        return self.role in STAFF_ROLES


class Gone(msgspec.Struct, frozen=True):
    """Whose words have to leave the log, not the view only.

    Attributes:
        messages: ids of chat messages.
        questions: ids of questions.
        visitors: people whose talk at the door goes.
    """

    messages: frozenset[str] = frozenset()
    questions: frozenset[str] = frozenset()
    visitors: frozenset[str] = frozenset()

    def __or__(self, other: "Gone") -> "Gone":
        return Gone(
            self.messages | other.messages,
            self.questions | other.questions,
            self.visitors | other.visitors,
        )

    def __bool__(self) -> bool:
        return bool(self.messages or self.questions or self.visitors)

    @property
    def ids(self) -> frozenset[str]:
        """Everything that is named; an entry that holds none of it needs no second look."""
        return self.messages | self.questions | self.visitors


class Event(msgspec.Struct, frozen=True, tag_field="t", omit_defaults=True):
    """Something that happened. Its class says who may see it; it is shown unedited."""

    audience: ClassVar[Level | Subject]

    def erases(self) -> Gone:
        """Tell whose words end with this event: those in earlier entries are taken out of the log."""
        return NOTHING

    def without(self, gone: Gone) -> "Event":  # noqa: ARG002 - most events hold nobody's words
        """Give the event as it is without those words; folded, it leads to the same room in the end."""
        return self

    def apply(self, room: "Room") -> None:
        """Fold the event into `room`; cannot fail, whatever the room holds."""
        raise NotImplementedError  # pragma: no cover - every event says what it does


NOTHING: Final = Gone()


class Command(msgspec.Struct, frozen=True, tag_field="t", forbid_unknown_fields=True, omit_defaults=True):
    """Something a person wants. `decide` answers with events or raises `Refused`; it changes nothing."""

    needs: ClassVar[frozenset[Role]] = ANY_ROLE
    at_the_door: ClassVar[bool] = False
    """Whether a person who has not been admitted may ask it."""
    after_removal: ClassVar[bool] = False
    """Whether a person who was taken out of the room may ask it."""
    after_the_end: ClassVar[bool] = False
    """Whether it may be asked when the session is closed."""
    act: ClassVar[str] = ""
    """Name of the staff act to record in the acts log; empty: not recorded."""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Return the events that the command causes in `room` as it stands."""
        raise NotImplementedError  # pragma: no cover - every command decides

    def is_act(self, room: "Room", asked: Asked) -> bool:  # noqa: ARG002 - most commands need no look
        """Tell whether it is an act of the staff, in `room` before it is done, when `asked` asks it."""
        return bool(self.act)

    def about(self, room: "Room") -> str:  # noqa: ARG002 - most commands need no look
        """Name the person or item a staff act concerns, in `room` before it is done; never content."""
        return getattr(self, "person", "") or getattr(self, "id", "")


def sees(level: Level, names: frozenset[str], event: Event) -> bool:
    """Tell whether a viewer of `level` who answers to `names` may see `event`: the only gate there is."""
    if event.audience == SUBJECT:
        return getattr(event, "to", None) in names
    return level >= event.audience


def visible(level: Level, names: frozenset[str], events: Iterable[Event]) -> list[Event]:
    """Keep what `sees` lets through, in order."""
    return [event for event in events if sees(level, names, event)]
