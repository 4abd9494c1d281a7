"""The log of staff acts: who did what to whom, without content."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

from rooms.core import Event, Level

if TYPE_CHECKING:
    from rooms.room import Room

ACTS_KEPT: Final = 2000


class Act(msgspec.Struct, frozen=True):
    """One act of a moderator or organiser."""

    id: str
    by: str
    what: str
    about: str
    at: int


@dataclass
class Acts:
    """The slice of a room that remembers what its staff did."""

    acts: list[Act] = field(default_factory=list)

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        for act in self.acts:
            yield ActRecorded(act=act)


class ActRecorded(Event, frozen=True, tag="act_recorded"):
    """A staff act, for the staff."""

    audience = Level.STAFF
    act: Act

    def apply(self, room: "Room") -> None:
        """Append, forgetting the oldest."""
        room.acts.acts.append(self.act)
        del room.acts.acts[:-ACTS_KEPT]
