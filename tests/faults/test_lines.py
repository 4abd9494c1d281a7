"""Lines fail: commands come twice, late, in another order, and people vanish right after sending them."""

import contextlib

from live.gateway import writing
from rooms import Room
from tests.kit.crowd import Crowd
from tests.kit.polling import until
from tests.kit.relay import Relay
from tests.kit.rooms import FAST, OPEN, gateway


class Forgetful(Room):
    """A room that does not remember what it has answered."""

    def answered(self, key):  # noqa: ARG002 - it forgets
        return None


@contextlib.asynccontextmanager
async def one_room(where):
    async with gateway(where, limits=FAST) as node:
        session = await node.session(capacity=OPEN.capacity, qa=OPEN.qa)
        yield node.hub._store, session, node.url(session)


async def chatter_over_bad_lines(relay, crowd):
    crowd.talk()
    await until(lambda: min(relay.repeated, relay.reordered, relay.replayed) >= 15, 60)
    await crowd.more(20)
    await crowd.settle()


async def vanish_often(crowd):
    """Everybody in turn sends something and loses the line in the same moment."""
    for _ in range(4):
        for person in crowd.people:
            await until(lambda one=person: one.here, 30)
            await person.say_and_vanish(crowd.words())
    await until(lambda: all(one.connections > 4 for one in crowd.people), 30)
    await crowd.settle()


async def test_commands_come_twice_and_late_and_in_another_order(scene, where):
    async with (
        one_room(where) as (store, session, url),
        Relay(url, scene.dice) as relay,
        Crowd([relay.url], 5) as crowd,
    ):
        await chatter_over_bad_lines(relay, crowd)
        await scene.judge(store, session, crowd.people)


async def test_people_vanish_right_after_sending(scene, where):
    async with one_room(where) as (store, session, url), Crowd([url], 6) as crowd:
        await vanish_often(crowd)
        await scene.judge(store, session, crowd.people)


async def test_control_a_room_that_forgets_its_answers_does_things_twice(scene, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "Room", Forgetful)
    async with (
        one_room(tmp_path) as (store, session, url),
        Relay(url, scene.dice) as relay,
        Crowd([relay.url], 5) as crowd,
    ):
        await chatter_over_bad_lines(relay, crowd)
        assert (await scene.caught(store, session, crowd.people)).duplicated
