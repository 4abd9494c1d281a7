"""What is left of a session when its time is over: everything, nothing, or the organiser's record."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from rooms.core import Event
from rooms.door import Filed, Standing
from rooms.polls import BallotCast
from rooms.polls import cards as poll_cards
from rooms.questions import Question, Voted, cards
from rooms.room import Room, Snapshot
from rooms.session import Opened, Retention, State, StateChanged

if TYPE_CHECKING:
    from rooms.door import Person

WEEK_MS: Final = 7 * 24 * 3_600_000
REDUCED_MS: Final[dict[str, int]] = {"C": WEEK_MS}
"""How long after its end a session is whole before only the organiser's record is left, by class."""


def reduced_at(retention: Retention, state: State, since: int) -> int | None:
    """Tell when only the record may be left, in milliseconds since the epoch; none: never.

    Args:
        retention: the session's class.
        state: where the session stands.
        since: since when it stands there.
    """
    kept = REDUCED_MS.get(retention)
    return since + kept if kept is not None and state in {State.AFTER, State.CLOSED} else None


def record_of(room: Room) -> Snapshot:
    """Make the organiser's record (class C): attendance, polls' sums, and questions that nobody asked.

    Chat, talk at the door, hands, acts, drafts and who voted for what are not in it. The session is closed.
    """
    return Snapshot(
        seq=room.seq,
        events=list(_facts(room)),  # type: ignore[arg-type] # the union of all events
        answers={},
        stays=list(room.attendance.stays()),
    )


def _facts(room: Room) -> Iterator[Event]:
    session = room.session
    yield Opened(id=session.id, settings=session.settings)
    yield StateChanged(state=State.CLOSED, at=session.since)
    stayed = {stay.person for stay in room.attendance.stays()}
    for person in room.door.people.values():
        if person.id in stayed:
            yield Filed(person=_as_inside(person))
    for question in room.questions.items.values():
        if question.text:
            yield from cards(_nobodys(question), "", was_listed=False)
            for n in range(room.questions.votes(question.id)):
                yield Voted(to=f"v{n + 1}", id=question.id, on=True)
    for poll in room.polls.listed():
        yield from poll_cards(poll)
        # In the order of the choices: a voter's place would join the ballots of several polls.
        for n, choices in enumerate(sorted(room.polls.ballots.get(poll.id, {}).values())):
            yield BallotCast(to=f"b{n + 1}", id=poll.id, choices=choices)


def _as_inside(person: "Person") -> "Person":
    """What somebody was shown or told is not in the record, only that the person was there."""
    return msgspec.structs.replace(person, standing=Standing.LEFT, muted=False)


def _nobodys(question: Question) -> Question:
    steps = tuple(msgspec.structs.replace(step, by="") for step in question.steps)
    return msgspec.structs.replace(
        question, author="", shown=False, reason=None, note="", claim=None, labels=(), steps=steps
    )
