"""The quality of publishers' lines, for a badge; and who has gone silent."""

from __future__ import annotations

from collections.abc import Iterable

GOOD, FAIR, POOR, LOST = 3, 2, 1, 0
AWAY = 5.0
"""Seconds without RTP or RTCP after which a publisher is away."""
_FAIR_LOSS, _POOR_LOSS = 5, 20
_FAIR_JITTER, _POOR_JITTER = 0.04, 0.08
_PATIENCE = 3
"""Seconds in a row a line must be better before it is called better."""


def grade(fraction: int, jitter: float) -> int:
    """Quality from the fraction lost (of 256) and jitter in seconds."""
    if fraction >= _POOR_LOSS or jitter >= _POOR_JITTER:
        return POOR
    return FAIR if fraction >= _FAIR_LOSS or jitter >= _FAIR_JITTER else GOOD


class Lines:
    """Persons' line quality: worse at once, better with patience.

    Attributes:
        quality: Person → 0–3.
    """

    __slots__ = ("_better", "quality")

    def __init__(self) -> None:
        """Nobody publishes."""
        self.quality: dict[str, int] = {}
        self._better: dict[str, int] = {}

    def note(self, person: str, grade: int) -> None:
        """A second's grade of a person, the worst of their streams."""
        known = self.quality.get(person, GOOD)
        if grade <= known or known == LOST:
            self.quality[person] = grade
            self._better[person] = 0
            return
        self._better[person] = self._better.get(person, 0) + 1
        if self._better[person] >= _PATIENCE:
            self.quality[person] = grade
            self._better[person] = 0

    def keep(self, persons: Iterable[str]) -> None:
        """Forget everybody else."""
        kept = set(persons)
        self.quality = {p: q for p, q in self.quality.items() if p in kept}
        self._better = {p: n for p, n in self._better.items() if p in kept}
