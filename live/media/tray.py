"""Datagrams that can wait a moment, so that those of many are taken in a row.

A viewer's report that comes alone finds cold caches: taking it costs several times what it costs as one of
a row (docs/benchmarks.md). Reports, transport feedback and consent checks may wait; the numbers of lost
packets and wishes for keyframes never lie here.
"""

import asyncio
from collections.abc import Callable

from live.media.ice import Address

#: Seconds that a datagram lies at most, and how many do.
LIE, LYING = 0.02, 256

#: RTCP packet types that can wait whatever they say: SR, RR, SDES and XR (RFC 3550 §12.1, RFC 3611 §2); and
#: those whose format 15 can: transport-wide feedback, and REMB (RFC 4585 §6.1 and 6.4).
_REPORTS, _FEEDBACK, _PATIENT_FORMAT = frozenset((200, 201, 202, 207)), (205, 206), 15

_BINDING_REQUEST = b"\0\1"


def can_wait(datagram: bytes) -> bool:
    """Whether a connected viewer's datagram can wait, by the header that SRTCP leaves in clear, its first.

    Who sends reduced-size RTCP (RFC 5506), as we ask for, sends what is urgent in a datagram of its own; of
    another client, a NACK behind its report waits too.

    Args:
        datagram: two bytes at least.
    """
    kind = datagram[1]
    if kind in _FEEDBACK:
        return datagram[0] & 31 == _PATIENT_FORMAT
    return kind in _REPORTS or datagram[:2] == _BINDING_REQUEST


class Tray:
    """Where they lie, in the order in which they came.

    Args:
        take: called for each of a row, with the seconds that it lay.
        pause: called after each row: the time to send what it caused.
    """

    def __init__(self, take: Callable[[bytes, Address, float], None], pause: Callable[[], None]) -> None:
        self._take = take
        self._pause = pause
        self._lying: list[tuple[float, bytes, Address]] = []
        self._timer: asyncio.TimerHandle | None = None

    def lay(self, datagram: bytes, address: Address) -> None:
        """Puts one down; it is taken within `LIE` seconds, at once when `LYING` of them are there."""
        loop = asyncio.get_running_loop()
        self._lying.append((loop.time(), datagram, address))
        if len(self._lying) >= LYING:
            self.clear()
        elif self._timer is None:
            self._timer = loop.call_later(LIE, self._due)

    def clear(self) -> None:
        """Takes all that lie here now, as must be done before what its sender sent later is taken."""
        if not self._lying:
            return
        row, self._lying = self._lying, []
        now = asyncio.get_running_loop().time()
        for at, datagram, address in row:
            self._take(datagram, address, now - at)

    def _due(self) -> None:
        self._timer = None
        self.clear()
        self._pause()

    def close(self) -> None:
        """Takes nothing any more."""
        self._lying.clear()
        if self._timer is not None:
            self._timer.cancel()
