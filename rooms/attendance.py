"""Attendance: who was inside from when to when. Lies in the store's snapshot, shown to nobody inside."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec


class Stay(msgspec.Struct, frozen=True, omit_defaults=True):
    """One stay inside.

    Attributes:
        person: whose.
        entered: milliseconds since the epoch.
        left: likewise; 0 while the person is inside.
    """

    person: str
    entered: int
    left: int = 0


@dataclass
class Attendance:
    """The slice of a room that an attendance list is made of."""

    inside: dict[str, int] = field(default_factory=dict)
    past: list[Stay] = field(default_factory=list)

    def enter(self, person: str, at: int) -> None:
        """Begin a stay, unless one is under way."""
        self.inside.setdefault(person, at)

    def leave(self, person: str, at: int) -> None:
        """End a stay, if one is under way."""
        if person in self.inside:
            self.past.append(Stay(person=person, entered=self.inside.pop(person), left=at))

    def knows(self, person: str) -> bool:
        """Tell whether a person is inside or has ever been."""
        return person in self.inside or any(stay.person == person for stay in self.past)

    def stays(self) -> Iterator[Stay]:
        """Yield every stay, past ones first."""
        yield from self.past
        for person, entered in self.inside.items():
            yield Stay(person=person, entered=entered)

    @classmethod
    def of(cls, stays: list[Stay]) -> "Attendance":
        """Build the slice that `stays` were taken of."""
        made = cls()
        for stay in stays:
            if stay.left:
                made.past.append(stay)
            else:
                made.inside[stay.person] = stay.entered
        return made
