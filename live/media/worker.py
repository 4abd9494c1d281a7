"""The media worker's process: `python -m live.media.worker FD`, started by `live.media.link`.

FD is its end of a unix socket pair. When the other end closes, its parent is gone, and so is the worker.
"""

import asyncio
import signal
import socket
import sys
import traceback

import msgspec
import uvloop

from live.heap import spare_survivors, tidy
from live.media.control import (
    Answered,
    Choose,
    Complete,
    Configure,
    Count,
    Counted,
    Delete,
    Done,
    Expel,
    Failed,
    Inspect,
    Inspected,
    MediaRefused,
    Noticed,
    Patched,
    Poll,
    Polled,
    Publish,
    Ready,
    Relay,
    Reply,
    Request,
    Stage,
    StageNotice,
    Trickle,
    Unframer,
    Watch,
    frame,
    read_request,
)
from live.media.plane import Plane

#: Bytes of notices that may wait for a parent that does not read; further ones are dropped.
_UNREAD_LIMIT = 8 * 1024 * 1024

_READ = 65536


class Worker:
    """Answers the requests of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._plane: Plane | None = None

    async def run(self) -> None:
        """Reads until the other end closes."""
        unframer = Unframer()
        try:
            while data := await self._reader.read(_READ):
                for body in unframer.feed(data):
                    self._say(self._answer(read_request(body)))
        except (ConnectionError, ValueError, msgspec.DecodeError) as error:
            print(f"media worker: {error}", file=sys.stderr)  # noqa: T201  # its parent's log
        finally:
            if self._plane is not None:
                await self._plane.close()
            self._writer.close()

    def present(self) -> int:
        """How many peers it has."""
        return sum(self._plane.peers_by_room().values()) if self._plane is not None else 0

    def _say(self, message: Reply | Noticed) -> None:
        self._writer.write(frame(message))

    def _notice(self, room: str, notice: StageNotice) -> None:
        if self._writer.transport.get_write_buffer_size() < _UNREAD_LIMIT:
            self._say(Noticed(room, notice))

    def _answer(self, request: Request) -> Reply:
        try:
            return self._do(request)
        except MediaRefused as refusal:
            return Failed(request.ref, refusal.code, refusal.status)
        except Exception:  # noqa: BLE001  # one request's mistake must not end everybody's media
            traceback.print_exc()
            return Failed(request.ref, "media_error", 500)

    def _do(self, request: Request) -> Reply:
        if isinstance(request, Configure):
            return self._configure(request)
        if self._plane is None:
            raise MediaRefused("not_configured", 503)
        return _ask(self._plane, request)

    def _configure(self, request: Configure) -> Reply:
        if self._plane is not None:
            raise MediaRefused("configured", 409)
        plane = Plane(request.settings, self._notice, request.secret, request.life)
        try:
            port = plane.open()
            if request.relay:
                plane.listen(request.relay)
        except OSError as error:
            print(f"media worker: UDP port {request.settings.port}: {error}", file=sys.stderr)  # noqa: T201  # its parent's log
            raise MediaRefused("port_taken", 503) from error
        self._plane = plane
        return Ready(request.ref, port)


def _ask(plane: Plane, request: Request) -> Reply:  # noqa: C901, PLR0911  # a table, one line for each request
    match request:
        case Publish(ref, room, person, source, sdp):
            return Answered(ref, plane.publish(room, person, source, sdp))
        case Watch(ref, room, person, behind, sdp, tier):
            return Answered(ref, plane.watch(room, person, behind, sdp, tier))
        case Complete(ref, room, resource, sdp):
            plane.complete(room, resource, sdp)
        case Trickle(ref, room, resource, fragment, etag):
            return Patched(ref, plane.trickle(room, resource, fragment, etag))
        case Choose(ref, room, resource, tier):
            plane.choose(room, resource, tier)
        case Delete(ref, room, resource):
            plane.delete(room, resource)
        case Stage(ref, room, facts, home, revision):
            plane.stage(room, facts, home=home, revision=revision)
        case Relay(ref, room, siblings):
            plane.relay(room, siblings)
        case Expel(ref, room, person):
            plane.expel(room, person)
        case Inspect(ref, room):
            return Inspected(ref, plane.lines(room))
        case Count(ref):
            return Counted(ref, plane.numbers())
        case Poll(ref):
            return Polled(ref, plane.peers_by_room())
    return Done(request.ref)


async def serve(descriptor: int) -> None:
    """Speaks on the inherited socket until it closes or the process is told to end."""
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=descriptor))
    worker = Worker(reader, writer)
    tidying = asyncio.create_task(tidy(worker.present), name="tidy")
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, reader.feed_eof)
    await worker.run()
    tidying.cancel()


def main() -> None:
    """The process's entry. A terminal's Ctrl-C reaches the parent too, and it decides."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spare_survivors()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))


if __name__ == "__main__":
    main()
