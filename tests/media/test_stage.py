"""What foreign clients see and hear of a stage, counted at the packets."""

import asyncio
import os
import signal
import socket

import pytest

from live.media.control import SlotFacts, StageNotice
from live.media.negotiation import POOL

ROOM = "room"


async def test_everyone_sees_and_hears_a_speaker_while_the_curtain_is_open(client, stage, notices, wait):
    await stage(open=True, on_stage=["ann"])
    viewer = await client().watch("bob")
    foreigner = await client().watch_as_foreigner("cat")
    publisher = await client().publish("ann")
    await wait(lambda: viewer.frames.get("v0", 0) > 20, what="frames in the pool's first seat")
    await wait(lambda: viewer.loudness.get("a0", 0) > 3000, what="a tone in the pool's first seat")
    await wait(lambda: len(foreigner.frames) == 2, what="picture and sound for a foreign viewer")
    await wait(lambda: max(foreigner.loudness.values()) > 3000, what="a tone for a foreign viewer")
    assert set(viewer.frames) == {"v0", "a0"}
    assert publisher.packets == 0
    notice = notices[ROOM, False]
    assert notice.slots == {"v0": SlotFacts("ann", "camera"), "a0": SlotFacts("ann", "microphone")}
    assert notice.away == []


async def test_two_speakers_see_each_other_and_not_themselves(client, stage, wait):
    await stage(open=True, on_stage=["ann", "ben"])
    await client().publish("ann")
    first = await client().watch("ann", behind=True)
    await client().publish("ben")
    await wait(lambda: first.frames.get("v1", 0) > 5)
    mine = {p.ssrc for p in POOL if p.mid in ("v0", "a0")}
    bens = {p.ssrc for p in POOL if p.mid in ("v1", "a1")}
    await wait(lambda: bens <= first.streams)
    assert not mine & first.streams


async def test_behind_a_closed_curtain_no_packet_reaches_the_audience(client, stage, notices, wait):
    await stage(open=False, on_stage=["ann"], backstage=["ben"])
    audience = await client().watch("cat")
    colleague = await client().watch("ben", behind=True)
    await client().publish("ann")
    await wait(lambda: colleague.frames.get("v0", 0) > 20)
    assert audience.packets == 0
    assert notices.get((ROOM, False)) is None or not notices[ROOM, False].slots
    assert notices[ROOM, True].slots["v0"].person == "ann"
    await client().publish("ben")
    await stage(open=True, on_stage=["ann"], backstage=["ben"])
    await wait(lambda: audience.frames.get("v0", 0) > 5)
    assert set(audience.frames) <= {"v0", "a0"}
    await stage(open=False, on_stage=["ann"], backstage=["ben"])
    seen, before = audience.packets, colleague.packets
    await wait(lambda: colleague.packets > before + 50)
    assert audience.packets - seen < 5  # what was on its way


async def test_a_muted_microphone_and_a_veiled_stage_send_nothing(client, stage, wait):
    await stage(open=True, on_stage=["ann"])
    viewer = await client().watch("bob")
    await client().publish("ann")
    await wait(lambda: viewer.frames.get("a0", 0) > 5 and viewer.frames.get("v0", 0) > 5)
    await stage(open=True, on_stage=["ann"], muted={"ann": ["microphone"]})
    video = viewer.frames["v0"]
    await wait(lambda: viewer.frames["v0"] > video + 10)
    sound, video = viewer.frames["a0"], viewer.frames["v0"]
    await wait(lambda: viewer.frames["v0"] > video + 10)
    assert viewer.frames["a0"] == sound
    await stage(open=True, on_stage=["ann"], veiled=True)
    before = viewer.packets
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            while viewer.packets < before + 5:  # noqa: ASYNC110  # it must not happen
                await asyncio.sleep(0.02)
    await stage(open=True, on_stage=["ann"])
    sound = viewer.frames["a0"]
    await wait(lambda: viewer.frames["a0"] > sound + 5)


async def test_publishing_again_keeps_the_seat_and_ends_the_older_one(client, stage, link, notices, wait):
    await stage(open=True, on_stage=["ann", "ben"])
    viewer = await client().watch("cat")
    first = await client().publish("ann")
    await client().publish("ben")
    await wait(lambda: viewer.frames.get("v0", 0) > 5 and viewer.frames.get("v1", 0) > 5)
    await client().publish("ann")
    await wait(lambda: first.pc.connectionState == "closed", what="the older one ended")
    before = viewer.frames["v0"]
    await wait(lambda: viewer.frames["v0"] > before + 10)
    assert notices[ROOM, False].slots["v0"].person == "ann"
    assert (await link.stats())["publishers"] == 2


async def test_a_shared_screen_has_its_own_slot_and_takes_the_stage(client, stage, notices, wait):
    await stage(open=True, on_stage=["ann", "ben"])
    viewer = await client().watch("cat")
    foreigner = await client().watch_as_foreigner("dan")
    await client().publish("ann")
    await wait(lambda: foreigner.frames.get("1", 0) > 5)
    assert foreigner.shade["1"] < 200
    screen = await client().publish("ben", "screen", shade=250)
    await wait(lambda: viewer.frames.get("screen", 0) > 5)
    await wait(lambda: foreigner.shade["1"] > 200, what="the foreigner sees the screen")
    assert notices[ROOM, False].slots["screen"] == SlotFacts("ben", "screen")
    await screen.close()
    await wait(lambda: foreigner.shade["1"] < 200, what="the foreigner sees the speaker again")


async def test_other_codecs_pass_through(client, stage, wait):
    await stage(open=True, on_stage=["ann"])
    viewer = await client().watch("bob")
    await client().publish("ann", codec="video/H264")
    await wait(lambda: viewer.frames.get("v0", 0) > 20)


async def test_who_ends_a_publication_on_purpose_is_not_away(client, stage, link, notices, wait):
    await stage(open=True, on_stage=["ann"])
    publisher = await client().publish("ann")
    await wait(lambda: (ROOM, False) in notices and "v0" in notices[ROOM, False].slots)
    await link.delete(ROOM, publisher.resource)
    await wait(lambda: publisher.pc.connectionState == "closed")
    await wait(lambda: "v0" not in notices[ROOM, False].slots or not notices[ROOM, False].away)
    assert notices[ROOM, False].away == []


async def test_the_latest_offered_publication_counts(client, stage, link):
    await stage(open=True, on_stage=["ann"])
    slow, quick = client(), client()
    answer = await slow.offer("ann")
    await quick.publish("ann")
    assert (await link.stats())["peers"] == 1
    await slow.pc.setRemoteDescription(answer)
    before = (await link.stats())["router_received"]
    assert quick.pc.connectionState == "connected"
    async with asyncio.timeout(5):
        while (await link.stats())["router_received"] < before + 20:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)


async def test_who_leaves_the_stage_is_no_longer_sent(client, stage, link, wait):
    await stage(open=True, on_stage=["ann"])
    viewer = await client().watch("bob")
    publisher = await client().publish("ann")
    await wait(lambda: viewer.frames.get("v0", 0) > 5)
    await stage(open=True)
    await wait(lambda: publisher.pc.connectionState == "closed")
    assert (await link.stats())["publishers"] == 0


async def test_an_expelled_viewer_gets_nothing_more(client, stage, link, wait):
    await stage(open=True, on_stage=["ann"])
    viewer = await client().watch("bob")
    await client().publish("ann")
    await wait(lambda: viewer.frames.get("v0", 0) > 5)
    await link.expel(ROOM, "bob")
    await wait(lambda: viewer.pc.connectionState == "closed")


async def test_garbage_on_the_port_disturbs_nobody(client, stage, link, wait):
    await stage(open=True, on_stage=["ann"])
    viewer = await client().watch("bob")
    await client().publish("ann")
    await wait(lambda: viewer.frames.get("v0", 0) > 5)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for first in range(256):
        for size in (1, 8, 20, 200, 1400, 3000):
            stranger.sendto(bytes([first]) + os.urandom(size), ("127.0.0.1", link.port))
        stranger.sendto(
            bytes([first % 4, 1, 0, 8]) + b"\x21\x12\xa4\x42" + os.urandom(20), ("127.0.0.1", link.port)
        )
        stranger.sendto(b"", ("127.0.0.1", link.port))
    stranger.close()
    before = viewer.frames["v0"]
    await wait(lambda: viewer.frames["v0"] > before + 10)
    numbers = await link.stats()
    assert numbers["strange"] > 1000
    assert numbers["restarts"] == 0


async def test_the_stage_comes_back_after_a_worker_is_killed(client, stage, link, notices, wait):
    await stage(open=True, on_stage=["ann"])
    await client().publish("ann")
    await wait(lambda: (ROOM, False) in notices and "v0" in notices[ROOM, False].slots)
    os.kill(link.pid, signal.SIGKILL)
    await wait(lambda: not notices[ROOM, False].slots and notices[ROOM, True] == StageNotice(behind=True))
    await wait(lambda: link.ready)
    viewer = await client().watch("bob")
    await client().publish("ann")
    await wait(lambda: viewer.frames.get("v0", 0) > 5)
