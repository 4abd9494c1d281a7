"""The moderated question queue: what a question is, and what each kind of viewer may see of it.

One transition makes up to three events: `QuestionFiled` (the staff's card), `QuestionListed` or
`QuestionUnlisted` (the public card) and `OwnQuestionChanged` (the asker's card). The commands are in
`rooms.queue`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import msgspec

from rooms.core import NOTHING, SUBJECT, Event, Gone, Level

if TYPE_CHECKING:
    from rooms.room import Room

QuestionState = Literal[
    "pending", "returned", "declined", "withdrawn", "open", "next", "live", "answered", "merged"
]
How = Literal["live", "text", "private"]
Reason = Literal["out_of_scope", "duplicate", "identifies_a_person", "out_of_time", "other"]
LISTED: Final = frozenset({"open", "next", "live", "answered"})
"""States in which a question is on everybody's list."""
NEXT_MOST: Final = 5
CLAIM_MS: Final = 60_000
Wordy = TypeVar("Wordy", "QuestionFiled", "QuestionListed", "OwnQuestionChanged")
Card = TypeVar("Card", "Question", "PublicQuestion", "OwnQuestion")


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One transition of a question: what it became, when, and which member of staff did it (if any)."""

    state: QuestionState
    at: int
    by: str = ""


class Claim(msgspec.Struct, frozen=True):
    """「…が確認中」: a moderator is looking at this question until then (milliseconds)."""

    by: str
    until: int


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question as the staff see it.

    Attributes:
        id: unique in the room.
        number: short number people say aloud.
        text: as it stands (a moderator may have edited it).
        state: see the machine in the product contract, section 4.
        version: rises by one with each change; staff transitions carry the one they saw.
        at: when it was asked, in milliseconds.
        author: the asker, where the staff may know; empty in fully anonymous sessions.
        shown: whether the author's name is public.
        addressee: the speaker it is for; empty: for all.
        how: how it was answered.
        answer: the answer in text, if any; to the asker only when `how` is private.
        reason: why it was declined or returned.
        note: the words that go with the reason.
        into: the question it was merged into.
        place: order among `next`.
        claim: who is looking at it.
        labels: the staff's own sorting words.
        steps: every transition.
    """

    id: str
    number: int
    text: str
    state: QuestionState
    version: int
    at: int
    author: str = ""
    shown: bool = False
    addressee: str = ""
    how: How | None = None
    answer: str = ""
    reason: Reason | None = None
    note: str = ""
    into: str = ""
    place: int = 0
    claim: Claim | None = None
    labels: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()


class PublicQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question as everybody inside sees it; the author is absent unless the asker shows the name."""

    id: str
    number: int
    text: str
    state: QuestionState
    version: int
    at: int
    author: str = ""
    addressee: str = ""
    how: How | None = None
    answer: str = ""
    place: int = 0


class OwnQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question as its asker sees it, whatever its state."""

    id: str
    number: int
    text: str
    state: QuestionState
    version: int
    at: int
    shown: bool = False
    addressee: str = ""
    how: How | None = None
    answer: str = ""
    reason: Reason | None = None
    note: str = ""
    into: str = ""


class QuestionRules(msgspec.Struct, frozen=True):
    """`closed` stops new questions and keeps votes; `frozen` stops both."""

    closed: bool = False
    frozen: bool = False


@dataclass
class Questions:
    """The slice of a room that is its questions.

    `owners` maps a question to the person (or blinded alias) that asked; `voters` to those who voted.
    """

    items: dict[str, Question] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    voters: dict[str, set[str]] = field(default_factory=dict)
    rules: QuestionRules = field(default_factory=QuestionRules)

    def votes(self, question: str) -> int:
        """Count the votes of a question."""
        return len(self.voters.get(question, ()))

    def counts(self) -> dict[str, int]:
        """Count the votes of every listed question that has any."""
        return {
            question: len(voters)
            for question, voters in self.voters.items()
            if question in self.items and self.items[question].state in LISTED
        }

    def in_state(self, state: QuestionState) -> list[Question]:
        """List the questions in `state`; `next` in its order, others by age."""
        found = [question for question in self.items.values() if question.state == state]
        return sorted(found, key=lambda question: (question.place, question.number))

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        yield QuestionRulesSet(rules=self.rules)
        for question in self.items.values():
            yield from cards(question, self.owners.get(question.id, ""), was_listed=False)
            for voter in sorted(self.voters.get(question.id, ())):
                yield Voted(to=voter, id=question.id, on=True)


def cards(question: Question, owner: str, *, was_listed: bool) -> list[Event]:
    """Make the events that show a question, as it is now, to each kind of viewer.

    Args:
        question: the new truth.
        owner: the asker's person id or alias.
        was_listed: whether the public list holds it and must be told when it no longer does.
    """
    events: list[Event] = [QuestionFiled(question=question)]
    if question.state in LISTED:
        events.append(QuestionListed(question=_public(question)))
    elif was_listed:
        events.append(QuestionUnlisted(id=question.id, into=question.into))
    events.append(OwnQuestionChanged(to=owner, question=_own(question)))
    return events


def _public(question: Question) -> PublicQuestion:
    return PublicQuestion(
        id=question.id,
        number=question.number,
        text=question.text,
        state=question.state,
        version=question.version,
        at=question.at,
        author=question.author if question.shown else "",
        addressee=question.addressee,
        how=question.how,
        answer="" if question.how == "private" else question.answer,
        place=question.place,
    )


def _own(question: Question) -> OwnQuestion:
    return OwnQuestion(
        id=question.id,
        number=question.number,
        text=question.text,
        state=question.state,
        version=question.version,
        at=question.at,
        shown=question.shown,
        addressee=question.addressee,
        how=question.how,
        answer=question.answer,
        reason=question.reason,
        note=question.note,
        into=question.into,
    )


def wordless(question: Card) -> Card:
    """Give a question without its words, and without what was said about it to the asker alone."""
    bare = msgspec.structs.replace(question, text="")
    if bare.how == "private":
        bare = msgspec.structs.replace(bare, answer="")
    return bare if isinstance(bare, PublicQuestion) else msgspec.structs.replace(bare, note="")


def _wordless(event: Wordy, gone: Gone) -> Wordy:
    question = event.question
    if question.id not in gone.questions or (bare := wordless(question)) == question:
        return event
    return msgspec.structs.replace(event, question=bare)


class QuestionFiled(Event, frozen=True, tag="question_filed"):
    """A question as it is now, for the staff."""

    audience = Level.STAFF
    question: Question

    def apply(self, room: "Room") -> None:
        """Insert or replace."""
        room.questions.items[self.question.id] = self.question

    def erases(self) -> Gone:
        """The words of a question that has none any more: withdrawn, or its asker forgotten."""
        return NOTHING if self.question.text else Gone(questions=frozenset({self.question.id}))

    def without(self, gone: Gone) -> Event:
        """The question without words."""
        return _wordless(self, gone)


class QuestionListed(Event, frozen=True, tag="question_listed"):
    """A question as it is now, on everybody's list."""

    audience = Level.ADMITTED
    question: PublicQuestion

    def apply(self, room: "Room") -> None:
        """Nothing more than `QuestionFiled` says."""

    def without(self, gone: Gone) -> Event:
        """The question without words."""
        return _wordless(self, gone)


class QuestionUnlisted(Event, frozen=True, tag="question_unlisted"):
    """A question is off everybody's list; `into` names the one it was merged into."""

    audience = Level.ADMITTED
    id: str
    into: str = ""

    def apply(self, room: "Room") -> None:
        """Nothing more than `QuestionFiled` says."""


class OwnQuestionChanged(Event, frozen=True, tag="own_question_changed"):
    """Your question as it is now."""

    audience = SUBJECT
    to: str
    question: OwnQuestion

    def apply(self, room: "Room") -> None:
        """Remember whose it is."""
        room.questions.owners[self.question.id] = self.to

    def without(self, gone: Gone) -> Event:
        """The question without words."""
        return _wordless(self, gone)


class Voted(Event, frozen=True, tag="voted"):
    """You voted, or took the vote back. Counts travel as signals; who voted is told to nobody else."""

    audience = SUBJECT
    to: str
    id: str
    on: bool

    def apply(self, room: "Room") -> None:
        """Each voter counts once."""
        voters = room.questions.voters.setdefault(self.id, set())
        if self.on:
            voters.add(self.to)
        else:
            voters.discard(self.to)
        if not voters:
            del room.questions.voters[self.id]


class QuestionRulesSet(Event, frozen=True, tag="question_rules_set"):
    """What holds for questions from now on."""

    audience = Level.ADMITTED
    rules: QuestionRules

    def apply(self, room: "Room") -> None:
        """Set."""
        room.questions.rules = self.rules
