"""Several processes of one server behind one port, and servers that are replaced while people talk."""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import msgspec
import pytest
from websockets.exceptions import WebSocketException

from live.demo.line import Line
from live.demo.pictures import Picture
from live.demo.whip import Peer
from live.media.control import Publish
from live.nodes import PATH, Call, Reaction, node_key
from live.stores import open_store
from tests.kit.polling import until
from tests.kit.server import ROOT, MadoiServer

AGAIN = {"rate", "slow_down", "busy", "store_away", "window"}


class Persistent:
    """Somebody who asks until there is an answer, at whichever server answers: what a page does."""

    def __init__(self, urls: list[str], session: str, ticket: str) -> None:
        self._lines = [Line(url, session, ticket) for url in urls]
        self._line: Line | None = None

    async def post(self, text: str) -> None:
        nonce = secrets.token_urlsafe(12)
        while True:
            with contextlib.suppress(OSError, WebSocketException, TimeoutError, KeyError):
                async with asyncio.timeout(15):
                    if self._line is None:
                        self._line = self._lines[0]
                        await self._line.open()
                    answer = await self._line.do("post", nonce=nonce, text=text)
                if answer["t"] == "done":
                    return
                assert answer["why"] in AGAIN, answer
                await asyncio.sleep(answer.get("wait", 100) / 1000)
                continue
            self._lines = self._lines[1:] + self._lines[:1]
            if self._line is not None:
                await self._line.close()
            self._line = None
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        if self._line is not None:
            await self._line.close()


async def said(redis_server, session):
    """Every message that the session's log holds, in order."""
    store = await open_store(redis_server.url)
    rows = await store.read(session, 0, 10_000)
    await store.close()
    events = [event for row in rows for event in json.loads(row.body)["events"]]
    return [event["message"]["text"] for event in events if event["t"] == "posted"]


async def keep_asking(asker, until_done, per):
    """Post one numbered message after another until `until_done` is set; gives how many."""
    count = 0
    while not until_done.is_set() or count == 0:
        await asker.post(f"発言 {count}")
        count += 1
        await asyncio.sleep(per)
    return count


async def test_a_rolling_restart_of_two_servers_loses_and_doubles_no_command(redis_server, tmp_path):
    pair = [MadoiServer(tmp_path / name, redis_server.url).start() for name in "ab"]
    made = pair[0].make_session("会", door="open")
    pair[0].move(made.id, "live")
    tickets = [pair[0].ticket(made.id, "moderator", name) for name in ("甲", "乙")]
    askers = [
        Persistent([server.url for server in order], made.id, ticket)
        for order, ticket in zip((pair, pair[::-1]), tickets, strict=True)
    ]
    over = asyncio.Event()
    asking = [asyncio.create_task(keep_asking(asker, over, 0.05)) for asker in askers]
    for server in pair:
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.to_thread(server.start)
    over.set()
    counts = [await task for task in asking]
    for asker in askers:
        await asker.close()
    everything = await said(redis_server, made.id)
    expected = [f"発言 {n}" for count in counts for n in range(count)]
    assert sorted(everything) == sorted(expected)
    for server in pair:
        server.stop()
        assert "Traceback" not in server.said()


@pytest.fixture
def many(redis_server, tmp_path):
    server = MadoiServer(tmp_path / "many", redis_server.url, processes="3").start()
    yield server
    server.stop()


def processes(server):
    """The pids of the server's processes, by number."""
    found = re.findall(r"process\.started\s.*pid=(\d+) process=(\d+)", server.said())
    return {int(number): int(pid) for pid, number in found}


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    return False


def serving(server):
    """How many processes the numbers are of."""
    try:
        text = server.ask("GET", "/metrics", ticket=None).text
    except httpx.HTTPError:  # it was asked of the one that just died
        return set()
    return {int(n) for n in re.findall(r'^madoi_rooms_sockets{process="(\d+)"}', text, re.MULTILINE)}


async def test_processes_share_rooms_and_media_and_one_that_dies_is_replaced(many, redis_server):
    await until(lambda: serving(many) == {0, 1, 2}, within=60, every=0.2)
    made = many.make_session("会", door="open")
    many.move(made.id, "live")
    lines = []
    for number in range(12):  # the kernel spreads them
        lines.append(Line(many.url, made.id, many.ticket(made.id, "attendee", f"人{number}")))
        await lines[-1].open()
        await lines[-1].admitted.wait()
    assert (await lines[0].do("post", text="みんなに"))["t"] == "done"
    for line in lines:
        await until(lambda line=line: line.messages, within=20)
    async with httpx.AsyncClient(base_url=many.url, timeout=20) as client:
        publisher = Peer(client, many.ticket(made.id, "speaker", "佐藤"))
        await publisher.publish(made.id, Picture(0))
        for number in range(3):  # by whichever process: the media workers are the machine's
            tracks = []
            async with httpx.AsyncClient(base_url=many.url, timeout=20) as another:
                viewer = Peer(another, many.ticket(made.id, "attendee", f"客{number}"))
                await viewer.watch(made.id, lambda track, to=tracks: to.append(track))
                video = next(track for track in tracks if track.kind == "video")
                assert (await video.recv()).width == 320
                await viewer.close()
        await publisher.close()
    # Another machine may ask any process for media; the one with the workers answers.
    store = await open_store(redis_server.url)
    key = node_key(await store.secret())
    await store.close()
    body = msgspec.msgpack.encode(Call(time.time(), Publish(0, made.id, "ann", "camera", "hello")))
    for signing, status in ((key, 200), (b"another key", 403)):
        headers = {"Madoi-Signature": hmac.new(signing, body, hashlib.sha256).hexdigest()}
        for _ in range(8):
            async with httpx.AsyncClient(timeout=20) as other:
                answer = await other.post(many.url + PATH, content=body, headers=headers)
            assert answer.status_code == status
            if status == 200:
                assert msgspec.msgpack.decode(answer.content, type=Reaction).reply.code == "sdp_invalid"
    before = processes(many)
    assert set(before) == {0, 1, 2}
    for line in lines:
        await line.close()
    asker = Persistent([many.url], made.id, many.ticket(made.id, "moderator", "司会"))
    over = asyncio.Event()
    asking = asyncio.create_task(keep_asking(asker, over, 0.05))
    for number in (1, 0):
        os.kill(before[number], signal.SIGKILL)
        await until(lambda n=number: processes(many)[n] != before[n], within=60, every=0.1)
        await until(lambda: serving(many) == {0, 1, 2}, within=60, every=0.2)
    over.set()
    count = await asking
    await asker.close()
    texts = await said(redis_server, made.id)
    assert sorted(texts) == sorted(["みんなに", *(f"発言 {n}" for n in range(count))])
    pids = processes(many).values()
    assert many.stop() == 0
    assert not [pid for pid in pids if alive(pid)]


async def test_processes_end_when_their_supervisor_is_killed(many):
    await until(lambda: len(processes(many)) == 3 and serving(many) == {0, 1, 2}, within=60, every=0.2)
    pids = processes(many).values()
    many.kill()
    await until(lambda: not [pid for pid in pids if alive(pid)], within=40, every=0.1)


def run(tmp_path, *arguments, command="serve", **environ):
    names = {name: value for name, value in os.environ.items() if not name.startswith("MADOI_")}
    return subprocess.run(
        [sys.executable, "-m", "live.cli", command, "--data", str(tmp_path / "data"), *arguments],
        cwd=ROOT,
        env=names | {"PYTHONPATH": str(ROOT), "MADOI_MEDIA_PORT": "0", **environ},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_several_processes_want_a_store_that_they_can_share(tmp_path):
    ended = run(tmp_path, "--processes", "2", "--port", "0")
    assert ended.returncode == 1
    assert "2 processes need a Redis store (MADOI_STORE)" in ended.stderr


def test_a_port_that_is_taken_is_told_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(tmp_path, "--processes", "2", "--port", str(port), "--store", "redis://127.0.0.1:1/0")
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_processes_that_cannot_start_end_the_server(tmp_path):
    ended = run(tmp_path, "--processes", "2", "--port", "0", "--store", "redis://127.0.0.1:1/0")
    assert ended.returncode == 1
    assert "the store is not available" in ended.stderr


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_second_server_on_one_data_folder_is_refused(server, command):
    ended = run(server.data.parent, "--data", str(server.data), "--port", "0", command=command)
    assert ended.returncode == 1
    assert f"another server (process {server.pid}) serves the data folder {server.data}" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert server.ask("GET", "/readyz", ticket=None).status_code == 200
