"""What staff and anonymous askers say, planted and looked for where it must not be; ASVS 5.0 8.2.3."""

import asyncio
import contextlib
import json
import re

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from live.demo.line import Line
from tests.kit.polling import until
from tests.kit.server import MadoiServer
from tests.media.offers import PLAIN_CHROMIUM, player
from tests.web.test_socket import one_time

CANARIES = {name: f"canary-{name}-7f3a" for name in ("staff", "backstage", "note", "poll", "chat")}
HIDDEN = [CANARIES[name] for name in ("staff", "backstage", "note", "poll")]


class Listener:
    """An attendee who writes down every frame as it came."""

    def __init__(self, server, session, ticket):
        self._address = f"ws://localhost:{server.port}/rooms/{session}/socket"
        self._ticket = ticket
        self.frames = []

    async def __aenter__(self):
        self._socket = await connect(self._address, subprotocols=["madoi.v1"], max_size=None)
        await self._socket.send(json.dumps({"t": "hello", "v": 1, "ticket": self._ticket}))
        self._reading = asyncio.create_task(self._read())
        await until(lambda: self.has('"t":"snapshot"'))
        return self

    async def __aexit__(self, *_):
        await self._socket.close()
        await self._reading

    async def _read(self):
        with contextlib.suppress(ConnectionClosed):
            async for text in self._socket:
                self.frames.append(text)

    def has(self, text):
        return any(text in frame for frame in self.frames)

    async def does(self, **command):
        await self._socket.send(json.dumps({"t": "do", "ref": 99, "nonce": "nonce-99", "cmd": command}))
        await until(lambda: self.has('"ref":99'))

    async def pages(self):
        for ref, channel in enumerate(("main", "staff", "backstage"), 1):
            await self._socket.send(json.dumps({"t": "page", "ref": ref, "channel": channel}))
        await until(lambda: sum('"t":"page"' in frame for frame in self.frames) == 3)

    def events(self):
        for frame in map(json.loads, self.frames):
            yield from frame.get("events", [])
            for entry in frame.get("entries", []):
                yield from entry["events"]


async def line(server, session, role, name):
    one = Line(server.url, session, server.ticket(session, role, name))
    await one.open()
    return one


async def test_asvs_8_2_3_no_attendee_is_sent_what_is_not_for_attendees(server):
    made = server.make_session("事例", door="open", qa={"moderated": True, "anonymity": "anonymous"})
    server.move(made.id, "live")
    ticket = server.ticket(made.id, "attendee", "聴衆")
    staff = await line(server, made.id, "moderator", "司会")
    speaker = await line(server, made.id, "speaker", "登壇")
    asker = await line(server, made.id, "attendee", "質問者")
    other = await line(server, made.id, "attendee", "別の方")
    await asyncio.gather(asker.admitted.wait(), other.admitted.wait())
    async with Listener(server, made.id, ticket) as live:
        for by, command in (
            (staff, {"command": "post", "text": CANARIES["staff"], "channel": "staff"}),
            (speaker, {"command": "post", "text": CANARIES["backstage"], "channel": "backstage"}),
            (
                staff,
                {"command": "draft_poll", "poll": {"text": CANARIES["poll"], "options": ["はい", "いいえ"]}},
            ),
            (asker, {"command": "ask", "text": "公開される質問です"}),
            (other, {"command": "ask", "text": CANARIES["note"] + " 断られる質問"}),
        ):
            assert (await by.do(**command))["t"] == "done", command
        await until(lambda: len(staff.questions) == 2)
        opened = next(q for q in staff.questions.values() if "公開" in q["text"])
        assert (await staff.do("approve", id=opened["id"], version=opened["version"]))["t"] == "done"
        for question in [q for q in staff.questions.values() if CANARIES["note"] in q["text"]]:
            await staff.do(
                "decline", id=question["id"], version=question["version"], reason="other", note="n"
            )
        assert (await staff.do("post", text=CANARIES["chat"]))["t"] == "done"
        await until(lambda: live.has(CANARIES["chat"]) and live.has("公開される質問です"))
        await live.pages()
    async with Listener(server, made.id, ticket) as late:
        await late.pages()
    async with Listener(server, made.id, server.ticket(made.id, "moderator", "控え")) as control:
        for canary in HIDDEN:
            assert control.has(canary), f"{canary} was never planted"
        assert control.has(asker.you["id"])
    for listener in (live, late):
        assert listener.has(CANARIES["chat"])
        for canary in HIDDEN:
            assert not listener.has(canary), canary
        about = [event for event in listener.events() if event["t"].startswith(("question", "own_question"))]
        assert about
        assert asker.you["id"] not in json.dumps(about)
        assert asker.you["alias"] not in json.dumps(about)
        assert "act_recorded" not in {event["t"] for event in listener.events()}
    async with httpx.AsyncClient(base_url=server.url, headers={"Authorization": f"Bearer {ticket}"}) as page:
        for place in ("export", "audit", "lines"):
            refused = await page.get(f"/api/sessions/{made.id}/{place}")
            assert refused.status_code in (401, 403), place
            assert not any(canary in refused.text for canary in CANARIES.values())
        facts = (await page.get(f"/api/sessions/{made.id}")).json()
        assert not {"links", "counts"} & set(facts)
    logged = server.said()
    for secret in (*CANARIES.values(), ticket, made.ticket("moderator"), "質問者"):
        assert secret not in logged
    for one in (staff, speaker, asker, other):
        await one.close()


async def test_asvs_8_2_3_what_is_said_at_the_door_stays_between_the_visitor_and_the_staff(server):
    made = server.make_session("扉")
    server.move(made.id, "doors")
    staff = await line(server, made.id, "moderator", "司会")
    tickets = {
        "inside": server.ticket(made.id, "attendee", "参加者"),
        "speaker": server.ticket(made.id, "speaker", "登壇"),
    }
    canaries = ["canary-knock-5b1e", "canary-reply-5b1e", "canary-sent-back-5b1e"]
    async with contextlib.AsyncExitStack() as stack:

        async def listen(ticket):
            return await stack.enter_async_context(Listener(server, made.id, ticket))

        visitor = await listen(one_time(server, made, "訪問者"))
        others = [await listen(tickets["inside"]), await listen(tickets["speaker"])]
        others.append(await listen(one_time(server, made, "別の訪問者")))
        me = next(json.loads(frame)["you"]["id"] for frame in visitor.frames if '"t":"welcome"' in frame)
        await visitor.does(t="say_at_door", text=canaries[0])
        assert (await staff.do("say_at_door", visitor=me, text=canaries[1]))["t"] == "done"
        assert (await staff.do("send_back", person=me, text=canaries[2]))["t"] == "done"
        assert (await staff.do("change_settings", title="済み-5b1e"))["t"] == "done"
        others += [await listen(tickets["inside"]), await listen(one_time(server, made, "さらに別の訪問者"))]
        for listener in (visitor, *others):
            await until(lambda one=listener: one.has("済み-5b1e"))
        control = await listen(server.ticket(made.id, "moderator", "控え"))
        for canary in canaries:
            assert visitor.has(canary), f"{canary} was never planted"
            assert not any(listener.has(canary) for listener in others), canary
        assert all(control.has(canary) for canary in canaries[:2])
        for ticket in tickets.values():
            for place in (f"/api/sessions/{made.id}", f"/api/sessions/{made.id}/export"):
                assert not any(canary in server.ask("GET", place, None, ticket).text for canary in canaries)
        assert not any(canary in server.said() for canary in canaries)
    await staff.close()


async def test_asvs_17_1_turn_credentials_are_shown_to_their_person_and_to_nobody_else(tmp_path):
    server = MadoiServer(
        tmp_path / "data",
        log="debug",
        turn_urls="turn:turn.example.org?transport=udp",
        turn_secret="canary-turn-secret",
    ).start()
    try:
        made = server.make_session("中継", door="open")
        server.move(made.id, "live")
        tickets = [server.ticket(made.id, "attendee", "甲"), server.ticket(made.id, "moderator", "司会")]
        given = []
        async with (
            httpx.AsyncClient(base_url=server.url, timeout=20) as client,
            Listener(server, made.id, tickets[0]) as one,
            Listener(server, made.id, tickets[1]) as other,
        ):
            offer = player(PLAIN_CHROMIUM)
            for ticket in tickets:
                bearer = {"Authorization": f"Bearer {ticket}", "Content-Type": "application/sdp"}
                for path in (f"/whep/{made.id}", f"/check/{made.id}"):
                    made_one = await client.post(path, content=offer, headers=bearer)
                    assert made_one.status_code == 201, made_one.text
                    shown = re.search(r'username="([^"]+)"; credential="([^"]+)"', made_one.headers["link"])
                    given.append(shown.groups())
                    assert not any(part in made_one.text for part in shown.groups())
            await other.does(t="change_settings", title="済み-8c2d")
            await until(lambda: one.has("済み-8c2d") and other.has("済み-8c2d"))
            assert not {user for user, _ in given[:2]} & {user for user, _ in given[2:]}
            numbers = (await client.get("/metrics")).text
            facts = (await client.get(f"/api/sessions/{made.id}")).text
        frames = "".join(one.frames + other.frames)
    finally:
        server.stop()
    for secret in {"canary-turn-secret"}.union(*given):
        for place in (frames, numbers, facts, server.said()):
            assert secret not in place
