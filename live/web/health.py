"""For those who run the server: is it alive, is it ready, what are its numbers."""

import asyncio
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import httpx
from starlette.responses import Response

from live.telemetry import Numbers, merged
from live.web.bodies import Health
from live.web.desk import Desk
from live.web.operation import Access, Call, Operation
from live.web.problems import Problem

PROCESS_SECONDS: Final = 3.0
"""How long another process of this machine may take to tell its numbers."""


def server_version() -> str:
    """Return the installed version, or `0` in a tree that was never installed."""
    try:
        return version("madoi")
    except PackageNotFoundError:
        return "0"


async def healthz(_call: Call) -> Health:
    """Say that the process answers."""
    return Health("ok", server_version())


async def readyz(call: Call) -> Health:
    """Say that the server can do its work: the store writes, and nobody is shutting it down."""
    if call.desk.draining:
        raise Problem("server_fault", "draining", status=503)
    if not await call.desk.probe.writes():
        raise Problem("store_away", wait=1000)
    return Health("ready", server_version())


async def _look(desk: Desk, numbers: Numbers) -> None:
    """Read what is counted elsewhere."""
    numbers.show("build_info", "1; the version is in the label", 1, version=server_version())
    numbers.show("draining", "1 while the server says goodbye", int(desk.draining))
    for name, value in desk.rooms.numbers().items():
        numbers.show(f"rooms_{name}", f"{name} (rooms)", value)
    workers = await desk.media.stats()
    numbers.show("media_workers", "Media workers of this process", len(workers))
    if workers:
        most = desk.settings.media.viewers
        numbers.show("media_viewers_limit", "Peers at a worker from which viewers go elsewhere", most)
    for worker, stats in enumerate(workers):
        for name, value in stats.items():
            if isinstance(value, (int, float)):
                numbers.show(f"media_{name}", f"{name} (media)", value, worker=str(worker))
            else:
                says = f"{name} is {value} (media)"
                numbers.show(f"media_{name}_{value}", says, 1, worker=str(worker))


async def _of(port: int) -> str:
    """Ask another process of this machine for its own metrics; nothing when it does not answer."""
    try:
        async with httpx.AsyncClient(timeout=PROCESS_SECONDS) as client:
            answer = await client.get(f"http://127.0.0.1:{port}/metrics?own")
    except httpx.HTTPError:
        return ""
    return answer.text if answer.is_success else ""


def operations(numbers: Numbers) -> tuple[Operation, ...]:
    """Make the operations; the numbers are this server's."""

    async def metrics(call: Call) -> Response:
        desk = call.desk
        await _look(desk, numbers)
        text = numbers.text()
        if desk.processes and "own" not in call.request.query_params:
            others = await asyncio.gather(
                *(_of(port) for number, port in enumerate(desk.processes) if number != desk.process)
            )
            texts = dict(
                zip((n for n in range(len(desk.processes)) if n != desk.process), others, strict=True)
            )
            texts[desk.process] = text
            text = merged({number: texts[number] for number in sorted(texts) if texts[number]})
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    return (
        Operation("GET", "/healthz", "The process answers", Access.ANYONE, healthz, None, Health),
        Operation(
            "GET",
            "/readyz",
            "The server can do its work",
            Access.ANYONE,
            readyz,
            None,
            Health,
            200,
            ("store_away",),
        ),
        Operation(
            "GET",
            "/metrics",
            "Prometheus metrics of this server, without personal data",
            Access.ANYONE,
            metrics,
        ),
    )
