"""The ASGI side's handle on the media worker: starts it, keeps it alive, asks it things."""

import asyncio
import contextlib
import secrets
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from live.media.control import (
    SDP_LIMIT,
    Answer,
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
    LineFacts,
    MediaRefused,
    MediaSettings,
    Noticed,
    Patch,
    Patched,
    Poll,
    Polled,
    Publish,
    Ready,
    Relay,
    Reply,
    Request,
    Stage,
    StageFacts,
    StageNotice,
    Trickle,
    Unframer,
    Watch,
    frame,
    read_reply,
)
from live.sfu import Tier

R = TypeVar("R", bound=Reply)

#: Seconds before a dead worker's first and at most before its later successors.
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0

#: A worker that lived so long, seconds, was healthy: the wait starts anew.
_HEALTHY = 30.0

#: Seconds that a worker may take to load its modules and listen.
_BIRTH = 60.0

#: A worker is polled so often, seconds, and is given up after so many silent polls in a row.
_POLL, _SILENT_POLLS = 1.0, 3

#: Bytes that may wait for a worker that does not read; further requests are refused.
_UNREAD_LIMIT = 8 * 1024 * 1024

_READ = 65536

_log = structlog.get_logger(__name__)


class MediaLink:
    """One media worker: started by `start`, restarted with back-off when it dies, ended by `close`.

    Every asking method raises `MediaRefused`: with the worker's code, or `media_unavailable` (503) while
    there is no worker, or `media_slow` (504) when it did not answer in time.

    Args:
        settings: told to each worker.
        on_notice: see below.
        secret: keys ICE passwords. A server that starts with the secret it had before can tell the peers of
        its
            former life at once that they must come back; without, they notice by silence, in about 10 s.
        folder: where the worker's socket for relays is made; None for a worker without siblings.

    Attributes:
        on_notice: called with the room and its notice, on the link's event loop.
        on_lost: called as soon as the worker is known to be dead; it may call `forget`.
        on_ready: called when a successor listens.
        on_poll: called when the worker is asked for peers by room, then `on_polled` with its answer.
        port: the UDP port, once started.
        life: the present worker's own name, with which the names of its resources begin.
        restarts: how often a worker had to be replaced.
    """

    def __init__(
        self,
        settings: MediaSettings | None = None,
        on_notice: Callable[[str, StageNotice], None] | None = None,
        secret: bytes | None = None,
        folder: Path | None = None,
    ) -> None:
        self._secret = secret or secrets.token_bytes(32)
        self.settings = settings or MediaSettings()
        self.on_notice = on_notice
        self.on_lost: Callable[[], None] = _ignore
        self.on_ready: Callable[[], None] = _ignore
        self.on_poll: Callable[[], None] = _ignore
        self.on_polled: Callable[[dict[str, int]], None] = _ignore_poll
        self.port = 0
        self.life = ""
        self.restarts = 0
        self._folder = folder
        self._stages: dict[str, tuple[StageFacts, bool, int]] = {}
        self._told: set[str] = set()
        self._pending: dict[int, asyncio.Future[Reply]] = {}
        self._ref = 0
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._heard = False
        self._ready = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """A worker is there and listens."""
        return self._ready.is_set()

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Starts the worker and waits until it listens.

        Raises:
            MediaRefused: `port_taken` or `media_unavailable`; no worker is left behind.
        """
        try:
            await self._spawn()
        except BaseException:
            await self._reap()
            raise
        self._task = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        """Ends the worker, which says goodbye to its peers."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._reap()

    async def publish(self, room: str, person: str, source: str, offer_sdp: str) -> Answer:
        """Takes a WHIP offer for `camera` (with the microphone) or `screen`."""
        _fits(offer_sdp)
        request = Publish(self._next(), room, person, source, offer_sdp)
        return (await self._ask(request, Answered)).answer

    async def watch(
        self, room: str, person: str, behind: bool, offer_sdp: str | None, tier: Tier = "video"
    ) -> Answer:
        """Takes a WHEP offer; without one, the answer's SDP is the server's offer of the whole stage.

        `tier` says how much of the stage comes; `choose` changes it.
        """
        _fits(offer_sdp or "")
        request = Watch(self._next(), room, person, behind, offer_sdp or None, tier)
        return (await self._ask(request, Answered)).answer

    async def answer(self, room: str, resource: str, sdp: str) -> None:
        """Takes the client's answer to the server's offer."""
        _fits(sdp)
        await self._ask(Complete(self._next(), room, resource, sdp), Done)

    async def patch(self, room: str, resource: str, fragment: str, etag: str | None) -> Patch:
        """Takes a trickle fragment; `etag` is the If-Match header's value."""
        _fits(fragment)
        return (await self._ask(Trickle(self._next(), room, resource, fragment, etag), Patched)).patch

    async def choose(self, room: str, resource: str, tier: Tier) -> None:
        """Changes what a watch receives; the rest stops at the server, without a new negotiation."""
        await self._ask(Choose(self._next(), room, resource, tier), Done)

    async def delete(self, room: str, resource: str) -> None:
        """Ends a resource."""
        await self._ask(Delete(self._next(), room, resource), Done)

    async def expel(self, room: str, person: str | None) -> None:
        """Ends everything a person, or for None anybody, has in a room; a dead worker has done so already."""
        with contextlib.suppress(Unavailable):
            await self._ask(Expel(self._next(), room, person), Done)

    async def stage(self, room: str, facts: StageFacts, *, home: bool = True, revision: int = 0) -> None:
        """Tells a room's stage; it is remembered and told to every later worker, unless it is empty."""
        self._stages[room] = (facts, home, revision)
        if facts == StageFacts():
            del self._stages[room]
        with contextlib.suppress(Unavailable):
            await self._ask(Stage(self._next(), room, facts, home, revision), Done)

    def forget(self) -> None:
        """Later workers are not told the stages known so far: others have taken the rooms over."""
        self._stages.clear()

    async def relay(self, room: str, siblings: Sequence[str]) -> None:
        """Lets the worker, home of a room, relay it to the siblings with these paths and to no others."""
        with contextlib.suppress(Unavailable):
            await self._ask(Relay(self._next(), room, list(siblings)), Done)

    @property
    def relay_path(self) -> str:
        """Where the present worker takes relays; empty without siblings."""
        return str(self._folder / self.life) if self._folder is not None else ""

    async def lines(self, room: str) -> list[LineFacts]:
        """How the lines of a room's publishers are doing."""
        return (await self._ask(Inspect(self._next(), room), Inspected)).lines

    async def stats(self) -> dict[str, int | float | str]:
        """The worker's numbers and the link's `restarts`; without a worker only the latter."""
        numbers: dict[str, int | float | str] = {"restarts": self.restarts, "ready": int(self.ready)}
        with contextlib.suppress(MediaRefused):
            numbers |= (await self._ask(Count(self._next()), Counted)).numbers
            numbers["pid"] = self.pid or 0
        return numbers

    # — asking —

    def _next(self) -> int:
        self._ref += 1
        return self._ref

    async def _ask(self, request: Request, expected: type[R], seconds: float | None = None) -> R:
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > _UNREAD_LIMIT:
            raise Unavailable
        future = self._pending[request.ref] = asyncio.get_running_loop().create_future()
        try:
            writer.write(frame(request))
            async with asyncio.timeout(seconds or self.settings.request_seconds):
                reply = await future
        except TimeoutError as error:
            raise MediaRefused("media_slow", 504) from error
        finally:
            self._pending.pop(request.ref, None)
        if isinstance(reply, Failed):
            raise MediaRefused(reply.code, reply.status)
        if not isinstance(reply, expected):
            raise MediaRefused("media_confused", 502)
        return reply

    # — the process —

    async def _spawn(self) -> None:
        here, there = socket.socketpair()
        with there:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "live.media.worker", str(there.fileno()), pass_fds=[there.fileno()]
            )
        reader, self._writer = await asyncio.open_unix_connection(sock=here)
        self._reading = asyncio.create_task(self._read(reader))
        self.life = secrets.token_hex(4)
        settings = msgspec.structs.replace(self.settings, port=self.port or self.settings.port)
        configure = Configure(self._next(), settings, self._secret, self.life, self.relay_path)
        self.port = (await self._ask(configure, Ready, _BIRTH)).port
        for room, (facts, home, revision) in list(self._stages.items()):
            await self._ask(Stage(self._next(), room, facts, home, revision), Done)
        self._ready.set()
        _log.info("media_worker_ready", port=self.port, pid=self.pid, life=self.life)
        self.on_ready()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        unframer = Unframer()
        try:
            while data := await reader.read(_READ):
                for body in unframer.feed(data):
                    self._take(read_reply(body))
        except (ConnectionError, ValueError, msgspec.DecodeError) as error:
            _log.warning("media_worker_lost", error=str(error))
        self._ready.clear()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for future in self._pending.values():
            if not future.done():
                future.set_exception(Unavailable())

    def _take(self, message: Reply | Noticed) -> None:
        self._heard = True
        if isinstance(message, Noticed):
            self._told.add(message.room)
            self._tell(message.room, message.notice)
            return
        future = self._pending.get(message.ref)
        if future is not None and not future.done():
            future.set_result(message)

    async def _supervise(self) -> None:
        wait = _FIRST_WAIT
        loop = asyncio.get_running_loop()
        while True:
            born = loop.time()
            if self._reading is not None:
                polling = asyncio.create_task(self._poll())
                await asyncio.wait({self._reading})
                polling.cancel()
            self.on_lost()
            await self._reap()
            self._empty_stages()
            if loop.time() - born > _HEALTHY:
                wait = _FIRST_WAIT
            while not self.ready:
                self.restarts += 1
                _log.warning("media_worker_restarts", wait=wait, restarts=self.restarts)
                await asyncio.sleep(wait * (0.5 + secrets.randbelow(1000) / 1000))
                wait = min(wait * 2, _LONGEST_WAIT)
                try:
                    await self._spawn()
                except (MediaRefused, OSError) as error:
                    _log.warning("media_worker_failed", error=str(error))
                    await self._reap()

    async def _poll(self) -> None:
        """Counts the worker's peers, and kills it when it answers nothing for `silence_seconds`.

        A worker that is only slow says something meanwhile, an answer to an earlier poll at least. Polls that
        this process had no time to wait for do not count: what has arrived is read before time is looked at.
        """
        silent, patience = 0, self.settings.silence_seconds / _SILENT_POLLS
        while silent < _SILENT_POLLS:
            await asyncio.sleep(0 if silent else _POLL)
            self._heard = False
            self.on_poll()
            try:
                async with asyncio.timeout(patience):
                    polled = await self._ask(Poll(self._next()), Polled)
            except TimeoutError:
                silent = 0 if self._heard else silent + 1
            except MediaRefused:
                return
            else:
                silent = 0
                self.on_polled(polled.rooms)
        _log.warning("media_worker_silent", port=self.port, pid=self.pid, life=self.life)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    def _empty_stages(self) -> None:
        """Nobody is seen any more where somebody was."""
        rooms, self._told = self._told, set()
        for room in rooms:
            for behind in (False, True):
                self._tell(room, StageNotice(behind=behind))

    def _tell(self, room: str, notice: StageNotice) -> None:
        if self.on_notice is None:
            return
        try:
            self.on_notice(room, notice)
        except Exception:  # noqa: BLE001  # the listener's mistake must not cut the worker off
            _log.exception("media_notice_failed", session=room)

    async def _reap(self) -> None:
        writer, process = self._writer, self._process
        self._writer = self._process = None
        self._ready.clear()
        if writer is not None:
            writer.close()
        if self._reading is not None:
            await asyncio.wait({self._reading})
        if process is not None:
            try:
                async with asyncio.timeout(4):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


class Unavailable(MediaRefused):
    """There is no worker, or it has just died."""

    def __init__(self) -> None:
        super().__init__("media_unavailable", 503)


def _ignore() -> None:
    return None


def _ignore_poll(_: dict[str, int]) -> None:
    return None


def _fits(text: str) -> None:
    if len(text) > SDP_LIMIT or len(text.encode(errors="replace")) > SDP_LIMIT:
        raise MediaRefused("sdp_too_long", 413)
