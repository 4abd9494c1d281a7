"""The part of `madoi doctor` that judges Redis, this machine and the way of browsers through the proxy."""

import asyncio
import ctypes
import re
import resource
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from live.protocol.codes import SUBPROTOCOL
from live.reach import Finding
from live.settings import Settings
from live.stores import StoreAway
from live.stores.servers import ServerFacts, server_facts

OLDEST_REDIS = (6, 2)
SKEW_SECONDS = 2.0
"""Servers of one store sign what they ask each other with the time, and people see each other's times."""
FILES_WANTED = 4096
"""Open files for some thousands of sockets; one viewer is one."""
BUFFER_WANTED = 4 << 20
"""Bytes of kernel buffer for the media port: a tenth of a second at 300 Mbit/s."""
PATIENCE = 5.0
EPOCH = 1_750_000_000
"""The summer of 2025, before which there was no Madoi."""
_UNSYNCHRONISED = 5
_TIMEX_BYTES = 256
_LOCAL = re.compile(r"^(localhost|127\.[\d.]+|::1|.*\.localhost)$")


async def examine_redis(url: str) -> list[Finding]:
    """Judge the servers of a Redis store; nothing of one that does not answer, as others tell that."""
    try:
        facts = await server_facts(url)
    except StoreAway:
        return []
    findings = [finding for one in facts for finding in judge_redis(one)]
    return list(dict.fromkeys(findings))  # a cluster's masters usually share their mistakes


def judge_redis(facts: ServerFacts) -> list[Finding]:
    """Say what is wrong with one Redis server, and what to do."""
    what = "redis"
    found = []
    version = tuple(int(part) for part in re.findall(r"\d+", facts.version)[:2])
    if version < OLDEST_REDIS:
        found.append(Finding(what, False, f"version {facts.version}: Madoi needs 6.2 or newer; update it"))
    if facts.config is None:
        says = "does not show its settings (CONFIG): make sure of appendonly yes, appendfsync always, "
        found.append(Finding(what, None, says + "maxmemory-policy noeviction"))
    else:
        found += _judge_config(facts, facts.config)
    if facts.disk_errors:
        found.append(Finding(what, False, "its last write to disk failed: look at its log and its disk"))
    if facts.replicas < facts.wanted:
        says = f"{facts.replicas} replicas are connected, {facts.wanted} are wanted (?replicas=): nothing is "
        found.append(Finding(what, False, says + "acknowledged until they are there"))
    elif facts.replicas and not facts.wanted:
        says = "has replicas, but nobody waits for them: a failover may lose what was acknowledged last; "
        found.append(Finding(what, True, says + "add ?replicas=1 to MADOI_STORE", warns=True))
    if abs(facts.ahead) > SKEW_SECONDS:
        says = f"its clock is {facts.ahead:+.0f} s from ours: let NTP keep both (chrony, systemd-timesyncd)"
        found.append(Finding(what, True, says, warns=True))
    return found or [Finding(what, True, f"{facts.version}: every write synced, nothing evicted")]


def _judge_config(facts: ServerFacts, config: dict[str, str]) -> list[Finding]:
    what, found = "redis", []
    if config.get("appendonly") != "yes":
        says = "appendonly is no: a restart loses sessions; set `appendonly yes`"
        found.append(Finding(what, False, says))
    elif config.get("appendfsync") != "always":
        says = f"appendfsync is {config.get('appendfsync')}: a power cut loses what was acknowledged last; "
        found.append(Finding(what, False, says + "set `appendfsync always`"))
    if config.get("maxmemory-policy") != "noeviction":
        says = (
            f"maxmemory-policy is {config.get('maxmemory-policy')}: short of memory it throws sessions out; "
        )
        found.append(Finding(what, False, says + "set `maxmemory-policy noeviction`"))
    most = int(config.get("maxmemory") or 0)
    if most and facts.used > most * 0.8:
        says = f"{facts.used >> 20} of {most >> 20} MiB are used: at the limit commands are refused; "
        found.append(Finding(what, True, says + "raise `maxmemory`", warns=True))
    if facts.wanted and int(config.get("min-replicas-to-write") or 0) == 0:
        says = "min-replicas-to-write is 0: a master that is cut off goes on alone; "
        found.append(Finding(what, True, says + "set `min-replicas-to-write 1`", warns=True))
    return found


def examine_machine(root: Path = Path("/proc/sys")) -> list[Finding]:
    """Judge what the system lets us have.

    Args:
        root: where the kernel's settings are read.
    """
    return [_files(resource.getrlimit(resource.RLIMIT_NOFILE)[1]), *_buffers(root), _clock()]


def _files(most: int) -> Finding:
    if most == resource.RLIM_INFINITY or most >= FILES_WANTED:
        return Finding("open files", True, f"{'any number' if most == resource.RLIM_INFINITY else most}")
    says = f"at most {most}, and every viewer is one: LimitNOFILE=65536 in the systemd unit, "
    return Finding("open files", True, says + "or `ulimits` of the container", warns=True)


def _buffers(root: Path) -> list[Finding]:
    found = []
    for name, way in (("rmem_max", "come in"), ("wmem_max", "go out")):
        try:
            most = int((root / "net/core" / name).read_text())
        except (OSError, ValueError):  # not Linux, or a container that hides it
            continue
        if most < BUFFER_WANTED:
            says = f"net.core.{name} is {most >> 10} KiB: bursts of media that {way} are dropped; "
            says += f"sysctl -w net.core.{name}={BUFFER_WANTED}, and in /etc/sysctl.d to keep it"
            found.append(Finding("udp buffers", True, says, warns=True))
    return found or [Finding("udp buffers", True, f"{BUFFER_WANTED >> 20} MiB and more are allowed")]


def _clock() -> Finding:
    """Ask the kernel whether anything keeps its clock (adjtimex(2), modes 0 only reads)."""
    if time.time() < EPOCH:
        return Finding(
            "clock", False, f"it is {time.strftime('%Y-%m-%d')} here: set the clock; tickets hang on it"
        )
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        return Finding("clock", None, "whether it is kept right cannot be told here")
    if state == _UNSYNCHRONISED:
        says = "nothing keeps it right (NTP): several servers and TURN need clocks within seconds; "
        return Finding("clock", True, says + "install chrony or systemd-timesyncd", warns=True)
    return Finding("clock", True, "kept right") if state >= 0 else Finding("clock", None, "cannot be read")


async def examine_public(settings: Settings, *, running: bool) -> list[Finding]:
    """Judge the public address, and go in by it as a browser would.

    Args:
        settings: in force.
        running: a server of these settings runs, so that it has to answer there.
    """
    what = "public url"
    url = urlsplit(settings.public_url)
    if not settings.public_url:
        if _LOCAL.match(settings.host):
            return [Finding(what, True, "none: only browsers on this machine reach us (MADOI_PUBLIC_URL)")]
        says = (
            "not set, though HTTP listens to others: set MADOI_PUBLIC_URL to the https:// address people type"
        )
        return [Finding(what, True, says, warns=True)]
    if url.scheme not in {"http", "https"} or not url.hostname or url.path.strip("/"):
        says = f"{settings.public_url} is not of the form https://madoi.example.org (no path)"
        return [Finding(what, False, says)]
    if url.scheme == "http" and not _LOCAL.match(url.hostname):
        says = (
            "plain http: browsers give cameras and microphones to https pages only; put a TLS proxy in front "
        )
        return [Finding(what, False, says + "(docs/operations.md)")]
    if not running:
        return [Finding(what, None, f"{settings.public_url}: tried when the server runs")]
    return [await _page(settings), await _socket(settings)]


async def _page(settings: Settings) -> Finding:
    what, url = "public url", settings.public_url.rstrip("/")
    try:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answer = await client.get(f"{url}/healthz")
            metrics = await client.get(f"{url}/metrics")
    except httpx.HTTPError as error:
        says = f"{url} does not answer ({error or type(error).__name__}): DNS, firewall, certificate or proxy"
        return Finding(what, False, says)
    if not answer.is_success or b'"status"' not in answer.content:
        says = f"{url} answers {answer.status_code}, but that is not Madoi: the proxy sends it elsewhere"
        return Finding(what, False, says)
    if url.startswith("https:") and "strict-transport-security" not in answer.headers:
        says = "people come by https, but Madoi is told http: the proxy must send X-Forwarded-Proto and "
        return Finding(what, False, says + "X-Forwarded-For, and its address must be in MADOI_PROXIES")
    if metrics.is_success and not _LOCAL.match(urlsplit(url).hostname or ""):
        return Finding(what, True, f"{url} shows /metrics to everybody: hide it in the proxy", warns=True)
    return Finding(what, True, f"{url} leads here")


async def _socket(settings: Settings) -> Finding:
    what, url = "public socket", settings.public_url.rstrip("/")
    address = f"ws{url.removeprefix('http')}/rooms/doctor/socket"
    try:
        async with asyncio.timeout(PATIENCE):
            async with connect(address, subprotocols=[Subprotocol(SUBPROTOCOL)]) as socket:
                await socket.recv()
    except (OSError, WebSocketException, TimeoutError) as error:
        says = f"WebSockets do not get through ({error or type(error).__name__}): the proxy must pass "
        return Finding(what, False, says + "Upgrade and Connection, and buffer nothing")
    return Finding(what, True, "WebSockets get through")
