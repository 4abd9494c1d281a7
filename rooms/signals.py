"""Quiet signals: うなずき and five others. Lossy, never in the log, never shown when few."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

SignalKind = Literal["nod", "empathy", "insight", "more", "unease", "same_here"]
KINDS: Final[tuple[SignalKind, ...]] = ("nod", "empathy", "insight", "more", "unease", "same_here")
FEWEST: Final = 5
"""Fewest distinct people behind a number that is shown (k-anonymity)."""
WINDOW_MS: Final = 15_000
"""How long one person's signal counts."""


class Waves:
    """Who signalled what, and when, within the window. Holds one time per person and kind."""

    def __init__(self) -> None:
        self._sent: dict[SignalKind, dict[str, int]] = {kind: {} for kind in KINDS}

    def add(self, kind: SignalKind, person: str, now: int) -> None:
        """Count a signal of `person` at `now` milliseconds; a repeated one counts once."""
        self._sent[kind][person] = now

    def counts(self, now: int, inside: Callable[[str], bool]) -> dict[SignalKind, int]:
        """Give the numbers that may be shown: distinct people per kind, if at least `FEWEST`.

        Args:
            now: in milliseconds.
            inside: tells whether a person is in the room; who has left no longer counts.
        """
        for sent in self._sent.values():
            for person in [one for one, at in sent.items() if now - at >= WINDOW_MS or not inside(one)]:
                del sent[person]
        return publishable({kind: len(sent) for kind, sent in self._sent.items()})


def publishable(counts: Mapping[SignalKind, int]) -> dict[SignalKind, int]:
    """Drop every number behind which stand fewer than `FEWEST` people."""
    return {kind: count for kind, count in counts.items() if count >= FEWEST}
