"""The log of staff acts: who did what to whom, without content, each chained to the one before.

An act's `chain` is a hash of the act and of the chain before it, so that an act that was changed, taken out
or put in breaks everything after it. Whoever can write the store can also compute the whole chain anew:
against that, note the newest link (the *head*) where they cannot write. OWASP ASVS 5.0 16.4.2.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import msgspec

from rooms.core import STAFF_ROLES, Asked, Command, Event, Level

if TYPE_CHECKING:
    from rooms.room import Room

ACTS_KEPT: Final = 2000
AGAIN_MS: Final = 60_000
"""Within so long the same act of the same person is noted once: it must not push the others out."""


class Act(msgspec.Struct, frozen=True):
    """One act of a moderator or organiser.

    Attributes:
        id: of the act.
        by: who did it.
        what: the act's name.
        about: the person or item that it concerned; of settings, which, and how rules stand now.
        at: milliseconds since the epoch.
        chain: 32 hexadecimal digits that stand for this act and all before it.
    """

    id: str
    by: str
    what: str
    about: str
    at: int
    chain: str = ""


@dataclass
class Acts:
    """The slice of a room that remembers what its staff did."""

    acts: list[Act] = field(default_factory=list)

    @property
    def head(self) -> str:
        """The newest act's chain; empty before the first."""
        return self.acts[-1].chain if self.acts else ""

    def chained(self, session: str, act: Act) -> Act:
        """Give the act as the next one of this session."""
        return msgspec.structs.replace(act, chain=link(session, self.head, act))

    def facts(self) -> Iterator[Event]:
        """Yield the events that rebuild this slice."""
        for act in self.acts:
            yield ActRecorded(act=act)


def link(session: str, before: str, act: Act) -> str:
    """Hash an act onto the chain before it: SHA-256 of their canonical JSON array, cut to 128 bits."""
    text = msgspec.json.encode([session, before, act.id, act.by, act.what, act.about, act.at])
    return hashlib.sha256(text).hexdigest()[:32]


def broken_at(session: str, acts: Sequence[Act]) -> int | None:
    """Return the index of the first act that does not follow from the one before; None: the chain is whole.

    Of a session with `ACTS_KEPT` acts the oldest have been forgotten: the first that is left is believed.
    """
    before = ""
    for index, act in enumerate(acts):
        forgotten = index == 0 and len(acts) >= ACTS_KEPT
        if act.chain != link(session, before, act) and not forgotten:
            return index
        before = act.chain
    return None


class ActRecorded(Event, frozen=True, tag="act_recorded"):
    """A staff act, for the staff."""

    audience = Level.STAFF
    act: Act

    def apply(self, room: "Room") -> None:
        """Append, forgetting the oldest."""
        room.acts.acts.append(self.act)
        del room.acts.acts[:-ACTS_KEPT]


class NoteAct(Command, frozen=True, tag="note_act"):
    """Remember what the staff did over HTTP: links made, data taken along (asked by the server alone)."""

    needs: ClassVar = STAFF_ROLES
    after_the_end: ClassVar[bool] = True
    what: Literal["make_ticket", "export"]
    person: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Chain the act."""
        act = Act(id=asked.id, by=asked.person, what=self.what, about=self.person, at=asked.at)
        again = [one for one in room.acts.acts[-1:] if act.at - one.at < AGAIN_MS]
        if [(one.by, one.what, one.about) for one in again] == [(act.by, act.what, act.about)]:
            return []
        return [ActRecorded(act=room.acts.chained(room.session.id, act))]
