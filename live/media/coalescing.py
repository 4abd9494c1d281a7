"""RTCP that can wait a moment, so that the reports of many viewers are taken together.

A viewer's report that comes alone finds cold caches: taking it costs several times what it costs as one of
many (docs/benchmarks.md). A network card coalesces its interrupts for the same reason. Reports and transport
feedback may wait; NACKs and keyframe requests never do, nor STUN, by which browsers measure the round trip.
"""

import asyncio
from collections.abc import Callable

from live.media.ice import Address

#: Seconds that a datagram waits at most, and how many do.
DELAY, LIMIT = 0.02, 256

#: RTCP packet types that can wait whatever they say: SR, RR, SDES and XR (RFC 3550 §12.1, RFC 3611 §2); and
#: those whose format 15 can: transport-wide feedback, and REMB (RFC 4585 §6.1 and 6.4).
_REPORTS, _FEEDBACK, _PATIENT_FORMAT = frozenset((200, 201, 202, 207)), (205, 206), 15


def is_rtcp(datagram: bytes) -> bool:
    """Tells RTCP from RTP, STUN and DTLS by the first two bytes (RFC 7983, RFC 5761 §4)."""
    return len(datagram) > 1 and 128 <= datagram[0] < 192 <= datagram[1] < 224  # noqa: PLR2004  # their ranges


def can_wait(datagram: bytes) -> bool:
    """Whether a viewer's SRTCP can wait, by the header that it leaves in clear, its first packet's.

    Who sends reduced-size RTCP (RFC 5506), as we ask for, sends what is urgent in a datagram of its own; of
    another client, a NACK behind its report waits too.
    """
    kind = datagram[1]
    if kind in _FEEDBACK:
        return datagram[0] & 31 == _PATIENT_FORMAT
    return kind in _REPORTS


class Coalescer:
    """Holds SRTCP in the order in which it came.

    Args:
        take: called for each with the seconds that it waited.
        pause: called when the delay is over and all are taken: the time to send what they caused.
    """

    def __init__(self, take: Callable[[bytes, Address, float], None], pause: Callable[[], None]) -> None:
        self._take = take
        self._pause = pause
        self._waiting: list[tuple[float, bytes, Address]] = []
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, datagram: bytes, address: Address) -> None:
        """Holds one for `DELAY` seconds at most; `LIMIT` of them are taken at once."""
        loop = asyncio.get_running_loop()
        self._waiting.append((loop.time(), datagram, address))
        if len(self._waiting) >= LIMIT:
            self.release()
        elif self._timer is None:
            self._timer = loop.call_later(DELAY, self._due)

    def release(self) -> None:
        """Takes all now, as is due before anything that came later from one of them is taken."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        now = asyncio.get_running_loop().time()
        for at, datagram, address in waiting:
            self._take(datagram, address, now - at)

    def _due(self) -> None:
        self._timer = None
        self.release()
        self._pause()

    def close(self) -> None:
        """Forgets them."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
