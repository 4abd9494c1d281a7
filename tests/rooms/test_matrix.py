"""Who may do what, when: a table written by hand, tried in every state and from every standing.

OWASP ASVS 5.0 8.2.1, 8.3.1. The table knows nothing of `needs`; what a command points at exists.
"""

import copy
from dataclasses import dataclass

import msgspec
import pytest

from rooms import (
    COMMANDS,
    STAFF_ROLES,
    Arrive,
    Refused,
    Role,
    State,
    chat,
    decide,
    door,
    hands,
    polling,
    queue,
    stage,
)
from rooms import session as sessions
from rooms.door import Filed, Person, Standing, Verdict
from rooms.polling import PollForm
from tests.kit.personas import Table, table

EVERYBODY = {
    "Knock", "TellReach", "Leave", "SayAtDoor", "StepDown", "LowerHand", "Post", "EditMessage",
    "DeleteMessage", "React", "Ask", "Revise", "Withdraw", "Vote",
}  # fmt: skip
AUDIENCE = {"RaiseHand", "AnswerInvitation", "CastBallot"}
EXPERTS = {"Take", "Answer", "Address", "CastBallot"}
STAFF = {
    "Take", "Answer", "Address",
    "SetState", "ChangeSettings", "Admit", "AdmitAll", "SendBack", "Remove", "Unblock", "Mute", "BringOn",
    "TakeOff", "MuteSource", "Spotlight", "SetTimer", "LiftVeil", "StopEverything", "Invite", "SetHands",
    "Pin", "SetChatRules", "ReviewHeld", "ClaimQuestion", "Approve", "ReturnQuestion", "Decline", "Queue",
    "PutBack", "OrderNext", "Reopen", "Merge", "LabelQuestion", "ConvertMessage", "SetQuestionRules",
    "DraftPoll", "EditPoll", "DropPoll", "OpenPoll", "ClosePoll", "ShowResults", "ReopenPoll",
}  # fmt: skip
MAY = {
    Role.ATTENDEE: EVERYBODY | AUDIENCE,
    Role.SPEAKER: EVERYBODY | EXPERTS,
    Role.PRESENTER: EVERYBODY | EXPERTS,
    Role.MODERATOR: EVERYBODY | STAFF,
    Role.ORGANISER: EVERYBODY | STAFF,
}
AT_THE_DOOR = {"Knock", "TellReach", "Leave", "SayAtDoor"}
NEVER_HAS_ANYTHING_TO_DO = {(Role.SPEAKER, "LowerHand"), (Role.PRESENTER, "LowerHand")}
"""Experts raise no hands, and may lower nobody else's."""

ACTORS = {
    Role.ORGANISER: "olga",
    Role.MODERATOR: "ken",
    Role.SPEAKER: "sara",
    Role.PRESENTER: "taro",
    Role.ATTENDEE: "aoi",
}
STANDINGS = ("waiting", "sent_back", "left", "removed", "inside", "on_stage")
VARIANTS = ("quiet", "raised", "invited")
"""What is under way: no poll; a poll, and the actor's hand is up; the actor is invited to the stage."""
TEXT = "境界線の引き方を教えてください"


@dataclass
class Cell:
    """One square of the matrix."""

    role: Role
    state: State
    standing: str
    variant: str

    @property
    def staff(self) -> bool:
        return self.role in STAFF_ROLES

    @property
    def inside(self) -> bool:
        return self.standing in {"inside", "on_stage"}

    def refusal(self, command: str) -> str:
        """Say what the answer has to be; empty: it is done, or there is nothing to do."""
        if self.standing == "removed" or (self.staff and self.standing == "sent_back"):
            return "removed"
        if command not in MAY[self.role]:
            return "forbidden"
        if self.state is State.CLOSED:
            return "ended"
        if not self.inside and not self.staff and command not in AT_THE_DOOR:
            return "not_admitted"
        return self.reason(command)

    def reason(self, command: str) -> str:
        """Say which state of the room forbids it to those who may."""
        polling_now = self.variant != "quiet"
        reasons = {
            "Ask": ("questions_closed", self.state in {State.PUBLISHED, State.AFTER}),
            "RaiseHand": ("hands_closed", self.state is State.AFTER and not self.hand),
            "AnswerInvitation": ("no_invitation", self.hand != "invited"),
            "SayAtDoor": ("not_waiting", not self.staff and self.standing not in {"waiting", "sent_back"}),
            "OpenPoll": ("poll_taken", polling_now),
            "ReopenPoll": ("poll_taken", polling_now),
            "ClosePoll": ("wrong_state", not polling_now),
            "CastBallot": ("poll_closed", not polling_now),
        }
        code, applies = reasons.get(command, ("", False))
        return code if applies else ""

    @property
    def hand(self) -> str:
        """The actor's hand."""
        if self.role is not Role.ATTENDEE:
            return ""
        if self.standing == "on_stage":
            return "on_stage"
        return "" if self.variant == "quiet" else self.variant


def furnished(role: Role, variant: str) -> Table:
    """Make a live room in which everything that a command may point at exists."""
    made, who = table(), ACTORS[role]
    for asker in (who, "ben"):
        made.ask(asker, chat.Post(text="ことば"))
        for _ in range(2):
            made.ask(asker, queue.Ask(text=TEXT))
    _, returned, _, opened = made.room.questions.items
    made.ask("mika", queue.ReturnQuestion(id=returned, version=1, reason="duplicate"))
    made.ask("mika", queue.Approve(id=opened, version=1))
    for way in ("open", "next", "next", "answered"):
        made.ask("ben", queue.Ask(text=TEXT))
        fresh = next(reversed(made.room.questions.items))
        made.ask("mika", queue.Approve(id=fresh, version=1))
        if way == "next":
            made.ask("mika", queue.Queue(id=fresh, version=2))
        if way == "answered":
            made.ask("mika", queue.Answer(id=fresh, version=2))
    made.ask("mika", chat.SetChatRules(hold=True))
    made.ask("ben", chat.Post(text="確認を待つことば"))
    made.ask("mika", chat.SetChatRules(hold=False))
    made.ask("ben", hands.RaiseHand())
    made.ask("mika", door.Remove(person="chie"))
    made.ask("chie", Arrive())
    _put_to_the_vote(made, under_way=variant != "quiet")
    if role is Role.ATTENDEE and variant != "quiet":
        made.ask(who, hands.RaiseHand())
    if role is Role.ATTENDEE and variant == "invited":
        made.ask("mika", hands.Invite(person=who))
    stage.Seated(person="ben").apply(made.room)
    stage.Unseated(person=colleague(who)).apply(made.room)
    stage.Veiled(on=True).apply(made.room)
    blocked = Person(id="dora", role=Role.ATTENDEE, standing=Standing.BLOCKED, registered=False, at=1)
    Filed(person=blocked).apply(made.room)
    return made


def _put_to_the_vote(made: Table, *, under_way: bool) -> None:
    """Leave a draft, a closed poll whose results nobody has seen, and one that is open."""
    for _ in range(3):
        made.ask("mika", polling.DraftPoll(poll=PollForm(text="どちら", options=["あ", "い"])))
    _, closed, opened = made.room.polls.items
    made.ask("mika", polling.OpenPoll(id=closed, version=1))
    made.ask("mika", polling.ClosePoll(id=closed, version=2, show=False))
    if under_way:
        made.ask("mika", polling.OpenPoll(id=opened, version=1))


def colleague(who: str) -> str:
    """An expert who is somebody else."""
    return "taro" if who == "sara" else "sara"


def put(made: Table, cell: Cell) -> None:
    """Bring the session into the cell's state and the actor into the cell's standing."""
    who, room = ACTORS[cell.role], made.room
    room.session.state = cell.state
    room.stage.seats.pop(who, None)
    verdict = Verdict.REFUSED if cell.standing in {"sent_back", "removed"} else None
    standing = Standing.INSIDE if cell.inside else Standing(cell.standing)
    Filed(person=msgspec.structs.replace(room.door.people[who], standing=standing, verdict=verdict)).apply(
        room
    )
    if cell.standing == "on_stage":
        stage.Seated(person=who).apply(room)
        if cell.role is Role.ATTENDEE:
            hands.HandFiled(hand=hands.Hand(person=who, state="on_stage", at=1)).apply(room)


def wishes(made: Table, cell: Cell) -> list:
    """Make one command of every class, each pointing at what exists and fits."""
    who, room = ACTORS[cell.role], made.room
    own = {one.state: one for one in room.questions.items.values() if one.author == who}
    others = {one.state: one for one in reversed(room.questions.items.values()) if one.author == "ben"}
    opened = [one for one in room.questions.in_state("open") if one.author == "ben"]
    line = [one.id for one in reversed(room.questions.in_state("next"))]
    said = {message.author: message.id for message in room.chat.messages.values()}
    draft, closed, last = room.polls.items.values()
    voting = closed if cell.variant == "quiet" else last

    def of(kind, item, **fields):
        return kind(id=item.id, version=item.version, **fields)

    form = PollForm(text="いくつ", kind="rating")
    onward = sorted(sessions.NEXT[cell.state]) or [State.LIVE]
    expert = colleague(who)
    return [
        sessions.SetState(state=onward[0]),
        sessions.ChangeSettings(title="ほかの題"),
        door.Knock(),
        door.TellReach(reach=door.Reach.RELAY),
        door.Leave(),
        door.Admit(person="chie"),
        door.AdmitAll(),
        door.SendBack(person="chie"),
        door.SayAtDoor(text="ことば", visitor="chie" if cell.staff else ""),
        door.Remove(person="ben"),
        door.Unblock(person="dora"),
        door.Mute(person="ben"),
        stage.BringOn(person=expert),
        stage.TakeOff(person="ben"),
        stage.StepDown(),
        stage.MuteSource(person="ben", source="microphone"),
        stage.Spotlight(person="ben"),
        stage.SetTimer(seconds=60),
        stage.LiftVeil(),
        stage.StopEverything(),
        hands.RaiseHand(),
        hands.LowerHand(person="ben" if cell.staff else ""),
        hands.Invite(person="ben"),
        hands.AnswerInvitation(accept=True),
        hands.SetHands(open=False),
        chat.Post(text="ことば"),
        chat.EditMessage(id=said[who], text="ほかのことば"),
        chat.DeleteMessage(id=said["ben" if cell.staff else who]),
        chat.React(id=said["ben"], reaction="nod"),
        chat.Pin(id=said["ben"]),
        chat.SetChatRules(slow=5),
        chat.ReviewHeld(id=next(iter(room.chat.held)), post=True),
        queue.Ask(text=TEXT, anonymity="anonymous"),
        queue.Revise(id=own["returned"].id, text=f"{TEXT}、短く"),
        queue.Withdraw(id=own["pending"].id),
        queue.Vote(id=opened[0].id),
        of(queue.ClaimQuestion, others["pending"]),
        of(queue.Approve, others["pending"]),
        of(queue.ReturnQuestion, others["pending"], reason="duplicate"),
        of(queue.Decline, others["pending"], reason="duplicate"),
        of(queue.Queue, opened[0]),
        of(queue.PutBack, others["next"]),
        queue.OrderNext(ids=line),
        of(queue.Take, others["next"]),
        of(queue.Answer, opened[0]),
        of(queue.Reopen, others["answered"]),
        of(queue.Merge, opened[0], into=opened[1].id),
        of(queue.Address, opened[0], to=expert),
        of(queue.LabelQuestion, opened[0], labels=["札"]),
        queue.ConvertMessage(id=said["ben"]),
        queue.SetQuestionRules(closed=True),
        polling.DraftPoll(poll=form),
        of(polling.EditPoll, draft, poll=form),
        of(polling.DropPoll, draft),
        of(polling.OpenPoll, draft),
        of(polling.ClosePoll, voting),
        of(polling.ShowResults, closed),
        of(polling.ReopenPoll, closed),
        polling.CastBallot(id=voting.id, choices=[voting.options[0].id]),
    ]


def try_all(role: Role) -> set[str]:
    """Try every command from every square of a role; give the commands that did something somewhere.

    Raises:
        AssertionError: an answer is not what the table says, or a refusal changed the room.
    """
    did = set()
    for variant in VARIANTS:
        rich = furnished(role, variant)
        for cell in (Cell(role, state, standing, variant) for state in State for standing in STANDINGS):
            made = copy.deepcopy(rich)
            put(made, cell)
            before = copy.deepcopy(made.room)
            asked = msgspec.structs.replace(made.asked(ACTORS[role]), at=made.now + 10_000)
            for command in wishes(made, cell):
                name = type(command).__name__
                try:
                    events, code = decide(made.room, asked, command), ""
                except Refused as refusal:
                    events, code = [], refusal.code
                assert code == cell.refusal(name), (name, cell, code)
                did |= {name} if events else set()
            assert made.room == before, cell
    return did


def test_the_table_and_the_wishes_name_every_command_there_is():
    names = sorted(command.__name__ for command in COMMANDS)
    assert sorted(set().union(*MAY.values())) == names
    cell = Cell(Role.MODERATOR, State.LIVE, "inside", "quiet")
    made = furnished(cell.role, cell.variant)
    assert sorted(type(wish).__name__ for wish in wishes(made, cell)) == names


@pytest.mark.parametrize("role", Role)
def test_asvs_8_2_1_everybody_may_do_what_the_table_says_and_nothing_else(role):
    idle = {name for of, name in NEVER_HAS_ANYTHING_TO_DO if of is role}
    assert try_all(role) == MAY[role] - idle


@pytest.mark.parametrize(
    ("command", "role", "change"),
    [
        (door.Remove, Role.ATTENDEE, {"needs": frozenset(Role)}),
        (queue.Take, Role.ATTENDEE, {"needs": queue.ON_STAGE_OR_STAFF | {Role.ATTENDEE}}),
        (queue.Approve, Role.SPEAKER, {"needs": queue.ON_STAGE_OR_STAFF}),
        (sessions.SetState, Role.MODERATOR, {"needs": frozenset({Role.ORGANISER})}),
        (chat.Post, Role.ATTENDEE, {"at_the_door": True}),
        (door.Leave, Role.ATTENDEE, {"after_removal": True}),
        (chat.Post, Role.ORGANISER, {"after_the_end": True}),
    ],
)
def test_a_right_that_is_widened_or_narrowed_does_not_fit_the_table(command, role, change, monkeypatch):
    for name, value in change.items():
        monkeypatch.setattr(command, name, value)
    with pytest.raises(AssertionError, match=command.__name__):
        try_all(role)
