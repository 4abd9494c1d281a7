"""One message to many lines: a port with two bodies, in C and in Python.

The native one sends to the sockets themselves, all of them in one call. The event loop has the same sockets,
so a line gives its descriptor away only while nothing stands against writing to it; see `Line.descriptor`.
"""

import importlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Final, Literal, NamedTuple, Protocol, Self

from live.gateway.connection import Connection
from live.gateway.message import Message

INTERFACE: Final = 1
"""What the extension must say it was made for."""

native: ModuleType | None = None
"""The extension that `hatch_build.py` makes of `native/broadcast.c`; None where it is not built."""

native_problem = ""
"""Why `native` is None."""

try:
    native = importlib.import_module("live.gateway._broadcast")
    if native.INTERFACE != INTERFACE:
        native, native_problem = None, "it was compiled for another version: `make run` compiles it anew"
except ImportError as error:
    native_problem = str(error)


class Line(Protocol):
    """A viewer's connection with the wire behind it.

    Attributes:
        connection: What it says.
        descriptor: Where a broadcast may write on its own: a socket without TLS, for which nothing waits in
            the outbox and nothing in the event loop; -1 otherwise.
        deflates: Whether the viewer inflates what was deflated once for all.
    """

    connection: Connection
    descriptor: int
    deflates: bool

    def send(self, message: Message, kind: str | None = None, begun: int = 0) -> None:
        """Send a message, without the `begun` bytes that it took; of a lossy `kind` only the newest waits."""

    def wake(self) -> None:
        """The connection has outputs."""

    async def drained(self) -> bool:
        """Return when nothing waits in the outbox any more; False if the line is gone."""


class Crowd(NamedTuple):
    """Lines that are sent the same, apart by what they can read."""

    plain: list[Line]
    deflating: list[Line]

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Self:
        """Sort lines."""
        crowd = cls([], [])
        for line in lines:
            (crowd.deflating if line.deflates else crowd.plain).append(line)
        return crowd


Broadcast = Callable[[Crowd, Message, str | None], None]
"""Sends a message to a crowd; of a lossy kind only the newest waits."""


def broadcast_body(name: Literal["auto", "native", "python"]) -> Broadcast:
    """The body of a name: the native one where it is built, unless Python's is asked for."""
    return python_broadcast if name == "python" or native is None else native_broadcast


def python_broadcast(crowd: Crowd, message: Message, kind: str | None = None) -> None:
    """Send line by line."""
    for lines in crowd:
        for line in lines:
            line.send(message, kind)


def native_broadcast(crowd: Crowd, message: Message, kind: str | None = None) -> None:
    """Send by `native/broadcast.c`, and line by line to those who did not take all."""
    if crowd.plain:
        _native_broadcast(crowd.plain, message, message.plain, kind)
    if crowd.deflating:
        _native_broadcast(crowd.deflating, message, message.deflated, kind)


def _native_broadcast(lines: list[Line], message: Message, data: bytes, kind: str | None) -> None:
    for place, taken in native.send([line.descriptor for line in lines], data):  # type: ignore[union-attr]
        lines[place].send(message, kind, taken)
