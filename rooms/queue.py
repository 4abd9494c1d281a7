"""What people may do with questions: ask, vote, withdraw; and what the staff do with the queue.

Every staff transition carries the version it saw; on an old one it is refused with `conflict`, the version
that stands and who made it.
"""

from typing import TYPE_CHECKING, ClassVar, Final

import msgspec

from rooms.chat import may_speak
from rooms.core import STAFF_ROLES, STAGE_ROLES, Asked, Command, Event, Refused
from rooms.questions import (
    CLAIM_MS,
    LISTED,
    NEXT_MOST,
    Claim,
    How,
    Question,
    QuestionRules,
    QuestionRulesSet,
    QuestionState,
    Reason,
    Step,
    Voted,
    cards,
)
from rooms.session import ASKING_STATES, Anonymity, hides_less
from rooms.text import clean

if TYPE_CHECKING:
    from rooms.room import Room

ON_STAGE_OR_STAFF: Final = STAFF_ROLES | STAGE_ROLES
WAITING_MOST: Final = 5
"""Questions of one asker that may wait for a moderator at once."""
ASK_EVERY_MS: Final = 5_000
REASONS_WITH_NOTE: Final = frozenset({"other"})


def _seen(room: "Room", question: str, version: int) -> Question:
    """Give the question if the caller saw it as it is, else refuse with what stands."""
    found = room.questions.items.get(question)
    if found is None:
        raise Refused("no_such_question")
    if found.version != version:
        by = next((step.by for step in reversed(found.steps) if step.by), None)
        raise Refused("conflict", at=found.version, by=by)
    return found


def _changed(
    room: "Room", asked: Asked, question: Question, *, own: bool = False, **changes: object
) -> list[Event]:
    """Make the events of `question` with `changes`: next version, no claim, a step when the state moved.

    What the asker does (`own`) names nobody, whatever the asker's role: it would undo the anonymity.
    """
    state = changes.get("state", question.state)
    if state != question.state:
        by = "" if own else asked.person
        changes["steps"] = (*question.steps, Step(state=state, at=asked.at, by=by))  # type: ignore[arg-type]
    changes.setdefault("claim", None)
    new = msgspec.structs.replace(question, version=question.version + 1, **changes)
    return cards(new, room.questions.owners.get(new.id, ""), was_listed=question.state in LISTED)


def _only(question: Question, *states: QuestionState) -> None:
    if question.state not in states:
        raise Refused("wrong_state", at=question.version)


def _speaker(room: "Room", person: str) -> str:
    """Give the id of an expert inside, or refuse; empty means everyone."""
    if person and person not in room.door.inside(*STAGE_ROLES) and person not in room.stage.seats:
        raise Refused("no_such_speaker")
    return person


def _owner(room: "Room", asked: Asked) -> str:
    full = room.session.settings.qa.anonymity == "full"
    return asked.alias if full else asked.person


def _owned(room: "Room", asked: Asked, question: str) -> Question:
    found = room.questions.items.get(question)
    if found is None or room.questions.owners.get(question) not in {asked.person, asked.alias}:
        raise Refused("no_such_question")
    return found


class Ask(Command, frozen=True, tag="ask"):
    """Ask a question. In an *anonymous* session `named` shows one's name to everybody.

    `anonymity` is what the asker was told when writing; without it the best that was ever promised in this
    session counts. Where less holds by now, `policy_changed` leaves the choice to the asker.
    """

    text: str
    addressee: str = ""
    named: bool = False
    anonymity: Anonymity | None = None

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """File it as pending, or open at once where questions are not moderated."""
        policy = room.session.settings.qa
        rules = room.questions.rules
        if rules.closed or rules.frozen or room.session.state not in ASKING_STATES:
            raise Refused("questions_closed")
        may_speak(room, asked)
        if self.named and policy.anonymity == "full":
            raise Refused("names_not_kept")
        told = "named" if self.named else self.anonymity or room.session.promised
        if hides_less(policy.anonymity, told):
            raise Refused("policy_changed")
        owner = _owner(room, asked)
        self._in_turn(room, asked, owner)
        state: QuestionState = "pending" if policy.moderated else "open"
        question = Question(
            id=asked.id,
            number=len(room.questions.items) + 1,
            text=clean(self.text, least=policy.least, most=policy.most),
            state=state,
            version=1,
            at=asked.at,
            author="" if policy.anonymity == "full" else asked.person,
            shown=policy.anonymity == "named" or self.named,
            addressee=_speaker(room, self.addressee),
            steps=(Step(state=state, at=asked.at),),
        )
        return cards(question, owner, was_listed=False)

    @staticmethod
    def _in_turn(room: "Room", asked: Asked, owner: str) -> None:
        if asked.is_staff:
            return
        mine = [room.questions.items[one] for one, who in room.questions.owners.items() if who == owner]
        if sum(question.state == "pending" for question in mine) >= WAITING_MOST:
            raise Refused("too_many_waiting", at=WAITING_MOST)
        free_at = max((question.at for question in mine), default=-ASK_EVERY_MS) + ASK_EVERY_MS
        if asked.at < free_at:
            raise Refused("too_fast", wait=free_at - asked.at)


class Revise(Command, frozen=True, tag="revise"):
    """The asker changes a question that waits or was returned; it waits (again) for a moderator."""

    id: str
    text: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Back to pending with the new words."""
        found = _owned(room, asked, self.id)
        _only(found, "pending", "returned")
        if room.questions.rules.frozen:
            raise Refused("questions_closed")
        may_speak(room, asked)
        policy = room.session.settings.qa
        text = clean(self.text, least=policy.least, most=policy.most)
        return _changed(room, asked, found, own=True, text=text, state="pending", reason=None, note="")


class Withdraw(Command, frozen=True, tag="withdraw"):
    """The asker takes a question back, until it is being answered; its words go, from the store too."""

    id: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From every state before live."""
        found = _owned(room, asked, self.id)
        if found.state == "withdrawn":
            return []
        _only(found, "pending", "returned", "open", "next")
        return _changed(room, asked, found, own=True, state="withdrawn", text="", note="", place=0)


class Vote(Command, frozen=True, tag="vote"):
    """Vote for an open question, or take the vote back. Not for one's own."""

    id: str
    on: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """One vote per person and question."""
        found = room.questions.items.get(self.id)
        if found is None or found.state not in LISTED:
            raise Refused("no_such_question")
        _only(found, "open", "next")
        if room.questions.rules.frozen:
            raise Refused("questions_closed")
        if room.questions.owners.get(self.id) in {asked.person, asked.alias}:
            raise Refused("own_question")
        voters = room.questions.voters.get(self.id, set())
        given = {asked.person, asked.alias} & voters
        if bool(given) == self.on:
            return []
        who = next(iter(given)) if given else _owner(room, asked)
        return [Voted(to=who, id=self.id, on=self.on)]


class ClaimQuestion(Command, frozen=True, tag="claim"):
    """Mark a question as being looked at, for a minute. A mark warns others; it does not stop them."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "claim"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Refuse while somebody else's mark stands."""
        found = _seen(room, self.id, self.version)
        claim = found.claim
        if claim is not None and claim.until > asked.at and claim.by != asked.person:
            raise Refused("claimed", by=claim.by, wait=claim.until - asked.at)
        mark = Claim(by=asked.person, until=asked.at + CLAIM_MS)
        marked = msgspec.structs.replace(found, claim=mark)
        return cards(marked, room.questions.owners.get(found.id, ""), was_listed=found.state in LISTED)[:1]


class Approve(Command, frozen=True, tag="approve"):
    """Open a pending question to everyone, as it is or with an edit."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "approve"
    id: str
    version: int
    text: str | None = None

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From pending to open."""
        found = _seen(room, self.id, self.version)
        _only(found, "pending")
        policy = room.session.settings.qa
        text = found.text if self.text is None else clean(self.text, least=policy.least, most=policy.most)
        return _changed(room, asked, found, state="open", text=text)


class ReturnQuestion(Command, frozen=True, tag="return_question"):
    """Give a pending question back to its asker to be revised."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "return_question"
    id: str
    version: int
    reason: Reason
    note: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From pending to returned."""
        found = _seen(room, self.id, self.version)
        _only(found, "pending")
        return _changed(room, asked, found, state="returned", reason=self.reason, note=_note(self))


class Decline(Command, frozen=True, tag="decline"):
    """Decline a question; the reason is told to its asker only."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "decline"
    id: str
    version: int
    reason: Reason
    note: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From anything not yet on stage."""
        found = _seen(room, self.id, self.version)
        _only(found, "pending", "returned", "open", "next")
        return _changed(room, asked, found, state="declined", reason=self.reason, note=_note(self), place=0)


def _note(command: ReturnQuestion | Decline) -> str:
    return clean(command.note, least=1 if command.reason in REASONS_WITH_NOTE else 0, most=300)


class Queue(Command, frozen=True, tag="queue"):
    """Put an open question among the next (at most five), at the end."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "queue"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From open to next."""
        found = _seen(room, self.id, self.version)
        _only(found, "open")
        line = room.questions.in_state("next")
        if len(line) >= NEXT_MOST:
            raise Refused("next_full", at=NEXT_MOST)
        place = line[-1].place + 1 if line else 1
        return _changed(room, asked, found, state="next", place=place)


class PutBack(Command, frozen=True, tag="put_back"):
    """Put a question one step back: next to open, live to the head of next."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "put_back"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From next or live."""
        found = _seen(room, self.id, self.version)
        _only(found, "next", "live")
        line = room.questions.in_state("next")
        if found.state == "next" or len(line) >= NEXT_MOST:
            return _changed(room, asked, found, state="open", place=0)
        return _changed(room, asked, found, state="next", place=line[0].place - 1 if line else 1)


class OrderNext(Command, frozen=True, tag="order_next"):
    """Order the next questions; `ids` names all of them, or the order that was seen is old."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "order_next"
    ids: list[str]

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Renumber those whose place changes."""
        line = room.questions.in_state("next")
        if sorted(self.ids) != sorted(question.id for question in line):
            raise Refused("conflict")
        places = {question: place for place, question in enumerate(self.ids, start=1)}
        return [
            event
            for question in line
            if question.place != places[question.id]
            for event in _changed(room, asked, question, place=places[question.id], claim=question.claim)
        ]


class Take(Command, frozen=True, tag="take"):
    """Begin to answer: the question is live. One at a time per stage."""

    needs: ClassVar = ON_STAGE_OR_STAFF
    act: ClassVar = "take"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From next (or open) to live."""
        found = _seen(room, self.id, self.version)
        _only(found, "next", "open")
        for other in room.questions.in_state("live"):
            raise Refused("live_taken", at=other.number, by=other.steps[-1].by or None)
        return _changed(room, asked, found, state="live", place=0)


class Answer(Command, frozen=True, tag="answer"):
    """Mark a question as answered: aloud, later in text, or privately to the asker."""

    needs: ClassVar = ON_STAGE_OR_STAFF
    act: ClassVar = "answer"
    id: str
    version: int
    how: How = "live"
    text: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From any listed state that is not answered; the text of an answered one may be added later."""
        found = _seen(room, self.id, self.version)
        _only(found, "open", "next", "live", "answered")
        text = clean(self.text, least=0, most=4000)
        if self.how == "private" and not text:
            raise Refused("too_short", at=1)
        if self.how == "private" and not found.text:  # its asker has been forgotten: nobody would read it
            raise Refused("wrong_state", at=found.version)
        return _changed(room, asked, found, state="answered", how=self.how, answer=text, place=0)


class Reopen(Command, frozen=True, tag="reopen"):
    """Open a question again that was answered, or declined by mistake."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "reopen"
    id: str
    version: int

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """To open, with answer and reason taken back."""
        found = _seen(room, self.id, self.version)
        _only(found, "answered", "declined")
        if not found.text:  # its asker has been forgotten
            raise Refused("wrong_state", at=found.version)
        return _changed(room, asked, found, state="open", how=None, answer="", reason=None, note="")


class Merge(Command, frozen=True, tag="merge"):
    """Merge a question into another; each voter, and the asker, counts once there."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "merge"
    id: str
    version: int
    into: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """From pending, open or next; the other must be open or next."""
        found = _seen(room, self.id, self.version)
        _only(found, "pending", "open", "next")
        target = room.questions.items.get(self.into)
        if target is None or target.id == found.id:
            raise Refused("no_such_question")
        if target.state not in {"open", "next"}:
            raise Refused("wrong_state", at=target.version)
        questions = room.questions
        owner, asker = questions.owners.get(found.id, ""), questions.owners.get(target.id, "")
        voters = (questions.voters.get(found.id, set()) | {owner}) - {asker, ""}
        carried = sorted(voters - questions.voters.get(target.id, set()))
        return [
            *_changed(room, asked, found, state="merged", into=target.id, place=0),
            *(Voted(to=voter, id=target.id, on=True) for voter in carried),
        ]


class Address(Command, frozen=True, tag="address"):
    """Say which expert a question is for; an expert may pass it to the colleague."""

    needs: ClassVar = ON_STAGE_OR_STAFF
    act: ClassVar = "address"
    id: str
    version: int
    to: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """While it is not answered."""
        found = _seen(room, self.id, self.version)
        _only(found, "pending", "open", "next", "live")
        to = _speaker(room, self.to)
        return [] if to == found.addressee else _changed(room, asked, found, addressee=to)


class LabelQuestion(Command, frozen=True, tag="label"):
    """Give a question the staff's own sorting words (at most five)."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "label"
    id: str
    version: int
    labels: list[str]

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Replace the labels."""
        found = _seen(room, self.id, self.version)
        if len(self.labels) > 5:  # noqa: PLR2004 - said in the docstring
            raise Refused("too_long", at=5)
        labels = tuple(dict.fromkeys(clean(label, most=20) for label in self.labels))
        return [] if labels == found.labels else _changed(room, asked, found, labels=labels)


class ConvertMessage(Command, frozen=True, tag="convert_message"):
    """Make a chat message into an open question of its author."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "convert_message"
    id: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Only from the room's chat, where the author already stands by name."""
        message = room.chat.messages.get(self.id)
        if message is None or message.channel != "main" or message.deleted:
            raise Refused("no_such_message")
        if self.id in room.questions.items:
            return []
        policy = room.session.settings.qa
        full = policy.anonymity == "full"
        question = Question(
            id=message.id,
            number=len(room.questions.items) + 1,
            text=clean(message.text, least=1, most=policy.most),
            state="open",
            version=1,
            at=asked.at,
            author="" if full else message.author,
            shown=policy.anonymity == "named",
            steps=(Step(state="open", at=asked.at, by=asked.person),),
        )
        return cards(question, "" if full else message.author, was_listed=False)


class SetQuestionRules(Command, frozen=True, tag="set_question_rules"):
    """Close questions (votes go on) or freeze everything; absent fields stay."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "set_question_rules"
    closed: bool | None = None
    frozen: bool | None = None

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Set what was given."""
        old = room.questions.rules
        new = QuestionRules(
            closed=old.closed if self.closed is None else self.closed,
            frozen=old.frozen if self.frozen is None else self.frozen,
        )
        return [] if new == old else [QuestionRulesSet(rules=new)]
