"""What a viewer's line carries, estimated where the packets are sent.

Two halves, of which the smaller one holds, as in draft-ietf-rmcat-gcc-02 and Carlucci et al., "Congestion
Control for Web Real-Time Communication" (IEEE/ACM Transactions on Networking, 2017):

* by delay: from transport-wide feedback; groups of packets whose spacing grows on the way tell of a queue
  that fills (§5 of the draft; the filter is the least-squares trend of the accumulated delay). Viewers whose
  packets are not numbered send REMB instead, which is the same half, estimated by them.
* by loss: less than 2 % lost lets the rate rise, more than 10 % lowers it, between them it holds (§6).

The numbers are bit/s and seconds; what comes from the network is clamped to `LEAST` and `MOST`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol

from live.sfu.numbers import SEQUENCE, TIMESTAMP, ahead
from live.sfu.rtcp import ReportBlock
from live.sfu.twcc import MAX_READ, TICKS, TransportFeedback

LEAST = 30_000.0
MOST = 100_000_000.0
"""Bounds of what is believed, bit/s."""

_BURST = 0.005
"""Seconds of sending that make one group (§5.2)."""
_WINDOW = 20
"""Groups that the trend is fitted to."""
_GAIN = 4.0
_COUNTED = 60
_FIRST_THRESHOLD = 0.0125
_LOWEST_THRESHOLD, _HIGHEST_THRESHOLD = 0.006, 0.6
_RISE, _FALL = 8.7, 39.0
"""How fast the threshold follows the trend up and down, per second (§5.4)."""
_OUTLIER = 0.015
_SUSTAINED = 0.01
"""Seconds a trend must stay above the threshold to count as overuse."""
_STANDING = 0.12
"""Seconds of delay above the least known that count as overuse, rising or not: a full queue has no trend.
RFC 8698 §4.2 steers by the same quantity."""
_LEAST_FOR = 10.0
"""Seconds for which the least delay is remembered."""
_GAP = 2.0
"""Seconds without packets after which groups are not compared."""
_BETA = 0.85
"""Share of what arrived that is kept at overuse (§5.5)."""
_GROWTH = 1.08
"""Growth of the estimate per second far from the last overuse."""
_HEADROOM = 1.5
"""The estimate never exceeds so much of what has arrived: more has not been shown."""
_MEASURED = 0.5
"""Seconds over which arrivals are counted."""
_LOW_LOSS, _HIGH_LOSS = 0.02, 0.10
_UNSEEN = 256
_COUNTS, _ENOUGH, _LONGEST = 20, 150, 4.0
"""Packets below which a fraction lost says nothing, and from which it is taken as it is, as after so many
seconds; with fewer it must be beyond chance. Of 20 packets of a line that loses every twentieth, more than a
tenth are lost in one of 13 cases; of 150, in one of 270 (benchmarks/chance.py)."""
_USUAL_LOSS, _CHANCE = 0.05, 3.5
"""What a bad radio line loses all the time, and standard deviations above it that are no chance. Of fewer
than `_ENOUGH` packets that is always more than `_HIGH_LOSS`."""


def _beyond_chance(lost: int, total: int) -> bool:
    """Whether so many of so many are more than a line loses that loses a twentieth."""
    usual = _USUAL_LOSS * total
    return lost > usual + _CHANCE * math.sqrt(usual * (1 - _USUAL_LOSS))


def clamp(rate: float) -> float:
    """A rate that can be true."""
    return min(MOST, max(LEAST, rate))


class Departures:
    """Numbers the packets of one transport, and remembers them until feedback comes.

    Holds at most ``LIMIT`` packets; feedback for older ones, and for numbers never given, says nothing.
    """

    LIMIT = MAX_READ
    __slots__ = ("_first", "_sent", "next")

    def __init__(self) -> None:
        """Nothing has left."""
        self.next = 0
        self._first = 0
        self._sent: dict[int, tuple[float, int]] = {}

    def leave(self, now: float, size: int) -> int:
        """Give the next packet its 16-bit number; `size` in bytes."""
        number, self.next = self.next, self.next + 1
        self._sent[number] = (now, size)
        if len(self._sent) > self.LIMIT:
            del self._sent[next(iter(self._sent))]
        return number & SEQUENCE

    def forget(self, number: int) -> None:
        """A packet goes out again under its 16-bit number: when it arrives tells nothing of the line."""
        self._sent.pop(self.next + ahead(number, self.next & SEQUENCE, SEQUENCE), None)

    def __len__(self) -> int:
        return len(self._sent)

    def told(self, feedback: TransportFeedback) -> tuple[list[tuple[float, float, int]], int]:
        """Match feedback with what was sent.

        Returns:
            (sent, arrived, bytes) of each packet that arrived, times in seconds on their own clocks, in order
            of numbers; and how many did not. Each packet counts once, whatever is repeated.
        """
        number = self.next + ahead(feedback.base, self.next & SEQUENCE, SEQUENCE)
        arrived: list[tuple[float, float, int]] = []
        lost = 0
        for tick in feedback.arrivals:
            sent = self._sent.get(number)
            if sent is not None:
                if tick is None:
                    lost += 1
                else:
                    arrived.append((sent[0], tick / TICKS, sent[1]))
                    del self._sent[number]
            number += 1
        return arrived, lost


class DelayTrend:
    """Whether the queue on a line fills (gcc §5.2–5.4).

    Attributes:
        over: Delay rises: more is sent than the line carries.
        under: Delay falls: a queue drains.
    """

    __slots__ = (
        "_accumulated",
        "_count",
        "_group",
        "_last",
        "_least",
        "_over_for",
        "_points",
        "_smoothed",
        "_threshold",
        "_trend",
        "over",
        "under",
    )

    def __init__(self) -> None:
        """No packet yet."""
        self.over = self.under = False
        self._group: tuple[float, float, float] | None = None
        self._last: tuple[float, float] | None = None
        self._points: deque[tuple[float, float]] = deque(maxlen=_WINDOW)
        self._accumulated = self._smoothed = self._trend = self._over_for = 0.0
        self._threshold = _FIRST_THRESHOLD
        self._count = 0
        self._least: deque[tuple[float, float]] = deque()

    def note(self, sent: float, arrived: float) -> None:
        """A packet's two times, each on its own clock."""
        group = self._group
        if group is None or not 0 <= sent - group[0] < _GAP or abs(arrived - group[2]) > _GAP:
            self._group, self._last = (sent, sent, arrived), None
            self._points.clear()
            self._least.clear()
            self._count = 0
            self._accumulated = self._smoothed = self._over_for = 0.0
            self.over = self.under = False
        elif sent - group[0] <= _BURST:
            self._group = (group[0], sent, max(group[2], arrived))
        else:
            if self._last is not None:
                self._compare(group[1] - self._last[0], group[2] - self._last[1], group[2])
            self._last = (group[1], group[2])
            self._group = (sent, sent, arrived)

    def _compare(self, between_sent: float, between_arrived: float, at: float) -> None:
        self._count += 1
        self._accumulated += between_arrived - between_sent
        self._smoothed += 0.1 * (self._accumulated - self._smoothed)
        self._points.append((at, self._smoothed))
        least = self._least
        while least and least[-1][1] >= self._smoothed:
            least.pop()
        least.append((at, self._smoothed))
        while at - least[0][0] > _LEAST_FOR:
            least.popleft()
        if len(self._points) < _WINDOW:
            return
        before = self._trend
        self._trend = min(self._count, _COUNTED) * _slope(self._points) * _GAIN / 1000
        trend, passed = self._trend, min(0.1, max(0.0, between_arrived))
        standing = self._smoothed - least[0][1] > _STANDING
        if standing and trend > -self._threshold:
            self.over, self.under = True, False
        elif trend > self._threshold:
            self._over_for += max(0.001, between_sent)
            self.over = self.over or (self._over_for > _SUSTAINED and trend >= before)
            self.under = False
        else:
            self._over_for = 0.0
            self.over, self.under = False, trend < -self._threshold
        beyond = abs(trend) - self._threshold
        if beyond <= _OUTLIER:
            self._threshold += (_RISE if beyond > 0 else _FALL) * beyond * passed
            self._threshold = min(_HIGHEST_THRESHOLD, max(_LOWEST_THRESHOLD, self._threshold))


def _slope(points: Iterable[tuple[float, float]]) -> float:
    """Of the line through the points with the least squares."""
    listed = list(points)
    mean_x = sum(x for x, _ in listed) / len(listed)
    mean_y = sum(y for _, y in listed) / len(listed)
    spread = sum((x - mean_x) ** 2 for x, _ in listed)
    return sum((x - mean_x) * (y - mean_y) for x, y in listed) / spread if spread else 0.0


class Arrived:
    """Bits per second that reached the viewer, over the last half second of its clock."""

    __slots__ = ("_bytes", "_packets", "rate")

    def __init__(self) -> None:
        """Nothing yet."""
        self.rate: float | None = None
        self._packets: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def note(self, arrived: float, size: int) -> None:
        """Count a packet."""
        packets = self._packets
        if packets and not -_GAP < arrived - packets[-1][0] < _GAP:
            packets.clear()
            self._bytes, self.rate = 0, None
        packets.append((arrived, size))
        self._bytes += size
        while packets and arrived - packets[0][0] > _MEASURED:
            self._bytes -= packets.popleft()[1]
        span = arrived - packets[0][0]
        if span > 0.5 * _MEASURED:
            self.rate = 8 * self._bytes / max(span, _MEASURED * 0.9)


class Bandwidth:
    """The estimate of one line.

    Attributes:
        rate: Bits per second; None before anything was told.
        loss: Fraction lost, 0–1, when enough was last counted to tell.
        arrived: What reached the viewer, as far as packets are numbered.
        overused_at: When the delay last showed that too much was sent.
    """

    __slots__ = (
        "_by_delay",
        "_by_loss",
        "_capacity",
        "_counted_from",
        "_grown_at",
        "_lost",
        "_lowered_at",
        "_received",
        "_told_at",
        "_trend",
        "arrived",
        "loss",
        "overused_at",
    )

    def __init__(self) -> None:
        """Nothing is known."""
        self.loss = 0.0
        self.arrived = Arrived()
        self.overused_at = float("-inf")
        self._by_delay: float | None = None
        self._by_loss: float | None = None
        self._trend = DelayTrend()
        self._capacity: float | None = None
        self._grown_at = 0.0
        self._lowered_at = float("-inf")
        self._told_at = float("-inf")
        self._lost = self._received = 0
        self._counted_from = 0.0

    @property
    def rate(self) -> float | None:
        """The smaller of both halves."""
        if self._by_delay is None:
            return self._by_loss
        return self._by_delay if self._by_loss is None else min(self._by_delay, self._by_loss)

    def measured(self, now: float) -> bool:
        """Transport feedback comes, so REMB and reports need not be asked."""
        return now - self._told_at < _GAP

    def remb(self, bitrate: float, now: float) -> None:
        """The viewer's own estimate; transport feedback that came within `_GAP` knows better."""
        if not self.measured(now):
            self._by_delay = clamp(bitrate)

    def begin(self, rate: float) -> None:
        """Packets are numbered from now on: go on from this rate."""
        self._trend = DelayTrend()
        self._by_delay = clamp(self._by_delay if self._by_delay is not None else rate)

    def counted(self, received: int, lost: int, sending: float, now: float) -> bool:
        """Packets that arrived and that did not, by reports or feedback; `sending` is the rate they made.

        Returns:
            Whether enough were counted to say anything; then ``loss`` is new.
        """
        if not self._received + self._lost:
            self._counted_from = now
        self._received += received
        self._lost += lost
        total = self._received + self._lost
        if total < _COUNTS:
            return False
        enough = total >= _ENOUGH or now - self._counted_from >= _LONGEST
        if not enough and not _beyond_chance(self._lost, total):
            return False
        self.loss = self._lost / total
        self._received = self._lost = 0
        if self.loss > _HIGH_LOSS and sending > LEAST and now - self._lowered_at >= 1.0:
            held = self._by_loss if self._by_loss is not None else sending
            through = _BETA * sending * (1 - self.loss)
            self._by_loss = clamp(max(through, min(held, sending) * (1 - 0.5 * self.loss)))
            self._lowered_at = now
        elif self.loss < _LOW_LOSS and self._by_loss is not None:
            passed = min(1.0, max(0.0, now - max(self._lowered_at, self._grown_at)))
            self._by_loss = clamp(self._by_loss * (1 + 0.05 * passed))
            self._grown_at = now
            if self._by_delay is not None and self._by_loss > 2 * self._by_delay:
                self._by_loss = None
        return True

    def feedback(self, packets: Iterable[tuple[float, float, int]], now: float) -> None:
        """What `Departures.told` gave; in the order of the numbers."""
        over = False
        for sent, arrived, size in packets:
            self._trend.note(sent, arrived)
            self.arrived.note(arrived, size)
            over = over or self._trend.over
        passed = min(1.0, now - self._told_at) if now - self._told_at < _GAP else 0.0
        self._told_at = now
        arriving = self.arrived.rate
        if self._by_delay is None:
            self._by_delay = clamp(arriving if arriving is not None else LEAST)
        if over:
            self._overused(arriving, now)
        elif not self._trend.under:
            self._grow(arriving, passed)

    def _overused(self, arriving: float | None, now: float) -> None:
        """At most once a third of a second, as the queue needs time to drain."""
        rate = self._by_delay or LEAST
        if now - self.overused_at < 0.3:  # noqa: PLR2004  a response time with some queue
            return
        self.overused_at = now
        if arriving is not None:
            known = self._capacity
            far = known is None or not 0.7 * known < arriving < 1.3 * known
            self._capacity = arriving if far or known is None else known + 0.2 * (arriving - known)
            rate = min(rate, _BETA * arriving)
        else:
            rate *= _BETA
        self._by_delay = clamp(rate)

    def _grow(self, arriving: float | None, passed: float) -> None:
        rate = self._by_delay or LEAST
        ceiling = MOST if arriving is None else _HEADROOM * arriving + 10_000
        if rate >= ceiling:
            return
        near = self._capacity is not None and rate > 0.9 * self._capacity
        if near and self._capacity is not None and arriving is not None and arriving > 1.1 * self._capacity:
            self._capacity, near = None, False
        grown = rate + 20_000 * passed if near else rate * _GROWTH**passed + 1_000 * passed
        self._by_delay = clamp(min(grown, ceiling))

    def proven(self, rate: float) -> None:
        """The line was shown to carry so much, by padding that arrived."""
        if self._by_delay is None or self._by_delay < rate:
            self._by_delay = clamp(rate)
        if self._by_loss is not None and self._by_loss < rate:
            self._by_loss = clamp(rate)


class Source(Protocol):
    """What a stream is made of: numbers given so far, and packets that really came for them."""

    highest: int
    placed: int


class _Told(NamedTuple):
    """What a stream's last block said, and where its source stood."""

    highest: int
    lost: int
    source: Source | None
    ours: int
    unseen: int
    """Packets missing at the source that the viewer had not counted yet."""


class Reports:
    """Turns a viewer's report blocks into packets that arrived and that did not, over all its streams."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        """No report yet."""
        self._before: dict[int, _Told] = {}

    def count(self, blocks: Iterable[ReportBlock], sources: Mapping[int, Source | None]) -> tuple[int, int]:
        """Packets (received, lost) since each stream's last block.

        Args:
            blocks: From one viewer.
            sources: For each of our streams what it is fed from now: what never came to us, the publisher's
                line lost, and it must not be blamed on the viewer's. Strange streams count nothing.
        """
        received = lost = 0
        for block in blocks:
            if block.ssrc not in sources:
                continue
            source, before = sources[block.ssrc], self._before.get(block.ssrc)
            ours = 0 if source is None else source.highest - source.placed
            missing = 0
            if before is not None:
                expected = ahead(block.highest, before.highest, TIMESTAMP)
                if 0 < expected < 1 << 15:
                    missing = (
                        max(0, ours - before.ours) + before.unseen if source is before.source else expected
                    )
                    gone = max(0, block.lost - before.lost)
                    received += max(0, expected - max(gone, missing))
                    lost += min(expected, max(0, gone - missing))
                    missing = max(0, missing - gone)
            self._before[block.ssrc] = _Told(block.highest, block.lost, source, ours, min(missing, _UNSEEN))
        return received, lost
