"""Moving everything from one store to another: `madoi store copy`, `backup` and `restore`.

A backup is a store, too: an embedded one in a single file. So there is one way to move, and it proves what it
did: each room is read back, must hold the same bytes, and must fold to the same room.
"""

import asyncio
import contextlib
import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from live.stores import REDIS_SCHEMES, Position, Row, Saved, Store, StoreAway, open_store
from live.stores.embedded import FILE, EmbeddedStore
from live.stores.serving import servers
from rooms import Entry, Room, Snapshot

PAGE = 256
LINKS = "link:"
"""Begins the keys of what staff links are bound to (decision 22)."""
TRIES = 10
"""How often a room is read again that changed its shape while it was read."""


class MoveRefused(Exception):  # noqa: N818 - an answer; the message says what to do
    """The stores are not in a state to be moved; nothing was changed."""


@dataclass(frozen=True)
class Moved:
    """What was moved."""

    rooms: int = 0
    entries: int = 0
    cards: int = 0


@dataclass(frozen=True)
class _Shelf:
    """One room, whole, as it was at one moment."""

    tail: Position
    rows: list[Row]
    snapshot: Saved | None
    cards: dict[str, bytes]
    line: bytes | None

    def folded(self) -> Room:
        saved = self.snapshot
        room = Room.restore(msgspec.json.decode(saved.body, type=Snapshot)) if saved else Room()
        for row in self.rows:
            if row.seq > room.seq:
                room.fold(msgspec.json.decode(row.body, type=Entry))
        return room


async def copy(source: Store, target: Store, *, overwrite: bool = False, served: bool = False) -> Moved:
    """Copy every room, card and line of the index, the secret of the tickets, and what links are bound to.

    Args:
        source: from where.
        target: to where.
        overwrite: erase what the target holds; without it a target that holds anything is refused.
        served: whether the source may be in use; each room is copied as it is at one moment then.

    Raises:
        MoveRefused: a store is being served, the target holds something, or what was read back differs.
        live.stores.StoreAway: a store does not answer.
    """
    for store, name in ((source, "source"), (target, "target")):
        if (store is target or not served) and (count := await servers(store)):
            raise MoveRefused(
                f"the {name} is being served by {count} server(s): stop them first"
                " (one that was killed counts for half a minute)"
            )
    there = await target.rooms()
    if there and not overwrite:
        raise MoveRefused(f"the target holds {len(there)} session(s): take an empty one, or --overwrite")
    for room in there:
        await target.erase(room)
    await target.put_secret(await source.secret())
    moved = Moved()
    for room in sorted(await source.rooms()):
        shelf = await _take(source, room)
        await _put(target, room, shelf)
        await _compare(target, room, shelf)
        moved = Moved(moved.rooms + 1, moved.entries + len(shelf.rows), moved.cards + len(shelf.cards))
    for held in await source.holds(LINKS):
        if (other := await target.hold(*held)) != held.holder:
            await target.let_go(held.key, other)
            await target.hold(*held)
    return moved


async def _take(store: Store, room: str) -> _Shelf:
    """Read a room as it is at one moment; if it is rewritten or trimmed meanwhile, read it again."""
    for _ in range(TRIES):
        tail, saved = await store.position(room), await store.snapshot(room)
        rows: list[Row] = []
        while page := await store.read(room, rows[-1].seq if rows else 0, PAGE):
            rows += [row for row in page if row.seq <= tail.seq]
            if page[-1].seq >= tail.seq:
                break
        shelf = _Shelf(tail, rows, saved, await store.cards(room), await store.session(room))
        if (await store.position(room)).epoch == tail.epoch and _is_whole(shelf):
            return shelf
    raise StoreAway(f"{room} changes faster than it can be read")


def _is_whole(shelf: _Shelf) -> bool:
    from_ = shelf.snapshot.seq if shelf.snapshot else 0
    seqs = [row.seq for row in shelf.rows]
    first = seqs[0] if seqs else shelf.tail.seq + 1
    return seqs == list(range(first, shelf.tail.seq + 1)) and first <= from_ + 1 and from_ <= shelf.tail.seq


async def _put(store: Store, room: str, shelf: _Shelf) -> None:
    await store.restore(room, shelf.tail, shelf.rows, shelf.snapshot)
    for person, body in shelf.cards.items():
        await store.put_card(room, person, body)
    if shelf.line is not None:
        await store.put_session(room, shelf.line)


async def _compare(store: Store, room: str, shelf: _Shelf) -> None:
    found = await _take(store, room)
    same = (found.tail.seq, found.rows, found.snapshot, found.cards, found.line) == (
        shelf.tail.seq,
        shelf.rows,
        shelf.snapshot,
        shelf.cards,
        shelf.line,
    )
    try:
        if same and found.folded() == shelf.folded():
            return
    except (msgspec.DecodeError, ValueError) as error:
        raise MoveRefused(f"{room} does not fold: {error}") from error
    raise MoveRefused(f"{room} is not the same in the target: do not use it")


@asynccontextmanager
async def opened(where: str, *, to_read: bool) -> AsyncIterator[Store]:
    """Open a store by URL or folder.

    Args:
        where: a Redis URL, or the folder of an embedded store.
        to_read: refuse a folder in which there is none, instead of making one.

    Raises:
        MoveRefused: there is no store in the folder.
        live.stores.StoreAway: it cannot be opened.
    """
    if to_read and not where.startswith(REDIS_SCHEMES) and not (Path(where) / FILE).is_file():
        raise MoveRefused(f"{where}: there is no {FILE} in this folder")
    store = await open_store(where)
    try:
        yield store
    finally:
        await store.close()


async def back_up(where: str, file: Path) -> Moved:
    """Write a store to a file (mode 0600: it holds the secret), also while it is being served.

    An embedded store is copied as it is at one moment; of a store in Redis, each room is.

    Raises:
        MoveRefused: the file exists, or there is no store.
        live.stores.StoreAway: the store does not answer, or the file cannot be written.
    """
    if file.exists():  # noqa: ASYNC240 - nothing else runs in this loop
        raise MoveRefused(f"{file} exists: a backup overwrites nothing")
    half = file.with_name(f".{file.name}.part")
    try:
        if where.startswith(REDIS_SCHEMES):
            async with opened(where, to_read=True) as source, _file(half) as target:
                moved = await copy(source, target, served=True)
        else:
            if not (Path(where) / FILE).is_file():
                raise MoveRefused(f"{where}: there is no {FILE} in this folder")
            moved = await asyncio.to_thread(_clone, Path(where) / FILE, half)
        half.rename(file)
    except OSError as error:
        raise StoreAway(f"{file}: {error.strerror}") from error
    finally:
        for left in file.parent.glob(f"{half.name}*"):
            left.unlink()
    return moved


async def restore(file: Path, where: str) -> Moved:
    """Write a backup into a store that holds nothing.

    Raises:
        MoveRefused: the file is no backup, the store holds something or is being served.
        live.stores.StoreAway: the store does not answer.
    """
    if not file.is_file():  # noqa: ASYNC240 - nothing else runs in this loop
        raise MoveRefused(f"{file}: there is no such file")
    with tempfile.TemporaryDirectory(prefix="madoi-") as folder:
        # Worked on beside the backup, which may lie where nothing can be written, and stays as it was.
        beside = Path(folder) / FILE
        await asyncio.to_thread(_clone, file, beside)
        async with _file(beside) as source, opened(where, to_read=False) as target:
            return await copy(source, target)


@asynccontextmanager
async def _file(file: Path) -> AsyncIterator[Store]:
    store = await EmbeddedStore.open_file(file)
    try:
        yield store
    finally:
        await store.close()


def _clone(source: Path, target: Path) -> Moved:
    """Copy a database as it is at one moment, without what ends soon by itself (leases, one-time claims)."""
    os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    counting = "select (select count(*) from room), (select count(*) from log), (select count(*) from card)"
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old,
            contextlib.closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
            new.execute("pragma journal_mode=delete")
            new.execute("delete from lease")
            new.execute("delete from fact where key != 'secret' and key not glob ?", (f"hold:{LINKS}*",))
            moved = Moved(*new.execute(counting).fetchone())
            new.commit()
            (well,) = new.execute("pragma quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise MoveRefused(f"{source} is no store of Madoi: {error}") from error
    if well != "ok":
        raise MoveRefused(f"{source} is damaged: {well}")
    return moved
