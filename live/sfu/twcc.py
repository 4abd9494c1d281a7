"""Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from live.sfu.contract import Malformed
from live.sfu.numbers import Unwrapper
from live.sfu.rtcp import RTPFB, packet

TICKS = 4000
"""A delta counts 250 µs."""
_REFERENCE = 256
"""The reference time counts 64 ms, in deltas."""
_FIXED = struct.Struct("!IIHH")
_MAX_STATUSES = 2000
MAX_READ = 2048
"""Statuses read of one packet: as many as packets are remembered (`live.sfu.bandwidth.Departures`)."""
_MISSING, _SMALL, _LARGE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class TransportFeedback:
    """Which transport-wide numbers arrived, and when.

    Attributes:
        sender: SSRC of the receiver.
        media: SSRC of the sender's stream.
        base: First 16-bit number reported on.
        count: Rises by one with every feedback (8 bits).
        arrivals: For each number from `base` on: arrival in 250 µs ticks (the reference wraps), or None.
    """

    sender: int
    media: int
    base: int
    count: int
    arrivals: tuple[int | None, ...]


def write_feedback(feedback: TransportFeedback) -> bytes:
    """The RTCP packet; deltas between arrivals must fit 16 bits, the first arrival must not be None."""
    first = next(tick for tick in feedback.arrivals if tick is not None)
    reference = first // _REFERENCE
    last = reference * _REFERENCE
    symbols = bytearray()
    deltas = bytearray()
    for tick in feedback.arrivals:
        if tick is None:
            symbols.append(_MISSING)
            continue
        delta, last = tick - last, tick
        small = 0 <= delta <= 0xFF  # noqa: PLR2004  one byte
        symbols.append(_SMALL if small else _LARGE)
        deltas += delta.to_bytes(1) if small else delta.to_bytes(2, signed=True)
    body = _FIXED.pack(feedback.sender, feedback.media, feedback.base & 0xFFFF, len(symbols))
    body += (reference & 0xFFFFFF).to_bytes(3) + bytes((feedback.count & 0xFF,))
    body += _chunks(symbols) + deltas
    return packet(RTPFB, 15, body)


def _chunks(symbols: bytearray) -> bytes:
    """Runs of seven or more as run-length chunks, the rest as two-bit vectors of seven (§3.1.3, §3.1.4)."""
    out = bytearray()
    at, size = 0, len(symbols)
    while at < size:
        end = at + 1
        while end < size and symbols[end] == symbols[at] and end - at < 0x1FFF:  # noqa: PLR2004  13 bits
            end += 1
        if end - at >= 7 or end == size:  # noqa: PLR2004  what a vector would hold
            out += (symbols[at] << 13 | end - at).to_bytes(2)
            at = end
            continue
        chunk = 0xC000
        for place, symbol in enumerate(symbols[at : at + 7]):
            chunk |= symbol << (12 - 2 * place)
        out += chunk.to_bytes(2)
        at += 7
    return bytes(out)


def parse_feedback(body: bytes) -> TransportFeedback:
    """Read the body of a feedback packet: what follows its RTCP header.

    Raises:
        Malformed: Chunks or deltas are missing, or a reserved symbol stands where a status should.
    """
    if len(body) < 16:  # noqa: PLR2004  the fixed part
        raise Malformed("transport feedback is cut short")
    sender, media, base, statuses = _FIXED.unpack_from(body)
    if statuses > MAX_READ:
        raise Malformed("transport feedback about more packets than can be out")
    tick = int.from_bytes(body[12:15]) * _REFERENCE
    symbols, at = _symbols(body, statuses)
    arrivals: list[int | None] = []
    for symbol in symbols:
        if symbol == _MISSING:
            arrivals.append(None)
            continue
        if symbol > _LARGE or at + symbol > len(body):
            raise Malformed("transport feedback lacks a delta")
        tick += int.from_bytes(body[at : at + symbol], signed=symbol == _LARGE)
        at += symbol
        arrivals.append(tick)
    return TransportFeedback(sender, media, base, body[15], tuple(arrivals))


def _symbols(body: bytes, statuses: int) -> tuple[list[int], int]:
    symbols: list[int] = []
    at = 16
    while len(symbols) < statuses:
        if at + 2 > len(body):
            raise Malformed("transport feedback lacks a chunk")
        chunk = int.from_bytes(body[at : at + 2])
        at += 2
        if not chunk & 0x8000:
            symbols += [chunk >> 13] * min(chunk & 0x1FFF, statuses - len(symbols))
            if not chunk & 0x1FFF:
                raise Malformed("a run of no statuses")
        elif chunk & 0x4000:
            symbols += [chunk >> shift & 3 for shift in range(12, -1, -2)]
        else:
            symbols += [chunk >> shift & 1 for shift in range(13, -1, -1)]
    return symbols[:statuses], at


class Arrivals:
    """Notes when packets of one transport arrived and writes the feedback that is due.

    Holds at most ``LIMIT`` unreported arrivals; beyond that the oldest are forgotten (reported as lost).
    """

    LIMIT = 1000
    __slots__ = ("_count", "_next", "_pending", "_unwrapper")

    def __init__(self) -> None:
        """Nothing has arrived."""
        self._unwrapper = Unwrapper()
        self._pending: dict[int, int] = {}
        self._next: int | None = None
        self._count = 0

    def note(self, number: int, now: float) -> None:
        """A packet with this transport-wide number arrived; a repeated number is ignored."""
        extended = self._unwrapper.unwrap(number)
        if extended not in self._pending:
            self._pending[extended] = int(now * TICKS)
            if len(self._pending) > self.LIMIT:
                del self._pending[next(iter(self._pending))]

    def feedback(self, sender: int, media: int) -> list[bytes]:
        """Report everything that has arrived since the last report; several packets where one cannot hold it.

        Args:
            sender: Our SSRC.
            media: One of the publisher's own SSRCs, or Chromium drops the packet silently.
        """
        pending, self._pending = sorted(self._pending.items()), {}
        out: list[bytes] = []
        at = 0
        while at < len(pending):
            base = pending[at][0]
            if self._next is not None and 0 <= base - self._next <= self.LIMIT // 2:
                base = self._next
            arrivals: list[int | None] = []
            last: int | None = None
            while at < len(pending):
                number, tick = pending[at]
                fits = last is None or -0x8000 <= tick - last <= 0x7FFF  # noqa: PLR2004  a signed 16-bit delta
                if not fits or number - base >= _MAX_STATUSES:
                    break
                arrivals.extend([None] * (number - base - len(arrivals)))
                arrivals.append(tick)
                last = tick
                at += 1
            self._next = max(self._next or 0, base + len(arrivals))
            out.append(write_feedback(TransportFeedback(sender, media, base, self._count, tuple(arrivals))))
            self._count = (self._count + 1) & 0xFF
        return out
