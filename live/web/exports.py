"""A session's export: chat, questions with all their transitions, polls, attendance. JSON, or CSV rows.

Who asked stands in it only where the asker's name is public in the session; who voted, never. A poll that
still takes votes has no counts in it. Names come from the cards beside the log: a forgotten person is an id
without a name.
"""

import csv
import io
from collections.abc import Iterator

import msgspec
from starlette.responses import Response

from live.protocol.frames import Card
from live.web.bodies import SessionFacts
from live.web.desk import Desk
from live.web.operation import JSON, Access, Call, Operation
from live.web.problems import Problem
from live.web.register import facts_of, timestamp
from rooms import NoteAct, Room, State


class Who(msgspec.Struct, frozen=True, omit_defaults=True):
    """A person in an export."""

    id: str
    name: str = ""
    role: str = ""
    profession: str = ""


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """A chat message as it stands at the end; a deleted one has no text."""

    id: str
    channel: str
    at: str
    author: Who
    text: str
    reply_to: str = ""
    edited: str | None = None
    deleted: str = ""
    pinned: bool = False
    reactions: dict[str, int] = {}


class Transition(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a question became, when, and which member of staff did it."""

    state: str
    at: str
    by: Who | None = None


class ExportedQuestion(msgspec.Struct, frozen=True, omit_defaults=True):
    """A question with its whole way; `author` only where the name is public."""

    id: str
    number: int
    text: str
    state: str
    asked_at: str
    votes: int
    transitions: list[Transition]
    author: Who | None = None
    addressee: Who | None = None
    how: str | None = None
    answer: str = ""
    reason: str | None = None
    note: str = ""
    into: str = ""


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """An option of a poll; without `votes` while the poll still takes them."""

    text: str
    votes: int | None = None


class ExportedPoll(msgspec.Struct, frozen=True, omit_defaults=True):
    """A poll that was put to the vote; on a scale, `low` and `high` say what its ends mean."""

    id: str
    number: int
    text: str
    kind: str
    state: str
    at: str
    voters: int
    options: list[Choice]
    low: str = ""
    high: str = ""


class Stay(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stay inside; without `left`, the person was inside to the end."""

    person: Who
    entered: str
    left: str | None = None


class Export(msgspec.Struct, frozen=True):
    """Everything of a session that its organiser may take along."""

    session: SessionFacts
    chat: list[Message]
    questions: list[ExportedQuestion]
    polls: list[ExportedPoll]
    attendance: list[Stay]


async def export(call: Call) -> Response:
    """Export a session."""
    form = call.request.query_params.get("format", "json")
    if form not in ("json", "csv"):
        raise Problem("bad_value", "format is json or csv")
    record = await call.desk.register.find(call.session)
    await call.ask(NoteAct(what="export"))
    made = await _make(call.desk, facts_of(record))
    if form == "json":
        return _file(msgspec.json.format(msgspec.json.encode(made)), JSON, f"{call.session}.json")
    return _file(_csv(made).encode("utf-8-sig"), "text/csv; charset=utf-8", f"{call.session}.csv")


async def _make(desk: Desk, facts: SessionFacts) -> Export:
    cards = {
        person: msgspec.json.decode(raw, type=Card)
        for person, raw in (await desk.store.cards(facts.id)).items()
    }
    book = _Book(cards)
    room = await desk.rooms.room(facts.id)
    facts = msgspec.structs.replace(facts, state=str(room.session.state))
    return Export(
        facts,
        list(_chat(room, book)),
        list(_questions(room, book)),
        list(_polls(room)),
        list(_stays(room, book)),
    )


class _Book:
    """Looks people up."""

    def __init__(self, cards: dict[str, Card]) -> None:
        self._cards = cards

    def who(self, person: str) -> Who:
        card = self._cards.get(person)
        return Who(person, card.name, str(card.role), card.profession) if card else Who(person)


def _chat(room: Room, book: _Book) -> Iterator[Message]:
    for message in room.chat.messages.values():
        yield Message(
            id=message.id,
            channel=message.channel,
            at=timestamp(message.at),
            author=book.who(message.author),
            text=message.text,
            reply_to=message.reply_to,
            edited=timestamp(message.edited) if message.edited else None,
            deleted=message.deleted,
            pinned=message.pinned,
            reactions={kind: len(people) for kind, people in message.reactions.items()},
        )


def _questions(room: Room, book: _Book) -> Iterator[ExportedQuestion]:
    for item in room.questions.items.values():
        yield ExportedQuestion(
            id=item.id,
            number=item.number,
            text=item.text,
            state=item.state,
            asked_at=timestamp(item.at),
            votes=room.questions.votes(item.id),
            transitions=[
                # A transition by the asker names nobody: that would undo the anonymity.
                Transition(
                    step.state,
                    timestamp(step.at),
                    book.who(step.by) if step.by and step.by != item.author else None,
                )
                for step in item.steps
            ],
            author=book.who(item.author) if item.shown and item.author else None,
            addressee=book.who(item.addressee) if item.addressee else None,
            how=item.how,
            answer=item.answer,
            reason=item.reason,
            note=item.note,
            into=item.into,
        )


def _polls(room: Room) -> Iterator[ExportedPoll]:
    for poll in room.polls.listed():
        final = poll.state == "closed" or room.session.state is State.CLOSED
        tally = room.polls.tally(poll.id)
        yield ExportedPoll(
            id=poll.id,
            number=poll.number,
            text=poll.text,
            kind=poll.kind,
            state=poll.state,
            at=timestamp(poll.at),
            voters=room.polls.voters(poll.id),
            options=[Choice(option.text, tally[option.id] if final else None) for option in poll.options],
            low=poll.low,
            high=poll.high,
        )


def _stays(room: Room, book: _Book) -> Iterator[Stay]:
    """Yield who came when and left when, in the order of coming."""
    for stay in sorted(room.attendance.stays(), key=lambda stay: stay.entered):
        left = timestamp(stay.left) if stay.left else None
        yield Stay(book.who(stay.person), timestamp(stay.entered), left)


def _csv(made: Export) -> str:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["kind", "at", "person", "name", "id", "state", "text", "more"])
    for message in made.chat:
        rows.writerow(
            _row(
                "chat", message.at, message.author, message.id, message.channel, message.text, message.deleted
            )
        )
    for question in made.questions:
        more = f"votes={question.votes} answer={question.answer}"
        rows.writerow(
            _row(
                "question",
                question.asked_at,
                question.author,
                question.id,
                question.state,
                question.text,
                more,
            )
        )
        for step in question.transitions:
            rows.writerow(_row("transition", step.at, step.by, question.id, step.state, "", ""))
    for poll in made.polls:
        ends = f" low={poll.low} high={poll.high}" if poll.kind == "rating" else ""
        kind = f"{poll.kind} voters={poll.voters}{ends}"
        rows.writerow(_row("poll", poll.at, None, poll.id, poll.state, poll.text, kind))
        for choice in poll.options:
            votes = "" if choice.votes is None else f"votes={choice.votes}"
            rows.writerow(_row("option", poll.at, None, poll.id, "", choice.text, votes))
    for stay in made.attendance:
        rows.writerow(_row("attendance", stay.entered, stay.person, "", "", "", f"left={stay.left or ''}"))
    return out.getvalue()


def _row(kind: str, at: str, who: Who | None, *rest: str) -> list[str]:
    person = [who.id, who.name] if who else ["", ""]
    return [kind, at, *(_harmless(cell) for cell in [*person, *rest])]


def _harmless(cell: str) -> str:
    """Keep spreadsheets from taking people's text for a formula."""
    return "'" + cell if cell[:1] in {"=", "+", "-", "@", "\t", "\r"} else cell


def _file(raw: bytes, media_type: str, name: str) -> Response:
    return Response(
        raw, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="madoi-{name}"'}
    )


OPERATIONS = (
    Operation(
        "GET",
        "/api/sessions/{id}/export",
        "Export chat, questions, polls and attendance (?format=json|csv)",
        Access.STAFF,
        export,
        None,
        Export,
        200,
        ("unknown_session", "bad_value"),
    ),
)
