"""Polls: what a poll is, what each kind of viewer may see of it, and the ballots in its box.

A poll is *draft → open → closed*. The staff's card is `PollFiled`; from its opening on everybody has the
public card, `PollListed`. A ballot carries a blinded name (`Asked.alias`) and is seen by its owner alone: no
event, no count and no export joins a person and a choice, for the staff neither. Counts are signals, told to
those whom `may_see_results` lets see them. The commands are in `rooms.polling`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec

from rooms.core import SUBJECT, Event, Level

if TYPE_CHECKING:
    from rooms.room import Room

PollKind = Literal["single", "multiple", "rating"]
PollState = Literal["draft", "open", "closed"]
Results = Literal["closed", "voted"]


class Option(msgspec.Struct, frozen=True):
    """One thing to choose; the id is the room's own and unlike that of any other poll's option."""

    id: str
    text: str


class Poll(msgspec.Struct, frozen=True, omit_defaults=True):
    """A poll as the staff see it.

    Attributes:
        id: unique in the room.
        text: what is asked.
        kind: one choice, several, or a step on a scale.
        options: what may be chosen; on a scale, its steps from low to high.
        state: draft (staff only), open, closed.
        version: rises by one with each change; staff transitions carry the one they saw.
        at: when it was drafted, opened or closed last, in milliseconds.
        by: which member of staff changed it last.
        number: short number people say aloud; 0 until it is opened.
        least: fewest options on a ballot.
        most: most options on a ballot.
        low: words for the low end of a scale.
        high: words for its high end.
        results: whether they are hidden until it is *closed*, or from those only who have not *voted*.
        shown: it is closed, and the results are on everybody's screen.
        revealed: they have been at some time; it then cannot be opened again.
    """

    id: str
    text: str
    kind: PollKind
    options: tuple[Option, ...]
    state: PollState
    version: int
    at: int
    by: str
    number: int = 0
    least: int = 1
    most: int = 1
    low: str = ""
    high: str = ""
    results: Results = "closed"
    shown: bool = False
    revealed: bool = False


class PublicPoll(msgspec.Struct, frozen=True, omit_defaults=True):
    """A poll as everybody inside sees it, from its opening on."""

    id: str
    text: str
    kind: PollKind
    options: tuple[Option, ...]
    state: PollState
    version: int
    at: int
    number: int
    least: int = 1
    most: int = 1
    low: str = ""
    high: str = ""
    results: Results = "closed"
    shown: bool = False


@dataclass
class Polls:
    """The slice of a room that is its polls.

    `ballots` maps a poll to its ballots by blinded name; `counts` is what they add up to, kept as they come.
    """

    items: dict[str, Poll] = field(default_factory=dict)
    ballots: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def listed(self) -> list[Poll]:
        """List the polls that have been opened, in that order."""
        found = [poll for poll in self.items.values() if poll.state != "draft"]
        return sorted(found, key=lambda poll: poll.number)

    def open(self) -> Poll | None:
        """Give the poll that is open; there is one at most."""
        return next((poll for poll in self.items.values() if poll.state == "open"), None)

    def has_voted(self, poll: str, names: frozenset[str]) -> bool:
        """Tell whether a ballot in the box belongs to who answers to `names`."""
        return not names.isdisjoint(self.ballots.get(poll, {}))

    def voters(self, poll: str) -> int:
        """Count the ballots of a poll."""
        return len(self.ballots.get(poll, {}))

    def tally(self, poll: str) -> dict[str, int]:
        """Tell how often each option of a poll, by id, was chosen."""
        found, counts = self.items.get(poll), self.counts.get(poll, {})
        return {option.id: counts.get(option.id, 0) for option in (found.options if found else ())}

    def facts(self, names: frozenset[str] | None = None) -> Iterator[Event]:
        """Yield the events that rebuild this slice; with `names`, of the ballots only theirs."""
        for poll in self.items.values():
            yield from cards(poll)
            box = self.ballots.get(poll.id, {})
            for voter in sorted(box if names is None else names & box.keys()):
                yield BallotCast(to=voter, id=poll.id, choices=box[voter])


def may_see_results(poll: Poll, level: Level, *, voted: bool) -> bool:
    """Tell whether a viewer may be told the tally of `poll`: the only place that decides it.

    Args:
        poll: as it is now.
        level: how much the viewer sees.
        voted: whether the viewer's ballot is in the box.
    """
    if poll.state == "open":
        return poll.results == "voted" and (voted or level is Level.STAFF)
    return poll.state == "closed" and (poll.shown or level is Level.STAFF)


def cards(poll: Poll) -> list[Event]:
    """Make the events that show a poll, as it is now, to each kind of viewer."""
    filed: list[Event] = [PollFiled(poll=poll)]
    return filed if poll.state == "draft" else [*filed, PollListed(poll=_public(poll))]


def _public(poll: Poll) -> PublicPoll:
    return PublicPoll(
        id=poll.id,
        text=poll.text,
        kind=poll.kind,
        options=poll.options,
        state=poll.state,
        version=poll.version,
        at=poll.at,
        number=poll.number,
        least=poll.least,
        most=poll.most,
        low=poll.low,
        high=poll.high,
        results=poll.results,
        shown=poll.shown,
    )


class PollFiled(Event, frozen=True, tag="poll_filed"):
    """A poll as it is now, for the staff."""

    audience = Level.STAFF
    poll: Poll

    def apply(self, room: "Room") -> None:
        """Insert or replace."""
        room.polls.items[self.poll.id] = self.poll


class PollDropped(Event, frozen=True, tag="poll_dropped"):
    """A draft was thrown away."""

    audience = Level.STAFF
    id: str

    def apply(self, room: "Room") -> None:
        """Forget it."""
        room.polls.items.pop(self.id, None)


class PollListed(Event, frozen=True, tag="poll_listed"):
    """A poll as it is now, on everybody's list."""

    audience = Level.ADMITTED
    poll: PublicPoll

    def apply(self, room: "Room") -> None:
        """Nothing more than `PollFiled` says."""


class BallotCast(Event, frozen=True, tag="ballot_cast"):
    """Your ballot lies in the box like this now; without choices you took it out. Nobody else is told."""

    audience = SUBJECT
    to: str
    id: str
    choices: tuple[str, ...] = ()

    def apply(self, room: "Room") -> None:
        """Each voter counts once: a ballot takes the place of the one before it."""
        box = room.polls.ballots.setdefault(self.id, {})
        counts = room.polls.counts.setdefault(self.id, {})
        for option in box.pop(self.to, ()):
            counts[option] -= 1
            if not counts[option]:
                del counts[option]
        if self.choices:
            box[self.to] = self.choices
        for option in self.choices:
            counts[option] = counts.get(option, 0) + 1
        if not box:
            del room.polls.ballots[self.id], room.polls.counts[self.id]
