"""What a session's page promises about keeping is what happens: class A is gone ten minutes after the end."""

import sqlite3

import msgspec
import pytest

from live.app import running
from live.demo.line import Line
from live.protocol.frames import Card
from live.settings import Media, Settings
from live.web.bodies import NewSession
from live.web.register import new_record
from live.web.retention import erase_what_is_over
from rooms import Arrive, Open, Role, SetState, State, erased_at
from rooms import Settings as RoomSettings
from rooms.chat import Post
from rooms.queue import Approve, Ask, Vote
from tests.kit.polling import until
from tests.kit.server import MadoiServer, free_media_port

CANARY = "カナリア-ことば-7741"
MINUTE, DAY = 60_000, 24 * 3_600_000


@pytest.mark.parametrize(
    ("retention", "state", "kept"),
    [
        ("A", State.LIVE, None),
        ("A", State.AFTER, 10 * MINUTE),
        ("A", State.CLOSED, 10 * MINUTE),
        ("B", State.AFTER, 7 * DAY),
        ("B", State.DOORS, None),
        ("C", State.CLOSED, None),
        ("D", State.CLOSED, None),
    ],
)
def test_when_a_class_ends(retention, state, kept):
    assert erased_at(retention, state, 1_000) == (None if kept is None else 1_000 + kept)


def bytes_on_disk(folder):
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


def test_erasing_leaves_counts_and_no_word(server):
    session = server.make_session("消える会", kind="case")
    server.move(session.id, "live")
    server.ticket(session.id, "attendee", CANARY)
    assert CANARY.encode() in bytes_on_disk(server.data)
    receipt = server.ask("DELETE", f"/api/sessions/{session.id}")
    assert receipt.status_code == 200
    assert set(receipt.json()) == {"erased_at", "counts"}
    assert CANARY.encode() not in bytes_on_disk(server.data)
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/export"), ("POST", "/state")):
        body = {"state": "after"} if method == "POST" else None
        gone = server.ask(method, f"/api/sessions/{session.id}{path}", body)
        assert (gone.status_code, gone.json()["code"]) == (410, "erased")
    [line] = [one for one in server.ask("GET", "/api/sessions").json()["sessions"] if one["id"] == session.id]
    assert line["erased_at"]
    assert "links" not in line


def test_only_the_organiser_erases(server):
    session = server.make_session("残る会")
    for role in ("moderator", "speaker", "attendee"):
        refused = server.ask("DELETE", f"/api/sessions/{session.id}", ticket=session.ticket(role))
        assert refused.status_code in {401, 403}
    assert server.ask("GET", f"/api/sessions/{session.id}").status_code == 200


async def test_class_c_leaves_the_organisers_record(tmp_path):
    """Questions that nobody asked, and who was there: a week after the end, and for ever after."""
    folder = tmp_path / "data"
    settings = Settings(data=str(folder), media=msgspec.structs.replace(Media(), port=free_media_port()))
    async with running(settings, 0) as server:
        desk, real = server.desk, server.desk.now
        record = new_record(NewSession(title="講義", retention="C"), int(real() * 1000))
        await desk.register.put(record)
        opening = Open(session=record.id, settings=RoomSettings(title="講義", retention="C"))
        for command in (opening, SetState(state=State.LIVE)):
            await desk.rooms.ask(record.id, "host", Role.ORGANISER, command)
        for person in ("p-aoi", "p-mika"):
            await desk.rooms.put_card(record.id, Card(person, f"{person}さん", Role.ATTENDEE))
            await desk.rooms.ask(record.id, person, Role.ATTENDEE, Arrive(registered=True))
        await desk.rooms.put_card(record.id, Card("p-never", f"来ない{CANARY}", Role.ATTENDEE))
        await desk.rooms.ask(record.id, "p-aoi", Role.ATTENDEE, Post(text=CANARY))
        await desk.rooms.ask(record.id, "p-aoi", Role.ATTENDEE, Ask(text="残る質問です"))
        [question] = (await desk.rooms.room(record.id)).questions.items
        await desk.rooms.ask(record.id, "host", Role.ORGANISER, Approve(id=question, version=1))
        await desk.rooms.ask(record.id, "p-mika", Role.ATTENDEE, Vote(id=question))
        await desk.rooms.ask(record.id, "host", Role.ORGANISER, SetState(state=State.AFTER))
        await desk.register.follow(await desk.rooms.room(record.id))
        desk.now = lambda: real() + 7 * 24 * 3600 - 60
        await erase_what_is_over(desk)
        assert (await desk.rooms.room(record.id)).chat.messages
        desk.now = lambda: real() + 7 * 24 * 3600 + 60
        await erase_what_is_over(desk)
        await erase_what_is_over(desk)
        room = await desk.rooms.room(record.id)
        assert room.session.state is State.CLOSED
        assert (room.chat.messages, room.acts.acts, room.door.talk) == ({}, [], {})
        [asked] = room.questions.items.values()
        assert (asked.text, asked.author, room.questions.votes(asked.id)) == ("残る質問です", "", 1)
        assert {stay.person for stay in room.attendance.stays()} == {"p-aoi", "p-mika"}
        assert sorted(await desk.store.cards(record.id)) == ["p-aoi", "p-mika"]
        raw = msgspec.json.encode(room.snapshot().events).decode()
        assert raw.count("p-aoi") == raw.count("p-mika"), "only that they were there"
        assert '"author"' not in raw
        assert CANARY.encode() not in bytes_on_disk(folder)
        assert (await desk.register.find(record.id)).reduced


async def test_who_deletes_their_data_is_gone_from_log_card_export_and_disk(tmp_path):
    server = MadoiServer(tmp_path / "data").start()
    try:
        made = server.make_session("会")
        server.move(made.id, "live")
        ticket = server.ticket(made.id, "attendee", f"名{CANARY}")
        line = Line(server.url, made.id, ticket)
        await line.open()
        await line.admitted.wait()
        assert (await line.do("post", text=CANARY))["t"] == "done"
        assert (await line.do("ask", text=f"質問{CANARY}"))["t"] == "done"
        assert CANARY.encode() in bytes_on_disk(server.data)
        nobody = server.ask("DELETE", f"/api/sessions/{made.id}/me", ticket=None)
        assert nobody.status_code == 401
        gone = server.ask("DELETE", f"/api/sessions/{made.id}/me", ticket=ticket)
        assert gone.status_code == 204, gone.text
        assert await line.closed() == 4503
        await until(lambda: CANARY.encode() not in bytes_on_disk(server.data), 20)
        export = server.ask("GET", f"/api/sessions/{made.id}/export")
        assert CANARY not in export.text
        assert export.json()["chat"][0]["deleted"] == "author"
    finally:
        server.stop()


async def test_the_server_itself_erases_what_is_over(tmp_path):
    """The whole server in this process, with a clock that is moved on by ten minutes."""
    settings = Settings(
        data=str(tmp_path / "data"), media=msgspec.structs.replace(Media(), port=free_media_port())
    )
    async with running(settings, 0) as server:
        desk, real = server.desk, server.desk.now
        record = new_record(NewSession(title="事例", kind="case"), int(real() * 1000))
        await desk.store.put_session("damaged", b"line")
        for broken in (msgspec.structs.replace(record, id="a-broken", state="no such state"), record):
            await desk.register.put(broken)
        opening = Open(session=record.id, settings=RoomSettings(title="事例", retention="A"))
        for command in (opening, SetState(state=State.LIVE), SetState(state=State.AFTER)):
            await desk.rooms.ask(record.id, "host", Role.ORGANISER, command)
        await desk.register.follow(await desk.rooms.room(record.id))
        await erase_what_is_over(desk)
        erased = {one.id: one.erased is not None for one in await desk.register.all()}
        assert erased == {"a-broken": False, record.id: False}
        desk.now = lambda: real() + 601
        await erase_what_is_over(desk)
        erased = {one.id: one.erased is not None for one in await desk.register.all()}
        assert erased == {"a-broken": False, record.id: True}, "one bad line keeps no other from its erasure"
    with sqlite3.connect(tmp_path / "data" / "madoi.db") as db:
        assert db.execute("select count(*) from log").fetchone() == (0,)
