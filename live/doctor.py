"""`madoi doctor`: look at the machine before people come, and say what is wrong in one line each."""

import asyncio
import importlib.metadata
import platform
import shutil
import socket
import sqlite3
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from live.media import fanout
from live.settings import Settings
from live.stores import StoreAway, open_store
from live.web.pages import CLIENT

DISK_LOW = 1 << 30
STUN_SECONDS = 3.0
_STUN_COOKIE = 0x2112A442


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, whether it is good, and what was found."""

    what: str
    good: bool
    says: str


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything. Nothing is changed but a probe in the store."""
    return [
        _versions(),
        _client(),
        _port("http port", settings.host, settings.port, socket.SOCK_STREAM),
        _port("media udp", settings.media.host, settings.media.port, socket.SOCK_DGRAM),
        _addresses(settings),
        await _store(settings),
        _disk(settings),
        _fanout(settings),
        *[await _turn(url) for url in settings.turn.urls],
        *(
            []
            if settings.turn.urls
            else [Finding("turn", True, "not set: people behind strict firewalls get no media")]
        ),
    ]


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


def _addresses(settings: Settings) -> Finding:
    if settings.media.addresses:
        return Finding("media address", True, ", ".join(settings.media.addresses))
    return Finding("media address", True, "this machine's own; behind NAT set MADOI_MEDIA_ADDRESSES")


async def _store(settings: Settings) -> Finding:
    where = settings.data if settings.store == "embedded" else settings.store
    shown = f"embedded in {where}" if settings.store == "embedded" else settings.store.rpartition("@")[2]
    try:
        began = time.perf_counter()
        store = await open_store(where)
        try:
            await store.check()
        finally:
            await store.close()
    except (StoreAway, redis.RedisError, OSError) as error:
        return Finding("store", False, f"{shown}: {error}")
    return Finding("store", True, f"{shown}: writes ({(time.perf_counter() - began) * 1000:.0f} ms)")


def _disk(settings: Settings) -> Finding:
    folder = Path(settings.data).absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return Finding("disk", free > DISK_LOW, f"{free / (1 << 30):.1f} GiB free at {folder}")


def _fanout(settings: Settings) -> Finding:
    if settings.fanout == "python":
        return Finding("fan-out", True, "python body, as MADOI_FANOUT says")
    if fanout.native is not None:
        return Finding("fan-out", True, "native body")
    why = f"{fanout.native_problem} (it needs a C compiler and libssl-dev at installation)"
    if settings.fanout == "native":
        return Finding("fan-out", False, f"MADOI_FANOUT is native, but: {why}")
    return Finding("fan-out", True, f"python body; the native one is not there: {why}")


async def _turn(url: str) -> Finding:
    """Ask a TURN server for a STUN binding over UDP: the cheapest proof that it is there (RFC 8489 §6)."""
    scheme, _, rest = url.partition(":")
    host, _, port = rest.partition("?")[0].rpartition(":")
    if "transport=tcp" in url or scheme in ("turns", "stuns"):
        return Finding("turn", True, f"{url}: not probed (only UDP is)")
    request = struct.pack("!HHI12s", 0x0001, 0, _STUN_COOKIE, b"madoi-doctor")
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        try:
            await loop.sock_connect(probe, (host or rest, int(port) if port.isdigit() else 3478))
            await loop.sock_sendall(probe, request)
            answer = await asyncio.wait_for(loop.sock_recv(probe, 1500), STUN_SECONDS)
        except (OSError, TimeoutError) as error:
            return Finding("turn", False, f"{url}: no answer ({type(error).__name__})")
    good = answer[4:8] == struct.pack("!I", _STUN_COOKIE)
    return Finding("turn", good, f"{url}: answers" if good else f"{url}: something else answers")
