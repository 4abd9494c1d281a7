"""A media worker dies under a whole server: the stage is set up anew, and nothing of the room is touched."""

import asyncio
import contextlib

import httpx

from live.demo.pictures import Picture
from live.demo.whip import Peer
from live.stores import open_store
from tests.kit.crowd import Crowd
from tests.kit.polling import until
from tests.kit.server import MadoiServer


@contextlib.asynccontextmanager
async def served(data):
    server = MadoiServer(data, limits_attempts="100000")
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


async def show(client, session, speaker, viewer):
    """Publish and watch, and return when the picture moves."""
    tracks = []
    publisher, watcher = Peer(client, speaker), Peer(client, viewer)
    await publisher.publish(session, Picture(0))
    await watcher.watch(session, lambda track: tracks.append(track) if track.kind == "video" else None)
    for _ in range(5):
        assert (await asyncio.wait_for(tracks[0].recv(), 30)).width == 320
    return publisher, watcher


async def test_a_media_worker_is_killed_mid_stage(scene, tmp_path):
    async with (
        served(tmp_path / "data") as server,
        httpx.AsyncClient(base_url=server.url, timeout=20) as client,
    ):
        made = server.make_session("会", door="open", qa={"moderated": False})
        server.move(made.id, "live")
        speaker, viewer = (server.ticket(made.id, role, "丙") for role in ("speaker", "attendee"))

        def ticket(role, name):
            return server.ticket(made.id, role, name)

        async with Crowd([server.socket(made.id)], 6, ticket=ticket) as crowd:
            peers = await show(client, made.id, speaker, viewer)
            seats = await until(lambda: crowd.moderator.stage.slots, 20)
            crowd.talk()
            await crowd.more(20)
            server.kill_media()
            await until(lambda: all(one.stage.gone for one in crowd.people), 20)
            await crowd.more(20)
            peers += await show(client, made.id, speaker, viewer)
            await until(lambda: all(one.stage.slots == seats for one in crowd.people), 20)
            await crowd.more(20)
            await crowd.settle()
            assert all(one.connections == 1 for one in crowd.people), "no page lost its socket"
        for peer in peers:
            await peer.connection.close()
        server.kill()
        store = await open_store(tmp_path / "data")
        await scene.judge(store, made.id, crowd.people)
        await store.close()
