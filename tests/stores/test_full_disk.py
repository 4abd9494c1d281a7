"""A full disk: the documented refusal, nothing acknowledged is lost, and service goes on by itself."""

import asyncio
import resource
import sqlite3
import subprocess
import sys

from live.gateway import writing
from live.protocol.frames import Done, Refused
from live.stores import open_store
from rooms.chat import Post
from tests.kit.polling import until
from tests.kit.rooms import gateway

WRITER = """
import asyncio, sys
from live.stores import Position, StoreAway, open_store

async def write():
    store = await open_store(sys.argv[1])
    seq = 0
    while True:
        try:
            await store.append("room", Position(1, seq), [b"%d" % seq + b"." * 2000])
        except StoreAway:
            print("away", flush=True)
            await asyncio.sleep(0.02)
        else:
            seq += 1
            print(seq, flush=True)

asyncio.run(write())
"""


def write_past_the_end(folder):
    """Let a writer run into the largest file size, give it room again, and return what it acknowledged."""
    with subprocess.Popen([sys.executable, "-c", WRITER, folder], stdout=subprocess.PIPE) as writer:
        said = []
        for line in writer.stdout:
            said.append(line.strip())
            if len(said) == 20:
                resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
            if said.count(b"away") == 5:
                unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
                resource.prlimit(writer.pid, resource.RLIMIT_FSIZE, unlimited)
            if b"away" in said and len(said) - said[::-1].index(b"away") + 20 < len(said):
                writer.kill()
                break
        rest = [line.strip() for line in writer.stdout]
    return [int(line) for line in said + rest if line.isdigit()], said


async def test_writes_that_fail_half_way_leave_nothing_and_later_ones_succeed(tmp_path):
    acknowledged, said = await asyncio.to_thread(write_past_the_end, tmp_path)
    assert b"away" in said
    assert acknowledged == list(range(1, len(acknowledged) + 1)), "no number is given twice or left out"
    with sqlite3.connect(tmp_path / "madoi.db") as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    store = await open_store(tmp_path)
    rows = await store.read("room", 0, 100_000)
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= len(acknowledged)
    await store.close()


async def test_commands_are_refused_while_the_disk_is_full_and_taken_when_it_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", 0.3)
    async with gateway(tmp_path) as node:
        session, store = await node.session(), node.hub._store
        async with node.viewer(session, "moderator:mio") as mio:
            said = [await mio.do(Post(text="before"))]
            (pages,) = await store._do(lambda db: db.execute("pragma page_count").fetchone())
            await store._do(lambda db: db.execute(f"pragma max_page_count={pages}").fetchone())
            full = 0
            while not full:
                answer = await mio.do(Post(text="x" * 900), nonce=f"nonce-{len(said):04}")
                if isinstance(answer, Refused) and answer.why == "store_away":
                    assert answer.wait
                    full = len(said)
                elif isinstance(answer, Done):
                    said.append(answer)
            assert mio.closed is None
            assert len((await node.hub.room(session)).chat.messages) == len(said), "what is there can be read"
            await store._do(lambda db: db.execute("pragma max_page_count=1000000").fetchone())

            async def taken():
                return isinstance(await mio.do(Post(text="x" * 900), nonce=f"nonce-{full:04}"), Done)

            await until(taken, every=0.3)
            await until(lambda: len(mio.texts) == len(said) + 1)
    async with gateway(tmp_path) as again:
        assert len((await again.hub.room(session)).chat.messages) == len(said) + 1
