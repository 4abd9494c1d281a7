"""Tickets at the socket, and what HTTP and socket say about the same room, over the real server."""

import csv
import io
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from live.demo.line import Line
from live.demo.pictures import Picture
from live.demo.whip import Peer, Refusal
from tests.kit.polling import until


async def hello(server, session, ticket, origin=None):
    """Say hello; returns the second frame, or the close code."""
    address = f"ws://localhost:{server.port}/rooms/{session}/socket"
    async with connect(address, subprotocols=["madoi.v1"], origin=origin) as socket:
        assert json.loads(await socket.recv())["t"] == "ready"
        await socket.send(json.dumps({"t": "hello", "v": 1, "ticket": ticket}))
        try:
            return json.loads(await socket.recv())
        except ConnectionClosed as closed:
            return closed.rcvd.code


async def line(server, session, role, name):
    line = Line(server.url, session, server.ticket(session, role, name))
    await line.open()
    return line


def one_time(server, made, name="甲", role="attendee"):
    with httpx.Client(base_url=server.url, headers={"Origin": server.url}) as page:
        page.post(f"/api/sessions/{made.id}/enter", json={"ticket": made.ticket(role), "name": name})
        return page.post(f"/api/sessions/{made.id}/socket-ticket").json()["ticket"]


async def test_a_socket_ticket_opens_one_socket_once(server, made):
    ticket = one_time(server, made)
    welcome = await hello(server, made.id, ticket)
    assert (welcome["t"], welcome["you"]["name"], welcome["you"]["level"]) == ("welcome", "甲", 0)
    assert await hello(server, made.id, ticket) == 4500


async def test_a_personal_ticket_opens_a_socket_by_itself(server, made):
    welcome = await hello(server, made.id, server.ticket(made.id, "moderator", "司会"))
    assert (welcome["you"]["role"], welcome["you"]["level"]) == ("moderator", 3)


@pytest.mark.parametrize("spoil", ["another session", "tampered", "empty", "seat"])
async def test_any_other_ticket_is_told_to_stay_away(server, made, spoil):
    other = server.make_session("別の会")
    ticket = one_time(server, made)
    async with httpx.AsyncClient(base_url=server.url) as page:
        await page.post(
            f"/api/sessions/{made.id}/enter", json={"ticket": made.ticket("attendee"), "name": "甲"}
        )
        seat = page.cookies[f"madoi-{made.id}"]
    session, text = {
        "another session": (other.id, ticket),
        "tampered": (made.id, ticket[:-2] + ("AA" if ticket[-2:] != "AA" else "BB")),
        "empty": (made.id, "x"),
        "seat": (made.id, seat),
    }[spoil]
    assert await hello(server, session, text) == 4500


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
async def test_asvs_4_4_2_pages_of_other_origins_get_no_socket(server, made, origin):
    with pytest.raises(InvalidStatus):
        await hello(server, made.id, server.ticket(made.id, "attendee", "甲"), origin)


async def test_removal_cuts_socket_media_and_the_way_back(server, made):
    server.move(made.id, "doors")
    staff = await line(server, made.id, "moderator", "司会")
    ticket = server.ticket(made.id, "speaker", "佐藤")
    guest = Line(server.url, made.id, ticket)
    await guest.open()
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        peer = Peer(client, ticket)
        await peer.publish(made.id, Picture(0))
        await until(lambda: peer.connection.connectionState == "connected")
        assert (await staff.do("remove", person=guest.you["id"], block=True))["t"] == "done"
        await until(lambda: peer.connection.connectionState in ("closed", "failed"), within=20)
        again = Peer(client, ticket)
        with pytest.raises(Refusal) as refusal:
            await again.publish(made.id, Picture(0))
        assert refusal.value.status == 403
        assert await hello(server, made.id, ticket) == 4503
        await again.connection.close()
        await peer.connection.close()
    await guest.close()
    await staff.close()


async def polled(staff, voters):
    """Two polls: one closed, which everybody answered, and one open with a ballot in its box."""
    for text in ("続けますか", "もう一度"):
        await staff.do("draft_poll", poll={"text": text, "options": ["=はい", "いいえ"]})
        poll = await until(lambda: next((p for p in staff.polls.values() if p["state"] == "draft"), None))
        assert (await staff.do("open_poll", id=poll["id"], version=poll["version"]))["t"] == "done"
        for voter in voters:
            paper = await until(lambda one=voter, seen=poll: one.polls.get(seen["id"]))
            cast = await voter.do("cast_ballot", id=poll["id"], choices=[paper["options"][0]["id"]])
            assert cast["t"] == "done"
        if text == "続けますか":
            first = poll["id"]
            await staff.do("close_poll", id=first, version=poll["version"] + 1)
            voters = voters[:1]
    return first


async def test_the_export_tells_all_but_what_anonymity_hides(server):
    made = server.make_session("事例", qa={"moderated": True, "anonymity": "anonymous"})
    server.move(made.id, "live")
    staff = await line(server, made.id, "moderator", "司会")
    asker = await line(server, made.id, "attendee", "カナリア質問者")
    voter = await line(server, made.id, "attendee", "投票者")
    await asker.admitted.wait()
    await asker.do("post", text="=SUM(A1:A9) こんばんは")
    await asker.do("ask", text="休職をくり返す方への最初の声かけは?")
    await until(lambda: staff.questions)
    (question,) = staff.questions.values()
    for command in ("approve", "queue", "take", "answer"):
        done = await staff.do(command, id=question["id"], version=staff.questions[question["id"]]["version"])
        assert done["t"] == "done"
        await until(lambda seen=question: staff.questions[seen["id"]]["version"] > seen["version"])
        question = staff.questions[question["id"]]
        if command == "approve":
            await until(lambda: voter.questions)
            assert (await voter.do("vote", id=question["id"]))["t"] == "done"
    poll = await polled(staff, [asker, voter])
    await asker.do("leave")
    answer = server.ask("GET", f"/api/sessions/{made.id}/export")
    assert "attachment" in answer.headers["content-disposition"]
    export = answer.json()
    (told,) = export["questions"]
    assert [step["state"] for step in told["transitions"]] == ["pending", "open", "next", "live", "answered"]
    assert told["votes"] == 1
    assert "author" not in told
    assert "カナリア質問者" not in json.dumps(export["questions"], ensure_ascii=False)
    assert voter.you["id"] not in json.dumps(export["questions"])
    assert export["chat"][0]["author"]["name"] == "カナリア質問者"
    (finished, running) = export["polls"]
    assert finished["options"] == [{"text": "=はい", "votes": 2}, {"text": "いいえ", "votes": 0}]
    assert (finished["id"], finished["voters"], finished["state"]) == (poll, 2, "closed")
    assert (running["state"], running["voters"]) == ("open", 1)
    assert not any("votes" in option for option in running["options"])
    for person in (asker, voter):
        assert person.you["id"] not in json.dumps(export["polls"])
        assert person.you["alias"] not in answer.text
    stays = {stay["person"]["name"]: stay for stay in export["attendance"]}
    assert "left" in stays["カナリア質問者"]
    assert "left" not in stays["投票者"]
    text = server.ask("GET", f"/api/sessions/{made.id}/export?format=csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["kind"] for row in rows} == {"chat", "question", "transition", "poll", "option", "attendance"}
    assert [row["more"] for row in rows if row["kind"] == "option"] == ["votes=2", "votes=0", "", ""]
    assert next(row for row in rows if row["kind"] == "option")["text"] == "'=はい"
    assert next(row for row in rows if row["kind"] == "chat")["text"].startswith("'=SUM")
    for one in (staff, asker, voter):
        await one.close()
