"""`madoi doctor`: look at the machine before people come, and say what is wrong in one line each."""

import importlib.metadata
import platform
import shutil
import socket
import sqlite3
import time
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

import httpx
import msgspec
import redis

from live.gateway import broadcast
from live.iceurl import read_ice_url
from live.machine import examine_machine, examine_public, examine_redis
from live.media import cores, fanout
from live.reach import Finding, Held, examine_port, examine_server, media_port
from live.settings import Settings
from live.stores import StoreAway, open_store
from live.tickets import media_secret
from live.web.pages import CLIENT

DISK_LOW, DISK_LEAST = 1 << 30, 100 << 20
READY_SECONDS = 5.0


async def examine(settings: Settings, running: int | None) -> list[Finding]:
    """Look at everything. Nothing is changed but a probe in the store.

    Args:
        settings: in force.
        running: the HTTP port of the server that says it runs on this data folder, if one does.
    """
    store, secret = await _store(settings)
    return [
        _versions(),
        _client(),
        await _http(settings, running),
        store,
        *(await examine_redis(settings.store) if settings.store != "embedded" else []),
        _disk(settings),
        *examine_machine(),
        *await examine_public(settings, running=running is not None),
        _body(settings, "fan-out", fanout.native, fanout.native_problem, "a C compiler and libssl-dev"),
        _body(settings, "broadcast", broadcast.native, broadcast.native_problem, "a C compiler"),
        _workers(settings),
        *await _media(settings, secret),
    ]


async def _media(settings: Settings, secret: bytes | None) -> list[Finding]:
    """Try the way of media: each worker's port, the addresses told to browsers, the TURN servers."""
    findings = []
    for place, port in enumerate(settings.media.ports(cores())):
        own = msgspec.structs.replace(settings, media=msgspec.structs.replace(settings.media, port=port))
        async with media_port(own, secret) as held:
            reached = held if isinstance(held, Held) else None
            findings += await examine_port(own, held) if isinstance(held, Held) else [held]
            for url in settings.turn.urls if place == 0 else ():
                findings += await examine_server(url, own, reached, time.time())
    if not settings.media.addresses:
        findings.append(
            Finding("media address", True, "this machine's own; behind NAT set MADOI_MEDIA_ADDRESSES")
        )
    if not any(read_ice_url(url).relays for url in settings.turn.urls):
        findings.append(Finding("turn", True, "not set: people behind strict firewalls get no media"))
    return findings


def _versions() -> Finding:
    parts = " ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("aiortc", "uvicorn", "starlette")
    )
    return Finding(
        "versions", True, f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {parts}"
    )


def _client() -> Finding:
    built = (CLIENT / "index.html").is_file()
    return Finding("client", built, "built" if built else "not built: `make client` (needs Node 20)")


def _port(what: str, host: str, port: int, kind: socket.SocketKind) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind is socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(what, False, f"{host or '*'}:{port}: {error.strerror} (is a server running?)")
    return Finding(what, True, f"{host or '*'}:{port} is free")


async def _http(settings: Settings, running: int | None) -> Finding:
    """The port is free, or the server that has it is ours and answers."""
    found = _port("http port", settings.host, settings.port, socket.SOCK_STREAM)
    if found.good or running != settings.port:
        return found
    where = f"{settings.host or '*'}:{running}"
    try:
        async with httpx.AsyncClient(timeout=READY_SECONDS) as client:
            answer = await client.get(f"http://{_reachable(settings.host)}:{running}/readyz")
    except httpx.HTTPError as error:
        return Finding("http port", False, f"{where} is taken, but does not answer ({type(error).__name__})")
    if answer.is_success:
        return Finding("http port", True, f"{where}: the server runs and is ready")
    return Finding("http port", False, f"{where}: the server runs, but is not ready: see its log")


def _reachable(host: str) -> str:
    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        return "localhost"
    return f"[{host}]" if ":" in host else host


async def _store(settings: Settings) -> tuple[Finding, bytes | None]:
    """The store, and the media secret that it keeps."""
    where = settings.data if settings.store == "embedded" else settings.store
    shown = f"embedded in {where}" if settings.store == "embedded" else _without_secrets(settings.store)
    try:
        began = time.perf_counter()
        store = await open_store(where)
        try:
            await store.check()
            waited = (time.perf_counter() - began) * 1000
            secret = media_secret(await store.secret())
        finally:
            await store.close()
    except (StoreAway, redis.RedisError, OSError) as error:
        return Finding("store", False, f"{shown}: {error}"), None
    return Finding("store", True, f"{shown}: writes ({waited:.0f} ms)"), secret


def _without_secrets(url: str) -> str:
    """A store's address as it may be shown: who asks, and the sentinels' password, left out."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _disk(settings: Settings) -> Finding:
    folder = Path(settings.data).absolute()
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    says = f"{usage.free / (1 << 30):.1f} GiB free at {folder}"
    if usage.free <= DISK_LOW:
        says += ": make room; on a full disk commands are refused and nothing is lost"
        return Finding("disk", usage.free > DISK_LEAST, says, warns=True)
    return Finding("disk", True, says)


def _workers(settings: Settings) -> Finding:
    ports = settings.media.ports(cores())
    where = f"ports {ports[0]} to {ports[-1]}" if len(ports) > 1 else f"port {ports[0]}"
    why = "as MADOI_MEDIA_WORKERS says" if settings.media.workers else f"for {cores()} cores"
    if settings.processes > 1:
        where += f", in the first of {settings.processes} processes"
    says = f"{len(ports)} on {where}, {why}; a room's viewers beyond {settings.media.viewers} are spread"
    return Finding("media workers", True, says)


def _body(settings: Settings, name: str, native: ModuleType | None, problem: str, needs: str) -> Finding:
    """Which body sends, of one that may be there in C."""
    if settings.fanout == "python":
        return Finding(name, True, "python body, as MADOI_FANOUT says")
    if native is not None:
        return Finding(name, True, "native body")
    why = f"{problem} (it needs {needs} at installation)"
    if settings.fanout == "native":
        return Finding(name, False, f"MADOI_FANOUT is native, but: {why}")
    return Finding(name, True, f"python body; the native one is not there: {why}")
