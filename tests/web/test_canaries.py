"""What staff and anonymous askers say, planted and looked for where it must not be; ASVS 5.0 8.2.3."""

import asyncio
import contextlib
import json

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from live.demo.line import Line
from tests.kit.polling import until

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
