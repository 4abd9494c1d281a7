"""An emulated network: links with loss, delay and jitter, and time that is only a number."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable


class Clock:
    """Events in order of time; nothing waits."""

    def __init__(self, start: float = 1000.0) -> None:
        self.now = start
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, when: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._order), act))

    def every(self, seconds: float, act: Callable[[], None], *, first: float = 0.0) -> None:
        def again() -> None:
            act()
            self.at(self.now + seconds, again)

        self.at(self.now + first, again)

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, act = heapq.heappop(self._events)
            act()
        self.now = end


class Link:
    """One direction of a line.

    Args:
        clock: Shared by everything in a test.
        loss: Probability that a datagram vanishes.
        delay: Seconds.
        jitter: Up to so many seconds more, which reorders.
        seed: Of the dice.
        rate: Bits per second it carries; what does not fit waits, and vanishes when it would wait longer than
            `queue` seconds.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        loss: float = 0.0,
        delay: float = 0.01,
        jitter: float = 0.0,
        seed: int = 1,
        rate: float = float("inf"),
        queue: float = 0.3,
    ):
        self.clock = clock
        self.loss = loss
        self.delay = delay
        self.jitter = jitter
        self.lost = 0
        self.rate = rate
        self.queue = queue
        self._busy_until = 0.0
        self._dice = random.Random(seed)  # noqa: S311  an emulated line

    def send(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        if self._dice.random() < self.loss:
            self.lost += 1
            return
        begins = max(self.clock.now, self._busy_until)
        if begins - self.clock.now > self.queue:
            self.lost += 1
            return
        self._busy_until = begins + 8 * len(data) / self.rate
        when = self._busy_until + self.delay + self._dice.random() * self.jitter
        self.clock.at(when, lambda: deliver(data))
