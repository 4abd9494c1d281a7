"""The port: what a room needs from its store, and nothing about what a room is."""

from collections.abc import AsyncGenerator, Collection, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

EDITIONS: Final = 4096
"""Editions of one history: epochs with the same quotient by this number tell the same story."""


class Position(NamedTuple):
    """Where a log stands.

    Attributes:
        epoch: Grows when the log may have changed under a reader; starts at 1. A redaction takes words out of
            a story that stays the same, and adds 1: whoever held the room still holds it. A failover may have
            lost a part of the story, and goes on to the next multiple of `EDITIONS`: read everything anew.
        seq: Number of the last entry; 0 for an empty log. Never falls within an epoch.
    """

    epoch: int
    seq: int

    @property
    def history(self) -> int:
        """Which story the log tells: positions of one history can be compared, and resumed from."""
        return self.epoch // EDITIONS

    def rewritten(self, *, anew: bool) -> "Position":
        """The same place in the next edition or, with `anew`, in another history."""
        return Position((self.history + 1) * EDITIONS if anew else self.epoch + 1, self.seq)


class Row(NamedTuple):
    """One stored entry and its number."""

    seq: int
    body: bytes


class Saved(NamedTuple):
    """A snapshot: the room as it was after entry `seq`."""

    seq: int
    body: bytes


class Batch(NamedTuple):
    """News from `follow`: contiguous rows; or none, and the log has changed (compare positions)."""

    epoch: int
    rows: Sequence[Row]


class Held(NamedTuple):
    """A key that somebody holds, and for how many seconds more."""

    key: str
    holder: bytes
    seconds: float


class Taken(Exception):  # noqa: N818 - an answer of the protocol, not a fault
    """Somebody wrote first. Catch up to `tail`, decide again, append again.

    Attributes:
        tail: Where the log stands now.
    """

    def __init__(self, tail: Position) -> None:
        super().__init__(f"the log stands at {tail.epoch}-{tail.seq}")
        self.tail = tail


class StoreAway(Exception):  # noqa: N818 - it names the state the caller is in
    """The store cannot be reached or cannot write; an append may or may not have happened.

    Catch up before trying again: entries carry their command's key, so a retry is answered once.
    """


class Store(Protocol):
    """A place for logs and the few facts beside them. Every method may raise `StoreAway`."""

    async def append(self, room: str, seen: Position, entries: Sequence[bytes]) -> None:
        """Append all entries after `seen`, or none.

        Returns only when the entries are on disk.

        Raises:
            Taken: The log does not stand at `seen`.
        """

    async def read(self, room: str, after: int, limit: int) -> list[Row]:
        """Rows with a number greater than `after`, oldest first, at most `limit`.

        The first one is `after + 1`, unless rows up to there have been trimmed.
        """

    async def position(self, room: str, *, kept: bool = False) -> Position:
        """Where the log stands; an unknown room stands at (1, 0).

        Args:
            room: The room.
            kept: Answer only when everything up to there is kept as safely as an append promises.
        """

    def follow(self, room: str, seen: Position) -> AsyncGenerator[Batch, None]:
        """Everything after `seen`, as it comes, without gaps or repetition. Close the generator to stop.

        A batch without rows says that the epoch has changed, or that rows were trimmed before they were read.
        """

    async def whisper(self, room: str, body: bytes) -> None:
        """Say something to whoever listens just now. Never stored; may be lost."""

    def whispers(self, room: str) -> AsyncGenerator[bytes, None]:
        """What is whispered in a room from now on, by this node too. Close the generator to stop."""

    async def snapshot(self, room: str) -> Saved | None:
        """The newest snapshot, if any."""

    async def save_snapshot(self, room: str, at: Position, body: bytes) -> None:
        """Keep a snapshot, unless a newer one is there or the epoch is no longer that of `at`."""

    async def trim(self, room: str, upto: int) -> None:
        """Remove rows numbered up to `upto`, but never one above the snapshot."""

    async def redact(
        self,
        room: str,
        seen: Position,
        replacements: Mapping[int, bytes],
        snapshot: Saved,
        *,
        anew: bool = False,
    ) -> Position:
        """Replace rows and the snapshot for good: the old bytes leave the store, the epoch grows.

        Args:
            room: The room.
            seen: Its epoch must still be the log's; entries may have come after it.
            replacements: Bodies by number; numbers that are not there are passed over.
            snapshot: Takes the place of the one that is there.
            anew: Only the snapshot is left up to its number, and it tells another story: everybody has to
                read it anew.

        Returns:
            Where the log stands now.

        Raises:
            Taken: Somebody else has rewritten it, or the log ends before `snapshot`.
        """

    async def erase(self, room: str) -> None:
        """Remove everything that belongs to a room, and the session's index line."""

    async def rooms(self) -> set[str]:
        """Every room that has a log, cards or a line in the index."""

    async def put_card(self, room: str, person: str, body: bytes) -> None:
        """Keep a person's card (name, profession) beside the log."""

    async def swap_card(self, room: str, person: str, before: bytes, after: bytes) -> bool:
        """Change a person's card, if it is still `before`; False if it is another one, or gone."""

    async def card(self, room: str, person: str) -> bytes | None:
        """One card."""

    async def cards(self, room: str, people: Collection[str] | None = None) -> dict[str, bytes]:
        """The cards of a room by person id: all, or those of `people` that have one."""

    async def forget(self, room: str, person: str) -> None:
        """Remove a card for good. The log, which knows only the id, stays as it is."""

    async def put_session(self, session: str, body: bytes) -> None:
        """Keep a session's line in the index."""

    async def swap_session(self, session: str, before: bytes, after: bytes) -> bool:
        """Change a session's line, if it is still `before`; False if it is another one, or gone."""

    async def session(self, session: str) -> bytes | None:
        """A session's line in the index."""

    async def sessions(self) -> dict[str, bytes]:
        """The whole index by session id."""

    async def claim_once(self, key: str, seconds: float) -> bool:
        """True for the first caller with this key within the time, False for all others."""

    async def put_fact(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a small value for a time."""

    async def fact(self, key: str) -> bytes | None:
        """A small value, if its time is not over."""

    async def hold(self, key: str, holder: bytes, seconds: float) -> bytes:
        """Hold a key for a time if nobody else does, or hold it longer; gives who holds it now."""

    async def let_go(self, key: str, holder: bytes) -> None:
        """Hold a key no longer; that of another holder stays."""

    async def holds(self, prefix: str) -> list[Held]:
        """What is held under keys that begin with `prefix`."""

    async def lease(self, room: str, names: Iterable[str], seconds: float) -> None:
        """Say that these are present from now on for a time; saying it again renews."""

    async def release(self, room: str, names: Iterable[str]) -> None:
        """End leases before their time."""

    async def leases(self, room: str) -> set[str]:
        """Who holds a lease that has not run out."""

    async def stamp(self, room: str) -> int:
        """A number greater than any given before in this room, by whichever node asks."""

    async def secret(self) -> bytes:
        """The site's random secret (32 bytes), made at the first call and kept for ever."""

    async def put_secret(self, secret: bytes) -> None:
        """Take over another store's secret, and with it the tickets and links that it signed."""

    async def restore(self, room: str, tail: Position, rows: Sequence[Row], snapshot: Saved | None) -> None:
        """Write a room's log as it was elsewhere, in place of whatever is there.

        Args:
            room: The room.
            tail: Where the log stood there; it goes on in another history, because the place is another.
            rows: All rows that had not been trimmed.
            snapshot: The snapshot, if there was one.
        """

    async def check(self) -> None:
        """Return if the store can write now; for health pages."""

    async def close(self) -> None:
        """Finish what waits and let go of files and connections."""
