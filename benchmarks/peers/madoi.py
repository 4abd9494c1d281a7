"""Madoi's own gateway in one process: hub, store, sockets; tickets are words, limits are high."""

import asyncio
import sys

import uvicorn
import uvloop
from starlette.applications import Starlette

from live.gateway.host import SERVER
from live.gateway.hub import Hub
from live.gateway.serving import UVICORN, listen
from live.gateway.socket import RoomSocket
from live.gateway.viewing import Caller
from live.heap import spare_survivors
from live.protocol.frames import Limits, Rate
from live.stores import open_store
from rooms import Kind, Open, Role, SetState, Settings, State

SESSION = "bench"


async def authenticate(_session: str, ticket: str) -> Caller:
    """A ticket says `role:person`."""
    role, _, person = ticket.partition(":")
    return Caller(person, Role(role), person, registered=True)


async def serve(where: str) -> None:
    """Serve one live session until killed."""
    store = await open_store(where)
    hub = Hub(store)
    await hub.start()
    settings = Settings(title="bench", kind=Kind.LECTURE, capacity=10_000)
    await hub.ask(SESSION, SERVER, Open(session=SESSION, settings=settings))
    await hub.ask(SESSION, SERVER, SetState(state=State.LIVE))
    fast = Rate(per_second=10_000, burst=10_000)
    socket = RoomSocket(hub, authenticate, limits=Limits(window=5_000, commands=fast, silence_ms=3_600_000))
    listener = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        Starlette(routes=[socket.route()]), loop="none", lifespan="off", log_config=None, **UVICORN
    )
    spare_survivors()  # as `madoi serve` does
    print(listener.getsockname()[1], flush=True)
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1]))
