"""Which layers anybody wants: a publisher is told of those that it need not send."""

from __future__ import annotations

LINGER = 5.0
"""Seconds a layer must be unwanted before its publisher is told."""
LONGEST = 60.0
"""The same, for a layer that was wanted again soon after: each time the wait doubles."""
SOON = 30.0


class Demand:
    """The wish for one layer. It is told slowly that it is unwanted, and at once that it is wanted again.

    Attributes:
        idle: Nobody wants it, and its publisher has been told.
    """

    __slots__ = ("_idle_since", "_linger", "_wanted", "idle")

    def __init__(self) -> None:
        """Wanted, from the first `settle` on."""
        self.idle = False
        self._wanted: float | None = None
        self._idle_since = 0.0
        self._linger = LINGER

    def want(self, now: float) -> bool:
        """Somebody wants it; True if it was idle."""
        self._wanted = now
        if not self.idle:
            return False
        self.idle = False
        soon = now - self._idle_since < SOON
        self._linger = min(LONGEST, 2 * self._linger) if soon else LINGER
        return True

    def settle(self, now: float) -> bool:
        """Call about once a second; True if it has just become idle."""
        if self._wanted is None:
            self._wanted = now
        if self.idle or now - self._wanted < self._linger:
            return False
        self.idle, self._idle_since = True, now
        return True
