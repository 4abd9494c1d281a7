"""Logs name sessions and people by their ids, and never say a name, a word, a ticket or a key."""

import json
import subprocess
import sys

import httpx
import pytest
from websockets.asyncio.client import connect

from live.demo.line import Line
from tests.kit.polling import until
from tests.kit.server import ROOT, TOKEN, MadoiServer

CANARY = "かなりあ"
FORGED = f'{CANARY}\r\n{{"event": "forged", "level": "info"}}'


@pytest.fixture(params=["true", "false"], ids=["json", "text"])
def talkative(request, tmp_path):
    server = MadoiServer(tmp_path / "data", log="debug", log_json=request.param).start()
    yield server
    server.stop()


async def test_what_people_are_called_and_say_is_never_logged(talkative):
    server = talkative
    made = server.make_session(f"{CANARY}の会", door="open")
    server.move(made.id, "live")
    forged = server.ask(
        "POST", f"/api/sessions/{made.id}/tickets", {"role": "attendee", "name": FORGED, "profession": FORGED}
    )
    ticket = forged.json()["ticket"] if forged.is_success else server.ticket(made.id, "attendee", CANARY)
    line = Line(server.url, made.id, ticket)
    await line.open()
    await line.admitted.wait()
    posted = await line.do("post", text=f"{FORGED} と言いました")
    assert posted["t"] == "done"
    await until(lambda: line.messages, within=20)
    await line.do("ask", text=f"{CANARY}は何ですか", addressee=None)
    async with connect(f"ws{server.url[4:]}/rooms/{made.id}/socket", subprotocols=["madoi.v1"]) as bad:
        await bad.recv()
        await bad.send(json.dumps({"t": "hello", "v": 1, "ticket": f"{CANARY}-ticket"}))
        await bad.wait_closed()
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        bearer = {"Authorization": f"Bearer {ticket}"}
        for path in (f"/api/sessions/{made.id}/whip", f"/{CANARY}", f"/api/sessions/{CANARY}%0d%0aforged"):
            await client.post(path, content=FORGED.encode(), headers=bearer)
        await client.get(f"/s/{made.id}?t={ticket}")
    await line.close()
    message = next(iter(line.messages))
    moderator = Line(server.url, made.id, server.ticket(made.id, "moderator", CANARY))
    await moderator.open()
    await moderator.admitted.wait()
    assert (await moderator.do("delete_message", id=message))["t"] == "done"
    await until(lambda: made.id in server.said(), within=20)  # words were taken out; the id is told
    await moderator.close()
    server.stop()
    lines = [text for text in server.said().splitlines() if TOKEN not in text]  # the greeting shows the key
    said = "\n".join(lines)
    for secret in (CANARY, "forged", ticket, ticket.partition(".")[2] or ticket):
        assert secret not in said
    if server.said().lstrip().startswith("{"):
        assert all(json.loads(one)["event"] for one in lines if one.startswith("{"))


PROGRAM = """
import sys
from live.telemetry import configure, log
configure("info", as_json=sys.argv[1] == "json")
said = "a\\r\\n2026-01-01 [info] forged \\u2028 \\x1b[31m b"
log.info("event", session="s1", person="p1", home=said, name="canary", ticket="canary", text="canary")
try:
    canary = "canary"
    raise ValueError(said[:1])
except ValueError:
    log.exception("failed", session="s1")
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_value_with_line_breaks_stays_on_its_line(form):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form], cwd=ROOT, capture_output=True, check=True, timeout=60
    )
    first, *rest = done.stderr.decode().split("\n")
    assert "s1" in first
    assert "forged" in first
    assert not {"\r", "\u2028", "\x1b"} & set(first.removesuffix("\r"))
    assert first.count("(hidden)") == 3
    assert not any(one.startswith("2026-01-01") for one in rest)
    # A traceback shows lines of the program, never the values of its variables.
    assert "canary" not in first
    assert done.stderr.count(b"canary") == (0 if form == "json" else done.stderr.count(b'canary = "canary"'))
