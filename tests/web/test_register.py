"""Two servers change one session's line at the same moment; nothing that either wrote is lost."""

import asyncio
import secrets

import msgspec
import pytest

from live.web.bodies import NewSession
from live.web.problems import Problem
from live.web.register import Register, new_record
from rooms import Settings
from tests.kit.personas import table


class Slow:
    """A store as a server sees it that is interrupted between reading a line and writing it."""

    def __init__(self, store, meanwhile):
        self._store, self._meanwhile = store, [meanwhile]

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def session(self, session):
        raw = await self._store.session(session)
        if self._meanwhile:
            await self._meanwhile.pop()()
        return raw


@pytest.fixture
async def record(store):
    made = msgspec.structs.replace(new_record(NewSession(title="会"), 1), id=f"s-{secrets.token_hex(4)}")
    await Register(store).put(made)
    return made


def room_of(record, title="新しい名前"):
    room = table(Settings(title=title)).room
    room.session.id = record.id
    return room


async def test_asvs_7_4_2_voided_links_stay_void_when_another_server_follows_the_room(store, record):
    here = Register(store)
    there = Register(Slow(store, lambda: here.renew(record.id)))
    await there.follow(room_of(record))
    kept = await here.find(record.id)
    assert (kept.generation, kept.title) == (2, "新しい名前")


async def test_a_title_stays_when_another_server_voids_links(store, record):
    here = Register(store)
    there = Register(Slow(store, lambda: here.follow(room_of(record))))
    assert (await there.renew(record.id)).title == "新しい名前"
    assert (await here.find(record.id)).generation == 2


async def test_what_is_erased_meanwhile_stays_erased(store, record):
    here = Register(store)

    async def erase():
        await store.erase(record.id)
        await here.put(msgspec.structs.replace(record, state="closed", erased=2))

    await Register(Slow(store, erase)).follow(room_of(record))
    with pytest.raises(Problem) as refused:
        await here.find(record.id)
    assert refused.value.body.code == "erased"
    with pytest.raises(Problem):
        await here.renew(record.id)


async def test_every_voiding_counts(store, record):
    servers = [Register(store) for _ in range(2)]
    made = await asyncio.gather(*(servers[n % 2].renew(record.id) for n in range(8)))
    assert sorted(one.generation for one in made) == list(range(2, 10))
