"""What a viewer's line is spent on: sound always, then the screen, the active speaker, the others."""

from __future__ import annotations

from collections.abc import Sequence

from live.sfu.bandwidth import LEAST, Bandwidth

PATIENCE = 4.0
"""Seconds an estimate must stay too small to be believed without loss."""
RISING = 1.04
"""An estimate that has grown so much since it was found too small is on its way: patience begins anew."""
SHORT_PATIENCE = 0.5
"""The same where it was measured by transport feedback."""
SETTLING = 1.5
"""Seconds after granting less in which no further shortage is believed: reports lag behind."""
PROBE = 2.0
"""Seconds for which a step up is first tried with padding, which grows over three quarters of them: a line
that is too small shows it by delay, before what is shown suffers."""
CALM = 2.0
"""Seconds without overuse before a probe."""
TRIAL = 3.0
"""Seconds after a step up in which trouble takes it back at once."""
RELAPSE = 30.0
"""Seconds after a step up in which a shortage is blamed on it."""
HELD = 0.5
"""Seconds until the next step up, after one that held: a line that was widened has several to go."""
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
"""Seconds without a step up after a shortage; twice as long after each step that failed."""
LOSSY = 0.10
"""Fraction lost that is trouble by itself."""
SLACK = 1.15
"""What a step up is granted beyond its present rate: cameras do not send evenly."""
FLOOR = 250_000.0
"""Bits per second that a line is trusted with until it loses packets: a browser that is busy, or receives
little, estimates far less than its line carries, and a still picture is worse than a late packet."""
DISTRUST = 60.0
"""Seconds for which a line that lost packets is not trusted with `FLOOR`."""


def allocate(
    budget: float, wishes: Sequence[Sequence[float]], floor: float = 0.0, firm: int = 0
) -> tuple[list[int | None], float, float | None]:
    """Choose a layer for each wish: first the firm ones whole, then each one's lowest, then better ones.

    Args:
        budget: Bits per second for video.
        wishes: In order of importance: rates of the layers on offer, lowest first.
        floor: Bits per second up to which nobody is paused, whatever the budget.
        firm: So many of the first wishes are served whole before the others get anything (a shared screen
            that cannot be read is of no use).

    Returns:
        For each wish the index of its layer, or None for a pause; what that costs; and what the next step up
        would cost in all, None when everything is granted. The first wish always gets its lowest layer. With
        a larger budget no less is spent.
    """
    left = budget
    grants: list[int | None] = []
    for place, rates in enumerate(wishes):
        fits = place == 0 or rates[0] <= max(left, floor - (budget - left))
        grants.append(0 if fits else None)
        left -= rates[0] if fits else 0
        if place < firm:
            left -= _raise(grants, wishes, place, left)
    for place in range(firm, len(wishes)):
        left -= _raise(grants, wishes, place, left)
    spending = budget - left if budget != float("inf") else _cost(grants, wishes)
    return grants, spending, _next_step(grants, wishes, spending)


def _raise(grants: list[int | None], wishes: Sequence[Sequence[float]], place: int, left: float) -> float:
    """Grant a wish the best layer that fits into what is left; gives what that costs more."""
    grant, rates = grants[place], wishes[place]
    if grant is None:
        return 0.0
    for index in range(len(rates) - 1, grant, -1):
        more = rates[index] - rates[grant]
        if more <= left:
            grants[place] = index
            return more
    return 0.0


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
    """What one viewer's line may be spent on.

    A line is *open* until it shows trouble: everything is granted. Trouble is loss above ``LOSSY``, or an
    estimate below what is spent that lasts. Then it is *limited*: what is granted follows the estimate down
    and never up by itself. A step up is tried after a pause that doubles with each failure: first padding is
    sent beside what is shown (a *probe*: estimates tell hardly more than what arrives), then the step is
    granted on *trial*. So a picture is turned on and off at most once per pause, whatever the estimate does.
    When there is nothing left to grant, the line is open again.

    Attributes:
        bandwidth: The estimate.
        most: Cap on what is spent, bit/s.
        spending: What was granted, bit/s.
        limited: See above.
        padding: Bits per second of padding to send now.
        can_pad: There is a stream for padding; else a step is tried without a probe.
        steps: Steps up that were granted.
    """

    __slots__ = (
        "_allowed",
        "_before",
        "_distrusted_until",
        "_ends",
        "_pause",
        "_probe",
        "_probe_from",
        "_settled_at",
        "_short",
        "_short_at",
        "_stepped_at",
        "_trial",
        "_try_at",
        "bandwidth",
        "can_pad",
        "limited",
        "most",
        "padding",
        "spending",
        "steps",
    )

    def __init__(self, most: float = float("inf")) -> None:
        """Nothing is known: everything up to `most` is granted."""
        self.bandwidth = Bandwidth()
        self.most = most
        self.spending = 0.0
        self.limited = False
        self.padding = 0.0
        self.can_pad = False
        self.steps = 0
        self._allowed = float("inf")
        self._before = float("inf")
        self._distrusted_until = 0.0
        self._short: float | None = None
        self._short_at = 0.0
        self._settled_at = float("-inf")
        self._probe: float | None = None
        self._probe_from = 0.0
        self._trial = False
        self._ends = 0.0
        self._pause = FIRST_PAUSE
        self._try_at = 0.0
        self._stepped_at = float("-inf")

    @property
    def estimate(self) -> float | None:
        """Bits per second the line is believed to carry, None while nothing is known."""
        return self.bandwidth.rate

    @property
    def busy(self) -> bool:
        """A probe or a trial is under way and must be looked after ten times a second."""
        return self._probe is not None or self._trial

    def judge(self, now: float, *, measured: bool = False) -> bool:
        """Look at new evidence; True if the slots should be granted anew at once.

        Args:
            now: Seconds.
            measured: The estimate comes from transport feedback, which needs less patience than REMB.
        """
        lossy = self.bandwidth.loss > LOSSY
        if lossy:
            self._distrusted_until = now + DISTRUST
        rate = self.bandwidth.rate
        short = rate is not None and rate < 0.9 * self.spending
        if not short or rate is None:
            self._short = None
        elif self._short is None or rate > RISING * self._short_at:
            self._short, self._short_at = now, rate
        if now - self._settled_at < SETTLING:
            return False
        if self._probe is not None and (
            lossy or self.bandwidth.overused_at > self._ends - PROBE or (rate or 0.0) < 0.9 * self._probe_from
        ):
            self._fail(now)
        patience = SHORT_PATIENCE if measured else PATIENCE
        lasts = self._short is not None and now - self._short >= patience
        sudden = self._trial and rate is not None and rate < 0.6 * self.spending
        if not self.spending or not (lossy or lasts or sudden):
            return False
        return self._lower(now, lossy=lossy)

    def _lower(self, now: float, *, lossy: bool) -> bool:
        rate = self.bandwidth.rate
        allowed = min(self.spending, rate if rate is not None else self.spending)
        if lossy:
            allowed = min(allowed, self.spending * (1 - 0.5 * self.bandwidth.loss))
        if self._trial:
            allowed = min(allowed, self._before)
        allowed = max(LEAST, allowed)
        if self._allowed <= allowed:
            return False
        self._allowed, self.limited = allowed, True
        self._settled_at, self._short = now, None
        self.bandwidth.loss = 0.0
        self._fail(now)
        return True

    def _fail(self, now: float) -> None:
        """A step up is not tried soon again; the pause is longer when the last one did not hold."""
        blamed = self._probe is not None or self._trial or now - self._stepped_at < RELAPSE
        self._pause = min(LONGEST_PAUSE, 2 * self._pause) if blamed else FIRST_PAUSE
        self._probe, self._trial, self.padding = None, False, 0.0
        self._stepped_at = float("-inf")
        self._try_at = now + self._pause

    def floor(self, now: float) -> float:
        """What nobody is paused below, now."""
        return min(self.most, FLOOR) if now >= self._distrusted_until else 0.0

    def budget(self, shown: float = 0.0) -> float:
        """What may be granted now; `shown` is what the pictures that are shown cost.

        A picture that grew is kept as long as the estimate covers it.
        """
        if not self.limited:
            return self.most
        return min(self.most, max(self._allowed, min(shown, self.bandwidth.rate or 0.0)))

    def granted(self, spending: float, next_step: float | None, now: float) -> bool:
        """Note what was granted and go on with the search for more; True if it should be granted anew.

        Args:
            spending: What was granted costs so much, bit/s.
            next_step: What the next step up would cost in all, None if there is none.
            now: Seconds.
        """
        self.spending = spending
        if not self.limited:
            return False
        if self._probe is not None:
            return self._probed(next_step, now)
        if self._trial:
            if now >= self._ends:
                self._trial, self._try_at = False, now + HELD
                self._pause = max(FIRST_PAUSE, self._pause / 2)
            return False
        bandwidth = self.bandwidth
        calm = bandwidth.loss <= LOSSY / 2 and now - bandwidth.overused_at >= CALM
        if now < self._try_at or not calm:
            return False
        return self._search(next_step, now)

    def _search(self, next_step: float | None, now: float) -> bool:
        """Open the line when nothing is left to grant, or begin with the next step up."""
        if next_step is None:
            self.limited, self._allowed = False, float("inf")
        if next_step is None or next_step > self.most:
            return False
        if not self.can_pad:
            return self._step(next_step, now)
        self._probe, self._ends = next_step, now + PROBE
        self._probe_from = self.bandwidth.rate or 0.0
        return False

    def _probed(self, next_step: float | None, now: float) -> bool:
        if next_step is None:
            self._probe, self.padding = None, 0.0
            return False
        risen = min(1.0, max(0.0, 1 - (self._ends - now - PROBE / 4) / PROBE))
        self.padding = risen * max(0.0, SLACK * next_step - self.spending)
        if now < self._ends:
            return False
        self._probe, self.padding = None, 0.0
        return self._step(next_step, now)

    def _step(self, next_step: float, now: float) -> bool:
        self._before = self._allowed
        self._allowed = SLACK * next_step
        self.bandwidth.proven(next_step)
        self._trial, self._ends, self._stepped_at = True, now + TRIAL, now
        self.steps += 1
        return True
