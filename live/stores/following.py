"""Following a log: announcements are the fast path, the log is the truth.

An announcement may be lost, repeated or late without harm. Each follower knows its position: what joins on is
handed over as it is, anything else makes it read from the log, and every two seconds it asks where the log
stands even when nobody said a word.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from live.stores.port import Batch, Position, Row, StoreAway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from live.stores.port import Store

T = TypeVar("T")
CHECK_SECONDS = 2.0
"""How long a lost announcement can stay unnoticed."""
WAITING = 256
"""Announcements that may wait for a slow follower; more are dropped, and the follower reads the log."""
PAGE = 256


class Announcements(Generic[T]):
    """Who listens to which room in this process."""

    def __init__(self) -> None:
        self._taps: dict[str, set[asyncio.Queue[T]]] = {}

    @property
    def rooms(self) -> list[str]:
        """Rooms with at least one listener."""
        return list(self._taps)

    @contextmanager
    def tap(self, room: str) -> "Iterator[asyncio.Queue[T]]":
        """Listen to one room while the context lasts."""
        tap: asyncio.Queue[T] = asyncio.Queue(WAITING)
        self._taps.setdefault(room, set()).add(tap)
        try:
            yield tap
        finally:
            taps = self._taps[room]
            taps.discard(tap)
            if not taps:
                del self._taps[room]

    def announce(self, room: str, news: T) -> None:
        """Tell the listeners of a room; a listener that is too far behind is skipped."""
        for tap in self._taps.get(room, ()):
            if not tap.full():
                tap.put_nowait(news)


async def follow(
    store: "Store", tap: "asyncio.Queue[Batch]", room: str, seen: Position
) -> AsyncGenerator[Batch, None]:
    """Turn announcements into contiguous batches; see `Store.follow`."""
    heard: Batch | None = None
    while True:
        fresh = _fresh(heard, seen)
        if fresh is None:
            try:
                tail = await store.position(room)
                if tail.epoch != seen.epoch or tail.seq < seen.seq:
                    seen = tail
                    yield Batch(tail.epoch, ())
                while seen.seq < tail.seq and (rows := await store.read(room, seen.seq, PAGE)):
                    trimmed = rows[0].seq != seen.seq + 1
                    seen = tail if trimmed else Position(seen.epoch, rows[-1].seq)
                    yield Batch(seen.epoch, () if trimmed else rows)
            except StoreAway:
                pass  # the check after the next pause asks again
        elif fresh:
            seen = Position(seen.epoch, fresh[-1].seq)
            yield Batch(seen.epoch, fresh)
        heard = await _next(tap)


def _fresh(heard: Batch | None, seen: Position) -> list[Row] | None:
    """The rows of an announcement that follow `seen`; None if only the log can tell."""
    if heard is None or heard.epoch != seen.epoch or not heard.rows:
        return None
    fresh = [row for row in heard.rows if row.seq > seen.seq]
    return fresh if not fresh or fresh[0].seq == seen.seq + 1 else None


async def _next(tap: "asyncio.Queue[Batch]") -> Batch | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await tap.get()
    except TimeoutError:
        return None
