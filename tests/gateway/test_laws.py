"""Law 6: after any disconnection a viewer holds what one holds who never left, under the role held now."""

import asyncio
import random

import pytest

from live.protocol.codes import Close
from live.protocol.frames import Done, Limits, Rate
from rooms import State
from rooms.chat import Post, React, SetChatRules
from rooms.door import Admit, SendBack
from rooms.hands import AnswerInvitation, Invite, LowerHand, RaiseHand
from rooms.polling import CastBallot, ClosePoll, DraftPoll, OpenPoll, PollForm
from rooms.queue import Approve, Ask, Queue, Take, Vote
from rooms.stage import BringOn, MuteSource, TakeOff
from tests.kit.mirror import Mirror
from tests.kit.polling import until
from tests.kit.rooms import gateway

FAST = Limits(commands=Rate(1000, 1000))
TICKETS = [
    "moderator:mio",
    "moderator:rei",
    "speaker:abe",
    "presenter:ito",
    "attendee:saki",
    "attendee:ken",
    "attendee:kay?",
]


def some_command(dice, viewer):
    """Something that this viewer may well try, right or wrong."""
    mirror = viewer.mirror
    questions = [*mirror.board.values(), *mirror.listed.values()]
    question = dice.choice(questions) if questions else None
    version = getattr(question, "version", 0)
    person = dice.choice(TICKETS).rstrip("?").partition(":")[2]
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
        commands.append(React(id=dice.choice(list(mirror.messages)), reaction="nod"))
    return dice.choice(commands)


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_and_however_often_the_line_breaks(where, seed):
    dice = random.Random(seed)  # noqa: S311 - repeatable is the point
    async with gateway(where, limits=FAST) as node:
        session = await node.session()
        viewers = [await node.viewer(session, ticket).connect() for ticket in TICKETS]
        seq = kept = 0
        for _ in range(150):
            viewer = dice.choice(viewers)
            if dice.random() < 0.15:
                await viewer.drop()
                viewer.away = True
                continue
            if getattr(viewer, "away", False):
                await viewer.connect()
                viewer.away = False
            answer = await viewer.do(some_command(dice, viewer))
            if isinstance(answer, Done) and answer.seq:
                seq, kept = max(seq, answer.seq), kept + 1
        assert kept > 20
        for viewer in viewers:
            await viewer.drop()
            await viewer.connect()
        room = await node.hub.room(session)
        for viewer in viewers:
            assert viewer.seq == room.seq
            names = frozenset({viewer.welcome.you.id, viewer.welcome.you.alias})
            fresh = Mirror().fold(room.view(viewer.welcome.you.level, names))
            assert viewer.mirror.settled() == fresh.settled(), viewer.ticket
            known = {person for person in room.door.people if person in repr(fresh)}
            assert known <= viewer.cards.keys()
        assert sum(viewer.resumes for viewer in viewers) > 5
        for viewer in viewers:
            await viewer.drop()


async def test_a_redis_that_dies_and_comes_back_loses_nothing_acknowledged(own_redis):
    async with gateway(own_redis.url, limits=FAST) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:saki") as saki, node.viewer(session, "attendee:ken") as ken:
            answers = [await saki.do(Post(text=f"before {n}")) for n in range(5)]
            own_redis.kill()
            waiting = asyncio.create_task(saki.do(Post(text="during"), within=20))
            await asyncio.to_thread(own_redis.start)
            assert isinstance(await waiting, Done)
            answers.append(await ken.do(Post(text="after")))
            await until(lambda: len(ken.texts) == len(saki.texts) == 7)
            assert all(isinstance(answer, Done) for answer in answers)
            assert saki.texts == ken.texts == [f"before {n}" for n in range(5)] + ["during", "after"]
            assert saki.closed is ken.closed is None


async def test_what_the_clock_demands_is_asked_by_the_server(tmp_path):
    async with gateway(tmp_path) as node:
        session = await node.session()
        async with (
            node.viewer(session, "moderator:mio") as mio,
            node.viewer(session, "attendee:saki") as saki,
        ):
            await mio.do(Invite(person="saki"))
            await saki.holds(lambda mirror: mirror.one.get("hand"))
            node.now += 61_000
            await saki.holds(lambda mirror: mirror.one.get("hand") is None)


async def test_more_sockets_than_the_node_serves_are_asked_to_come_back(tmp_path):
    async with gateway(tmp_path, most=2) as node:
        session = await node.session(State.LIVE)
        async with node.viewer(session, "attendee:a"), node.viewer(session, "attendee:b") as second:
            third = await node.viewer(session, "attendee:c").connect()
            assert await third.gone() == Close.TOO_MANY
            await second.drop()
            await until(lambda: len(node.hub._find(session).members) == 1)
            async with node.viewer(session, "attendee:c") as third:
                assert third.closed is None
