"""`madoi store copy`, `backup`, `restore`: the same sessions elsewhere, or a clear sentence and no change."""

import asyncio

import pytest
from click.testing import CliRunner

from live.cli import main
from live.moving import back_up, copy, opened, restore
from live.stores import Position, open_store
from live.stores.serving import SERVERS
from rooms import Arrive, Role
from rooms.chat import DeleteMessage, Post
from tests.kit.rooms import gateway
from tests.kit.server import MadoiServer


@pytest.fixture
def madoi(monkeypatch):
    monkeypatch.delenv("MADOI_STORE", raising=False)
    return lambda *arguments: CliRunner().invoke(main, ["store", *(str(one) for one in arguments)])


async def furnish(where, sessions=3):
    """A few sessions with talk, one of them with words taken out and one long enough for a snapshot."""
    async with gateway(where) as node:
        made = [await node.session() for _ in range(sessions)]
        for session in made:
            async with node.viewer(session, "attendee:aoi") as aoi:
                answers = [await aoi.do(Post(text=f"{session}-{n}")) for n in range(4)]
                assert all(answer.seq for answer in answers)
        host = await node.hub._host(made[0])
        for n in range(220):
            host.wish(_caller(), Post(text=str(n)), "", lambda _outcome: None)
        await node.hub.ask(made[0], _caller(), DeleteMessage(id=next(iter(host.room.chat.messages))))
        facts = {session: list((await node.hub.room(session)).facts()) for session in made}
        for session in made:
            await node.hub._store.put_session(session, b"{}")
    return facts


def _caller():
    from live.gateway.viewing import Caller  # noqa: PLC0415

    return Caller("mio", Role.MODERATOR, "澪")


async def facts_in(where, sessions):
    async with gateway(where) as node:
        return {session: list((await node.hub.room(session)).facts()) for session in sessions}


async def test_there_and_back_again(tmp_path, own_redis, madoi):
    facts = await furnish(tmp_path / "here")
    said = await asyncio.to_thread(madoi, "copy", tmp_path / "here", own_redis.url)
    assert said.exit_code == 0, said.output
    assert "copied and compared: 3 sessions" in said.output
    assert await facts_in(own_redis.url, facts) == facts
    said = await asyncio.to_thread(madoi, "copy", own_redis.url, "embedded", "--data", tmp_path / "back")
    assert said.exit_code == 0, said.output
    assert await facts_in(tmp_path / "back", facts) == facts
    first, last = await open_store(tmp_path / "here"), await open_store(tmp_path / "back")
    assert await first.secret() == await last.secret()
    assert await first.sessions() == await last.sessions()
    await first.close()
    await last.close()
    again = await asyncio.to_thread(madoi, "copy", own_redis.url, tmp_path / "back")
    assert again.exit_code == 1
    assert "the target holds 3 session(s)" in again.output
    over = await asyncio.to_thread(madoi, "copy", own_redis.url, tmp_path / "back", "--overwrite")
    assert over.exit_code == 0, over.output
    assert await facts_in(tmp_path / "back", facts) == facts


@pytest.mark.parametrize("body", ["embedded", "redis"])
async def test_a_backup_restores_what_was_there(tmp_path, own_redis, madoi, body):
    where = tmp_path / "here" if body == "embedded" else own_redis.url
    facts = await furnish(where)
    file = tmp_path / "backup.madoi"
    options = ("--data", where) if body == "embedded" else ("--store", where)
    said = await asyncio.to_thread(madoi, "backup", file, *options)
    assert said.exit_code == 0, said.output
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in tmp_path.glob("*backup*")] == [file.name]
    before = file.read_bytes()
    again = await asyncio.to_thread(madoi, "backup", file, *options)
    assert "overwrites nothing" in again.output
    said = await asyncio.to_thread(madoi, "restore", file, "--data", tmp_path / "new")
    assert said.exit_code == 0, said.output
    assert await facts_in(tmp_path / "new", facts) == facts
    assert file.read_bytes() == before
    full = await asyncio.to_thread(madoi, "restore", file, "--data", tmp_path / "new")
    assert full.exit_code == 1
    assert "the target holds" in full.output


@pytest.mark.parametrize("body", ["embedded", "redis"])
async def test_a_backup_while_people_talk_is_whole(tmp_path, own_redis, body):
    where = tmp_path / "here" if body == "embedded" else own_redis.url
    async with gateway(where) as node:
        session = await node.session()
        await node.hub.ask(session, _caller(), Arrive(registered=True))

        async def talk():
            for n in range(10_000):
                await node.hub.ask(session, _caller(), Post(text=str(n)))

        talking = asyncio.create_task(talk())
        for n in range(3):
            moved = await back_up(str(where), tmp_path / f"{n}.madoi")
            assert moved.entries >= 2
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
    for n in range(3):
        (tmp_path / f"b{n}").mkdir()
        (tmp_path / f"{n}.madoi").rename(tmp_path / f"b{n}" / "madoi.db")
        async with gateway(tmp_path / f"b{n}") as node:
            texts = [message.text for message in (await node.hub.room(session)).chat.messages.values()]
            assert texts == [str(n) for n in range(len(texts))]


async def test_what_is_being_served_is_not_copied(tmp_path, madoi):
    await furnish(tmp_path / "here", 1)
    store = await open_store(tmp_path / "here")
    await store.lease(SERVERS, ["somebody"], 30)
    for ends in ((tmp_path / "here", tmp_path / "there"), (tmp_path / "there", tmp_path / "here")):
        said = await asyncio.to_thread(madoi, "copy", *ends)
        assert said.exit_code == 1
    assert (
        "being served" in (await asyncio.to_thread(madoi, "copy", tmp_path / "here", tmp_path / "t")).output
    )
    assert (
        await asyncio.to_thread(madoi, "backup", tmp_path / "b", "--data", tmp_path / "here")
    ).exit_code == 0
    await store.release(SERVERS, ["somebody"])
    await store.close()


def test_a_server_says_that_it_serves_and_takes_it_back(tmp_path, madoi):
    server = MadoiServer(tmp_path / "data").start()
    said = madoi("copy", tmp_path / "data", tmp_path / "other")
    assert "is being served by 1 server(s)" in said.output
    server.stop()
    said = madoi("copy", tmp_path / "data", tmp_path / "other")
    assert said.exit_code == 0, said.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("copy", "/nowhere/at/all", "t"), "there is no madoi.db in this folder"),
        (("copy", "same", "same"), "the same store"),
        (("copy", "redis://127.0.0.1:1/0", "t"), "the store is not available"),
        (("backup", "b", "--data", "nothing"), "there is no madoi.db"),
        (("restore", "missing", "--data", "d"), "there is no such file"),
        (("restore", "noise", "--data", "d"), "is no store of Madoi"),
    ],
)
def test_what_cannot_be_is_told_in_one_line(madoi, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    said = madoi(*arguments)
    assert said.exit_code == 1
    assert says in said.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["noise"]


async def test_a_room_that_cannot_be_read_back_is_told(tmp_path):
    source, target = await open_store(tmp_path / "a"), await open_store(tmp_path / "b")
    await source.append("room", Position(1, 0), [b"this is no entry"])
    with pytest.raises(Exception, match="does not fold"):
        await copy(source, target)
    await source.close()
    await target.close()


@pytest.mark.parametrize("body", ["embedded", "redis"])
async def test_a_link_belongs_to_the_same_browser_after_a_move(tmp_path, own_redis, body):
    where = tmp_path / "here" if body == "embedded" else own_redis.url
    async with opened(str(where), to_read=False) as store:
        assert await store.hold("link:1", b"browser", 900) == b"browser"
        await store.hold("media:room", b"server", 900)
    await back_up(str(where), tmp_path / "backup")
    await restore(tmp_path / "backup", str(tmp_path / "new"))
    async with opened(str(tmp_path / "new"), to_read=True) as store:
        (held,) = await store.holds("")
        assert (held.key, held.holder) == ("link:1", b"browser")
        assert 800 < held.seconds <= 900
        assert await store.hold("link:1", b"another", 900) == b"browser"
        # What the target knew of a link goes with the rest of it.
        async with opened(str(tmp_path / "last"), to_read=False) as last:
            await last.hold("link:1", b"stranger", 900)
            await copy(store, last, overwrite=True)
            assert await last.hold("link:1", b"another", 900) == b"browser"
