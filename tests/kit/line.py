"""A line that tests can cut: a TCP relay between a browser and the server, or a server and its store."""

import asyncio
import re
from contextlib import suppress
from typing import Self

_HEAD = re.compile(rb"^[A-Z]+ (\S+) HTTP/1\.1\r\n((?:[^\r\n]+\r\n)*)\r\n", re.MULTILINE)


class Line:
    """Relays every connection to `port` of this host until it is cut; mending lets new ones through.

    Args:
        port: where to.
        keep: remember what was asked, for `requests`.
    """

    def __init__(self, port: int, *, keep: bool = False) -> None:
        self._to = port
        self._kept: list[bytearray] | None = [] if keep else None
        self._up = True
        self._flows = asyncio.Event()
        self._flows.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """The address to give to a browser."""
        return f"http://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Drop every connection at once and refuse new ones."""
        self._up = False
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        """Let new connections through again."""
        self._up = True

    def stall(self) -> None:
        """Let nothing through and say nothing, as a network does that was cut in two."""
        self._flows.clear()

    def flow(self) -> None:
        """End a stall: what was sent meanwhile arrives, as TCP repeats it."""
        self._flows.set()

    def requests(self) -> list[tuple[str, str | None]]:
        """What an access log would have of each HTTP request: target and `Referer`."""
        found = []
        for kept in self._kept or ():
            for head in _HEAD.finditer(kept):
                fields = dict(field.split(": ", 1) for field in head[2].decode("latin-1").splitlines())
                lower = {name.lower(): value for name, value in fields.items()}
                found.append((head[1].decode("latin-1"), lower.get("referer")))
        return found

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._up:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        asked = bytearray() if self._kept is not None else None
        if self._kept is not None and asked is not None:
            self._kept.append(asked)
        for source, sink, kept in ((reader, far_writer, asked), (far_reader, writer, None)):
            task = asyncio.create_task(self._pump(source, sink, kept))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, kept: bytearray | None
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if kept is not None:
                    kept += data
                await self._flows.wait()
                sink.write(data)
                await sink.drain()
        with suppress(OSError):
            sink.close()
        self._open.discard(sink)
