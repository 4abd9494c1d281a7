"""Who is put out is out within a second: socket and media; ASVS 5.0 7.4.2. And no request wins the race."""

import asyncio
import contextlib
import functools

import httpx
import pytest

from live.app import running
from live.demo.line import Line
from live.demo.pictures import Picture, Tone
from live.demo.whip import Peer
from live.settings import Media, Settings
from rooms import Role
from rooms.door import Remove
from tests.kit.detour import Detour
from tests.kit.polling import until
from tests.media.offers import OBS, PLAIN_CHROMIUM, player

SECOND = 1.0
TRIES = 3
QUIET = 0.8
"""How long nothing must come until a flow counts as ended; longer than any pause of a flow here."""
SDP = {"Content-Type": "application/sdp"}


class Guest:
    """A person with a socket and a watch whose packets are counted outside the peer."""

    def __init__(self, server, session, name):
        self.detour = Detour()
        self._client = httpx.AsyncClient(base_url=server.url, timeout=20, transport=self.detour)
        self._session = session
        ticket = server.ticket(session, "attendee", name)
        self.line, self.peer = Line(server.url, session, ticket), Peer(self._client, ticket)

    async def __aenter__(self):
        await self.line.open()
        await self._client.__aenter__()
        await self.peer.watch(self._session, lambda _track: None)
        return self

    async def __aexit__(self, *_):
        await self.peer.close()
        await self._client.__aexit__()
        await self.line.close()

    async def flows(self, more=20):
        """Wait until packets come, so many from now on."""
        before = len(self.detour.rtp)
        await until(lambda: len(self.detour.rtp) >= before + more, within=30)

    async def out(self, since):
        """Seconds from `since` until the socket was closed, and until the last packet came."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(20):
            code = await self.line.closed()
        closed = loop.time() - since
        await until(lambda: loop.time() - max(since, self.detour.rtp[-1]) > QUIET, within=20)
        return code, closed, max(0.0, self.detour.rtp[-1] - since)


async def put_out_three_ways(server):
    """Remove one, block another, void all links; returns how long each took."""
    made = server.make_session("退室", door="open")
    server.move(made.id, "live")
    now = asyncio.get_running_loop().time
    staff = Line(server.url, made.id, server.ticket(made.id, "moderator", "司会"))
    await staff.open()
    took = []
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, timeout=20))
        speaker = Peer(client, server.ticket(made.id, "speaker", "佐藤"))
        stack.push_async_callback(speaker.connection.close)
        await speaker.publish(made.id, Picture(0), Tone(330))
        ann, ben, kei = [
            await stack.enter_async_context(Guest(server, made.id, name)) for name in ("安", "辨", "圭")
        ]
        for guest, block in ((ann, False), (ben, True)):
            await asyncio.gather(guest.flows(), kei.flows())
            done = await staff.do("remove", person=guest.line.you["id"], block=block)
            assert done["t"] == "done"
            since = now()
            (code, *times), _ = await asyncio.gather(guest.out(since), kei.flows())  # nobody else suffers
            assert code == 4503
            took += times
        await kei.flows()
        await asyncio.to_thread(server.ask, "POST", f"/api/sessions/{made.id}/links")
        code, *times = await kei.out(now())
        assert code == 4500
        took += times
        await until(lambda: server.media("peers") == {"0": 0.0}, within=20, every=0.2)
    await staff.close()
    return took


async def test_asvs_7_4_2_socket_and_media_end_within_a_second(server, record_property):
    """Best of three: what the machine was busy with besides is not our slowness."""
    took = []
    for _ in range(TRIES):
        took.append(max(await put_out_three_ways(server)))
        if took[-1] < SECOND:
            break
    record_property("seconds", min(took))
    assert min(took) < SECOND, took


@pytest.fixture
async def racing(tmp_path):
    """A server in this process, with a media link whose answers something may overtake."""
    settings = Settings(data=str(tmp_path), organiser_token="t", media=Media(port=0))
    async with running(settings, 1) as server:
        server.desk.media = Overtaken(server.desk.media)
        transport = httpx.ASGITransport(app=server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:1") as client:
            yield Racing(server, client)


class Overtaken:
    """The real media link; before the worker is asked, or after it answered, `meanwhile` happens."""

    def __init__(self, media):
        self._media = media
        self.meanwhile, self.first = None, True
        self.made = 0

    def __getattr__(self, name):
        return getattr(self._media, name)

    async def _overtaken(self, ask, *args):
        if self.first:
            await self.meanwhile()
        answer = await ask(*args)
        self.made = sum(worker["peers"] for worker in await self._media.stats())
        if not self.first:
            await self.meanwhile()
        return answer

    async def watch(self, *args):
        return await self._overtaken(self._media.watch, *args)

    async def publish(self, *args):
        return await self._overtaken(self._media.publish, *args)


class Racing:
    """What the race's tests ask of the server."""

    def __init__(self, server, client):
        self.server, self.client, self.media = server, client, server.desk.media

    async def api(self, method, path, body=None):
        answer = await self.client.request(
            method, f"/api/sessions{path}", json=body, headers={"Authorization": "Bearer t"}
        )
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    async def put_out(self, how, session, person):
        """Put a person out, and return when the curtain has done all that it does at such a change."""
        desk = self.server.desk
        if how == "voided":
            await self.api("POST", f"/{session}/links")
        elif how == "ended":
            await self.api("POST", f"/{session}/state", {"state": "after"})
            await self.api("POST", f"/{session}/state", {"state": "closed"})
        else:
            await desk.rooms.ask(session, "host", Role.ORGANISER, Remove(person))
        await desk.settle(session, await desk.rooms.room(session))

    async def peers(self):
        return sum(worker["peers"] for worker in await self.media.stats())


@pytest.mark.parametrize("first", [True, False], ids=["before the worker", "after it"])
@pytest.mark.parametrize(
    ("how", "expected"),
    [("removed", (403, "removed")), ("voided", (401, "bad_ticket")), ("ended", (410, "ended"))],
)
async def test_asvs_8_3_2_what_is_made_while_its_person_is_put_out_is_taken_back(
    racing, first, how, expected
):
    racing.media.first = first
    for way, role, offer in (
        ("whep", "attendee", player(PLAIN_CHROMIUM)),
        ("whip", "speaker", OBS),
        ("whep", "moderator", player(PLAIN_CHROMIUM)),
    ):
        made = await racing.api("POST", "", {"title": "会", "door": "open"})
        await racing.api("POST", f"/{made['id']}/state", {"state": "live"})
        ticket = await racing.api("POST", f"/{made['id']}/tickets", {"role": role, "name": "甲"})
        racing.media.meanwhile = functools.partial(racing.put_out, how, made["id"], ticket["person"])
        bearer = {"Authorization": f"Bearer {ticket['ticket']}"}
        answer = await racing.client.post(f"/{way}/{made['id']}", content=offer, headers={**bearer, **SDP})
        assert racing.media.made == 1
        assert (answer.status_code, answer.json()["code"]) == expected
        assert await racing.peers() == 0
