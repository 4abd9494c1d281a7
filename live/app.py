"""One server: store, room hub, media link and HTTP, introduced to each other, started and stopped in turn."""

import asyncio
import base64
import contextlib
import hmac
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from live.curtain import Curtain
from live.gateway.broadcast import broadcast_body
from live.gateway.hub import Hub
from live.gateway.serving import UVICORN, DrainingServer, listen
from live.heap import spare_survivors, tidy
from live.neighbours import HubRooms, LinkMedia, socket_route
from live.nodes import Homes, NodeMedia, node_key, node_name
from live.pulse import feel
from live.settings import Settings
from live.stores import open_store
from live.stores.serving import keep_serving, sole_server
from live.supervision import Seat
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
ALONE = Seat(0, ())
"""The seat of a server of one process."""


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
async def running(settings: Settings, port: int, seat: Seat = ALONE) -> AsyncIterator[Server]:
    """Start every part, and stop them in reverse order on the way out.

    Args:
        settings: in force.
        port: on which HTTP is reached.
        seat: which of this machine's processes we are.

    Raises:
        live.stores.StoreAway: the store cannot be opened, or another server serves its folder.
        live.media.MediaRefused: the media worker does not start.
    """
    async with AsyncExitStack() as stack:
        if settings.store == "embedded":
            stack.enter_context(sole_server(Path(settings.data)))
        store = await open_store(settings.data if settings.store == "embedded" else settings.store)
        stack.push_async_callback(store.close)
        secret = await store.secret()
        media = await stack.enter_async_context(
            LinkMedia.running(settings, media_secret(secret), workers=seat.number == 0)
        )
        stack.push_async_callback(_stop, asyncio.create_task(keep_serving(store), name="serving"))
        numbers = Numbers()
        hub = Hub(
            store, numbers=numbers, waiting=settings.limits.waiting, broadcast=broadcast_body(settings.fanout)
        )
        await hub.start()
        stack.push_async_callback(hub.close)
        register, rooms, outsiders = Register(store), HubRooms(hub), dict[str, set[str]]()
        curtain = Curtain(media, outsiders, register.follow)
        nodes = None
        if settings.store != "embedded":
            near = f"http://127.0.0.1:{seat.ports[0]}" if seat.number else ""
            homes = Homes(store, node_name(settings.node_url, port), near)
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
            process=seat.number,
            processes=seat.ports,
        )
        hub.on_change(curtain.changed)
        media.on_notice(rooms.notice, rooms.gone)
        following = asyncio.create_task(curtain.run(), name="curtain")
        stack.push_async_callback(_stop, following)
        stack.push_async_callback(_stop, asyncio.create_task(keep_retention(desk), name="retention"))
        feeling = asyncio.create_task(feel(numbers, store, Path(settings.data)), name="pulse")
        stack.push_async_callback(_stop, feeling)
        tidying = asyncio.create_task(tidy(lambda: sum(hub.connections().values())), name="tidy")
        stack.push_async_callback(_stop, tidying)
        routes = [socket_route(hub, desk, settings), *web_routes(desk, numbers)]
        if nodes is not None:
            routes.insert(0, nodes.route())
        yield Server(Guard(Starlette(routes=routes), settings, numbers), desk, hub)


async def serve(
    settings: Settings,
    listening: Sequence[socket.socket],
    greet: Callable[[str, str], None],
    seat: Seat = ALONE,
    leash: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain: sockets are told to come back, requests end, parts stop.

    Args:
        settings: in force.
        listening: from `bind`; the first one is the public one.
        greet: called once everything runs, with the public URL and the organiser's token.
        seat: which of this machine's processes we are.
        leash: a descriptor at whose end of file we stop, because who started us is gone.
    """
    port = listening[0].getsockname()[1]
    async with running(settings, port, seat) as server:
        data = Path(settings.data)
        if leash is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(leash, _let_go, loop, leash)

        def ready() -> None:
            spare_survivors()
            if seat.number == 0:
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
            await _Uvicorn(config, server, ready).serve(sockets=list(listening))
        finally:
            if seat.number == 0:
                (data / SERVER_FILE).unlink(missing_ok=True)


def bind(settings: Settings) -> socket.socket:
    """Bind the HTTP port.

    Raises:
        OSError: it is taken, or the address is not ours.
    """
    return listen(settings.host, settings.port)


def bind_many(settings: Settings) -> tuple[list[socket.socket], list[socket.socket]]:
    """Bind the HTTP port once for each process, and a port at 127.0.0.1 for each.

    Raises:
        OSError: the port is taken, or the address is not ours.
    """
    # Sockets that share a port do not notice a server of another start there; one that shares nothing does.
    with listen(settings.host, settings.port) as probe:
        port = probe.getsockname()[1]
    shared = [listen(settings.host, port, shared=True) for _ in range(settings.processes)]
    return shared, [listen("127.0.0.1", 0) for _ in shared]


def _let_go(loop: asyncio.AbstractEventLoop, leash: int) -> None:
    loop.remove_reader(leash)
    os.kill(os.getpid(), signal.SIGTERM)


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
