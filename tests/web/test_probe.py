"""How often strangers can make the store write."""

import asyncio

from live.stores import StoreAway
from live.web import probe
from live.web.probe import Probe
from tests.kit.polling import until


async def test_asvs_15_2_2_a_thousand_who_ask_are_one_write(monkeypatch):
    asked, answers = [], [None, StoreAway("gone"), None]

    async def check():
        asked.append(1)
        await asyncio.sleep(0)
        if (error := answers.pop(0)) is not None:
            raise error

    there = Probe(check)
    assert all(await asyncio.gather(*(there.writes() for _ in range(1000))))
    assert await there.writes()
    assert len(asked) == 1
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0)
    impatient = asyncio.create_task(there.writes())
    await until(lambda: len(asked) == 2)
    monkeypatch.undo()
    impatient.cancel()
    assert not await there.writes(), "who gives up does not take the others' answer away"
    monkeypatch.setattr(probe, "PROBE_SECONDS", 0)
    assert await there.writes(), "a store that is back is seen"
    assert len(asked) == 3
