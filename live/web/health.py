"""For those who run the server: is it alive, is it ready, what are its numbers."""

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import generate_latest
from starlette.responses import Response

from live.stores import StoreAway
from live.telemetry import Numbers
from live.web.bodies import Health
from live.web.operation import Access, Call, Operation
from live.web.problems import Problem


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
    try:
        await call.desk.store.check()
    except StoreAway as error:
        raise Problem("store_away", wait=1000) from error
    return Health("ready", server_version())


def operations(numbers: Numbers) -> tuple[Operation, ...]:
    """Make the operations; the numbers are this server's."""

    async def metrics(call: Call) -> Response:
        for name, value in call.desk.rooms.numbers().items():
            numbers.show(f"rooms_{name}", f"{name} (rooms)", value)
        for worker, stats in enumerate(await call.desk.media.stats()):
            for name, value in stats.items():
                if isinstance(value, (int, float)):
                    numbers.show(f"media_{name}", f"{name} (media)", value, worker=str(worker))
                else:
                    says = f"{name} is {value} (media)"
                    numbers.show(f"media_{name}_{value}", says, 1, worker=str(worker))
        return Response(
            generate_latest(numbers.registry), media_type="text/plain; version=0.0.4; charset=utf-8"
        )

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
            "Prometheus metrics of this process, without personal data",
            Access.ANYONE,
            metrics,
        ),
    )
