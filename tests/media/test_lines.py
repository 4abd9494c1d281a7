"""A media worker behind real lines between network namespaces: other ports, other families."""

import pytest

from live.media import MediaLink, MediaSettings, StageFacts
from tests.kit.namespaces import Namespace, Wan, problem

ROOM = "room"


@pytest.fixture
async def wide():
    """Gives a function that makes a line; the worker is at its far end, clients come from the near one."""
    if why := problem():
        pytest.skip(why)
    made = []

    async def make(versions: str = "46") -> tuple[Wan, Namespace, MediaLink]:
        near, far = Namespace(), Namespace()
        wan = Wan(near, far, versions=versions).__enter__()
        link = MediaLink(MediaSettings(port=0), lambda _, __: None)
        with far.inside():
            await link.start()
        made.append((wan, link))
        await link.stage(ROOM, StageFacts(open=True, on_stage=["ann"]))
        return wan, near, link

    yield make
    for wan, link in made:
        await link.close()
        wan.__exit__()


@pytest.fixture
async def enters(foreign):
    """Gives a function that makes a client within a namespace."""
    made = []

    async def enter(near: Namespace, link: MediaLink, person: str):
        client = foreign(link)
        made.append(client)
        with near.inside():
            await (client.publish(person) if person == "ann" else client.watch(person))
        return client

    yield enter
    for client in made:
        await client.close()


async def test_media_goes_on_when_a_nat_forgets_its_flows(wide, enters, wait, monkeypatch):
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 600)  # no check proves the new ports: SRTP does
    wan, near, link = await wide("4")
    ann, bob = await enters(near, link, "ann"), await enters(near, link, "bob")
    await wait(lambda: bob.frames.get("v0", 0) > 10, what="frames before")
    wan.nat.rebind()
    before = bob.packets
    await wait(lambda: bob.packets > before + 50, what="packets after the rebinding")
    assert (await link.stats())["peers"] == 2
    assert ann.pc.connectionState == bob.pc.connectionState == "connected"


async def test_where_there_is_only_ipv6_media_flows(wide, enters, wait):
    _, near, link = await wide("6")
    ann, bob = await enters(near, link, "ann"), await enters(near, link, "bob")
    await wait(lambda: bob.frames.get("v0", 0) > 5 and bob.loudness.get("a0", 0) > 3000)
    assert ann.pc.connectionState == "connected"
