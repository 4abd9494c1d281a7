"""Raised hands, and the way of an attendee to the stage and back.

`raised → invited → checking → on_stage → off`: an invitation expires after a minute, the backstage check
after two; a refusal is seen by the staff only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

from rooms.core import STAFF_ROLES, SUBJECT, Asked, Command, Event, Level, Refused, Role
from rooms.session import State

if TYPE_CHECKING:
    from rooms.room import Room

HandState = Literal["raised", "invited", "checking", "on_stage", "off", "refused", "expired"]
ACTIVE: Final = frozenset({"raised", "invited", "checking", "on_stage"})
INVITATION_MS: Final = 60_000
CHECK_MS: Final = 120_000


class Hand(msgspec.Struct, frozen=True):
    """One person's hand, as the staff see it.

    Attributes:
        person: whose.
        state: where on the way to the stage.
        at: when it was raised (or the invitation made), in milliseconds.
        until: when the present step expires, if it does.
        raised: whether the hand was raised by the person (else invited unasked).
    """

    person: str
    state: HandState
    at: int
    until: int | None = None
    raised: bool = False


@dataclass
class Hands:
    """The slice of a room that is hands, in the order they were raised."""

    hands: dict[str, Hand] = field(default_factory=dict)
    open: bool = True

    def may_publish(self, person: str) -> bool:
        """Tell whether an attendee is on the way to the stage, or on it."""
        hand = self.hands.get(person)
        return hand is not None and hand.state in {"checking", "on_stage"}

    def seated(self, person: str, at: int) -> list[Event]:
        """Make the events of an attendee who takes the seat."""
        hand = self.hands.get(person)
        return (
            [] if hand is None else moved(msgspec.structs.replace(hand, state="on_stage", at=at, until=None))
        )

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        yield HandsSet(open=self.open)
        for hand in self.hands.values():
            yield HandFiled(hand=hand)
            if hand.raised and hand.state == "raised":
                yield HandRaised(person=hand.person, at=hand.at)
            yield YourHand(to=hand.person, state=hand.state, until=hand.until)


def moved(hand: Hand) -> list[Event]:
    """Make the events of a hand's new state: staff see it, its owner sees it."""
    return [HandFiled(hand=hand), YourHand(to=hand.person, state=hand.state, until=hand.until)]


def put_down(room: "Room", person: str, state: HandState) -> list[Event]:
    """Make the events by which an active hand ends in `state`; none when there is no such hand."""
    hand = room.hands.hands.get(person)
    if hand is None or hand.state not in ACTIVE:
        return []
    events: list[Event] = [HandLowered(person=person)] if hand.state == "raised" else []
    return events + moved(msgspec.structs.replace(hand, state=state, until=None))


class HandsSet(Event, frozen=True, tag="hands_set"):
    """Hands may be raised, or not now."""

    audience = Level.ADMITTED
    open: bool

    def apply(self, room: "Room") -> None:
        """Set."""
        room.hands.open = self.open


class HandRaised(Event, frozen=True, tag="hand_raised"):
    """A hand is up; the order of these events is the order of hands."""

    audience = Level.ADMITTED
    person: str
    at: int

    def apply(self, room: "Room") -> None:
        """Nothing more than `HandFiled` says."""


class HandLowered(Event, frozen=True, tag="hand_lowered"):
    """A hand is no longer up."""

    audience = Level.ADMITTED
    person: str

    def apply(self, room: "Room") -> None:
        """Nothing more than `HandFiled` says."""


class HandFiled(Event, frozen=True, tag="hand_filed"):
    """A hand's way to the stage, as the staff see it."""

    audience = Level.STAFF
    hand: Hand

    def apply(self, room: "Room") -> None:
        """Keep it; a hand raised anew goes to the end, one that ended is forgotten."""
        known = room.hands.hands.get(self.hand.person)
        if known is not None and (known.state not in ACTIVE or self.hand.state not in ACTIVE):
            del room.hands.hands[self.hand.person]
        if self.hand.state in ACTIVE:
            room.hands.hands[self.hand.person] = self.hand


class YourHand(Event, frozen=True, tag="your_hand"):
    """Where you stand on the way to the stage."""

    audience = SUBJECT
    to: str
    state: HandState
    until: int | None = None

    def apply(self, room: "Room") -> None:
        """Nothing more than `HandFiled` says."""


class RaiseHand(Command, frozen=True, tag="raise_hand"):
    """Ask to speak."""

    needs: ClassVar = frozenset({Role.ATTENDEE})

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Once, while hands are taken."""
        hand = room.hands.hands.get(asked.person)
        if hand is not None and hand.state in ACTIVE:
            return []
        if not room.hands.open or room.session.state is State.AFTER:
            raise Refused("hands_closed")
        up = Hand(person=asked.person, state="raised", at=asked.at, raised=True)
        return [HandRaised(person=asked.person, at=asked.at), *moved(up)]


class LowerHand(Command, frozen=True, tag="lower_hand"):
    """Take one's own hand down; staff may take down anybody's."""

    act: ClassVar = "lower_hand"
    person: str = ""

    def is_act(self, room: "Room", asked: Asked) -> bool:  # noqa: ARG002 - the port's shape
        """Another's hand is taken down by the staff alone."""
        return self.person not in {"", asked.person}

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Only hands not yet on stage."""
        person = self.person or asked.person
        if person != asked.person and not asked.is_staff:
            raise Refused("forbidden")
        hand = room.hands.hands.get(person)
        return [] if hand is None or hand.state == "on_stage" else put_down(room, person, "off")


class Invite(Command, frozen=True, tag="invite"):
    """Ask an attendee to come on stage; the attendee has a minute to consent."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "invite"
    person: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """One invitation at a time per person."""
        found = room.door.people.get(self.person)
        if found is None or not room.door.is_inside(self.person):
            raise Refused("no_such_person")
        if found.role is not Role.ATTENDEE:
            raise Refused("not_an_attendee")
        hand = room.hands.hands.get(self.person)
        if hand is not None and hand.state in {"invited", "checking", "on_stage"}:
            return []
        lowered: list[Event] = [HandLowered(person=self.person)] if hand is not None else []
        invited = Hand(person=self.person, state="invited", at=asked.at, until=asked.at + INVITATION_MS)
        return lowered + moved(invited)


class AnswerInvitation(Command, frozen=True, tag="answer_invitation"):
    """Consent to come on stage, or refuse (which only the staff see)."""

    needs: ClassVar = frozenset({Role.ATTENDEE})
    accept: bool

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """In time only."""
        hand = room.hands.hands.get(asked.person)
        if hand is None or hand.state != "invited" or (hand.until or 0) < asked.at:
            raise Refused("no_invitation")
        if not self.accept:
            return put_down(room, asked.person, "refused")
        return moved(msgspec.structs.replace(hand, state="checking", at=asked.at, until=asked.at + CHECK_MS))


class SetHands(Command, frozen=True, tag="set_hands"):
    """Take hands, or not; closing lowers those that are up."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "set_hands"
    open: bool

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Set once."""
        if room.hands.open == self.open:
            return []
        events: list[Event] = [HandsSet(open=self.open)]
        if not self.open:
            for hand in list(room.hands.hands.values()):
                if hand.state == "raised":
                    events.extend(put_down(room, hand.person, "off"))
        return events


class ExpireHands(Command, frozen=True, tag="expire_hands"):
    """End invitations and checks whose time is over (asked by the server's clock, never over the wire)."""

    needs: ClassVar = STAFF_ROLES

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Expire what is late at `asked.at`."""
        return [
            event
            for hand in list(room.hands.hands.values())
            if hand.until is not None and hand.until < asked.at
            for event in put_down(room, hand.person, "expired")
        ]
