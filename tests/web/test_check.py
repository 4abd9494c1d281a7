"""The trial connection behind the check at the door: real ICE and DTLS, and nothing else of a visit."""

import asyncio

import httpx
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from live.app import running
from live.settings import Limits, Media, Settings
from live.web import check
from tests.kit.polling import until

SDP = {"Content-Type": "application/sdp"}


@pytest.fixture
async def client(server):
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        yield client


@pytest.fixture
async def connection():
    connection = RTCPeerConnection()
    connection.addTransceiver("audio", direction="recvonly")
    await connection.setLocalDescription(await connection.createOffer())
    yield connection
    await connection.close()


async def test_anybody_with_a_ticket_tries_the_port_and_comes_to_no_door(server, client, made, connection):
    server.move(made.id, "doors")
    bearer = {"Authorization": f"Bearer {made.ticket('attendee')}"}
    offer = connection.localDescription.sdp
    answer = await client.post(f"/check/{made.id}", content=offer, headers={**bearer, **SDP})
    assert answer.status_code == 201
    await connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    await until(lambda: connection.connectionState == "connected", within=20)
    counts = server.ask("GET", f"/api/sessions/{made.id}").json()["counts"]
    assert (counts["inside"], counts["waiting"]) == (0, 0)
    place = answer.headers["location"]
    thief = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '他人')}"}
    assert (await client.delete(place, headers=thief)).status_code == 404
    for _ in range(2):
        assert (await client.delete(place, headers=bearer)).status_code == 200
    await until(lambda: connection.connectionState in ("closed", "failed"), within=20)


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        (SDP, b"", (400, "sdp_invalid")),
        (SDP, b"hello", (400, "sdp_invalid")),
        ({"Content-Type": "text/plain"}, b"v=0", (415, "media_type_refused")),
        (SDP, b"v=0\r\ns=-\r\nt=0 0\r\n", (422, "no_codec")),
        ({**SDP, "Authorization": "Bearer x"}, b"v=0", (401, "bad_ticket")),
    ],
)
async def test_a_trial_that_cannot_be_gets_its_documented_error(client, made, headers, body, expected):
    bearer = {"Authorization": f"Bearer {made.ticket('attendee')}"}
    answer = await client.post(f"/check/{made.id}", content=body, headers={**bearer, **headers})
    assert (answer.status_code, answer.json()["code"]) == expected


async def test_trials_end_by_themselves_and_are_not_without_number(tmp_path, monkeypatch, connection):
    monkeypatch.setattr(check, "TRIAL_SECONDS", 0.2)
    settings = Settings(data=str(tmp_path), organiser_token="t", media=Media(port=0), limits=Limits(checks=3))
    async with running(settings, 1) as server:
        transport = httpx.ASGITransport(app=server.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:1") as client:
            token = {"Authorization": "Bearer t"}
            made = (await client.post("/api/sessions", json={"title": "会"}, headers=token)).json()
            bearer = {"Authorization": f"Bearer {made['links']['attendee'].partition('#t=')[2]}"}
            offer = connection.localDescription.sdp
            asked = [
                await client.post(f"/check/{made['id']}", content=offer, headers={**bearer, **SDP})
                for _ in range(4)
            ]
            assert [answer.status_code for answer in asked] == [201, 201, 201, 429]
            assert int(asked[-1].headers["retry-after"]) >= 1
            async with asyncio.timeout(20):
                while sum(worker["peers"] for worker in await server.desk.media.stats()):  # noqa: ASYNC110  # another process
                    await asyncio.sleep(0.05)
