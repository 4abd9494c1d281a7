"""What `madoi doctor` finds: a real Redis that is set wrongly, this machine, the way through the proxy."""

import asyncio
import re
import resource
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from live.cli import main
from live.machine import examine_machine, examine_public, examine_redis, judge_redis
from live.settings import Settings, leaves, variable
from live.stores.servers import ServerFacts
from tests.kit.line import Line
from tests.kit.redis import RedisServer
from tests.kit.server import free_media_port, free_port

WELL = ServerFacts(
    "7.0.15",
    {
        "appendonly": "yes",
        "appendfsync": "always",
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "min-replicas-to-write": "0",
    },
)


def says(findings):
    return " / ".join(f"{f.good}{' warns' if f.warns else ''}: {f.says}" for f in findings)


@pytest.fixture
def careless(tmp_path):
    """Redis as a distribution ships it: nothing is appended, and what is old may go."""
    options = ("--appendonly", "no", "--appendfsync", "everysec", "--maxmemory-policy", "allkeys-lru")
    server = RedisServer(tmp_path / "redis", *options, "--maxmemory", "3mb").start()
    yield server
    server.kill()  # it would not stop in the middle of its first append-only file


async def test_a_redis_that_forgets_is_found_with_the_remedy(careless):
    said = says(await examine_redis(careless.url))
    assert "False: appendonly is no: a restart loses sessions; set `appendonly yes`" in said
    assert "maxmemory-policy is allkeys-lru" in said
    careless.ask("CONFIG", "SET", "appendonly", "yes")
    said = says(await examine_redis(f"{careless.url}?replicas=1"))
    assert "appendfsync is everysec" in said
    assert "0 replicas are connected, 1 are wanted" in said
    assert "warns: min-replicas-to-write is 0" in said
    careless.ask("CONFIG", "SET", "appendfsync", "always")
    careless.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    careless.ask("CONFIG", "SET", "maxmemory", "1gb")
    assert re.fullmatch(
        r"True: \S+: every write synced, nothing evicted", says(await examine_redis(careless.url))
    )


async def test_a_redis_that_hides_its_settings_is_no_failure(tmp_path):
    server = RedisServer(tmp_path / "redis", "--rename-command", "CONFIG", "").start()
    try:
        said = says(await examine_redis(server.url))
    finally:
        server.stop()
    assert said.startswith("None: does not show its settings")


async def test_of_a_redis_that_is_away_only_the_store_line_tells():
    assert await examine_redis("redis://127.0.0.1:1/0") == []
    assert await examine_redis("redis+sentinel://127.0.0.1:1") == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (WELL, "True: 7.0.15: every write synced, nothing evicted"),
        (replace(WELL, version="6.0.16"), "False: version 6.0.16: Madoi needs 6.2"),
        (replace(WELL, disk_errors=True), "False: its last write to disk failed"),
        (replace(WELL, replicas=1), "True warns: has replicas, but nobody waits for them"),
        (replace(WELL, ahead=-90.0), "True warns: its clock is -90 s from ours"),
        (
            replace(WELL, used=90 << 20, config={**WELL.config, "maxmemory": str(100 << 20)}),
            "True warns: 90 of 100 MiB are used",
        ),
    ],
)
def test_what_is_said_of_a_redis(facts, expected):
    assert expected in says(judge_redis(facts))


def test_small_buffers_and_few_files_are_warned_of(tmp_path, monkeypatch):
    (tmp_path / "net/core").mkdir(parents=True)
    (tmp_path / "net/core/rmem_max").write_text("212992\n")
    (tmp_path / "net/core/wmem_max").write_text("8388608\n")
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 1024))
    said = says(examine_machine(tmp_path))
    assert "warns: net.core.rmem_max is 208 KiB" in said
    assert "sysctl -w net.core.rmem_max=4194304" in said
    assert "wmem_max" not in said
    assert "warns: at most 1024" in said


def test_nothing_is_said_of_buffers_that_cannot_be_read():
    said = says(examine_machine(Path("/nowhere")))
    assert "sysctl" not in said


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), "True: none: only browsers on this machine"),
        (Settings(host="0.0.0.0"), "True warns: not set, though HTTP listens to others"),
        (Settings(public_url="madoi.example.org"), "False: madoi.example.org is not of the form"),
        (
            Settings(public_url="https://example.org/madoi"),
            "False: https://example.org/madoi is not of the form",
        ),
        (Settings(public_url="http://madoi.example.org"), "False: plain http"),
        (Settings(public_url="https://madoi.example.org"), "None: https://madoi.example.org: tried when"),
    ],
)
async def test_what_is_said_of_the_public_address(settings, expected):
    assert expected in says(await examine_public(settings, running=False))


async def test_the_public_address_is_tried_as_a_browser_would(server):
    async with Line(server.port) as proxy:
        settings = Settings(public_url=proxy.url)
        assert says(await examine_public(settings, running=True)) == (
            f"True: {proxy.url} leads here / True: WebSockets get through"
        )
        proxy.cut()
        said = says(await examine_public(settings, running=True))
    assert f"False: {proxy.url} does not answer" in said
    assert "False: WebSockets do not get through" in said


async def test_an_address_that_leads_elsewhere_is_found(own_http):
    said = says(await examine_public(Settings(public_url=own_http), running=True))
    assert "that is not Madoi" in said
    assert "False: WebSockets do not get through" in said


@pytest.fixture
async def own_http():

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        await writer.drain()
        writer.close()

    served = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with served:
        yield f"http://localhost:{served.sockets[0].getsockname()[1]}"


def test_each_line_is_marked_and_only_failures_fail(monkeypatch, careless, tmp_path):
    for key, _, _ in leaves():
        monkeypatch.delenv(variable(key), raising=False)
    environ = {"MADOI_MEDIA_PORT": str(free_media_port()), "MADOI_MEDIA_WORKERS": "1"}
    arguments = ("doctor", "--data", str(tmp_path), "--port", str(free_port()))
    well = CliRunner().invoke(main, arguments, env=environ)
    assert well.exit_code == 0, well.output
    ill = CliRunner().invoke(main, (*arguments, "--store", careless.url), env=environ)
    assert ill.exit_code == 1
    assert "BAD  redis" in ill.output
    assert "ok   public url" in ill.output
    marks = {line.split()[0] for line in ill.output.splitlines()}
    assert marks <= {"ok", "warn", "BAD", "?"}
