"""A way past ASGI, both ways: ready bytes into the transport, and messages to whom they are for as they come.

No task and no queue are between; the application does the rest, from the upgrade to the greeting and the end.
This is the gateway's one seam to uvicorn's private names; `tests/gateway/test_direct.py` fails when they
move.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame
from websockets.server import ServerProtocol

from live.gateway.connection import Bucket
from live.gateway.message import Message
from live.protocol.frames import Rate

EXTENSION: Final = "madoi.direct"
"""Where the ASGI scope's ``extensions`` hold the `DirectProtocol`."""
PING_BACKLOG: Final = 64 * 1024
"""Bytes waiting in a transport from which on a ping is not answered."""
SLICE: Final = 4096
"""Bytes parsed at once; the loop reads up to 256 kB in one turn."""
PING: Final = b"\x89\x00"
"""A ping that carries nothing (RFC 6455 §5.5.2): the same bytes for everybody."""
CONTROL: Final = Rate(20, 100)
"""Pings, pongs, empty fragments and late frames of one connection; a browser sends a pong in 20 s."""


class Inbox:
    """What came for the application, which alone reads it: an `asyncio.Queue` of a tenth of the size."""

    __slots__ = ("_came", "_messages")

    def __init__(self) -> None:
        self._messages: list[Any] = []
        self._came: asyncio.Future[None] | None = None

    def put_nowait(self, message: Any) -> None:  # noqa: ANN401 - ASGI's
        """Add a message."""
        self._messages.append(message)
        if self._came is not None and not self._came.done():
            self._came.set_result(None)

    async def get(self) -> Any:  # noqa: ANN401 - ASGI's
        """Wait for a message and take it; cancelled, it takes none."""
        while not self._messages:
            self._came = asyncio.get_running_loop().create_future()
            try:
                await self._came
            finally:
                self._came = None
        return self._messages.pop(0)

    def empty(self) -> bool:
        """Whether nothing is there."""
        return not self._messages

    def clear(self) -> None:
        """Forget what was not taken."""
        self._messages.clear()


class DirectProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, with a door for finished messages.

    Attributes:
        changed: Called when the transport takes bytes again, or takes none any more.
        received: Takes each message in the application's place, and tells whether anybody reads on; it must
            not raise.
        deflates: Whether the peer inflates what was deflated once for all.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self.queue: Inbox = Inbox()  # type: ignore[assignment]
        self.changed: Callable[[], None] | None = None
        self.received: Callable[[str | bytes], bool] | None = None
        self.deflates = False
        self.descriptor = -1
        self._takes = True
        self._answered = True
        self._control = Bucket(CONTROL)
        if self.config.ws_per_message_deflate:
            # Without context takeover one deflated message serves all, and no connection keeps a window.
            self.conn = ServerProtocol(
                extensions=[
                    ServerPerMessageDeflateFactory(
                        server_no_context_takeover=True, client_no_context_takeover=True
                    )
                ],
                max_size=self.config.ws_max_size,
                logger=logging.getLogger("uvicorn.error"),
            )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the transport hold nothing but what the kernel has left of one write."""
        super().connection_made(transport)
        # TLS transports pause from the limit on, the others above it.
        self.transport.set_write_buffer_limits(0 if self.scheme == "ws" else 1)

    def data_received(self, data: bytes) -> None:
        """Parse slice by slice: once a slice has ended the line, the rest is not worth memory."""
        for start in range(0, len(data), SLICE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE])
            if self.gone:
                self._tell()

    def handle_ping(self) -> None:
        """Answer, unless much waits: behind that a pong is of no use to anybody."""
        pongs = b"".join(self.conn.data_to_send())
        if self._bears() and self.transport.get_write_buffer_size() < PING_BACKLOG:
            self.transport.write(pongs)

    def handle_pong(self, event: Frame) -> None:  # noqa: ARG002 - uvicorn's
        """Count, and take it for an answer, also one that nobody asked for (RFC 6455 §5.5.3)."""
        if self._bears():
            self._answered = True

    def handle_cont(self, event: Frame) -> None:
        """Count the empty ones: the others have a limit in the largest message."""
        if event.data or self._bears():
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Give a message to `received`, else to the application; after an end to nobody.

        What nobody reads, as our close has been sent or waits to be, is counted.
        """
        if not self._bears() if self.close_sent else self.transport.is_closing():
            return
        message = None if self.received is None or self.close_sent else self._message()
        if self.received is None or message is None:
            super().send_receive_event_to_app()
        else:
            self.frames = []
            if not self.received(message):
                self._bears()

    def _message(self) -> str | bytes | None:
        """The message that has come whole; None if it is no UTF-8, for which uvicorn ends the line."""
        data = b"".join(self.frames)
        try:
            return data.decode() if self.curr_msg_data_type == "text" else data
        except UnicodeDecodeError:
            return None

    def _bears(self) -> bool:
        """Take a frame that no rule of the room counts; who sends too many of them is cut off."""
        if self._control.take(int(self.loop.time() * 1000)):
            self.transport.abort()
        return not self.transport.is_closing()

    def shutdown(self) -> None:
        """The server ends."""
        super().shutdown()
        self._tell()

    async def run_asgi(self) -> None:
        """Hand ourselves to the application, and take ourselves back.

        What ended refers to itself nowhere, so the last reference frees it: a crowd that leaves is no work
        for the garbage collector (see `live.heap`).
        """
        self.scope["extensions"][EXTENSION] = self  # type: ignore[assignment]
        try:
            await super().run_asgi()
        finally:
            self.scope["extensions"].clear()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more: end the parser, a generator that holds what holds it."""
        super().connection_lost(exc)
        self.conn.parser.close()
        self._tell()

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        super().pause_writing()
        self._takes = False
        self._tell()

    def resume_writing(self) -> None:
        """The transport's buffer is low again."""
        super().resume_writing()
        self._takes = True
        self._tell()

    def _tell(self) -> None:
        if self.changed is not None:
            self.changed()

    def begin(self, changed: Callable[[], None]) -> None:
        """After the handshake: be told of each change of `ready`, and forget what the handshake needed.

        Args:
            changed: Called with each change and perhaps without one; it must not raise.
        """
        self.changed = changed
        self.deflates = any(
            isinstance(extension, PerMessageDeflate) and extension.local_max_window_bits == 15  # noqa: PLR2004
            for extension in self.conn.extensions
        )
        if self.scheme == "ws":
            self.descriptor = self.transport.get_extra_info("socket").fileno()
        # A browser's headers are kilobytes, and nobody looks at them again.
        self.scope["headers"].clear()  # type: ignore[attr-defined] # uvicorn makes a list
        self.request.headers.clear()  # websockets' parser holds the request as long as it lives
        del self.request, self.response

    @property
    def ready(self) -> bool:
        """Whether `write` may be called."""
        return self._takes and not self.close_sent and not self.transport.is_closing()

    @property
    def gone(self) -> bool:
        """Whether nothing can be written any more."""
        return self.close_sent or self.transport.is_closing()

    def write(self, message: Message) -> None:
        """Send a message; only while `ready`. A transport that fails hurts nobody else: it ends."""
        self._write(message.deflated if self.deflates else message.plain)

    def ping(self) -> bool:
        """Send a ping; False, and no ping, if the one before was not answered."""
        if self.gone:
            return True
        if not self._answered:
            return False
        self._answered = False
        self._write(PING)
        return True

    def _write(self, data: bytes) -> None:
        try:
            self.transport.write(data)
        except (OSError, RuntimeError):  # uvloop may raise on a transport that was closed a moment ago
            self.transport.abort()

    def end(self, code: int) -> None:
        """Begin the closing handshake (RFC 6455 §7.1.2); the application hears of a disconnection at once.

        A peer that does not read is not waited for: after uvicorn's time for closing, what waits is lost.
        """
        if self.close_sent or self.transport.is_closing():
            return
        self.queue.clear()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        try:
            self.conn.send_close(code)
        except InvalidState:
            self.transport.close()
            return
        self.close_sent = True
        self.transport.write(b"".join(self.conn.data_to_send()))
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def abort(self) -> None:
        """End at once; what waits is lost."""
        self.transport.abort()
