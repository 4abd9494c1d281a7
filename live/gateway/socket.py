"""The WebSocket endpoint: a thin shell around `Connection`, one task per viewer."""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from starlette.requests import HTTPConnection
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from live.addresses import subscriber_of
from live.gateway.connection import Budget, Connection
from live.gateway.direct import EXTENSION, DirectProtocol
from live.gateway.hub import Hub, Visit, clock
from live.gateway.keepalive import PING_SECONDS, Keepalive
from live.gateway.message import Message
from live.gateway.viewing import Caller
from live.protocol.codes import SUBPROTOCOL, Close
from live.protocol.frames import Hello, Limits

log = structlog.get_logger()

Authenticate = Callable[[str, str], Awaitable[Caller | None]]
"""From session id and ticket to the person, or nobody."""

PATH: Final = "/rooms/{session}/socket"
CONNECTIONS: Final = 10_000
"""Sockets that one node serves, greeted or not."""
CLOSE_SECONDS: Final = 15.0
"""How long a reader may take to fetch what was written before the close."""
LOOK_SECONDS: Final = 0.5
"""How soon it is noticed that a reader who does not read is gone."""


def from_no_page(connection: HTTPConnection) -> bool:
    """Tell whether a program connects: pages always say where they come from (`Origin`)."""
    return "origin" not in connection.headers


class RoomSocket:
    """Serves `PATH`; give `route()` to the application.

    Args:
        hub: Where rooms are.
        authenticate: Tells who holds a ticket.
        admits: Tells from the upgrade request whether its page, if it comes from one, is ours.
        limits: What one connection may do.
        most: Sockets at once; above it they are asked to come back.
        most_of_one: Sockets of one address at once; above it they are asked to come back.
        ping_seconds: Between two pings of a line; whose has not been answered by then is gone.
    """

    def __init__(
        self,
        hub: Hub,
        authenticate: Authenticate,
        admits: Callable[[HTTPConnection], bool] = from_no_page,
        limits: Limits | None = None,
        *,
        most: int = CONNECTIONS,
        most_of_one: int = CONNECTIONS,
        ping_seconds: float = PING_SECONDS,
    ) -> None:
        self._hub = hub
        self._authenticate = authenticate
        self._admits = admits
        self._limits = limits
        self._most, self._most_of_one = most, most_of_one
        self._open = 0
        self._open_of: Counter[str] = Counter()
        self._budgets: OrderedDict[tuple[str, str], Budget] = OrderedDict()
        self._keepalive = Keepalive(ping_seconds)

    def route(self) -> WebSocketRoute:
        """The route to mount."""
        return WebSocketRoute(PATH, self.serve, name="room_socket")

    async def serve(self, websocket: WebSocket) -> None:
        """Serve one connection from the upgrade to its end."""
        if not self._admits(websocket):
            await websocket.close()  # before the upgrade: HTTP 403
            return
        spoken = SUBPROTOCOL in websocket.scope["subprotocols"]
        await websocket.accept(subprotocol=SUBPROTOCOL if spoken else None)
        line = _Line(websocket, Connection(_now(), self._limits))
        if not spoken:
            line.connection.close(Close.TOO_OLD)
        address = subscriber_of(websocket.client.host) if websocket.client else ""
        if self._open >= self._most or self._open_of[address] >= self._most_of_one:
            line.connection.close(Close.TOO_MANY)
        self._open += 1
        self._open_of[address] += 1
        pinged = self._keepalive.add(line)
        try:
            await line.run(self)
        finally:
            pinged.discard(line)
            self._open -= 1
            self._open_of[address] -= 1
            if not self._open_of[address]:
                del self._open_of[address]
            self._hub.counts.closes.labels(str(int(line.connection.closing or Close.BYE))).inc()

    async def greet(self, line: "_Line", session: str, hello: Hello) -> Visit | None:
        """Find out who says hello, and bring them in."""
        caller = await self._authenticate(session, hello.ticket)
        if caller is None:
            line.connection.close(Close.BAD_TICKET)
            return None
        line.connection.budget = self._budget(session, caller.person, line.connection.budget)
        return await self._hub.join(session, caller, hello, line)

    def _budget(self, session: str, person: str, fresh: Budget) -> Budget:
        """Find what a person has left; of the longest absent it is forgotten, and so full again."""
        budget = self._budgets.setdefault((session, person), fresh)
        self._budgets.move_to_end((session, person))
        if len(self._budgets) > CONNECTIONS:
            self._budgets.popitem(last=False)
        return budget


class _Line:
    """One socket: a loop that reads until somebody is in the room, and then acts on what comes as it comes.

    Writes are done by whoever has something to say.
    A crowd is sent the same message line by line, each with memory that no cache holds any more, so what is
    looked at for that is little and lies together: `_direct` says that nothing else needs to be.
    """

    __slots__ = (
        "_direct",
        "_dry",
        "_giving_up",
        "_looking",
        "_visit",
        "_websocket",
        "_wire",
        "connection",
        "deflates",
        "descriptor",
    )

    def __init__(self, websocket: WebSocket, connection: Connection) -> None:
        self.connection = connection
        self._websocket = websocket
        self._direct: Callable[[bytes | memoryview], None] | None = None
        self._dry: asyncio.Event | None = None
        self._visit: Visit | None = None
        self._giving_up: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._wire: DirectProtocol = websocket.scope["extensions"][EXTENSION]
        self._wire.begin(self.wake)
        self.deflates = self._wire.deflates
        self.descriptor = -1

    def send(self, message: Message, kind: str | None = None, begun: int = 0) -> None:
        """Send a message: past the outbox when nothing waits there and the wire takes it, or has begun to."""
        write = self._wire.transport.write if begun else self._direct
        if write is None:
            self.connection.send_ready(message, kind)
            self.wake()
            return
        data = message.deflated if self.deflates else message.plain
        try:
            write(memoryview(data)[begun:] if begun else data)
        except (OSError, RuntimeError):  # as in `DirectProtocol.write`
            self._wire.abort()

    def wake(self) -> None:
        """The connection has outputs, or the wire has changed: write; close when that is due."""
        connection, wire = self.connection, self._wire
        while wire.ready and (message := connection.drain()) is not None:
            wire.write(message)
        if self._dry is not None and not connection.waiting:
            self._dry.set()
        if connection.closing is not None:
            self._close(connection.closing)
        if connection.clear and wire.ready:
            self._direct, self.descriptor = wire.transport.write, wire.descriptor
        else:
            self._direct, self.descriptor = None, -1

    def ping(self) -> None:
        """Send a ping, as `Keepalive` asks; who has not answered the one before is told to come back."""
        if not self._wire.ping():
            self.connection.close(Close.NO_PONG)
            self.wake()

    def _close(self, code: Close) -> None:
        if not self.connection.waiting:
            self._wire.end(code)
        elif self._giving_up is None:
            self._giving_up = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._wire.abort)

    async def drained(self) -> bool:
        """Return when nothing waits in the outbox any more; False if the line is gone."""
        while self.connection.waiting and not self._wire.gone:
            self._dry = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._dry.wait()
        self._dry = None
        return not self._wire.gone

    async def run(self, socket: RoomSocket) -> None:
        """Read until the connection ends."""
        self._look()
        try:
            while await self._read_one(socket):
                self.wake()
                if self._visit is not None and self._wire.queue.empty():
                    self._wire.received = self._hear  # from now on the loop reads nothing but the end
        except Exception:
            log.exception("socket failed", session=self._websocket.path_params["session"])
            self._send_back()
        finally:
            for timer in (self._looking, self._giving_up):
                if timer is not None:
                    timer.cancel()
            self._wire.changed = self._wire.received = self._direct = None
            self.descriptor = -1
            if self._visit is not None:
                self._visit.leave()
                self._visit = None  # which knows us

    def _look(self) -> None:
        """Look at the clock, now and again at the deadline, which meanwhile moves with each message."""
        self.connection.expire(_now())
        self.wake()
        if self.connection.closing is None:
            due = (self.connection.deadline + 1) / 1000  # `_now` rounds down
            self._looking = asyncio.get_running_loop().call_at(due, self._look)

    async def _read_one(self, socket: RoomSocket) -> bool:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            self.connection.close(Close.BYE)
            return False
        data = message.get("text")
        hello = self._act_on(message["bytes"] if data is None else data)
        if hello is not None:
            self._visit = await socket.greet(self, self._websocket.path_params["session"], hello)
        return True

    def _hear(self, data: str | bytes) -> bool:
        """Act on a message as it comes: ASGI would wake a task for each, and a dozen calls deep.

        Returns:
            Whether what comes next will be read.
        """
        try:
            self._act_on(data)
            self.wake()
        except Exception:
            log.exception("socket failed", session=self._websocket.path_params["session"])
            self._send_back()
        return self.connection.closing is None

    def _act_on(self, data: str | bytes) -> Hello | None:
        """Act on a message, and return it if it is a greeting."""
        frame = self.connection.receive(data, _now(), clock())
        if isinstance(frame, Hello):
            return frame
        if frame is not None and self._visit is not None:
            self._visit.receive(frame)
        return None

    def _send_back(self) -> None:
        self.connection.close(Close.RESYNC)
        self.wake()


def _now() -> int:
    return int(asyncio.get_running_loop().time() * 1000)
