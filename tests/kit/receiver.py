"""How a browser tells what its line carries: receiver reports, and REMB or transport-wide feedback.

A packet with a transport-wide number is answered by feedback, one without counts for REMB, as in Chromium.
"""

from __future__ import annotations

from collections.abc import Callable

from live.sfu.bandwidth import Bandwidth
from live.sfu.reception import Reception
from live.sfu.rtcp import write_remb, write_rr
from live.sfu.rtp import parse_rtp
from live.sfu.twcc import Arrivals
from tests.kit.network import Link

TRANSPORT_ID = 6
OWN = 99


class Receiver:
    """One viewer's end of its line.

    Args:
        line: Carries the packets to it.
        tell: Takes its RTCP.
        remb: It sends REMB while packets are not numbered.
    """

    def __init__(self, line: Link, tell: Callable[[bytes], None], *, remb: bool = True) -> None:
        self.line, self.clock = line, line.clock
        self.taken: list[tuple[float, int]] = []
        self.numbered = 0
        self._tell, self._remb = tell, remb
        self._own = Bandwidth()
        self._own.begin(300_000)
        self._arrivals = Arrivals()
        self._streams: dict[int, Reception] = {}
        self._plain: list[tuple[float, float, int]] = []
        self.clock.every(0.06, self._feedback)
        self.clock.every(0.5, self._estimate, first=0.2)
        self.clock.every(1.0, self._report, first=0.5)

    def send(self, data: bytes, deliver: Callable[[bytes], None]) -> None:
        sent = self.clock.now
        self.line.send(data, lambda data: self._take(data, sent, deliver))

    def _take(self, data: bytes, sent: float, deliver: Callable[[bytes], None]) -> None:
        rtp, now = parse_rtp(data), self.clock.now
        self.taken.append((now, len(data)))
        number = rtp.extensions.get(TRANSPORT_ID)
        if number is not None:
            self.numbered += 1
            self._arrivals.note(int.from_bytes(number), now)
        else:
            self._plain.append((sent, now, len(data)))
        stream = self._streams.setdefault(rtp.ssrc, Reception(rtp.ssrc, 90000))
        stream.receive(rtp.sequence, rtp.timestamp, now)
        deliver(data)

    def rate(self, seconds: float) -> float:
        """Bits per second that arrived in the last `seconds`."""
        since = self.clock.now - seconds
        return sum(8 * size for at, size in self.taken if at >= since) / seconds

    def _feedback(self) -> None:
        for packet in self._arrivals.feedback(OWN, 5000):
            self._tell(packet)

    def _estimate(self) -> None:
        plain, self._plain = self._plain, []
        if plain:
            self._own.feedback(plain, self.clock.now)
            if self._remb and self._own.rate is not None:
                self._tell(write_remb(OWN, int(self._own.rate), []))

    def _report(self) -> None:
        blocks = [b for s in self._streams.values() if (b := s.block(self.clock.now)) is not None]
        if blocks:
            self._tell(write_rr(OWN, blocks))
