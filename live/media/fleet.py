"""The media workers of one node: which of them has a room, and what happens when one dies.

A room's *home* is one worker, by load (`placement`). Publishers and those behind the curtain go there; when a
worker has as many peers as it should, further viewers go to siblings, to which the home relays (`relaying`).
When a worker dies its rooms move at once to the worker that has most of their viewers, and everybody is told
which worker is gone: pages whose media was there publish and watch anew.
"""

import asyncio
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import structlog

from live.media.control import Answer, LineFacts, MediaRefused, MediaSettings, Patch, StageFacts, StageNotice
from live.media.link import MediaLink, Unavailable
from live.media.placement import Placement
from live.sfu import Tier

#: Names of dead workers that are remembered for those who come back late.
_REMEMBERED = 16

#: Peers on one worker from which on further viewers go to a sibling.
PEERS_PER_WORKER = 500

_log = structlog.get_logger(__name__)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Stage(NamedTuple):
    """What a room's workers were told last, and which they are."""

    facts: StageFacts
    home: int | None
    siblings: frozenset[int]


class MediaFleet:
    """Several media workers that look like one; with one worker it only passes on.

    Methods raise `MediaRefused` as `MediaLink`'s do; a resource whose worker is gone is `unknown_resource`
    (404) from that moment on.

    Args:
        settings: told to each worker; worker *n* listens on `port` + *n*.
        on_notice: see below.
        secret: see `MediaLink`.
        workers: how many.
        limit: peers on one worker from which on further viewers go to a sibling.

    Attributes:
        on_notice: called with a room and its notice, of its home only.
        on_gone: called with the names of workers that died, newest last, once others can take their peers.
        links: the workers, by number.
    """

    def __init__(
        self,
        settings: MediaSettings | None = None,
        on_notice: Callable[[str, StageNotice], None] | None = None,
        secret: bytes | None = None,
        *,
        workers: int = 1,
        limit: int = PEERS_PER_WORKER,
    ) -> None:
        settings = settings or MediaSettings()
        self.on_notice = on_notice
        self.on_gone: Callable[[tuple[str, ...]], None] | None = None
        self.gone: tuple[str, ...] = ()
        self.links: list[MediaLink] = []
        self._placement = Placement(workers, limit)
        self._stages: dict[str, _Stage] = {}
        self._shown: dict[str, set[bool]] = {}
        self._revision = 0
        self._telling: set[asyncio.Task[Any]] = set()
        self._folder = Path(tempfile.mkdtemp(prefix="madoi-")) if workers > 1 else None
        for number in range(workers):
            port = settings.port + number if settings.port else 0
            own = msgspec.structs.replace(settings, port=port)
            link = MediaLink(own, functools.partial(self._noticed, number), secret, self._folder)
            link.on_ready = functools.partial(self._ready, number)
            link.on_lost = functools.partial(self._lost, number)
            link.on_poll = functools.partial(self._placement.asked, number)
            link.on_polled = functools.partial(self._polled, number)
            self.links.append(link)

    async def start(self) -> None:
        """Starts the workers and waits until all listen.

        Raises:
            MediaRefused: `port_taken` or `media_unavailable`; no worker is left behind.
        """
        starts = await asyncio.gather(*(link.start() for link in self.links), return_exceptions=True)
        for outcome in starts:
            if isinstance(outcome, BaseException):
                await self.close()
                raise outcome

    async def close(self) -> None:
        """Ends the workers, which say goodbye to their peers."""
        for telling in self._telling:
            telling.cancel()
        await asyncio.gather(*(link.close() for link in self.links))
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    # — what the HTTP side asks —

    async def publish(self, room: str, person: str, source: str, offer_sdp: str) -> Answer:
        """Takes a WHIP offer at the room's home; see `MediaLink.publish`."""
        return await self._place(room, at_home=True).publish(room, person, source, offer_sdp)

    async def watch(
        self, room: str, person: str, behind: bool, offer_sdp: str | None, tier: Tier = "video"
    ) -> Answer:
        """Takes or makes a WHEP offer at the home or a sibling; see `MediaLink.watch`."""
        return await self._place(room, at_home=behind).watch(room, person, behind, offer_sdp, tier)

    async def answer(self, room: str, resource: str, sdp: str) -> None:
        """Takes the client's answer to the server's offer."""
        with _gone():
            await self._holder(resource).answer(room, resource, sdp)

    async def patch(self, room: str, resource: str, fragment: str, etag: str | None) -> Patch:
        """Takes a trickle fragment; `etag` is the If-Match header's value."""
        with _gone():
            return await self._holder(resource).patch(room, resource, fragment, etag)

    async def choose(self, room: str, resource: str, tier: Tier) -> None:
        """Changes what a watch receives."""
        with _gone():
            await self._holder(resource).choose(room, resource, tier)

    async def delete(self, room: str, resource: str) -> None:
        """Ends a resource."""
        with _gone():
            await self._holder(resource).delete(room, resource)

    async def expel(self, room: str, person: str | None) -> None:
        """Ends everything a person, or for None anybody, has in a room; a dead worker has done so already."""
        await asyncio.gather(*(link.expel(room, person) for link in self.links))

    async def stage(self, room: str, facts: StageFacts) -> None:
        """Tells a room's stage to its home and its siblings; returns when all of them have it."""
        known = self._stages.get(room)
        if known is None:
            home, siblings = self._placement.find_home(room), self._placement.siblings(room)
        else:
            home, siblings = known.home, known.siblings
        self._stages[room] = _Stage(facts, home, siblings)
        everywhere = [number for number in (home, *siblings) if number is not None]
        await asyncio.gather(*(self._told(number, room) for number in everywhere))
        self._forget(room)

    async def stats(self) -> dict[str, int | float | str]:
        """All workers' numbers added up, and `workers`, how many there are."""
        totals: dict[str, int | float | str] = {"workers": len(self.links)}
        for numbers in await self.stats_by_worker():
            for name, value in numbers.items():
                before = totals.get(name, 0)
                if isinstance(value, str) or isinstance(before, str):
                    totals[name] = value
                else:
                    totals[name] = before + value
        return totals

    async def stats_by_worker(self) -> list[dict[str, int | float | str]]:
        """The numbers of each worker, and how many rooms it is `home` to."""
        stats = await asyncio.gather(*(link.stats() for link in self.links))
        return [{**numbers, "homes": self._placement.rooms(n)} for n, numbers in enumerate(stats)]

    async def lines(self, room: str) -> list[LineFacts]:
        """How the lines of a room's publishers are doing, as its home sees them."""
        home = self._placement.home(room)
        return [] if home is None else await self.links[home].lines(room)

    def has(self, resource: str) -> bool:
        """The resource's worker is one of ours, and lives."""
        life = resource.partition(".")[0]
        return any(link.life == life and link.ready for link in self.links)

    def occupied(self) -> set[str]:
        """Rooms in which anybody has media."""
        return self._placement.occupied()

    # — where things are —

    def _place(self, room: str, *, at_home: bool) -> MediaLink:
        number = self._placement.place(room, at_home=at_home)
        if number is None:
            raise Unavailable
        self._settle(room)
        return self.links[number]

    def _holder(self, resource: str) -> MediaLink:
        life = resource.partition(".")[0]
        for link in self.links:
            if link.life == life and link.ready:
                return link
        raise MediaRefused("unknown_resource", 404)

    def _settle(self, room: str) -> None:
        """Brings a room's workers to what the placement says."""
        known = self._stages.get(room) or _Stage(StageFacts(), None, frozenset())
        now = _Stage(known.facts, self._placement.home(room), self._placement.siblings(room))
        if now == known:
            return
        self._stages[room] = now
        after = {n for n in (now.home, *now.siblings) if n is not None}
        for number in {n for n in (known.home, *known.siblings) if n is not None} - after:
            self._tell(self._told(number, room, over=True))
        for number in sorted(after, key=lambda n: n == now.home):
            self._tell(self._told(number, room))
        if now.home is not None and (now.siblings or known.siblings):
            paths = [self.links[number].relay_path for number in sorted(now.siblings)]
            self._tell(self.links[now.home].relay(room, paths))

    def _told(self, number: int, room: str, *, over: bool = False) -> Coroutine[Any, Any, None]:
        """The stage for one worker of a room; every telling has its own, later revision."""
        stage = self._stages[room]
        self._revision += 1
        return self.links[number].stage(
            room,
            StageFacts() if over else stage.facts,
            home=number == stage.home,
            revision=self._revision,
        )

    def _tell(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(telling)
        self._telling.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("media_worker_not_told", error=repr(error))

    def _forget(self, room: str) -> None:
        """A room whose stage is empty and where nobody is left needs no home."""
        stage = self._stages.get(room)
        if stage is not None and stage.facts == StageFacts() and self._placement.forget(room):
            del self._stages[room]
            self._shown.pop(room, None)

    # — what the workers say —

    def _noticed(self, number: int, room: str, notice: StageNotice) -> None:
        if self._placement.home(room) == number:
            self._shown.setdefault(room, set()).add(notice.behind)
            self._show(room, notice)

    def _show(self, room: str, notice: StageNotice) -> None:
        if self.on_notice is not None:
            self.on_notice(room, notice)

    def _polled(self, number: int, rooms: dict[str, int]) -> None:
        self._placement.counted(number, rooms)
        for room in list(self._stages):
            self._settle(room)
            self._forget(room)

    def _ready(self, number: int) -> None:
        """A worker listens: it takes over what has no living home."""
        for room in self._placement.came(number):
            self._settle(room)
        for link in self.links:
            if not link.ready:
                link.forget()
        self._tell_gone()

    def _lost(self, number: int) -> None:
        """A worker is dead: its rooms go elsewhere, if there is anywhere, before anybody is told."""
        link = self.links[number]
        self.gone = (*self.gone, link.life)[-_REMEMBERED:]
        if link.relay_path:
            Path(link.relay_path).unlink(missing_ok=True)
        moved = self._placement.lost(number)
        _log.warning("media_worker_gone", worker=number, moved=len(moved))
        if any(other.ready for other in self.links):
            link.forget()
        for room in moved:
            for behind in self._shown.pop(room, set()):
                self._show(room, StageNotice(behind=behind))
        for room in list(self._stages):
            self._settle(room)
        self._tell_gone()

    def _tell_gone(self) -> None:
        if self.gone and self.on_gone is not None and any(link.ready for link in self.links):
            self.on_gone(self.gone)


@contextlib.contextmanager
def _gone() -> Any:  # noqa: ANN401  # a context
    """A worker that is dead has none of its resources any more."""
    try:
        yield
    except Unavailable as error:
        raise MediaRefused("unknown_resource", 404) from error
