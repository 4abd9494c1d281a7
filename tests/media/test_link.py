import asyncio
import os
import signal

import pytest
from aiortc import RTCPeerConnection

from live.media import MediaLink, MediaRefused, MediaSettings, StageFacts, fanout
from live.media.control import SDP_LIMIT

ROOM = "room"


async def test_peers_connect_and_are_counted(link, client) -> None:
    await client().publish("ann")
    await client().watch("bob")
    viewer = await client().watch_as_foreigner("cat")
    numbers = await link.stats()
    assert (numbers["connected"], numbers["publishers"], numbers["peers"]) == (3, 1, 3)
    await link.delete(ROOM, viewer.resource)
    assert (await link.stats())["peers"] == 2
    with pytest.raises(MediaRefused) as refusal:
        await link.delete(ROOM, viewer.resource)
    assert (refusal.value.code, refusal.value.status) == ("unknown_resource", 404)


async def test_what_cannot_be_taken_is_refused_with_a_code(link) -> None:
    with pytest.raises(MediaRefused) as malformed:
        await link.publish(ROOM, "ann", "camera", "hello")
    assert (malformed.value.code, malformed.value.status) == ("sdp_invalid", 400)
    with pytest.raises(MediaRefused) as source:
        await link.publish(ROOM, "ann", "toaster", "v=0")
    assert source.value.status == 422
    with pytest.raises(MediaRefused) as long:
        await link.watch(ROOM, "ann", False, "v" * (SDP_LIMIT + 1))
    assert long.value.status == 413
    answer = await link.watch(ROOM, "ann", False, None)
    with pytest.raises(MediaRefused) as mismatch:
        await link.answer(ROOM, answer.resource, "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n")
    assert mismatch.value.code == "answer_mismatch"
    with pytest.raises(MediaRefused) as elsewhere:
        await link.delete("another room", answer.resource)
    assert elsewhere.value.status == 404


async def test_one_person_has_a_limit(link) -> None:
    for _ in range(link.settings.peers_per_person):
        await link.watch(ROOM, "ann", False, None)
    with pytest.raises(MediaRefused) as refusal:
        await link.watch(ROOM, "ann", False, None)
    assert (refusal.value.code, refusal.value.status) == ("too_many_peers", 429)
    await link.watch(ROOM, "bob", False, None)
    await link.expel(ROOM, "ann")
    assert (await link.stats())["peers"] == 1


async def test_patch_wants_the_right_tag_and_restarts_ice(link, client) -> None:
    viewer = await client().watch("bob")
    trickle = "a=mid:v0\r\na=candidate:1 1 udp 1 192.0.2.9 5 typ host\r\n"
    with pytest.raises(MediaRefused) as missing:
        await link.patch(ROOM, viewer.resource, trickle, None)
    assert missing.value.status == 428
    with pytest.raises(MediaRefused) as stale:
        await link.patch(ROOM, viewer.resource, trickle, '"stale"')
    assert stale.value.status == 412
    with pytest.raises(MediaRefused) as malformed:
        await link.patch(ROOM, viewer.resource, "what?", viewer.etag)
    assert malformed.value.status == 400
    assert (await link.patch(ROOM, viewer.resource, trickle, viewer.etag)).sdpfrag is None
    fresh = "a=ice-ufrag:fresh\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    patch = await link.patch(ROOM, viewer.resource, fresh, "*")
    assert patch.sdpfrag is not None
    assert "a=ice-ufrag:" in patch.sdpfrag
    assert patch.etag != viewer.etag
    assert (await link.patch(ROOM, viewer.resource, fresh, patch.etag)).sdpfrag is None


async def test_a_killed_worker_is_replaced_and_knows_the_stage(link, client, wait) -> None:
    await link.stage(ROOM, StageFacts(open=True, on_stage=["ann"]))
    port, pid = link.port, link.pid
    os.kill(pid, signal.SIGKILL)
    await wait(lambda: link.restarts == 1 and link.ready)
    assert link.port == port
    assert link.pid != pid
    await client().publish("ann")
    assert (await link.stats())["rooms"] == 1


async def test_a_worker_ends_with_its_parent(link, wait) -> None:
    pid = link.pid
    link._task.cancel()
    link._writer.transport.abort()
    process = link._process
    await wait(lambda: process.returncode is not None)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_taken_port_is_refused_at_start(link) -> None:
    second = MediaLink(MediaSettings(port=link.port))
    with pytest.raises(MediaRefused) as refusal:
        await second.start()
    assert refusal.value.code == "port_taken"
    await second.close()


async def test_who_never_finishes_the_handshake_is_freed() -> None:
    link = MediaLink(MediaSettings(port=0, handshake_seconds=0.3))
    await link.start()
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    await link.watch(ROOM, "ann", False, pc.localDescription.sdp)
    await pc.close()
    assert (await link.stats())["peers"] == 1
    await _peers(link, 0)
    await link.close()


async def test_who_is_no_longer_heard_is_freed_and_said_to_be_away(foreign, notices, wait) -> None:
    link = MediaLink(
        MediaSettings(port=0, consent_seconds=1.0), lambda r, n: notices.update({(r, n.behind): n})
    )
    await link.start()
    await link.stage(ROOM, StageFacts(open=True, on_stage=["ann"]))
    publisher = await foreign(link).publish("ann")
    await wait(lambda: (ROOM, False) in notices and "v0" in notices[ROOM, False].slots)
    publisher.vanish()
    await _peers(link, 0)
    await wait(lambda: notices[ROOM, False].away == ["ann"])
    await publisher.close()
    await link.close()


async def _peers(link: MediaLink, count: int) -> None:
    async with asyncio.timeout(10):
        while (await link.stats())["peers"] != count:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("name", ["python", "auto"])
async def test_the_worker_sends_by_the_body_that_the_settings_name(name) -> None:
    link = MediaLink(MediaSettings(port=0, host="127.0.0.1", fanout=name))
    await link.start()
    numbers = await link.stats()
    await link.close()
    native = name == "auto" and fanout.native is not None
    assert (numbers["fanout"], numbers["fanout_native"]) == ("native" if native else "python", int(native))
