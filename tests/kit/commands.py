"""Commands at random, right or wrong, as people in a room may try them."""

from rooms.chat import DeleteMessage, Post, React, SetChatRules
from rooms.door import Admit, SendBack
from rooms.hands import AnswerInvitation, Invite, LowerHand, RaiseHand
from rooms.polling import CastBallot, ClosePoll, DraftPoll, OpenPoll, PollForm
from rooms.queue import Approve, Ask, Queue, Take, Vote
from rooms.stage import BringOn, MuteSource, TakeOff

PEOPLE = [
    "moderator:mio",
    "moderator:rei",
    "speaker:abe",
    "presenter:ito",
    "attendee:saki",
    "attendee:ken",
    "attendee:kay?",
]
"""Tickets, as `tests.kit.rooms` reads them; a `?` knocks."""


def some_command(dice, viewer):
    """Something that this viewer may well try, right or wrong."""
    mirror = viewer.mirror
    questions = [*mirror.board.values(), *mirror.listed.values()]
    question = dice.choice(questions) if questions else None
    version = getattr(question, "version", 0)
    person = dice.choice(PEOPLE).rstrip("?").partition(":")[2]
    commands = [
        Post(text=f"message {dice.random()}", channel=dice.choice(["main", "main", "backstage", "staff"])),
        Ask(text=f"question number {dice.random()}"),
        RaiseHand(),
        LowerHand(),
        Invite(person=person),
        AnswerInvitation(accept=True),
        BringOn(person=person),
        TakeOff(person=person),
        MuteSource(person=person, source="microphone", on=dice.random() < 0.5),
        Admit(person="kay"),
        SendBack(person="kay"),
        SetChatRules(hold=dice.random() < 0.3),
    ]
    if question is not None:
        commands += [
            Approve(id=question.id, version=version),
            Queue(id=question.id, version=version),
            Take(id=question.id, version=version),
            Vote(id=question.id, on=dice.random() < 0.7),
        ]
    if mirror.filed:  # only the staff see who stands at the door
        commands.append(DraftPoll(poll=PollForm(text="?", kind="rating", scale=3)))
        for poll in list(mirror.polls.values())[-2:]:
            commands += [step(id=poll.id, version=poll.version) for step in (OpenPoll, ClosePoll)]
    for poll in list(mirror.ballot_papers.values())[-1:]:
        commands += [CastBallot(id=poll.id, choices=[dice.choice(poll.options).id])] * 3
    if mirror.messages:
        message = dice.choice(list(mirror.messages))
        commands += [React(id=message, reaction="nod"), DeleteMessage(id=message)]
    return dice.choice(commands)
