"""How often one address may try: token buckets in a table of limited size."""

from collections import OrderedDict

PLACES = 10_000


class Rates:
    """One bucket per key; each key may act `per_minute` times a minute, in bursts of the same size.

    The table keeps the last `PLACES` keys and forgets the longest unused, so its memory is bounded.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_ms = per_minute / 60_000
        self._burst = float(per_minute)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, key: str, now_ms: float) -> int:
        """Return 0 when the key may act now, else the milliseconds to wait; takes nothing."""
        level = self._level(key, now_ms)
        return 0 if level >= 1 else int((1 - level) / self._per_ms) + 1

    def take(self, key: str, now_ms: float) -> int:
        """Count one act; return 0, or the milliseconds to wait (then nothing was counted)."""
        wait = self.wait(key, now_ms)
        if wait == 0:
            self._buckets[key] = (self._level(key, now_ms) - 1, now_ms)
            self._buckets.move_to_end(key)
            if len(self._buckets) > PLACES:
                self._buckets.popitem(last=False)
        return wait

    def _level(self, key: str, now_ms: float) -> float:
        level, at = self._buckets.get(key, (self._burst, now_ms))
        return min(self._burst, level + (now_ms - at) * self._per_ms)
