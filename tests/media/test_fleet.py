"""Several real workers that look like one: a room over two of them, and what is left when one is killed."""

import asyncio
import os
import signal

import pytest

from live.media import MediaFleet, MediaRefused, MediaSettings, StageFacts
from live.media.control import SlotFacts
from live.sfu.demand import LINGER

ROOM = "room"


@pytest.fixture
def notices():
    return {}


@pytest.fixture
async def link(notices):
    """Two workers; the third connection of a room goes to the second one."""
    made = MediaFleet(
        MediaSettings(port=0),
        lambda room, notice: notices.update({(room, notice.behind): notice}),
        workers=2,
        limit=2,
    )
    await made.start()
    yield made
    await made.close()


async def lives(link) -> set[str]:
    return {worker.life for worker in link.links if worker.ready}


def of(client) -> str:
    return client.resource.partition(".")[0]


async def test_a_room_over_two_workers_is_one_stage(client, stage, link, notices, wait):
    await stage(open=True, on_stage=["ann", "ben"])
    near = await client().watch("bob")
    ann = await client().publish("ann")
    far = await client().watch("cat")
    foreigner = await client().watch_as_foreigner("dan")
    assert of(near) == of(ann)
    assert {of(far), of(foreigner)} == await lives(link) - {of(ann)}
    await wait(lambda: far.frames.get("v0", 0) > 20 and far.loudness.get("a0", 0) > 3000, what="across")
    await wait(lambda: max(foreigner.loudness.values(), default=0) > 3000 and len(foreigner.frames) == 2)
    await wait(lambda: near.frames.get("v0", 0) > 20)
    ben = await client().publish("ben")
    assert of(ben) == of(ann)
    await wait(lambda: far.frames.get("v1", 0) > 5 and near.frames.get("v1", 0) > 5)
    assert notices[ROOM, False].slots["v1"] == SlotFacts("ben", "camera")
    # Who leaves and comes in another order sits where the home says, on both workers.
    await link.delete(ROOM, ann.resource)
    await stage(open=True, on_stage=["ben", "eve"])
    await client().publish("eve")
    later = await client().watch("fay")
    assert of(later) != of(ben)
    await wait(lambda: later.frames.get("v1", 0) > 5 and later.frames.get("v0", 0) > 5)
    assert notices[ROOM, False].slots["v0"].person == "eve"
    assert notices[ROOM, False].slots["v1"].person == "ben"
    stats = await link.stats_by_worker()
    assert sorted(numbers["homes"] for numbers in stats) == [0, 1]
    assert sum(numbers["relays"] for numbers in stats) == 1
    assert all(numbers["relay_dropped"] == 0 for numbers in stats)


async def test_a_camera_rests_when_nobody_wants_it_at_the_sibling_either(client, stage, link, notices, wait):
    await stage(open=True, on_stage=["ann"])
    near, ann, far = (
        await client().watch("bob"),
        await client().publish("ann"),
        await client().watch("cat"),
    )
    assert of(far) != of(ann) == of(near)
    await wait(lambda: far.frames.get("v0", 0) > 5)
    await link.choose(ROOM, near.resource, "audio")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LINGER + 3):
            await wait(lambda: notices[ROOM, True].idle)
    await link.choose(ROOM, far.resource, "audio")
    await wait(lambda: notices[ROOM, True].idle == {"ann": {"camera": [""]}}, what="told to rest")
    await link.choose(ROOM, far.resource, "video")
    await wait(lambda: notices[ROOM, True].idle == {}, seconds=2, what="told to go on")


async def test_no_packet_crosses_the_curtain_by_way_of_a_sibling(client, stage, link, wait):
    await stage(open=False, on_stage=["ann"], backstage=["ben"])
    near = await client().watch("cat")
    await client().publish("ann")
    far = await client().watch("dan")
    inside = await client().watch("ben", behind=True)
    assert of(far) != of(near)
    assert of(inside) == of(near)
    await wait(lambda: inside.frames.get("v0", 0) > 10)
    assert near.packets == far.packets == 0
    assert (await link.stats())["relayed"] == 0
    await stage(open=True, on_stage=["ann"], backstage=["ben"])
    await wait(lambda: far.frames.get("v0", 0) > 5 and far.frames.get("a0", 0) > 5)
    await stage(open=True, on_stage=["ann"], backstage=["ben"], muted={"ann": ["microphone"]})
    video = far.frames["v0"]
    await wait(lambda: far.frames["v0"] > video + 10)
    sound, video = far.frames["a0"], far.frames["v0"]
    await wait(lambda: far.frames["v0"] > video + 10)
    assert far.frames["a0"] == sound
    for facts in ({"veiled": True, "open": True}, {"open": False}):
        await stage(on_stage=["ann"], backstage=["ben"], **facts)
        seen, before = far.packets, (await link.stats())["router_received"]
        async with asyncio.timeout(20):
            while (await link.stats())["router_received"] < before + 60:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)
        assert far.packets - seen < 5  # what was on its way


async def test_a_killed_home_is_inherited_by_the_sibling(client, stage, link, notices, wait):
    gone = []
    link.on_gone = lambda names: gone.append((asyncio.get_running_loop().time(), names))
    await stage(open=True, on_stage=["ann"])
    near = await client().watch("bob")
    ann = await client().publish("ann")
    far = await client().watch("cat")
    await wait(lambda: far.frames.get("v0", 0) > 5 and near.frames.get("v0", 0) > 5)
    home = next(worker for worker in link.links if worker.life == of(ann))
    life, port = home.life, home.port
    os.kill(home.pid, signal.SIGKILL)
    await wait(lambda: gone and life in gone[-1][1], what="who died is told")
    with pytest.raises(MediaRefused) as refusal:
        await link.delete(ROOM, ann.resource)
    assert (refusal.value.code, refusal.value.status) == ("unknown_resource", 404)
    again, publisher = await client().watch("bob"), await client().publish("ann")
    assert of(publisher) == of(far)
    before = far.frames["v0"]
    await wait(lambda: far.frames["v0"] > before + 5, what="who was on the sibling sees on")
    await wait(lambda: again.frames.get("v0", 0) > 5, what="who was on the dead worker is back")
    assert far.pc.connectionState == "connected"
    assert notices[ROOM, False].slots["v0"].person == "ann"
    await wait(lambda: notices[ROOM, False].away == [])
    await wait(lambda: home.ready and home.life != life)
    assert home.port == port


async def test_a_killed_sibling_costs_only_its_viewers(client, stage, link, wait):
    await stage(open=True, on_stage=["ann"])
    near = await client().watch("bob")
    await client().publish("ann")
    far = await client().watch("cat")
    await wait(lambda: far.frames.get("v0", 0) > 5)
    sibling = next(worker for worker in link.links if worker.life == of(far))
    os.kill(sibling.pid, signal.SIGKILL)
    await wait(lambda: sibling.restarts == 1 and sibling.ready)
    before = near.frames["v0"]
    back = await client().watch("cat")
    assert of(back) == sibling.life
    await wait(lambda: back.frames.get("v0", 0) > 5 and near.frames["v0"] > before + 5)


async def test_a_worker_that_answers_nothing_is_replaced(wait):
    fleet = MediaFleet(MediaSettings(port=0, silence_seconds=0.6), workers=2)
    await fleet.start()
    await fleet.stage(ROOM, StageFacts(open=True, on_stage=["ann"]))
    answer = await fleet.watch(ROOM, "ann", False, None)
    home = next(worker for worker in fleet.links if answer.resource.startswith(worker.life))
    os.kill(home.pid, signal.SIGSTOP)
    await wait(lambda: fleet.gone == (answer.resource.partition(".")[0],))
    elsewhere = await fleet.watch(ROOM, "ann", False, None)
    assert not elsewhere.resource.startswith(home.life)
    await fleet.close()


async def test_the_last_worker_takes_its_rooms_up_again(client, stage, link, wait):
    await stage(open=True, on_stage=["ann"])
    gone = []
    link.on_gone = gone.append
    for worker in link.links:
        os.kill(worker.pid, signal.SIGKILL)
    await wait(lambda: all(worker.restarts == 1 and worker.ready for worker in link.links))
    assert len(gone[-1]) == 2
    viewer, _ = await client().watch("bob"), await client().publish("ann")
    await wait(lambda: viewer.frames.get("v0", 0) > 5)


async def test_taken_ports_are_refused_and_no_worker_is_left(link):
    second = MediaFleet(MediaSettings(port=link.links[1].port - 1), workers=2)
    with pytest.raises(MediaRefused) as refusal:
        await second.start()
    assert refusal.value.code == "port_taken"
    assert all(worker.pid is None for worker in second.links)


async def test_nobody_else_can_open_the_relay(link):
    folder = link._folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all((folder / worker.life).stat().st_mode & 0o777 == 0o600 for worker in link.links)
    await link.close()
    assert not folder.exists()
