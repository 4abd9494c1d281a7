"""Two servers of one Redis: a session's media lives in one of them, and people of both see it."""

import asyncio
import hashlib
import hmac
import time

import httpx
import msgspec
import pytest

from live.demo.pictures import Picture
from live.demo.whip import Peer, Refusal
from live.media.control import Publish
from live.nodes import PATH, Call, Homes, Reaction, node_key, node_name
from live.stores import open_store
from tests.kit.polling import until
from tests.kit.server import MadoiServer, free_port
from tests.kit.stages import Stages


@pytest.fixture
def pair(redis_server, tmp_path):
    made = []
    for name in "ab":
        port = free_port()
        made.append(MadoiServer(tmp_path / name, redis_server.url, node_url=f"http://127.0.0.1:{port}"))
        made[-1].port, made[-1].url = port, f"http://localhost:{port}"
        made[-1].start()
    yield made
    for server in made:
        server.stop()


async def test_who_is_at_another_server_sees_the_stage_and_loses_it_with_the_curtain(pair):
    first, second = pair
    made = first.make_session("会", door="open")
    first.move(made.id, "live")
    frames = []
    async with (
        httpx.AsyncClient(base_url=first.url, timeout=20) as at_first,
        httpx.AsyncClient(base_url=second.url, timeout=20) as at_second,
        Stages(second.url, made.id, second.ticket(made.id, "attendee", "乙")) as stages,
    ):
        publisher = Peer(at_first, first.ticket(made.id, "speaker", "佐藤"))
        viewer = Peer(at_second, second.ticket(made.id, "attendee", "甲"))
        await publisher.publish(made.id, Picture(0))
        await viewer.watch(made.id, lambda track: frames.append(track) if track.kind == "video" else None)
        assert (await frames[0].recv()).width == 320
        assert first.media("connected") == {"0": 2.0}
        assert second.media("peers") == {"0": 0.0}
        # Its sockets learn who is in which slot from the home.
        await until(lambda: "v0" in stages.last.get("slots", {}), within=20)
        # A publisher may come by either server; the seat and the router are the same.
        other = Peer(at_second, second.ticket(made.id, "speaker", "鈴木"))
        await other.publish(made.id, Picture(1))
        await until(lambda: "v1" in stages.last.get("slots", {}), within=20)
        # What is decided at one server holds at the other: nobody sees a closed stage.
        second.move(made.id, "after")
        second.move(made.id, "closed")
        await until(lambda: first.media("peers") == {"0": 0.0}, within=20, every=0.2)
        for peer in (publisher, viewer, other):
            await peer.close()


async def test_a_session_moves_when_its_server_stops(pair):
    first, second = pair
    made = first.make_session("会", door="open")
    first.move(made.id, "live")
    speaker = first.ticket(made.id, "speaker", "佐藤")
    async with httpx.AsyncClient(base_url=first.url, timeout=20) as client:
        peer = Peer(client, speaker)
        await peer.publish(made.id, Picture(0))
        first.kill()
        await peer.connection.close()
    async with httpx.AsyncClient(base_url=second.url, timeout=20) as client:
        again = Peer(client, speaker)

        async def back():
            nonlocal again
            try:
                await again.publish(made.id, Picture(0))
            except Refusal as refusal:
                assert (refusal.status, refusal.code) == (503, "media_elsewhere")
                await again.connection.close()
                again = Peer(client, speaker)
                return False
            return True

        await until(back, within=40, every=0.5)
        await until(lambda: second.media("connected") == {"0": 1.0}, within=20, every=0.2)
        await again.close()


async def test_a_server_that_has_lost_its_lease_ends_what_is_there(pair, redis_server):
    first, _ = pair
    made = first.make_session("会", door="open")
    first.move(made.id, "live")
    async with httpx.AsyncClient(base_url=first.url, timeout=20) as client:
        peer = Peer(client, first.ticket(made.id, "speaker", "佐藤"))
        await peer.publish(made.id, Picture(0))
        await until(lambda: first.media("connected") == {"0": 1.0}, within=20, every=0.2)
        redis_server.ask("SET", f"hold:media:{made.id}", "http://127.0.0.1:1", "PX", 60_000)
        await until(lambda: first.media("peers") == {"0": 0.0}, within=20, every=0.2)
        await peer.close()


async def test_a_server_that_cannot_be_reached_is_told_as_that(redis_server, tmp_path):
    server = MadoiServer(tmp_path / "data", redis_server.url).start()
    made = server.make_session("会", door="open")
    server.move(made.id, "live")
    store = await open_store(redis_server.url)
    await store.hold(f"media:{made.id}", node_name("", 1).encode(), 60)
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        peer = Peer(client, server.ticket(made.id, "speaker", "佐藤"))
        with pytest.raises(Refusal) as refusal:
            await peer.publish(made.id, Picture(0))
        await peer.connection.close()
    assert (refusal.value.status, refusal.value.code) == (503, "media_elsewhere")
    await store.close()
    server.stop()


async def test_only_servers_of_the_store_may_ask(pair, redis_server):
    first, _ = pair
    store = await open_store(redis_server.url)
    key = node_key(await store.secret())
    await store.close()
    asked = Publish(0, "room", "ann", "camera", "hello")

    def post(body, signing=key, headers=None):
        sign = hmac.new(signing, body, hashlib.sha256).hexdigest()
        given = {"Madoi-Signature": sign} if headers is None else headers
        return httpx.post(first.url + PATH, content=body, headers=given, timeout=20)

    good = msgspec.msgpack.encode(Call(time.time(), asked))
    reaction = msgspec.msgpack.decode(post(good).content, type=Reaction)
    assert reaction.reply.code == "sdp_invalid"
    assert post(good, b"another key").status_code == 403
    assert post(good, headers={}).status_code == 403
    assert post(msgspec.msgpack.encode(Call(time.time() - 3600, asked))).status_code == 403
    assert post(b"nonsense").status_code == 400
    assert post(bytes(300_000)).status_code == 413


async def test_a_room_has_one_home(store):
    one, two = Homes(store, "http://one"), Homes(store, "http://two")
    homes = await asyncio.gather(one.of("room"), two.of("room"))
    winner, loser = (one, two) if homes[0] == "" else (two, one)
    assert homes in (["", "http://one"], ["http://two", ""])
    assert await winner.of("room") == ""
    assert not await loser.renew("room")
    assert await winner.renew("room")
    await winner.let_go("room")
    assert await loser.of("room") == ""
    assert await winner.of("room") != ""
