"""What a receiver knows about one stream: order, loss, jitter (RFC 3550 §6.4.1, appendix A)."""

from __future__ import annotations

from live.sfu.numbers import SEQUENCE, TIMESTAMP, ahead
from live.sfu.rtcp import ReportBlock, SenderReport

MAX_DROPOUT = 3000
MAX_MISORDER = 500


class Reception:
    """Unwraps a stream's sequence numbers and keeps its statistics.

    A number far behind is believed only when its successor follows (the sender restarted); it then counts as
    ahead, so extended numbers never fall.

    Attributes:
        highest: Highest extended number, None before the first packet.
        received: Packets counted, without duplicates that came at once.
        jitter: Interarrival jitter in timestamp units.
        fraction: Fraction lost (of 256) that the last report block told.
        packets_lost: Cumulative, may be negative with duplicates.
    """

    __slots__ = (
        "_bad",
        "_base",
        "_clock",
        "_delay",
        "_expected_before",
        "_received_before",
        "_reported",
        "_transit",
        "fraction",
        "highest",
        "jitter",
        "received",
        "ssrc",
    )

    def __init__(self, ssrc: int, clock: int) -> None:
        """Nothing received of `ssrc` yet; `clock` in Hz."""
        self.ssrc = ssrc
        self.highest: int | None = None
        self.received = 0
        self.jitter = 0.0
        self.fraction = 0
        self._clock = clock
        self._base = 0
        self._bad: int | None = None
        self._transit: int | None = None
        self._expected_before = 0
        self._received_before = 0
        self._reported: tuple[int, float] | None = None

    def receive(self, sequence: int, timestamp: int, now: float) -> int | None:
        """Count a packet; gives its extended number, or None if it cannot belong to the stream now."""
        if self.highest is None:
            self.highest = self._base = sequence
            self.received = 1
            self._jitter(timestamp, now)
            return sequence
        distance = ahead(sequence, self.highest & SEQUENCE, SEQUENCE)
        if not -MAX_MISORDER < distance < MAX_DROPOUT:
            if sequence != self._bad:
                self._bad = (sequence + 1) & SEQUENCE
                return None
            if distance < 0:
                distance += SEQUENCE + 1
        extended = self.highest + distance
        self._bad = None
        self.received += 1
        if distance > 0:
            self.highest = extended
            self._jitter(timestamp, now)
        return extended

    def _jitter(self, timestamp: int, now: float) -> None:
        transit = (int(now * self._clock) - timestamp) & TIMESTAMP
        if self._transit is not None:
            change = abs(ahead(transit, self._transit, TIMESTAMP))
            if change < 10 * self._clock:  # a jump of timestamps is no jitter
                self.jitter += (change - self.jitter) / 16
        self._transit = transit

    @property
    def packets_lost(self) -> int:
        """Expected less received, over the stream's life."""
        return 0 if self.highest is None else self.highest - self._base + 1 - self.received

    def sender_report(self, report: SenderReport, now: float) -> None:
        """Remember a sender report, to answer it with LSR and DLSR."""
        self._reported = (report.ntp >> 16 & 0xFFFFFFFF, now)

    def block(self, now: float) -> ReportBlock | None:
        """The report block since the last one (A.3), None before the first packet."""
        if self.highest is None:
            return None
        expected = self.highest - self._base + 1
        expected_now = expected - self._expected_before
        lost_now = expected_now - (self.received - self._received_before)
        self._expected_before, self._received_before = expected, self.received
        fraction = 0 if expected_now <= 0 or lost_now <= 0 else min(255, (lost_now << 8) // expected_now)
        self.fraction = fraction
        last_sr, at = self._reported or (0, now)
        delay = int((now - at) * 65536)
        highest = self.highest & TIMESTAMP
        return ReportBlock(self.ssrc, fraction, self.packets_lost, highest, int(self.jitter), last_sr, delay)
