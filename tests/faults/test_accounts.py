"""The accounts themselves: whatever is wrong with a room or a page is found and told in words."""

import msgspec
import pytest

from rooms.chat import Post
from rooms.queue import Vote
from tests.kit.accounts import examine
from tests.kit.crowd import Crowd
from tests.kit.rooms import FAST, OPEN, gateway


async def drop_row(store, session, _people):
    tail = await store.position(session)
    sql = "delete from log where room = ? and seq = ?"
    await store._do(lambda db: db.execute(sql, (session, tail.seq - 3)) and None)


async def say_twice(store, session, _people):
    tail = await store.position(session)
    (row,) = await store.read(session, tail.seq - 1, 1)
    entry = msgspec.json.decode(row.body) | {"seq": tail.seq + 1}
    await store.append(session, tail, [msgspec.json.encode(entry)])


async def claim_more(_store, _session, people):
    people[1].acknowledged["nonce"] = (Post(text="never said"), 3)


async def claim_another_number(_store, _session, people):
    nonce, (command, seq) = next(
        item for item in people[1].acknowledged.items() if isinstance(item[1][0], Post)
    )
    people[1].acknowledged[nonce] = (command, seq + 1)


async def claim_a_vote(_store, _session, people):
    voted = next(one for one in people if one.mirror.votes)
    voted.acknowledged["nonce"] = (Vote(id=next(iter(voted.mirror.votes)), on=False), 10**6)


async def wait_for_ever(_store, _session, people):
    people[2].outbox["nonce"] = Post(text="?")


async def fall_behind(_store, _session, people):
    people[1].seq -= 1


async def hold_something_else(_store, _session, people):
    people[1].mirror.messages.popitem()


async def be_shown_another_story(_store, _session, people):
    history, entries = people[1].heard[-1]
    people[1].heard[-1] = history, [msgspec.structs.replace(entry, at=0) for entry in entries]


async def be_sent_away(_store, _session, people):
    people[1].over = 4510


TAMPERING = {
    drop_row: "the log is not contiguous",
    say_twice: "has 2 entries",
    claim_more: "'never said' of p1, acknowledged as 3",
    claim_another_number: "p1 was told",
    claim_a_vote: "voters of",
    wait_for_ever: "p2 still waits for an answer to ['Post']",
    fall_behind: "p1 is at",
    hold_something_else: "p1 holds other messages",
    be_shown_another_story: "were shown two entries",
    be_sent_away: "p1 was sent away with 4510",
}


@pytest.mark.parametrize("tamper", TAMPERING, ids=lambda tamper: tamper.__name__)
async def test_what_is_wrong_is_found(tmp_path, tamper):
    async with gateway(tmp_path, limits=FAST) as node:
        session = await node.session(capacity=OPEN.capacity, qa=OPEN.qa)
        async with Crowd([node.url(session)], 4) as crowd:
            for _ in range(60):
                crowd.act()
            await crowd.settle()
            verdict = await examine(node.hub._store, session, crowd.people, "untouched")
            assert verdict, f"\n{verdict}"
        await tamper(node.hub._store, session, crowd.people)
        verdict = await examine(node.hub._store, session, crowd.people, "tampered")
        assert not verdict
        assert TAMPERING[tamper] in str(verdict), f"\n{verdict}"
