"""WHIP and WHEP as a foreign client meets them: aiortc over plain HTTP, and every way to do it wrong."""

import asyncio
import re

import httpx
import pytest

from live.demo.pictures import Picture, Tone
from live.demo.whip import Peer, Refusal
from live.protocol.frames import Done
from rooms.hands import AnswerInvitation, Invite, RaiseHand
from rooms.stage import BringOn, TakeOff
from tests.kit.polling import until
from tests.kit.server import MadoiServer
from tests.kit.viewer import Viewer as Seat
from tests.media.offers import OBS, OBS_SIMULCAST, PLAIN_CHROMIUM, PUBLISHERS, player

SDP = {"Content-Type": "application/sdp"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def client(server):
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        yield client


class Viewer:
    """Counts what arrives."""

    def __init__(self, client, ticket):
        self.peer = Peer(client, ticket)
        self.frames = {"video": 0, "audio": 0}
        self.loud = 0
        self._tasks = []

    def on_track(self, track):
        self._tasks.append(asyncio.create_task(self._count(track)))

    async def _count(self, track):
        while True:
            frame = await track.recv()
            self.frames[track.kind] += 1
            if track.kind == "audio" and any(bytes(frame.planes[0])):
                self.loud += 1

    async def close(self):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.peer.close()


@pytest.fixture
async def viewers(client):
    made = []

    def make(ticket):
        made.append(Viewer(client, ticket))
        return made[-1]

    yield make
    for viewer in made:
        await viewer.close()


async def test_a_foreign_speaker_reaches_a_foreign_viewer_once_the_session_is_live(
    server, client, made, viewers
):
    server.move(made.id, "doors")
    speaker = Peer(client, server.ticket(made.id, "speaker", "佐藤"))
    await speaker.publish(made.id, Picture(0), Tone(330, turn=1000))
    viewer = viewers(server.ticket(made.id, "attendee", "参加者"))
    await viewer.peer.watch(made.id, viewer.on_track)
    await until(lambda: viewer.peer.connection.connectionState == "connected")
    backstage = viewers(server.ticket(made.id, "moderator", "司会"))
    await backstage.peer.watch(made.id, backstage.on_track)
    await until(lambda: backstage.frames["video"] > 5 and backstage.loud > 5, within=20)
    assert viewer.frames["video"] == 0
    assert viewer.loud == 0
    server.move(made.id, "live")
    await until(lambda: viewer.frames["video"] > 10 and viewer.loud > 10, within=20)
    await speaker.close()


async def test_a_shared_speaker_link_used_by_an_encoder_is_one_person(server, client, made):
    ticket = made.ticket("speaker")
    for _ in range(2):
        encoder = Peer(client, ticket)
        await encoder.publish(made.id, Picture(0))
        await encoder.close()
    counts = server.ask("GET", f"/api/sessions/{made.id}").json()["counts"]
    assert counts["inside"] == 1


async def test_who_is_brought_on_stage_publishes_beside_the_watch_and_is_shown_out_alike(
    server, client, viewers
):
    made = server.make_session("交流会", kind="networking")
    server.move(made.id, "live")
    room = f"ws://localhost:{server.port}/rooms/{made.id}/socket"
    tickets = {name: server.ticket(made.id, "attendee", name) for name in ("青木", "別所")}
    moderator = Seat(room, server.ticket(made.id, "moderator", "美香"))
    async with moderator, Seat(room, tickets["青木"]) as guest:
        watch = viewers(tickets["青木"])
        await watch.peer.watch(made.id, watch.on_track)
        other = viewers(tickets["別所"])
        await other.peer.watch(made.id, other.on_track)
        await until(lambda: watch.peer.connection.connectionState == "connected", within=20)
        person = guest.welcome.you.id
        assert isinstance(await guest.do(RaiseHand()), Done)
        assert isinstance(await moderator.do(Invite(person=person)), Done)
        assert isinstance(await guest.do(AnswerInvitation(accept=True)), Done)
        speaker = Peer(client, tickets["青木"])
        await speaker.publish(made.id, Picture(0), Tone(330, turn=1000))
        assert isinstance(await moderator.do(BringOn(person=person)), Done)
        await until(lambda: other.frames["video"] > 5, within=30)
        assert watch.peer.connection.connectionState == "connected"
        counts = server.ask("GET", f"/api/sessions/{made.id}").json()["counts"]
        assert counts["inside"] == 3
        assert isinstance(await moderator.do(TakeOff(person=person)), Done)
        await until(lambda: speaker.connection.connectionState == "closed", within=30)
        again = Peer(client, tickets["青木"])
        with pytest.raises(Refusal) as refusal:
            await again.publish(made.id, Picture(0))
        assert (refusal.value.status, refusal.value.code) == (403, "role_refused")
        await again.close()
        await speaker.connection.close()
        seated = viewers(tickets["青木"])
        await seated.peer.watch(made.id, seated.on_track)
        await until(lambda: seated.peer.connection.connectionState == "connected", within=30)


async def test_attendees_do_not_publish(server, client, made):
    server.move(made.id, "doors")
    peer = Peer(client, server.ticket(made.id, "attendee", "参加者"))
    with pytest.raises(Refusal) as refusal:
        await peer.publish(made.id, Picture(0))
    assert (refusal.value.status, refusal.value.code) == (403, "role_refused")
    await peer.close()


async def test_who_only_knocks_gets_silence_before_and_nothing_after_the_curtain_opens(
    server, client, made, viewers
):
    server.move(made.id, "doors")
    speaker = Peer(client, server.ticket(made.id, "speaker", "佐藤"))
    await speaker.publish(made.id, Picture(0), Tone(330, turn=1000))
    knocking = viewers(made.ticket("attendee"))
    await knocking.peer.watch(made.id, knocking.on_track)
    server.move(made.id, "live")
    inside = viewers(server.ticket(made.id, "attendee", "参加者"))
    await inside.peer.watch(made.id, inside.on_track)
    await until(lambda: inside.frames["video"] > 5, within=20)
    assert knocking.frames["video"] == 0
    late = viewers(made.ticket("attendee"))
    with pytest.raises(Refusal) as refusal:
        await late.peer.watch(made.id, late.on_track)
    assert (refusal.value.status, refusal.value.code) == (403, "not_admitted")
    await speaker.close()


async def test_the_resource_is_made_patched_and_ended_as_the_rfc_says(server, client, made):
    ticket = server.ticket(made.id, "speaker", "佐藤")
    peer = Peer(client, ticket)
    await peer.publish(made.id, Picture(0))
    assert re.fullmatch(rf"/whip/{made.id}/[\w.~-]+", peer.location)
    bearer = {"Authorization": f"Bearer {ticket}"}
    fragment = {**bearer, "Content-Type": "application/trickle-ice-sdpfrag"}
    ufrag = re.search(r"a=ice-ufrag:(\S+)", peer.connection.localDescription.sdp).group(1)
    pwd = re.search(r"a=ice-pwd:(\S+)", peer.connection.localDescription.sdp).group(1)
    same = f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=end-of-candidates\r\n"
    trickle = await client.patch(peer.location, content=same, headers={**fragment, "If-Match": peer.etag})
    assert trickle.status_code == 204
    assert "etag" not in trickle.headers
    assert not trickle.content
    listed = {**fragment, "If-Match": f'"stale", {peer.etag}'}
    assert (await client.patch(peer.location, content=same, headers=listed)).status_code == 204
    weak = {**fragment, "If-Match": f"W/{peer.etag}"}
    assert (await client.patch(peer.location, content=same, headers=weak)).status_code == 412
    stale = await client.patch(peer.location, content=same, headers={**fragment, "If-Match": '"stale"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "etag_mismatch")
    restart = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    missing = await client.patch(peer.location, content=restart, headers=fragment)
    assert (missing.status_code, missing.json()["code"]) == (428, "etag_required")
    restarted = await client.patch(peer.location, content=restart, headers={**fragment, "If-Match": '"*"'})
    assert restarted.status_code == 200
    assert restarted.headers["content-type"] == "application/trickle-ice-sdpfrag"
    assert "a=ice-ufrag:" in restarted.text
    assert restarted.headers["etag"] != peer.etag
    odd = await client.patch(peer.location, content=same, headers={**bearer, "Content-Type": "text/plain"})
    assert odd.status_code == 415
    thief = {"Authorization": f"Bearer {server.ticket(made.id, 'speaker', '他人')}"}
    assert (await client.delete(peer.location, headers=thief)).status_code == 404
    for _ in range(2):
        ended = await client.delete(peer.location, headers={**bearer, "If-Match": '"anything"'})
        assert ended.status_code == 200
    gone = await client.patch(peer.location, content=same, headers={**fragment, "If-Match": "*"})
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_resource")
    await peer.connection.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "expected"),
    [
        ("POST", "/whip/{id}", SDP, b"hello", (400, "sdp_invalid")),
        ("POST", "/whip/{id}", SDP, b"", (400, "sdp_invalid")),
        ("POST", "/whip/{id}", SDP, b"\xff\xfe", (400, "sdp_invalid")),
        ("POST", "/whip/{id}", SDP, b"v=0\r\n" + b"a" * 70_000, (413, "body_too_large")),
        ("POST", "/whip/{id}", {"Content-Type": "text/plain"}, b"v=0", (415, "media_type_refused")),
        ("POST", "/whip/{id}", {**SDP, "Accept": "text/html"}, b"v=0", (406, "accept_refused")),
        ("POST", "/whip/{id}?source=desk", SDP, b"v=0", (422, "source_invalid")),
        ("POST", "/whip/nothere", SDP, b"v=0", (404, "unknown_session")),
        ("POST", "/whip/{id}", {**SDP, "Authorization": "Bearer x"}, b"v=0", (401, "bad_ticket")),
        ("POST", "/whip/{id}", {**SDP, "Authorization": "Basic x"}, b"v=0", (401, "bad_ticket")),
        ("POST", "/whep/{id}", SDP, b"hello", (400, "sdp_invalid")),
        ("PUT", "/whip/{id}", {}, b"", (405, "method_refused")),
        ("POST", "/whip/{id}/x.y", SDP, b"v=0", (405, "method_refused")),
        ("PUT", "/whep/{id}/x.y", SDP, b"v=0", (405, "method_refused")),
        ("POST", "/whip/{id}", SDP, OBS.replace("opus", "weird").encode(), (422, "no_codec")),
        ("POST", "/whip/{id}", SDP, player(OBS).encode(), (422, "direction")),
        ("POST", "/whip/{id}", SDP, OBS.replace("m=audio", "m=video").encode(), (422, "too_many_lines")),
        ("POST", "/whip/{id}", SDP, OBS.replace("sha-256", "md5").encode(), (422, "no_fingerprint")),
        ("PUT", "/whep/{id}", {}, b"", (405, "method_refused")),
        ("DELETE", "/whip/{id}/x.y", {}, b"", (404, "unknown_resource")),
        ("PATCH", "/whep/{id}/x", SDP, b"", (404, "unknown_resource")),
        ("POST", "/whep/{id}?tier=radio", {}, b"", (422, "tier_invalid")),
        ("GET", "/whep/{id}/x.y/tier", {}, b"", (405, "method_refused")),
        ("PUT", "/whep/{id}/x.y/tier", JSON, b'{"tier":"audio"}', (404, "unknown_resource")),
    ],
)
async def test_a_malformed_request_gets_its_documented_error(
    server, client, made, method, path, headers, body, expected
):
    bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'speaker', '佐藤')}"}
    answer = await client.request(
        method, path.format(id=made.id), content=body, headers={**bearer, **headers}
    )
    assert (answer.status_code, answer.json()["code"]) == expected


async def test_preflights_and_answers_let_foreign_pages_in_without_our_cookies(client, made):
    preflight = await client.options(f"/whip/{made.id}", headers={"Origin": "https://obs.example"})
    assert preflight.status_code == 200
    assert "link" not in preflight.headers
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in preflight.headers
    assert preflight.headers["accept-post"] == "application/sdp"
    refused = await client.post(f"/whep/{made.id}", headers={"Origin": "https://obs.example"})
    assert refused.headers["access-control-allow-origin"] == "*"
    assert "location" in refused.headers["access-control-expose-headers"].lower()


async def test_an_empty_whep_offer_is_answered_with_the_whole_stage(server, client, made):
    bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '参加者')}"}
    answer = await client.post(f"/whep/{made.id}", headers=bearer)
    assert answer.status_code == 201
    assert answer.text.count("m=video") == 7
    assert answer.text.count("m=audio") == 6
    place = answer.headers["location"] + "/tier"
    assert f'<{place}>; rel="urn:madoi:whep:tier"' in answer.headers.get_list("link")
    for body, status in ((b'{"tier":"audio"}', 204), (b'{"tier":"radio"}', 422), (b"[" * 9000, 422)):
        assert (await client.put(place, content=body, headers={**bearer, **JSON})).status_code == status
    assert (await client.put(place, content=b"{}", headers=bearer)).status_code == 415
    stranger = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '別人')}"}
    theirs = await client.put(place, content=b'{"tier":"video"}', headers={**stranger, **JSON})
    assert theirs.status_code == 404
    wrong = await client.patch(answer.headers["location"], content=b"v=0", headers={**bearer, **SDP})
    assert wrong.status_code in (400, 422)
    assert (await client.delete(answer.headers["location"], headers=bearer)).status_code == 200


@pytest.mark.parametrize("name", PUBLISHERS)
async def test_every_dialect_of_publishers_is_answered_over_http(server, client, made, name):
    bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'speaker', '佐藤')}"}
    answer = await client.post(f"/whip/{made.id}", content=PUBLISHERS[name][0], headers={**bearer, **SDP})
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"] == "application/sdp"
    assert answer.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
    assert re.fullmatch(r'"[0-9a-f]+"', answer.headers["etag"])
    assert answer.text.count("a=recvonly") == 2
    assert ("a=simulcast:recv 2;1;0" in answer.text) == (PUBLISHERS[name][0] is OBS_SIMULCAST)
    assert (await client.delete(answer.headers["location"], headers=bearer)).status_code == 200


async def test_reading_gives_nothing_with_success(client, made):
    for path in (f"/whip/{made.id}", f"/whip/{made.id}/x.y", f"/whep/{made.id}/x.y", "/whip/nothere"):
        for method in ("GET", "HEAD"):
            nothing = await client.request(method, path)
            assert (nothing.status_code, nothing.content) == (204, b"")
    found = await client.head(f"/whep/{made.id}")
    assert (found.status_code, found.headers["content-type"]) == (200, "application/sdp")


async def test_a_player_that_asks_for_both_directions_is_answered(server, client, made):
    bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '参加者')}"}
    offer = player(PLAIN_CHROMIUM, "sendrecv")
    answer = await client.post(f"/whep/{made.id}", content=offer, headers={**bearer, **SDP})
    assert answer.status_code == 201
    assert answer.text.count("a=sendonly") == 2


@pytest.mark.parametrize("change", [("VP8", "weird"), ("a=recvonly", "a=sendonly"), ("a=rtcp-mux\n", "\n")])
async def test_an_offer_to_watch_that_does_not_fit_is_met_with_ours(server, client, made, change):
    bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '参加者')}"}
    offer = player(PLAIN_CHROMIUM).replace(*change)
    for codec in ("opus", "H264", "VP9"):
        offer = offer.replace(codec, "weird")
    counter = await client.post(f"/whep/{made.id}", content=offer, headers={**bearer, **SDP})
    assert counter.status_code == 406
    assert counter.headers["content-type"] == "application/sdp"
    assert counter.headers["accept-patch"] == "application/sdp"
    assert (counter.text.count("m=video"), counter.text.count("m=audio")) == (1, 1)
    answer = counter.text.replace("a=sendonly", "a=recvonly").replace("a=setup:actpass", "a=setup:active")
    answer = answer.replace("a=ice-lite\r\n", "")
    place = counter.headers["location"]
    assert (await client.patch(place, content=answer, headers={**bearer, **SDP})).status_code == 204
    again = await client.patch(place, content=answer, headers={**bearer, **SDP})
    assert (again.status_code, again.json()["code"]) == (409, "not_offered")
    assert (await client.delete(place, headers=bearer)).status_code == 200


async def test_who_opens_too_many_is_told_when_to_come_back(server, client, made):
    bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '参加者')}"}
    answers = [await client.post(f"/whep/{made.id}", headers=bearer) for _ in range(13)]
    assert [answer.status_code for answer in answers] == [201] * 12 + [429]
    assert answers[-1].json()["code"] == "too_many_peers"
    assert int(answers[-1].headers["retry-after"]) >= 1


async def test_a_person_who_offers_and_answers_without_end_is_told_to_wait(tmp_path):
    server = MadoiServer(tmp_path / "data", limits_offers="5").start()
    try:
        made = server.make_session()
        bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'speaker', '佐藤')}"}
        other = {"Authorization": f"Bearer {server.ticket(made.id, 'attendee', '参加者')}"}
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            whip, whep = f"/whip/{made.id}", f"/whep/{made.id}"
            counter = await client.post(whep, headers=bearer)
            bad = [await client.post(whip, content="v=0", headers={**bearer, **SDP}) for _ in range(2)]
            bad += [
                await client.patch(counter.headers["location"], content="v=0", headers={**bearer, **SDP})
                for _ in range(3)
            ]
            assert [answer.status_code == 429 for answer in bad] == [False] * 4 + [True]
            for path in (whip, whep):
                late = await client.post(path, content=OBS, headers={**bearer, **SDP})
                assert (late.status_code, late.json()["code"]) == (429, "too_many_offers")
                assert 1 <= int(late.headers["retry-after"]) <= 12
            assert (await client.post(whep, headers=other)).status_code == 201
            gone = await client.delete(counter.headers["location"], headers=bearer)
            assert gone.status_code == 200
    finally:
        server.stop()


async def test_ice_servers_are_named_to_ticket_holders_only(tmp_path):
    server = MadoiServer(
        tmp_path / "data",
        turn_urls="turn:turn.example.org?transport=udp,turns:turn.example.org,stun:stun.example.org",
        turn_secret="s3cret",
    ).start()
    try:
        made = server.make_session()
        bearer = {"Authorization": f"Bearer {server.ticket(made.id, 'speaker', '佐藤')}"}
        async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
            created = await client.post(f"/whip/{made.id}", content=OBS, headers={**bearer, **SDP})
            asked = await client.options(f"/whip/{made.id}", headers=bearer)
            preflight = await client.options(f"/whip/{made.id}")
            forged = await client.options(f"/whip/{made.id}", headers={"Authorization": "Bearer x"})
            seat = {"ticket": server.ticket(made.id, "speaker", "高野")}
            await client.post(f"/api/sessions/{made.id}/enter", json=seat)
            seated = await client.options(f"/whip/{made.id}")
    finally:
        server.stop()
    links = created.headers.get_list("link")
    assert [re.match(r'<([^>]+)>; rel="ice-server"', link).group(1) for link in links] == [
        "turn:turn.example.org?transport=udp",
        "turns:turn.example.org",
        "stun:stun.example.org",
    ]
    assert ["credential=" in link for link in links] == [True, True, False]
    assert len(asked.headers.get_list("link")) == len(seated.headers.get_list("link")) == 3
    assert "link" not in preflight.headers
    assert forged.status_code == 401
