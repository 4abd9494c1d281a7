"""Law 6: after any disconnection a viewer holds what one holds who never left, under the role held now."""

import asyncio
import random

import pytest

from live.protocol.codes import Close
from live.protocol.frames import Done
from rooms import State
from rooms.chat import Post
from rooms.hands import Invite
from tests.kit.commands import PEOPLE, some_command
from tests.kit.mirror import Mirror
from tests.kit.polling import until
from tests.kit.rooms import FAST, gateway


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_and_however_often_the_line_breaks(where, seed):
    dice = random.Random(seed)  # noqa: S311 - repeatable is the point
    async with gateway(where, limits=FAST) as node:
        session = await node.session()
        viewers = [await node.viewer(session, ticket).connect() for ticket in PEOPLE]
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
