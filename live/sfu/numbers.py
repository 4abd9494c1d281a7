"""Numbers that wrap: RTP's 16-bit sequence and 32-bit timestamp, never compared raw."""

from __future__ import annotations

from bisect import bisect_right

SEQUENCE = 0xFFFF
TIMESTAMP = 0xFFFFFFFF


def ahead(newer: int, older: int, mask: int) -> int:
    """How far `newer` lies ahead of `older` on a circle of ``mask + 1``; negative when behind."""
    distance = (newer - older) & mask
    return distance - mask - 1 if distance > mask >> 1 else distance


class Unwrapper:
    """Gives wrapping numbers an unbounded place: the one nearest to the number before."""

    __slots__ = ("_last", "_mask")

    def __init__(self, mask: int = SEQUENCE) -> None:
        """Start at the first number given."""
        self._mask = mask
        self._last: int | None = None

    def unwrap(self, value: int) -> int:
        """The extended number (may be negative just after the start)."""
        if self._last is None:
            self._last = value
        else:
            self._last += ahead(value, self._last & self._mask, self._mask)
        return self._last


class Renumbering:
    """Closes holes: numbers whose packets are left out on purpose vanish from the output (law 11).

    The map is remembered as (first number, offset) pairs; packets late by more than the ``REMEMBERED`` last
    holes get no number: another packet may have had it.
    """

    REMEMBERED = 256
    __slots__ = ("_offsets", "_starts")

    def __init__(self, offset: int = 0) -> None:
        """Begin with ``number + offset``."""
        self._starts = [-(1 << 62)]
        self._offsets = [offset]

    def number(self, extended: int) -> int | None:
        """A source number's output number, by the offset that held for it; None in a hole or too late."""
        if extended >= self._starts[-1]:
            return extended + self._offsets[-1]
        at = bisect_right(self._starts, extended) - 1
        if at < 0:
            return None
        number = extended + self._offsets[at]
        return None if number >= self._starts[at + 1] + self._offsets[at + 1] else number

    def source(self, number: int) -> int:
        """The source number of an output number."""
        if number >= self._starts[-1] + self._offsets[-1]:
            return number - self._offsets[-1]
        at = bisect_right(range(len(self._starts)), number, key=lambda n: self._starts[n] + self._offsets[n])
        return number - self._offsets[max(0, at - 1)]

    def leave_out(self, first: int, count: int) -> None:
        """Let ``count`` numbers from `first` on vanish; nothing after `first` may have been numbered yet."""
        if first == self._starts[-1]:
            self._starts[-1] += count
            self._offsets[-1] -= count
            return
        self._starts.append(first + count)
        self._offsets.append(self._offsets[-1] - count)
        if len(self._starts) > self.REMEMBERED:
            del self._starts[0], self._offsets[0]
