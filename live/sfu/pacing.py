"""Fan-outs that wait because what sends them is full: in order, not long, and not many.

What waits is not sealed yet: a packet for a thousand viewers waits as one body and a row for each of them,
not as a thousand datagrams.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic

from live.sfu.contract import Cast, Fanout, P

DEADLINE = 0.4
"""Seconds after which a packet is not sent any more: it would come too late to be shown, and who misses it
asks again or gets a keyframe."""
LIMIT = 64 * 1024 * 1024
"""Bytes on the wire that may wait; beyond that the oldest fan-outs are dropped."""
OVERHEAD = 12 + 16 + 28
"""Bytes of a datagram besides a fan-out's body: RTP header, tag, UDP and IP."""


class Pacing(Generic[P]):
    """A queue of fan-outs.

    Attributes:
        dropped: Packets (one for each viewer) that waited too long or were too many.
        size: Bytes on the wire that wait.
    """

    __slots__ = ("_waiting", "dropped", "size")

    def __init__(self) -> None:
        """Nothing waits."""
        self.dropped = 0
        self.size = 0
        self._waiting: deque[tuple[float, int, Fanout[P]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, fanouts: Iterable[Fanout[P]], now: float) -> None:
        """Let fan-outs wait behind those that do."""
        for fanout in fanouts:
            size = (len(fanout.body) + OVERHEAD) * len(fanout)
            self._waiting.append((now + DEADLINE, size, fanout))
            self.size += size
        while self.size > LIMIT:
            self._drop()

    def take(self, room: int, now: float) -> list[Fanout[P]]:
        """Take from the front what fits into `room` bytes; one, however large, if there is room at all."""
        waiting = self._waiting
        while waiting and waiting[0][0] < now:
            self._drop()
        taken: list[Fanout[P]] = []
        while waiting and room > 0 and (not taken or waiting[0][1] <= room):
            _, size, fanout = waiting.popleft()
            room -= size
            self.size -= size
            taken.append(fanout)
        return taken

    def forget(self, source: str, viewer: P | None = None) -> None:
        """Drop what waits of a publication that may no longer be shown, to a viewer or to anybody."""
        kept: deque[tuple[float, int, Fanout[P]]] = deque()
        casts: dict[int, Cast[P] | None] = {}
        for due, size, fanout in self._waiting:
            rest = self._rest(fanout, viewer, casts) if fanout.source == source else fanout
            if rest is fanout:
                kept.append((due, size, fanout))
                continue
            self.size -= size
            self.dropped += len(fanout) - (0 if rest is None else len(rest))
            if rest is not None:
                left = (len(rest.body) + OVERHEAD) * len(rest)
                self.size += left
                kept.append((due, left, rest))
        self._waiting = kept

    @staticmethod
    def _rest(fanout: Fanout[P], viewer: P | None, casts: dict[int, Cast[P] | None]) -> Fanout[P] | None:
        """A fan-out for all but a viewer; itself when it is not for the viewer, None for nobody."""
        if viewer is None:
            return None
        cast, head = fanout.cast, fanout.head
        if cast is None or head is None:
            return None if fanout.headers[0][0] == viewer else fanout
        if id(cast) not in casts:
            casts[id(cast)] = cast.without(viewer) if viewer in cast.peers else None
        rest = casts[id(cast)]
        if rest is None:
            return fanout
        return Fanout.cast_to(rest, head, fanout.body, fanout.source) if rest.peers else None

    def _drop(self) -> None:
        _, size, fanout = self._waiting.popleft()
        self.size -= size
        self.dropped += len(fanout)
