"""What one stream misses, and when to ask its publisher for it again (RFC 4585 §6.2.1)."""

from __future__ import annotations

REORDER = 0.004
"""Seconds a gap may close by itself before the first NACK."""
TRIES = 8
AGE = 1.0
"""Seconds after which a packet is given up."""
LIMIT = 256
"""Most packets missed at a time; beyond that the oldest are given up (a keyframe will have to help)."""
_NEVER = float("inf")


class _Missing:
    __slots__ = ("asked", "due", "since", "tries")

    def __init__(self, now: float) -> None:
        self.since = now
        self.asked = 0.0
        self.due = now + REORDER
        self.tries = 0


class Losses:
    """The missing numbers of a stream.

    Attributes:
        round_trip: Estimate in seconds, from how long first requests took to be answered.
        next_due: When `due` has something to give, infinity if never.
    """

    __slots__ = ("_measured", "_missing", "next_due", "round_trip")

    def __init__(self) -> None:
        """Nothing is missing."""
        self._missing: dict[int, _Missing] = {}
        self.round_trip = 0.1
        self._measured = False
        self.next_due = _NEVER

    def __len__(self) -> int:
        return len(self._missing)

    def skipped(self, first: int, after: int, now: float) -> bool:
        """Numbers from `first` up to but without `after` did not arrive in order.

        Returns:
            Whether that were too many: some are given up, so pictures need a keyframe.
        """
        begin = max(first, after - LIMIT)
        for number in range(begin, after):
            self._missing[number] = _Missing(now)
        given_up = begin > first or len(self._missing) > LIMIT
        while len(self._missing) > LIMIT:
            del self._missing[next(iter(self._missing))]
        self.next_due = min(self.next_due, now + REORDER)
        return given_up

    def found(self, number: int, now: float) -> None:
        """A late packet arrived."""
        missing = self._missing.pop(number, None)
        if missing is None:
            return
        if missing.tries == 1:
            took = max(0.005, now - missing.asked)
            self.round_trip = took if not self._measured else self.round_trip + (took - self.round_trip) / 8
            self._measured = True
        if not self._missing:
            self.next_due = _NEVER

    def give_up(self) -> None:
        """Ask for nothing that is missing now."""
        self._missing.clear()
        self.next_due = _NEVER

    def due(self, now: float) -> list[int]:
        """Numbers to ask for now, in order; what was asked too often or is too old is given up."""
        ask: list[int] = []
        given_up: list[int] = []
        self.next_due = _NEVER
        for number, missing in self._missing.items():
            if missing.tries >= TRIES or now - missing.since > AGE:
                given_up.append(number)
                continue
            if missing.due <= now:
                missing.tries += 1
                missing.asked = now
                missing.due = now + max(0.02, self.round_trip * 1.1 + 0.004)
                ask.append(number)
            self.next_due = min(self.next_due, missing.due)
        for number in given_up:
            del self._missing[number]
        return sorted(ask)
