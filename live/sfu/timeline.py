"""One clock for all publishers, made from their sender reports (RFC 3550 §6.4.1).

A publisher's NTP clock is its own. The least of (arrival − NTP time) over its recent reports tells how far it
stands from ours, so a timestamp of any stream can be placed on our clock: switches between streams keep their
rhythm, and the sound and picture of one publisher stay together because both are moved by the same skew.
"""

from __future__ import annotations

from collections import deque

from live.sfu.numbers import TIMESTAMP, ahead
from live.sfu.rtcp import SenderReport

NTP_UNIX = 2_208_988_800
"""Seconds added to ``now`` in the reports we write, so that they look like NTP times."""
_STEP = 0.01
"""Seconds the skew must be wrong by before it is moved: small errors do less harm than moves."""


def to_ntp(now: float) -> int:
    """`now` as 32.32 fixed point."""
    return int((now + NTP_UNIX) * (1 << 32))


def round_trip(last_sr: int, delay: int, now: float) -> float | None:
    """Seconds to a receiver and back from its report block (§6.4.1), None if it had no report of ours yet."""
    if not last_sr:
        return None
    waited = ((to_ntp(now) >> 16) - last_sr - delay) & 0xFFFFFFFF
    return waited / 65536 if waited < 10 << 16 else None


class Skew:
    """How far one publisher's clock is from ours.

    Attributes:
        seconds: Our time less its time; None before its first report.
    """

    __slots__ = ("_recent", "seconds")

    def __init__(self) -> None:
        """No report yet."""
        self.seconds: float | None = None
        self._recent: deque[float] = deque(maxlen=16)

    def report(self, ntp: int, now: float) -> None:
        """A sender report of any stream of the publisher arrived."""
        self._recent.append(now - ntp / (1 << 32))
        least = min(self._recent)
        if self.seconds is None or abs(least - self.seconds) > _STEP:
            self.seconds = least


class Timeline:
    """Places one stream's timestamps on our clock."""

    __slots__ = ("_anchor", "_clock", "_report", "_skew")

    def __init__(self, skew: Skew, clock: int) -> None:
        """A stream of `clock` Hz, of the publisher whose skew is given."""
        self._skew = skew
        self._clock = clock
        self._anchor: tuple[float, int] | None = None
        self._report: tuple[float, int] | None = None

    def report(self, report: SenderReport) -> None:
        """The stream's own sender report."""
        if report.ntp:
            self._report = (report.ntp / (1 << 32), report.timestamp)

    def moment(self, timestamp: int, arrived: float) -> float:
        """Our time of a packet's timestamp: by the sender's report, before the first one by arrival."""
        if self._report is not None and self._skew.seconds is not None:
            ntp, at = self._report
            return ntp + self._skew.seconds + ahead(timestamp, at, TIMESTAMP) / self._clock
        if self._anchor is None:
            self._anchor = (arrived, timestamp)
        then, at = self._anchor
        return then + ahead(timestamp, at, TIMESTAMP) / self._clock

    def timestamp(self, now: float) -> int | None:
        """The stream's timestamp at our time, None before its sender reported."""
        if self._report is None or self._skew.seconds is None:
            return None
        ntp, at = self._report
        return at + round((now - self._skew.seconds - ntp) * self._clock)
