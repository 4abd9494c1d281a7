"""The port: what a room needs from its store, and nothing about what a room is."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol


class Position(NamedTuple):
    """Where a log stands.

    Attributes:
        epoch: Grows when history may have changed under a reader (redaction, failover); starts at 1.
        seq: Number of the last entry; 0 for an empty log. Never falls within an epoch.
    """

    epoch: int
    seq: int


class Row(NamedTuple):
    """One stored entry and its number."""

    seq: int
    body: bytes


class Saved(NamedTuple):
    """A snapshot: the room as it was after entry `seq`."""

    seq: int
    body: bytes


class Batch(NamedTuple):
    """News from `follow`: contiguous rows, or only a new epoch (then read everything again)."""

    epoch: int
    rows: Sequence[Row]


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
        """Rows with a number greater than `after`, oldest first, at most `limit`."""

    async def position(self, room: str) -> Position:
        """Where the log stands; an unknown room stands at (1, 0)."""

    def follow(self, room: str, seen: Position) -> AsyncGenerator[Batch, None]:
        """Everything after `seen`, as it comes, without gaps or repetition. Close the generator to stop.

        After a batch without rows the epoch has changed, and the caller has to load the room again.
        """

    async def whisper(self, room: str, body: bytes) -> None:
        """Say something to whoever listens just now. Never stored; may be lost."""

    def whispers(self, room: str) -> AsyncGenerator[bytes, None]:
        """What is whispered in a room from now on, by this node too. Close the generator to stop."""

    async def snapshot(self, room: str) -> Saved | None:
        """The newest snapshot of the current epoch or an earlier one, if any."""

    async def save_snapshot(self, room: str, seq: int, body: bytes) -> None:
        """Keep a snapshot unless a newer one is there."""

    async def redact(self, room: str, replacements: Mapping[int, bytes]) -> Position:
        """Replace entries for good: the old bytes and every snapshot leave the store, the epoch grows."""

    async def erase(self, room: str) -> None:
        """Remove the log, its snapshot, cards, leases and the session's index line."""

    async def put_card(self, room: str, person: str, body: bytes) -> None:
        """Keep a person's card (name, profession) beside the log."""

    async def card(self, room: str, person: str) -> bytes | None:
        """One card."""

    async def cards(self, room: str) -> dict[str, bytes]:
        """All cards of a room by person id."""

    async def forget(self, room: str, person: str) -> None:
        """Remove a card for good. The log, which knows only the id, stays as it is."""

    async def put_session(self, session: str, body: bytes) -> None:
        """Keep a session's line in the index."""

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

    async def lease(self, room: str, names: Iterable[str], seconds: float) -> None:
        """Say that these are present from now on for a time; saying it again renews."""

    async def release(self, room: str, names: Iterable[str]) -> None:
        """End leases before their time."""

    async def leases(self, room: str) -> set[str]:
        """Who holds a lease that has not run out."""

    async def secret(self) -> bytes:
        """The site's random secret (32 bytes), made at the first call and kept for ever."""

    async def check(self) -> None:
        """Return if the store can write now; for health pages."""

    async def close(self) -> None:
        """Finish what waits and let go of files and connections."""
