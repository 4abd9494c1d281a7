"""Who is here: the door, the waiting room, the people inside, and those asked to leave.

Presence (who has a page open this second) is not here: it is a lease and a signal. This slice holds standing:
waiting, inside, out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import msgspec

from rooms.core import (
    STAFF_ROLES,
    STAGE_ROLES,
    SUBJECT,
    Asked,
    Command,
    Event,
    Gone,
    Level,
    Refused,
    Role,
)
from rooms.hands import put_down
from rooms.session import ENTRY_STATES, State
from rooms.stage import Seated, Unseated
from rooms.text import clean

if TYPE_CHECKING:
    from rooms.room import Room

DOOR_MESSAGES_KEPT: Final = 100
"""Messages kept per conversation at the door; the oldest are forgotten first."""
Wordy = TypeVar("Wordy", "DoorSpoken", "DoorHeard")


class Standing(StrEnum):
    """Where a person stands with this room."""

    WAITING = "waiting"
    INSIDE = "inside"
    SENT_BACK = "sent_back"
    LEFT = "left"
    REMOVED = "removed"
    BLOCKED = "blocked"


REFUSED_STANDINGS: Final = frozenset({Standing.SENT_BACK, Standing.REMOVED, Standing.BLOCKED})


class Verdict(StrEnum):
    """What was decided last about a person: let in, or put out (removed or sent back)."""

    ADMITTED = "admitted"
    REFUSED = "refused"


class Reach(StrEnum):
    """How media reaches a person, as their own page found by trying: directly, over TCP, by a relay, not."""

    UDP = "udp"
    TCP = "tcp"
    RELAY = "relay"
    NONE = "none"


class Person(msgspec.Struct, frozen=True):
    """A person's standing as the staff see it. Names lie beside the log, under `id`.

    Attributes:
        id: the person.
        role: as on the ticket when the person arrived.
        standing: waiting, inside, out.
        registered: has a personal ticket, so needs no knock inside the entry window.
        at: when the standing began, in milliseconds.
        muted: may not chat or ask.
        reach: how media reaches the person; None until the person's page has told.
        verdict: outlives the standing, so that leaving undoes no removal; None while nothing was decided.
    """

    id: str
    role: Role
    standing: Standing
    registered: bool
    at: int
    muted: bool = False
    reach: Reach | None = None
    verdict: Verdict | None = None

    @property
    def upheld(self) -> Verdict | None:
        """The verdict as it stands; a log from before there were verdicts tells it by the standing."""
        return Verdict.REFUSED if self.standing in REFUSED_STANDINGS else self.verdict

    @property
    def is_refused(self) -> bool:
        """Whether only the staff can let the person in, whatever ticket there is."""
        return self.upheld is Verdict.REFUSED


class DoorMessage(msgspec.Struct, frozen=True):
    """One line of the conversation between a waiting person and the staff."""

    id: str
    visitor: str
    author: str
    text: str
    at: int


@dataclass
class Door:
    """The slice of a room that knows its people."""

    people: dict[str, Person] = field(default_factory=dict)
    talk: dict[str, list[DoorMessage]] = field(default_factory=dict)

    def waiting(self, *, registered: bool = False) -> list[str]:
        """List who waits, longest first; with `registered`, only those who need no knock."""
        return [
            person.id
            for person in self.people.values()
            if person.standing is Standing.WAITING and (person.registered or not registered)
        ]

    def inside(self, *roles: Role) -> list[str]:
        """List who is inside, of any of `roles` (of every role when none is given)."""
        return [
            person.id
            for person in self.people.values()
            if person.standing is Standing.INSIDE and (not roles or person.role in roles)
        ]

    def is_inside(self, person: str) -> bool:
        """Tell whether `person` has been admitted."""
        found = self.people.get(person)
        return found is not None and found.standing is Standing.INSIDE

    def admissions(self, room: "Room", who: Iterable[str]) -> list[Event]:
        """Make the events that admit `who` in order, as far as the capacity reaches."""
        free = room.session.settings.capacity - len(self.inside(Role.ATTENDEE))
        admitted: list[Event] = []
        for person in who:
            if free <= 0:
                break
            admitted.extend(entering(self.people[person]))
            free -= 1
        return admitted

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        for person in self.people.values():
            yield Filed(person=person)
            if person.standing is Standing.INSIDE:
                yield Entered(person=person.id, role=person.role)
            else:
                yield YourStanding(to=person.id, standing=person.standing, at=person.at)
            if person.muted:
                yield YouWereMuted(to=person.id, on=True)
        for line in (line for lines in self.talk.values() for line in lines):
            yield DoorSpoken(line=line)
            yield DoorHeard(to=line.visitor, line=line)


class Filed(Event, frozen=True, tag="person_filed"):
    """A person's standing changed, as the staff see it."""

    audience = Level.STAFF
    person: Person

    def apply(self, room: "Room") -> None:
        """Keep the newest standing; a person who comes back stands at the end of the line."""
        known = room.door.people.get(self.person.id)
        if known is not None and known.standing is not self.person.standing:
            del room.door.people[self.person.id]
        room.door.people[self.person.id] = self.person


class Entered(Event, frozen=True, tag="entered"):
    """Someone is inside: belongs on everybody's list of people."""

    audience = Level.ADMITTED
    person: str
    role: Role

    def apply(self, room: "Room") -> None:
        """Nothing more than `Filed` says."""


class Left(Event, frozen=True, tag="left"):
    """Someone is no longer inside; why is nobody's business."""

    audience = Level.ADMITTED
    person: str

    def apply(self, room: "Room") -> None:
        """Nothing more than `Filed` says."""


class YourStanding(Event, frozen=True, tag="your_standing"):
    """Where you stand with this room."""

    audience = SUBJECT
    to: str
    standing: Standing
    at: int
    text: str = ""

    def apply(self, room: "Room") -> None:
        """Nothing more than `Filed` says."""


class YouWereMuted(Event, frozen=True, tag="you_were_muted"):
    """A moderator took (or gave back) your voice in chat and Q&A."""

    audience = SUBJECT
    to: str
    on: bool

    def apply(self, room: "Room") -> None:
        """Nothing more than `Filed` says."""


class DoorSpoken(Event, frozen=True, tag="door_spoken"):
    """A line was said at the door, as the staff hear it."""

    audience = Level.STAFF
    line: DoorMessage

    def apply(self, room: "Room") -> None:
        """Append, forgetting the oldest."""
        lines = room.door.talk.setdefault(self.line.visitor, [])
        lines.append(self.line)
        del lines[:-DOOR_MESSAGES_KEPT]

    def without(self, gone: Gone) -> Event:
        """The line without words."""
        return _wordless(self, gone)


class DoorHeard(Event, frozen=True, tag="door_heard"):
    """A line was said at the door, as the visitor hears it."""

    audience = SUBJECT
    to: str
    line: DoorMessage

    def apply(self, room: "Room") -> None:
        """Nothing more than `DoorSpoken` says."""

    def without(self, gone: Gone) -> Event:
        """The line without words."""
        return _wordless(self, gone)


class Forgotten(Event, frozen=True, tag="person_forgotten"):
    """Somebody had their data deleted: the name goes, and what was said at the door."""

    audience = Level.ADMITTED
    person: str

    def apply(self, room: "Room") -> None:
        """Forget the lines; the name lies beside the log."""
        room.door.talk.pop(self.person, None)

    def erases(self) -> Gone:
        """All words of that conversation."""
        return Gone(visitors=frozenset({self.person}))


class YourDoorTalkErased(Event, frozen=True, tag="your_door_talk_erased"):
    """What you and the staff said at the door is gone."""

    audience = SUBJECT
    to: str

    def apply(self, room: "Room") -> None:
        """Nothing more than `Forgotten` says."""


class CardChanged(Event, frozen=True, tag="card_changed"):
    """The card of somebody who is inside, or was, has changed; the new one comes in the same frame."""

    audience = Level.ADMITTED
    person: str

    def apply(self, room: "Room") -> None:
        """Nothing: cards lie beside the log, and the event says no more than whose it is."""


class CardAtDoorChanged(Event, frozen=True, tag="card_at_door_changed"):
    """The card of somebody whom the staff alone know of has changed; the new one comes in the same frame."""

    audience = Level.STAFF
    person: str

    def apply(self, room: "Room") -> None:
        """Nothing, as with `CardChanged`."""


class YourCardChanged(Event, frozen=True, tag="your_card_changed"):
    """Your own card has changed while you are not inside; the new one comes in the same frame."""

    audience = SUBJECT
    to: str

    def apply(self, room: "Room") -> None:
        """Nothing, as with `CardChanged`."""


def _wordless(event: Wordy, gone: Gone) -> Wordy:
    if event.line.visitor not in gone.visitors or not event.line.text:
        return event
    return msgspec.structs.replace(event, line=msgspec.structs.replace(event.line, text=""))


def entering(person: Person) -> list[Event]:
    """Make the events by which `person` comes inside; experts take their seat behind the curtain."""
    inside = msgspec.structs.replace(person, standing=Standing.INSIDE, verdict=Verdict.ADMITTED)
    events: list[Event] = [Filed(person=inside), Entered(person=person.id, role=person.role)]
    if person.role in STAGE_ROLES:
        events.append(Seated(person=person.id))
    return events


def leaving(room: "Room", person: Person, standing: Standing, at: int, text: str = "") -> list[Event]:
    """Make the events by which a person who is inside or waits is so no longer."""
    verdict = person.verdict
    if standing is not Standing.LEFT:
        verdict = Verdict.REFUSED
    elif person.standing is Standing.INSIDE:
        verdict = Verdict.ADMITTED
    events: list[Event] = [
        Filed(person=msgspec.structs.replace(person, standing=standing, at=at, verdict=verdict)),
        YourStanding(to=person.id, standing=standing, at=at, text=text),
    ]
    if person.standing is Standing.INSIDE:
        events.append(Left(person=person.id))
        events.extend(put_down(room, person.id, "off"))
        if person.id in room.stage.seats:
            events.append(Unseated(person=person.id))
    return events


def _known(room: "Room", person: str) -> Person:
    found = room.door.people.get(person)
    if found is None:
        raise Refused("no_such_person")
    return found


class Arrive(Command, frozen=True, tag="arrive"):
    """Come to the door (asked by the gateway for a connection with a valid ticket, never over the wire)."""

    at_the_door: ClassVar = True
    after_removal: ClassVar = True
    registered: bool = False
    most_waiting: int | None = None
    """Who would be one more than so many in the line is refused."""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Let in who needs no knock; others wait."""
        known = room.door.people.get(asked.person)
        if known is not None and known.standing is Standing.BLOCKED:
            raise Refused("removed")
        if (
            known is not None
            and known.standing in {Standing.INSIDE, Standing.WAITING}
            and known.role == asked.role
        ):
            return []
        refused = known is not None and known.is_refused
        person = Person(
            id=asked.person,
            role=asked.role,
            standing=Standing.WAITING,
            registered=self.registered and not refused,
            at=asked.at,
            muted=known.muted if known else False,
            reach=known.reach if known else None,
            verdict=known.upheld if known else None,
        )
        if known is not None and refused:
            if asked.role in STAFF_ROLES:
                raise Refused("removed")
            # Who was sent back knocks to be seen again; coming again is no knock.
            return [] if known.standing is Standing.SENT_BACK else self._wait(room, person)
        if asked.role is not Role.ATTENDEE or self._is_welcome(room, known):
            return entering(person)
        return self._wait(room, person)

    def _wait(self, room: "Room", person: Person) -> list[Event]:
        if self.most_waiting is not None and len(room.door.waiting()) >= self.most_waiting:
            raise Refused("full", at=self.most_waiting)
        return waiting_at(person)

    def _is_welcome(self, room: "Room", known: Person | None) -> bool:
        """Tell whether an attendee whom nobody has put out comes in without the staff."""
        if room.session.state not in ENTRY_STATES:
            return False
        if len(room.door.inside(Role.ATTENDEE)) >= room.session.settings.capacity:
            return False
        if self.registered:
            return True
        if known is not None and known.standing is not Standing.LEFT:
            return False
        was_inside = known is not None and known.verdict is Verdict.ADMITTED
        return was_inside or room.session.settings.door == "open"


def waiting_at(person: Person) -> list[Event]:
    """Make the events of a person who begins to wait."""
    return [Filed(person=person), YourStanding(to=person.id, standing=Standing.WAITING, at=person.at)]


class TellCard(Command, frozen=True, tag="tell_card"):
    """Tell whoever knows a person that the card beside the log is another one (asked by the server alone)."""

    needs: ClassVar = STAFF_ROLES
    after_the_end: ClassVar = True
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Only of people who have come to the door, and while anybody may be there to be told."""
        if self.person not in room.door.people or room.session.state is State.CLOSED:
            return []
        public = room.attendance.knows(self.person)
        told: list[Event] = [
            CardChanged(person=self.person) if public else CardAtDoorChanged(person=self.person)
        ]
        if not room.door.is_inside(self.person):
            told.append(YourCardChanged(to=self.person))
        return told


class Knock(Command, frozen=True, tag="knock"):
    """Knock again after having been sent back or removed (not blocked)."""

    at_the_door: ClassVar = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Wait again, at the end of the line."""
        known = _known(room, asked.person)
        if known.standing is Standing.BLOCKED:
            raise Refused("removed")
        if known.standing in {Standing.INSIDE, Standing.WAITING}:
            return []
        again = msgspec.structs.replace(
            known,
            role=asked.role,
            standing=Standing.WAITING,
            registered=False,
            at=asked.at,
            verdict=known.upheld,
        )
        return waiting_at(again)


class TellReach(Command, frozen=True, tag="tell_reach"):
    """Tell the staff how media reaches oneself, so that they know who cannot see before anybody asks."""

    at_the_door: ClassVar = True
    reach: Reach

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Keep what is new; only of people who wait or are inside."""
        known = room.door.people.get(asked.person)
        if known is None or known.standing not in {Standing.INSIDE, Standing.WAITING}:
            return []
        if known.reach is self.reach:
            return []
        return [Filed(person=msgspec.structs.replace(known, reach=self.reach))]


class Leave(Command, frozen=True, tag="leave"):
    """Leave on purpose; losing the line is not leaving."""

    at_the_door: ClassVar = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Give the place free."""
        known = room.door.people.get(asked.person)
        if known is None or known.standing not in {Standing.INSIDE, Standing.WAITING}:
            return []
        return leaving(room, known, Standing.LEFT, asked.at)


class Admit(Command, frozen=True, tag="admit"):
    """Let one waiting person in."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "admit"
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Admit unless the room is full; a second moderator's admission changes nothing."""
        known = _known(room, self.person)
        if known.standing is Standing.INSIDE:
            return []
        if known.standing is not Standing.WAITING:
            raise Refused("not_waiting")
        admitted = room.door.admissions(room, [self.person])
        if not admitted:
            raise Refused("full", at=room.session.settings.capacity)
        return admitted


class AdmitAll(Command, frozen=True, tag="admit_all"):
    """Let in everyone who waits, longest first, as far as places reach."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "admit_all"

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Admit as many as fit; refuse only when somebody waits and nobody fits."""
        who = room.door.waiting()
        admitted = room.door.admissions(room, who)
        if who and not admitted:
            raise Refused("full", at=room.session.settings.capacity)
        return admitted


class SendBack(Command, frozen=True, tag="send_back"):
    """Send a waiting person away with a word; the person may knock again."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "send_back"
    person: str
    text: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Only who waits can be sent back."""
        known = _known(room, self.person)
        if known.standing is not Standing.WAITING:
            raise Refused("not_waiting")
        text = clean(self.text, least=0, most=300)
        return leaving(room, known, Standing.SENT_BACK, asked.at, text)


class SayAtDoor(Command, frozen=True, tag="say_at_door"):
    """Talk through the door: the staff to a visitor, or a visitor (who leaves `visitor` out) to the staff."""

    at_the_door: ClassVar = True
    text: str
    visitor: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Both sides hear the same line."""
        visitor = self.visitor if asked.is_staff else asked.person
        if not asked.is_staff and self.visitor not in {"", asked.person}:
            raise Refused("forbidden")
        if _known(room, visitor).standing not in {Standing.WAITING, Standing.SENT_BACK}:
            raise Refused("not_waiting")
        text = clean(self.text, most=300)
        line = DoorMessage(id=asked.id, visitor=visitor, author=asked.person, text=text, at=asked.at)
        return [DoorSpoken(line=line), DoorHeard(to=visitor, line=line)]


class Remove(Command, frozen=True, tag="remove"):
    """Take a person out of the room, for good with `block`."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "remove"
    person: str
    block: bool = False

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Staff are removed by the organiser only, and nobody removes themselves."""
        known = _known(room, self.person)
        if self.person == asked.person:
            raise Refused("not_yourself")
        if known.role is Role.ORGANISER or (known.role in STAFF_ROLES and asked.role is not Role.ORGANISER):
            raise Refused("forbidden")
        standing = Standing.BLOCKED if self.block else Standing.REMOVED
        return [] if known.standing is standing else leaving(room, known, standing, asked.at)


class Unblock(Command, frozen=True, tag="unblock"):
    """Let a blocked person knock again."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "unblock"
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Only who is blocked."""
        known = _known(room, self.person)
        if known.standing is not Standing.BLOCKED:
            return []
        return [Filed(person=msgspec.structs.replace(known, standing=Standing.REMOVED, at=asked.at))]


class Mute(Command, frozen=True, tag="mute"):
    """Take away, or give back, a person's voice in chat and Q&A; the person is told."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "mute"
    person: str
    on: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Staff cannot be muted."""
        known = _known(room, self.person)
        if known.role in STAFF_ROLES:
            raise Refused("forbidden")
        if known.muted == self.on:
            return []
        return [
            Filed(person=msgspec.structs.replace(known, muted=self.on)),
            YouWereMuted(to=self.person, on=self.on),
        ]
