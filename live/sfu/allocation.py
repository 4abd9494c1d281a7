"""What a viewer's line is spent on: screen first, then the active speaker, then the others; sound always."""

from __future__ import annotations

from collections.abc import Sequence

TRIAL = 3.0
"""Seconds a step up is tried before it is judged."""
PATIENCE = 4.0
"""Seconds a shortage must last to be believed without loss."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
LOSSY = 25
"""Fraction lost (of 256) at which a trial ends."""
FLOOR = 250_000.0
"""Bits per second that a line is trusted with until it loses packets: a browser that is busy, or receives
little, estimates far less than its line carries, and a still picture is worse than a late packet."""
DISTRUST = 60.0
"""Seconds for which a line that lost packets is not trusted with `FLOOR`."""


def allocate(
    budget: float, wishes: Sequence[Sequence[float]], floor: float = 0.0
) -> tuple[list[int | None], float, float | None]:
    """Choose a layer for each wish.

    Args:
        budget: Bits per second for video.
        wishes: In order of importance: rates of the layers on offer, lowest first.
        floor: Bits per second up to which nobody is paused, whatever the budget.

    Returns:
        For each wish the index of its layer, or None for a pause; what that costs; and what the next step up
        would cost in all, None when everything is granted. The first wish always gets its lowest layer.
    """
    left = budget
    grants: list[int | None] = []
    for place, rates in enumerate(wishes):
        fits = place == 0 or rates[0] <= max(left, floor - (budget - left))
        grants.append(0 if fits else None)
        left -= rates[0] if fits else 0
    for place, rates in enumerate(wishes):
        grant = grants[place]
        if grant is None:
            continue
        for index in range(len(rates) - 1, grant, -1):
            if rates[index] - rates[grant] <= left:
                left -= rates[index] - rates[grant]
                grants[place] = index
                break
    spending = budget - left if budget != float("inf") else _cost(grants, wishes)
    return grants, spending, _next_step(grants, wishes, spending)


def _cost(grants: Sequence[int | None], wishes: Sequence[Sequence[float]]) -> float:
    return sum(rates[grant] for grant, rates in zip(grants, wishes, strict=True) if grant is not None)


def _next_step(
    grants: Sequence[int | None], wishes: Sequence[Sequence[float]], spending: float
) -> float | None:
    for grant, rates in zip(grants, wishes, strict=True):
        if grant is None:
            return spending + rates[0]
        if grant + 1 < len(rates):
            return spending + rates[grant + 1] - rates[grant]
    return None


class Line:
    """What a viewer's line is believed to carry.

    REMB follows what is received, never far above it, so two things are not taken at its word. A shortage
    is believed only when it lasts (``PATIENCE``) or packets are lost: a picture that has just begun is not
    stopped because the estimate has not risen yet. And a step up must be tried: for ``TRIAL`` seconds, after
    a pause that doubles with every failure.

    Attributes:
        estimate: The viewer's last REMB, bit/s; None before the first.
        loss: Worst fraction lost (of 256) in its last report.
        spending: What was granted, bit/s.
        limited: The estimate binds; otherwise everything is granted.
    """

    __slots__ = (
        "_distrusted_until",
        "_pause",
        "_short",
        "_trial",
        "_trial_ends",
        "_try_at",
        "estimate",
        "limited",
        "loss",
        "spending",
    )

    def __init__(self) -> None:
        """Nothing is known: everything is granted."""
        self.estimate: int | None = None
        self.loss = 0
        self.spending = 0.0
        self.limited = False
        self._distrusted_until = 0.0
        self._short: float | None = None
        self._trial: float | None = None
        self._trial_ends = 0.0
        self._pause = FIRST_PAUSE
        self._try_at = 0.0

    def estimated(self, bitrate: int, now: float) -> bool:
        """Take a REMB; True if the slots should be granted anew at once."""
        self.estimate = bitrate
        if self.loss >= LOSSY:
            self._distrusted_until = now + DISTRUST
        if bitrate >= self.spending:
            self._short = None
            return False
        if self._short is None:
            self._short = now
        if self.limited:
            return self._trial is None
        if self.loss < LOSSY and now - self._short < PATIENCE:
            return False
        self.limited, self._try_at = True, now + self._pause
        return True

    def floor(self, now: float) -> float:
        """What nobody is paused below, now."""
        return FLOOR if now >= self._distrusted_until else 0.0

    def budget(self) -> float:
        """What may be granted now."""
        if self.estimate is None or not self.limited:
            return float("inf")
        return max(self.estimate, self._trial or 0.0)

    def granted(self, spending: float, next_step: float | None, now: float) -> None:
        """Note what was granted; begin or judge a trial."""
        self.spending = spending
        if self.estimate is None or not self.limited:
            return
        if self._trial is not None:
            failed = self.loss >= LOSSY or self.estimate < 0.6 * spending
            if failed or now >= self._trial_ends:
                good = not failed and self.estimate >= spending
                self._pause = FIRST_PAUSE if good else min(LONGEST_PAUSE, 2 * self._pause)
                self._trial, self._try_at = None, now + self._pause
        elif next_step is None:
            self.limited = self.estimate < spending
        elif now >= self._try_at and self.loss < LOSSY:
            self._trial, self._trial_ends = next_step, now + TRIAL
