"""What the staff do with polls (draft, edit, drop, open, close, show, reopen), and how people vote.

Every staff transition carries the version it saw; on an old one it is refused with `conflict`. One poll is
open at a time. Ids of polls and options are made by the room; a ballot must name options of the very poll.
"""

from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from rooms.core import STAFF_ROLES, STAGE_ROLES, Asked, Command, Event, Refused, Role
from rooms.polls import BallotCast, Option, Poll, PollDropped, PollKind, PollState, Results, cards
from rooms.text import clean, plain

if TYPE_CHECKING:
    from rooms.room import Room

POLLS_MOST: Final = 50
"""Polls in one session, drafts included."""
TEXT_MOST: Final = 200
OPTIONS_LEAST: Final = 2
OPTIONS_MOST: Final = 10
OPTION_TEXT_MOST: Final = 80
SCALE_LEAST: Final = 3
SCALE_MOST: Final = 10
END_TEXT_MOST: Final = 20
VOTERS: Final = STAGE_ROLES | {Role.ATTENDEE}
"""Who votes: not the staff, who conduct the poll."""


class PollForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the staff write to make a poll.

    Attributes:
        text: what is asked, up to 200 characters.
        kind: one choice, several, or a step on a scale.
        options: two to ten, up to 80 characters each; a scale makes its own.
        least: fewest options on a ballot, where several may be chosen.
        most: most options, likewise; 0: all of them.
        scale: steps of a scale, three to ten.
        low: words for the low end of a scale, up to 20 characters.
        high: words for its high end, likewise.
        results: hidden until it is *closed*, or only from those who have not *voted*.
    """

    text: str
    kind: PollKind = "single"
    options: list[str] = []
    least: int = 1
    most: int = 0
    scale: int = 5
    low: str = ""
    high: str = ""
    results: Results = "closed"


def _line(text: str, most: int, *, least: int = 1) -> str:
    """Clean a text that stands on one line."""
    return clean(" ".join(text.split()), least=least, most=most)


def _choices(form: PollForm) -> tuple[list[str], int, int]:
    """Give the texts of a form's options, and how few and many may be chosen, or refuse."""
    if form.kind == "rating":
        if not SCALE_LEAST <= form.scale <= SCALE_MOST:
            raise Refused("bad_scale", at=SCALE_MOST)
        return [str(step) for step in range(1, form.scale + 1)], 1, 1
    if not OPTIONS_LEAST <= len(form.options) <= OPTIONS_MOST:
        raise Refused("bad_options", at=OPTIONS_MOST)
    texts = [_line(text, OPTION_TEXT_MOST) for text in form.options]
    for place, text in enumerate(texts):
        if plain(text) in map(plain, texts[:place]):
            raise Refused("same_option", at=place + 1)
    if form.kind == "single":
        return texts, 1, 1
    most = form.most or len(texts)
    if not 1 <= form.least <= most <= len(texts):
        raise Refused("bad_choice_limits", at=len(texts))
    return texts, form.least, most


def _written(form: PollForm, poll: Poll, fresh: str) -> Poll:
    """Give `poll` with what the form says; options that were changed get ids made of `fresh`."""
    texts, least, most = _choices(form)
    options = poll.options
    if texts != [option.text for option in options]:
        options = tuple(Option(id=f"{fresh}.{place}", text=text) for place, text in enumerate(texts, 1))
    ends = (form.low, form.high) if form.kind == "rating" else ("", "")
    low, high = (_line(end, END_TEXT_MOST, least=0) for end in ends)
    return msgspec.structs.replace(
        poll,
        text=_line(form.text, TEXT_MOST),
        kind=form.kind,
        options=options,
        least=least,
        most=most,
        low=low,
        high=high,
        results=form.results,
    )


def _seen(room: "Room", poll: str, version: int, *states: PollState) -> Poll:
    """Give the poll if the caller saw it as it is and it is in one of `states`, else refuse."""
    found = room.polls.items.get(poll)
    if found is None:
        raise Refused("no_such_poll")
    if found.version != version:
        raise Refused("conflict", at=found.version, by=found.by)
    if found.state not in states:
        raise Refused("wrong_state", at=found.version)
    return found


def _changed(asked: Asked, poll: Poll, **changes: object) -> list[Event]:
    """Make the events of `poll` with `changes`: the next version, by who asked."""
    return cards(msgspec.structs.replace(poll, version=poll.version + 1, by=asked.person, **changes))


def _nothing_else_open(room: "Room") -> None:
    if (other := room.polls.open()) is not None:
        raise Refused("poll_taken", at=other.number, by=other.by)


class DraftPoll(Command, frozen=True, tag="draft_poll"):
    """Prepare a poll; only the staff see it."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "draft_poll"
    poll: PollForm

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """At most fifty in a session."""
        if len(room.polls.items) >= POLLS_MOST:
            raise Refused("too_many_polls", at=POLLS_MOST)
        empty = Poll(
            id=asked.id,
            text="",
            kind="single",
            options=(),
            state="draft",
            version=1,
            at=asked.at,
            by=asked.person,
        )
        return cards(_written(self.poll, empty, asked.id))


class EditPoll(Command, frozen=True, tag="edit_poll"):
    """Write a draft anew. What has been opened stays as people saw it."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "edit_poll"
    id: str
    version: int
    poll: PollForm

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Drafts only."""
        found = _seen(room, self.id, self.version, "draft")
        new = _written(self.poll, found, asked.id)
        return [] if new == found else _changed(asked, new)


class DropPoll(Command, frozen=True, tag="drop_poll"):
    """Throw a draft away."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "drop_poll"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Drafts only: what people voted on stays."""
        return [PollDropped(id=_seen(room, self.id, self.version, "draft").id)]


class OpenPoll(Command, frozen=True, tag="open_poll"):
    """Put a draft to the vote: everybody inside sees it."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "open_poll"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From draft to open, with the next number; one at a time."""
        found = _seen(room, self.id, self.version, "draft")
        _nothing_else_open(room)
        return _changed(asked, found, state="open", at=asked.at, number=len(room.polls.listed()) + 1)


class ClosePoll(Command, frozen=True, tag="close_poll"):
    """End the vote, and show the results to everybody, or look at them first (`show` false)."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "close_poll"
    id: str
    version: int
    show: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From open to closed."""
        found = _seen(room, self.id, self.version, "open")
        return _changed(
            asked, found, state="closed", at=asked.at, shown=self.show, revealed=found.revealed or self.show
        )


class ShowResults(Command, frozen=True, tag="show_results"):
    """Show the results of a closed poll to everybody, or take them off the screens."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "show_results"
    id: str
    version: int
    on: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Closed polls only."""
        found = _seen(room, self.id, self.version, "closed")
        if found.shown == self.on:
            return []
        return _changed(asked, found, shown=self.on, revealed=found.revealed or self.on)


class ReopenPoll(Command, frozen=True, tag="reopen_poll"):
    """Take votes again on a poll that was closed too early; the ballots are still in the box."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "reopen_poll"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From closed to open, unless people know results that were to be hidden while they vote."""
        found = _seen(room, self.id, self.version, "closed")
        if found.revealed and found.results == "closed":
            raise Refused("results_shown")
        _nothing_else_open(room)
        return _changed(asked, found, state="open", at=asked.at, shown=False)


class CastBallot(Command, frozen=True, tag="cast_ballot"):
    """Vote, vote differently, or take the ballot out of the box (no `choices`), while the poll is open."""

    needs: ClassVar = VOTERS
    id: str
    choices: list[str]

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """One ballot per person, under a blinded name."""
        found = room.polls.items.get(self.id)
        if found is None or found.state == "draft":
            raise Refused("no_such_poll")
        if found.state != "open":
            raise Refused("poll_closed")
        chosen = self._of(found)
        before = room.polls.ballots.get(self.id, {}).get(asked.alias, ())
        return [] if chosen == before else [BallotCast(to=asked.alias, id=self.id, choices=chosen)]

    def _of(self, poll: Poll) -> tuple[str, ...]:
        """Give the chosen options in the poll's own order, or refuse."""
        wanted = set(self.choices)
        chosen = tuple(option.id for option in poll.options if option.id in wanted)
        if len(chosen) != len(wanted):
            raise Refused("no_such_option")
        if len(chosen) > poll.most:
            raise Refused("too_many_choices", at=poll.most)
        if 0 < len(chosen) < poll.least:
            raise Refused("too_few_choices", at=poll.least)
        return chosen
