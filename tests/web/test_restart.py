"""A server that is killed comes back with everything it acknowledged, whichever store it uses."""

import httpx
import pytest

from live.demo.line import Line
from live.demo.pictures import Picture
from live.demo.whip import Peer
from tests.kit.polling import until
from tests.kit.redis import RedisServer
from tests.kit.server import MadoiServer


@pytest.fixture(params=["embedded", "redis"])
def mortal(request, tmp_path):
    store = "embedded"
    redis = None
    if request.param == "redis":
        (tmp_path / "redis").mkdir()
        redis = RedisServer(tmp_path / "redis").start()
        store = redis.url
    server = MadoiServer(tmp_path / "data", store).start()
    yield server
    server.stop()
    if redis is not None:
        redis.stop()


async def test_after_kill_9_tickets_words_and_the_open_stage_are_still_there(mortal):
    made = mortal.make_session("会", door="open")
    mortal.move(made.id, "live")
    speaker, attendee = mortal.ticket(made.id, "speaker", "佐藤"), mortal.ticket(made.id, "attendee", "甲")
    line = Line(mortal.url, made.id, attendee)
    await line.open()
    await line.admitted.wait()
    done = [await line.do("post", text=f"発言 {number}") for number in range(20)]
    kept = [f"発言 {number}" for number, answer in enumerate(done) if answer["t"] == "done"]
    assert kept
    mortal.restart()
    await line.close()
    again = Line(mortal.url, made.id, attendee)
    await again.open()
    await again.admitted.wait()
    await until(lambda: len(again.messages) == len(kept))
    assert [message["text"] for message in again.messages.values()] == kept
    frames = []
    async with httpx.AsyncClient(base_url=mortal.url, timeout=20) as client:
        publisher, viewer = Peer(client, speaker), Peer(client, attendee)
        await publisher.publish(made.id, Picture(0))
        await viewer.watch(made.id, lambda track: frames.append(track) if track.kind == "video" else None)
        assert (await frames[0].recv()).width == 320
        await publisher.close()
        await viewer.close()
    await again.close()
    assert mortal.ask("GET", f"/api/sessions/{made.id}").json()["links"] == made.links


async def test_sigterm_tells_sockets_to_come_back_and_ends_cleanly(mortal):
    made = mortal.make_session("会")
    line = Line(mortal.url, made.id, mortal.ticket(made.id, "moderator", "司会"))
    await line.open()
    assert mortal.stop() == 0
    assert await line.closed() == 4001
    assert "Traceback" not in mortal.said()
