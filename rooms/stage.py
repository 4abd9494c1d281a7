"""The stage: who sits on it, what is muted, and the curtain between backstage and audience.

This slice knows nothing of media; the media plane follows `stage_facts` like any client follows the log.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

from rooms.chat import ChatRulesSet
from rooms.core import STAFF_ROLES, STAGE_ROLES, Asked, Command, Event, Level, Refused
from rooms.hands import put_down
from rooms.session import State
from rooms.text import clean

if TYPE_CHECKING:
    from rooms.room import Room

Source = Literal["camera", "microphone", "screen"]
SOURCES: Final[tuple[Source, ...]] = ("camera", "microphone", "screen")
SEATS: Final = 6
SEAT_KEPT_MS: Final = 120_000
"""How long the seat of somebody is kept whose line is lost."""


class Timer(msgspec.Struct, frozen=True):
    """A countdown that everybody inside sees. Without `until` there is none."""

    until: int | None = None
    label: str = ""


class StageTruth(msgspec.Struct, frozen=True):
    """All that the media plane needs to know of a room.

    Attributes:
        open: the curtain; media of persons on stage reaches the audience.
        on_stage: persons with a seat.
        backstage: persons who may publish, to those behind the curtain only.
        muted: sources that nothing leaves from, by person.
        veiled: nothing leaves at all.
    """

    open: bool
    on_stage: list[str]
    backstage: list[str]
    muted: dict[str, list[Source]]
    veiled: bool


@dataclass
class Stage:
    """The slice of a room that is the stage."""

    seats: dict[str, None] = field(default_factory=dict)
    muted: dict[str, tuple[Source, ...]] = field(default_factory=dict)
    veiled: bool = False
    spotlight: str = ""
    timer: Timer = field(default_factory=Timer)

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        for person in self.seats:
            yield Seated(person=person)
        for person, sources in self.muted.items():
            for source in sources:
                yield SourceMuted(person=person, source=source, on=True)
        if self.veiled:
            yield Veiled(on=True)
        if self.spotlight:
            yield Spotlit(person=self.spotlight)
        if self.timer.until is not None:
            yield TimerSet(timer=self.timer)


def stage_truth(room: "Room") -> StageTruth:
    """Tell the media plane who may send what to whom."""
    behind = [
        person.id
        for person in room.door.people.values()
        if person.id not in room.stage.seats
        and room.door.is_inside(person.id)
        and (person.role in STAGE_ROLES | STAFF_ROLES or room.hands.may_publish(person.id))
    ]
    return StageTruth(
        open=room.session.state is State.LIVE,
        on_stage=[person for person in room.stage.seats if room.door.is_inside(person)],
        backstage=behind,
        muted={person: list(sources) for person, sources in room.stage.muted.items()},
        veiled=room.stage.veiled,
    )


class Seated(Event, frozen=True, tag="seated"):
    """A person has a seat on stage."""

    audience = Level.ADMITTED
    person: str

    def apply(self, room: "Room") -> None:
        """Take the seat."""
        room.stage.seats[self.person] = None


class Unseated(Event, frozen=True, tag="unseated"):
    """A person is off the stage."""

    audience = Level.ADMITTED
    person: str

    def apply(self, room: "Room") -> None:
        """Free the seat and what belonged to it."""
        stage = room.stage
        stage.seats.pop(self.person, None)
        stage.muted.pop(self.person, None)
        if stage.spotlight == self.person:
            stage.spotlight = ""


class SourceMuted(Event, frozen=True, tag="source_muted"):
    """The server lets nothing of this source through, or lets it through again."""

    audience = Level.ADMITTED
    person: str
    source: Source
    on: bool

    def apply(self, room: "Room") -> None:
        """Set one mute."""
        muted = set(room.stage.muted.get(self.person, ()))
        muted = muted | {self.source} if self.on else muted - {self.source}
        room.stage.muted.pop(self.person, None)
        if muted:
            room.stage.muted[self.person] = tuple(source for source in SOURCES if source in muted)


class Veiled(Event, frozen=True, tag="veiled"):
    """The stage is veiled: nothing leaves it until the veil is lifted."""

    audience = Level.EVERYONE
    on: bool

    def apply(self, room: "Room") -> None:
        """Veil or unveil."""
        room.stage.veiled = self.on


class Spotlit(Event, frozen=True, tag="spotlit"):
    """One person fills the stage; an empty id gives it back to all."""

    audience = Level.ADMITTED
    person: str = ""

    def apply(self, room: "Room") -> None:
        """Point the light."""
        room.stage.spotlight = self.person


class TimerSet(Event, frozen=True, tag="timer_set"):
    """A countdown began or was taken away."""

    audience = Level.ADMITTED
    timer: Timer

    def apply(self, room: "Room") -> None:
        """Set it."""
        room.stage.timer = self.timer


class BringOn(Command, frozen=True, tag="bring_on"):
    """Give a seat on stage to someone behind the curtain (an attendee must have consented)."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "bring_on"
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Seat who may publish."""
        if self.person in room.stage.seats:
            return []
        if self.person not in stage_truth(room).backstage:
            raise Refused("not_backstage")
        if len(room.stage.seats) >= SEATS:
            raise Refused("stage_full", at=SEATS)
        return [Seated(person=self.person), *room.hands.seated(self.person, asked.at)]


class TakeOff(Command, frozen=True, tag="take_off"):
    """Take a person off the stage; experts stay behind the curtain, an attendee returns to the audience."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "take_off"
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Unseat."""
        off: list[Event] = [Unseated(person=self.person)] if self.person in room.stage.seats else []
        return off + put_down(room, self.person, "off")


class ExpireSeat(Command, frozen=True, tag="expire_seat"):
    """End the seat of somebody whose line stays lost (asked by the server's clock, never over the wire)."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "expire_seat"
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """As if taken off the stage; who is not on it any more stays where they are."""
        if self.person not in room.stage.seats:
            return []
        return TakeOff(person=self.person).decide(room, asked)


class StepDown(Command, frozen=True, tag="step_down"):
    """Leave the stage oneself."""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Unseat the asker."""
        off: list[Event] = [Unseated(person=asked.person)] if asked.person in room.stage.seats else []
        return off + put_down(room, asked.person, "off")


class MuteSource(Command, frozen=True, tag="mute_source"):
    """Mute or unmute a microphone, camera or screen on the server, whatever the client sends."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "mute_source"
    person: str
    source: Source
    on: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Only for people inside; repeating changes nothing."""
        if not room.door.is_inside(self.person):
            raise Refused("no_such_person")
        if (self.source in room.stage.muted.get(self.person, ())) == self.on:
            return []
        return [SourceMuted(person=self.person, source=self.source, on=self.on)]


class Spotlight(Command, frozen=True, tag="spotlight"):
    """Let one person on stage fill it, or nobody."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "spotlight"
    person: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Only who is on stage."""
        if self.person and self.person not in room.stage.seats:
            raise Refused("not_on_stage")
        return [] if room.stage.spotlight == self.person else [Spotlit(person=self.person)]


class SetTimer(Command, frozen=True, tag="set_timer"):
    """Start a countdown of `seconds`, or take it away with none."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "set_timer"
    seconds: int | None = None
    label: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """At most four hours."""
        if self.seconds is None:
            return [] if room.stage.timer.until is None else [TimerSet(timer=Timer())]
        if not 1 <= self.seconds <= 4 * 3600:
            raise Refused("bad_duration")
        label = clean(self.label, least=0, most=60)
        return [TimerSet(timer=Timer(until=asked.at + self.seconds * 1000, label=label))]


class LiftVeil(Command, frozen=True, tag="lift_veil"):
    """Show the stage again after 全部止める; mutes stay until lifted one by one."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "lift_veil"

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Lift."""
        return [Veiled(on=False)] if room.stage.veiled else []


class StopEverything(Command, frozen=True, tag="stop_everything"):
    """全部止める: veil the stage, mute everybody on it, close the chat."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "stop_everything"

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """One entry, so nothing slips out between."""
        events: list[Event] = [] if room.stage.veiled else [Veiled(on=True)]
        events.extend(
            SourceMuted(person=person, source="microphone", on=True)
            for person in room.stage.seats
            if "microphone" not in room.stage.muted.get(person, ())
        )
        if not room.chat.rules.closed:
            events.append(ChatRulesSet(rules=msgspec.structs.replace(room.chat.rules, closed=True)))
        return events
