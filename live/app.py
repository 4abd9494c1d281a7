"""One server: store, room hub, media link and HTTP, introduced to each other, started and stopped in turn."""

import asyncio
import base64
import contextlib
import hmac
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from live.curtain import Curtain
from live.gateway.hub import Hub
from live.gateway.serving import UVICORN, DrainingServer, listen
from live.neighbours import HubRooms, LinkMedia, socket_route
from live.nodes import Homes, NodeMedia, node_key, node_name
from live.settings import Settings
from live.stores import open_store
from live.stores.serving import keep_serving
from live.telemetry import Numbers, log
from live.tickets import Tickets, media_secret
from live.web.desk import Desk
from live.web.guard import Guard
from live.web.patience import patient_protocol
from live.web.register import Register
from live.web.retention import keep_retention
from live.web.routes import web_routes

TOKEN_FILE = "organiser-token"  # noqa: S105 - a file's name
SERVER_FILE = "server.json"


class Running(msgspec.Struct, frozen=True):
    """What `data/server.json` says of the server there, for `madoi` commands on the same machine."""

    url: str
    pid: int
    port: int


@dataclass(frozen=True)
class Server:
    """A server whose parts are running.

    Attributes:
        app: the ASGI application.
        desk: what its operations work at.
        hub: the rooms.
    """

    app: ASGIApp
    desk: Desk
    hub: Hub


@asynccontextmanager
async def running(settings: Settings, port: int) -> AsyncIterator[Server]:
    """Start every part, and stop them in reverse order on the way out.

    Args:
        settings: in force.
        port: on which HTTP is reached.

    Raises:
        live.stores.StoreAway: the store cannot be opened.
        live.media.MediaRefused: the media worker does not start.
    """
    async with AsyncExitStack() as stack:
        store = await open_store(settings.data if settings.store == "embedded" else settings.store)
        stack.push_async_callback(store.close)
        secret = await store.secret()
        media = await stack.enter_async_context(LinkMedia.running(settings, media_secret(secret)))
        stack.push_async_callback(_stop, asyncio.create_task(keep_serving(store), name="serving"))
        hub = Hub(store)
        await hub.start()
        stack.push_async_callback(hub.close)
        register, rooms, outsiders = Register(store), HubRooms(hub), dict[str, set[str]]()
        curtain = Curtain(media, outsiders, register.follow)
        nodes = None
        if settings.store != "embedded":
            homes = Homes(store, node_name(settings.node_url, port))
            nodes = NodeMedia(media, homes, rooms, hub, curtain.settle, outsiders, node_key(secret))
            await stack.enter_async_context(nodes.running())
        desk = Desk(
            settings=settings,
            organiser_token=settings.organiser_token or _derived_token(secret),
            store=store,
            register=register,
            tickets=Tickets(secret),
            rooms=rooms,
            media=nodes or media,
            port=port,
            settle=curtain.settle,
            outsiders=outsiders,
        )
        hub.on_change(curtain.changed)
        media.on_notice(rooms.notice, rooms.gone)
        following = asyncio.create_task(curtain.run(), name="curtain")
        stack.push_async_callback(_stop, following)
        stack.push_async_callback(_stop, asyncio.create_task(keep_retention(desk), name="retention"))
        numbers = Numbers()
        routes = [socket_route(hub, desk, settings), *web_routes(desk, numbers)]
        if nodes is not None:
            routes.insert(0, nodes.route())
        yield Server(Guard(Starlette(routes=routes), settings, numbers), desk, hub)


async def serve(settings: Settings, listening: socket.socket, greet: Callable[[str, str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain: sockets are told to come back, requests end, parts stop.

    Args:
        settings: in force.
        listening: from `bind`.
        greet: called once everything runs, with the public URL and the organiser's token.
    """
    port = listening.getsockname()[1]
    async with running(settings, port) as server:
        data = Path(settings.data)

        def ready() -> None:
            _leave_note(data, server.desk, port)
            greet(server.desk.public_url, server.desk.organiser_token)
            log.info("server.listening", port=port, store=settings.store.partition("://")[0])

        config = uvicorn.Config(
            server.app,
            **{**UVICORN, "http": patient_protocol(settings.limits.patience)},
            loop="none",
            lifespan="off",
            log_config=None,
            proxy_headers=True,
            forwarded_allow_ips=list(settings.proxies),
        )
        try:
            await _Uvicorn(config, server, ready).serve(sockets=[listening])
        finally:
            (data / SERVER_FILE).unlink(missing_ok=True)


def bind(settings: Settings) -> socket.socket:
    """Bind the HTTP port.

    Raises:
        OSError: it is taken, or the address is not ours.
    """
    return listen(settings.host, settings.port)


class _Uvicorn(DrainingServer):
    """uvicorn that tells when it listens, and whose end by a signal is an orderly one."""

    def __init__(self, config: uvicorn.Config, server: Server, ready: Callable[[], None]) -> None:
        super().__init__(config, server.hub.drain)
        self._desk, self._ready = server.desk, ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT end serving; uvicorn's own way ends the process before our parts stop."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.handle_exit, signum, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then tell."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Say that we are going, then drain and shut down."""
        self._desk.draining = True
        await super().shutdown(sockets)


def _derived_token(secret: bytes) -> str:
    """Return the organiser's token of a store: the same for every server of it, and in no other place."""
    return base64.urlsafe_b64encode(hmac.digest(secret, b"madoi.organiser", "sha256")[:24]).decode()


def _leave_note(data: Path, desk: Desk, port: int) -> None:
    """Leave the token (0600) and our address in the data folder, where `madoi` commands look for them."""
    data.mkdir(parents=True, exist_ok=True)
    token = data / TOKEN_FILE
    token.touch(mode=0o600)
    token.chmod(0o600)
    token.write_text(desk.organiser_token + "\n", encoding="utf-8")
    host = desk.settings.host if desk.settings.host not in ("", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104 - compared, not bound
    note = Running(f"http://{f'[{host}]' if ':' in host else host}:{port}", os.getpid(), port)
    (data / SERVER_FILE).write_bytes(msgspec.json.encode(note))


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
