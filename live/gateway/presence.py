"""What is true now and never history: who is connected, who waves, who is typing.

Presence is a lease in the store, renewed by the node that holds the connection; a lost line keeps it for
`GRACE_SECONDS`. Waves and typing are whispered to the other nodes twice a second, so that every node counts
the same people. Everything is aggregated and sent only when it changed, at most twice a second.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from live.gateway.message import Message
from live.protocol.frames import Signals
from rooms import Level, Room, SignalKind, Waves

GRACE_SECONDS: Final = 30.0
RENEW_MS: Final = 10_000
TYPING_MS: Final = 5_000
TYPING_MOST: Final = 5


class Whisper(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one node tells the others.

    Attributes:
        waves: Kinds of signals by person.
        typing: Who is writing.
        wrote: Who has sent it.
    """

    waves: dict[str, list[SignalKind]] = {}
    typing: list[str] = []
    wrote: list[str] = []


class Presence:
    """One room's signals, and what each level was last told.

    Attributes:
        online: Person ids with a lease, from any node.
        newest: The newest seat of each person, from any node.
    """

    def __init__(self) -> None:
        self.online: set[str] = set()
        self.newest: dict[str, str] = {}
        self.renewed = 0
        self._seats: set[str] = set()
        self._waves = Waves()
        self._typing: dict[str, int] = {}
        self._told: dict[Level, Message] = {}
        self._news = Whisper()

    def leased(self, seats: set[str]) -> None:
        """Take in the leases that the store holds: `person/stamp`."""
        if seats == self._seats:  # in a crowd, the usual case
            return
        self._seats, self.newest = seats, {}
        for seat in sorted(seats, key=stamp_of):
            self.newest[person_of(seat)] = seat
        self.online = set(self.newest)

    def wave(self, person: str, kind: SignalKind, now: int) -> None:
        """Count a quiet signal."""
        self._waves.add(kind, person, now)
        self._news.waves.setdefault(person, []).append(kind)

    def typing(self, person: str, now: int) -> None:
        """Somebody writes."""
        self._typing[person] = now + TYPING_MS
        self._news.typing.append(person)

    def wrote(self, person: str) -> None:
        """Somebody has sent what they were writing."""
        if self._typing.pop(person, None) is not None:
            self._news.wrote.append(person)

    def whisper(self) -> bytes | None:
        """What the other nodes should hear, if anything."""
        if self._news == Whisper():
            return None
        news, self._news = self._news, Whisper()
        return msgspec.json.encode(news)

    def overhear(self, body: bytes, now: int) -> None:
        """Take in what a node whispered; hearing oneself changes nothing.

        Raises:
            msgspec.DecodeError: It cannot be read here.
        """
        heard = msgspec.json.decode(body, type=Whisper)
        for person, kinds in heard.waves.items():
            for kind in kinds:
                self._waves.add(kind, person, now)
        for person in heard.typing:
            self._typing[person] = now + TYPING_MS
        for person in heard.wrote:
            self._typing.pop(person, None)

    def told(self, level: Level) -> Message | None:
        """What a level knows; for those who come later."""
        return self._told.get(level)

    def tell(self, room: Room, broadcast: Callable[[Level, Message, str], None], now: int) -> None:
        """Send each level what changed, by a function of level, message and lossy kind."""
        self._typing = {person: until for person, until in self._typing.items() if until > now}
        waves = self._waves.counts(now, room.door.is_inside)
        inside = [person for person in self.online if room.door.is_inside(person)]
        votes, hidden = room.questions.counts(), room.session.settings.qa.counts_hidden
        waiting = room.door.waiting()
        here = sorted({*inside, *self.online.intersection(waiting)})
        for level in Level:
            staff = level is Level.STAFF
            signals = Signals(waiting=len(waiting))
            if level >= Level.ADMITTED:
                signals = Signals(
                    online=len(inside),
                    present=here if staff else None,
                    waiting=len(waiting) if staff else None,
                    waves=waves,
                    typing=list(self._typing)[:TYPING_MOST],
                    votes=votes if staff or not hidden else {},
                )
            message = Message.of(signals)
            if (older := self._told.get(level)) is None or older.plain != message.plain:
                self._told[level] = message
                broadcast(level, message, "signals")


def person_of(seat: str) -> str:
    """The person who holds a seat."""
    return seat.rpartition("/")[0]


def stamp_of(seat: str) -> str:
    """When a seat was taken, comparable."""
    return seat.rpartition("/")[2]
