"""A gateway for tests: hub and socket behind a real uvicorn in this loop, on a port of its own."""

import asyncio
import contextlib
import secrets

import uvicorn
from starlette.applications import Starlette

from live.gateway.broadcast import broadcast_body
from live.gateway.host import SERVER
from live.gateway.hub import WAITING, Hub, clock
from live.gateway.serving import UVICORN, DrainingServer, listen
from live.gateway.socket import RoomSocket
from live.gateway.viewing import Caller
from live.protocol.frames import Limits, Rate
from live.stores import open_store
from rooms import Kind, Open, Role, SetState, Settings, State
from rooms.session import QuestionPolicy
from tests.kit.polling import until
from tests.kit.viewer import Viewer

FAST = Limits(commands=Rate(1000, 1000))
"""Nobody is slowed down: faults are looked for, not floods."""
OPEN = Settings(title="勉強会", kind=Kind.LECTURE, capacity=5000, qa=QuestionPolicy(moderated=False))
"""A session where questions open at once."""


async def authenticate(_session, ticket):
    """A ticket says `role:person`; a `?` at its end that the person came by a shared link."""
    role, _, person = ticket.rstrip("?").partition(":")
    if role not in set(Role) or not person:
        return None
    return Caller(person, Role(role), f"{person}-san", registered=not ticket.endswith("?"))


class Gateway:
    """One node; several may share a store."""

    def __init__(self, store, waiting=WAITING, body="auto", **options):
        self.now = 0
        self.hub = Hub(
            store, clock=lambda: clock() + self.now, waiting=waiting, broadcast=broadcast_body(body)
        )
        self._socket = RoomSocket(self.hub, authenticate, **options)

    async def __aenter__(self):
        await self.hub.start()
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        app = Starlette(routes=[self._socket.route()])
        config = uvicorn.Config(app, log_level="warning", lifespan="off", **UVICORN)
        self.server = DrainingServer(config, self.hub.drain)
        self.server.capture_signals = contextlib.nullcontext
        self._serving = asyncio.create_task(self.server.serve([listener]))
        await until(lambda: self.server.started)
        return self

    async def __aexit__(self, *_):
        await self.hub.close()
        self.server.should_exit = True
        await self._serving

    def url(self, session):
        return f"ws://127.0.0.1:{self.port}/rooms/{session}/socket"

    async def session(self, state=State.LIVE, kind=Kind.LECTURE, **settings):
        """Make a session and move it."""
        session = f"s-{secrets.token_hex(4)}"
        settings = Settings(title="勉強会", kind=kind, **settings)
        await self.hub.ask(session, SERVER, Open(session=session, settings=settings))
        if state is not State.PUBLISHED:
            await self.hub.ask(session, SERVER, SetState(state=state))
        return session

    def viewer(self, session, ticket, **options):
        return Viewer(self.url(session), ticket, **options)


@contextlib.asynccontextmanager
async def gateway(where, **options):
    """A store and one node on it."""
    store = await open_store(where)
    try:
        async with Gateway(store, **options) as node:
            yield node
    finally:
        await store.close()
