"""When to ask for a keyframe: viewers' wishes merged and throttled, a newcomer's served at once."""

from __future__ import annotations

INTERVAL = 0.5
"""Seconds between requests for decoders that lost something."""
RETRY = 0.3
"""Seconds after which an unanswered request is repeated, doubling up to ``SLOWEST``."""
SLOWEST = 2.0
BURST = 3.0
"""Newcomers' requests that need not keep ``INTERVAL``; one comes back per ``INTERVAL``."""
_NEVER = float("inf")


class KeyframeRequests:
    """Requests for one layer.

    Attributes:
        due: When `take` will say yes, infinity if nobody asks.
    """

    __slots__ = ("_credit", "_credit_at", "_outstanding", "_retry", "_sent", "due")

    def __init__(self) -> None:
        """Nobody has asked."""
        self.due = _NEVER
        self._sent = -_NEVER
        self._outstanding = False
        self._retry = RETRY
        self._credit = BURST
        self._credit_at = 0.0

    def want(self, now: float, *, newcomer: bool) -> None:
        """A decoder needs a keyframe; `newcomer` if it has shown nothing of this slot yet.

        A request that is on its way serves everybody; but a newcomer does not wait for the slow repetitions
        of one that was lost.
        """
        if self._outstanding:
            if newcomer:
                self.due = min(self.due, max(now, self._sent + RETRY))
            return
        at = max(now, self._sent + INTERVAL)
        if newcomer and at > now:
            self._credit = min(BURST, self._credit + (now - self._credit_at) / INTERVAL)
            self._credit_at = now
            if self._credit >= 1:
                at = now
                if self.due > now:
                    self._credit -= 1
        self.due = min(self.due, at)

    @property
    def asked(self) -> bool:
        """A request is under way, or will be."""
        return self.due < _NEVER

    def take(self, now: float) -> bool:
        """Whether to send a request now; it repeats until a keyframe comes."""
        if now < self.due:
            return False
        self._retry = min(SLOWEST, self._retry * 2) if self._outstanding else RETRY
        self._sent = now
        self._outstanding = True
        self.due = now + self._retry
        return True

    def arrived(self) -> None:
        """A keyframe begins."""
        self._outstanding = False
        self.due = _NEVER

    def cancel(self) -> None:
        """Nobody waits any more."""
        self.arrived()
