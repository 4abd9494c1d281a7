"""The embedded store: SQLite in one writer thread, synced before anybody is answered.

Everything that waits while a commit is under way goes into the next commit together (group commit), so the
cost of `fsync` is shared. Reads take the same way: one thread, one order, and no reader ever sees what is not
on disk.
"""

# ruff: noqa: D102 - the port documents its methods

import asyncio
import contextlib
import json
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from live.stores.following import Announcements, follow
from live.stores.port import Batch, Held, Position, Row, Saved, StoreAway, Taken

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]
FILE = "madoi.db"
GROUP = 512
"""Most pieces of work in one commit."""
BUSY_SECONDS = 5.0
SWEEP_SECONDS = 0.5
"""Pause before a checkpoint is tried again that a reader was in the way of."""

SCHEMA = """
create table if not exists room (id text primary key, epoch int not null, seq int not null) without rowid;
create table if not exists log (room text, seq int, body blob not null, primary key (room, seq))
    without rowid;
create table if not exists snapshot (room text primary key, seq int not null, body blob not null)
    without rowid;
create table if not exists card (room text, person text, body blob not null, primary key (room, person))
    without rowid;
create table if not exists session (id text primary key, body blob not null) without rowid;
create table if not exists lease (room text, name text, until real not null, primary key (room, name))
    without rowid;
create table if not exists fact (key text primary key, value blob not null, until real not null)
    without rowid;
create index if not exists fact_until on fact (until);
"""


class EmbeddedStore:
    """A `Store` in one SQLite file for one process (see `live.stores.port.Store` for the meaning)."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._announcements = Announcements[Batch]()
        self._whispers = Announcements[bytes]()
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._stamp = 0
        self._unswept = False
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, folder: Path) -> "EmbeddedStore":
        """Open or make `folder/madoi.db`.

        Raises:
            StoreAway: The folder cannot be made or the file cannot be opened.
        """
        return await cls.open_file(folder / FILE)

    @classmethod
    async def open_file(cls, file: Path) -> "EmbeddedStore":
        """Open or make a store in a file of any name.

        Raises:
            StoreAway: The folder cannot be made or the file cannot be opened.
        """
        return cls(await asyncio.to_thread(_connect, file))

    # -- the log ---------------------------------------------------------------------------------------------

    async def append(self, room: str, seen: Position, entries: Sequence[bytes]) -> None:
        rows = [Row(seen.seq + n, body) for n, body in enumerate(entries, 1)]

        def work(db: sqlite3.Connection) -> None:
            tail = _tail(db, room)
            if tail != seen:
                raise Taken(tail)
            db.executemany("insert into log values (?, ?, ?)", [(room, row.seq, row.body) for row in rows])
            _move(db, room, Position(seen.epoch, seen.seq + len(rows)))

        await self._do(work)
        self._announcements.announce(room, Batch(seen.epoch, rows))

    async def read(self, room: str, after: int, limit: int) -> list[Row]:
        sql = "select seq, body from log where room = ? and seq > ? order by seq limit ?"
        return await self._do(lambda db: [Row(*row) for row in db.execute(sql, (room, after, limit))])

    async def position(self, room: str, *, kept: bool = False) -> Position:  # noqa: ARG002 - always kept
        return await self._do(lambda db: _tail(db, room))

    async def follow(self, room: str, seen: Position) -> AsyncGenerator[Batch, None]:
        with self._announcements.tap(room) as tap:
            async for batch in follow(self, tap, room, seen):
                yield batch

    async def whisper(self, room: str, body: bytes) -> None:
        self._whispers.announce(room, body)

    async def whispers(self, room: str) -> AsyncGenerator[bytes, None]:
        with self._whispers.tap(room) as tap:
            while True:
                yield await tap.get()

    async def snapshot(self, room: str) -> Saved | None:
        sql = "select seq, body from snapshot where room = ?"
        row = await self._do(lambda db: db.execute(sql, (room,)).fetchone())
        return Saved(*row) if row else None

    async def save_snapshot(self, room: str, at: Position, body: bytes) -> None:
        def work(db: sqlite3.Connection) -> None:
            tail = _tail(db, room)
            if tail.epoch == at.epoch and tail.seq >= at.seq:
                _save(db, room, Saved(at.seq, body))

        await self._do(work)

    async def trim(self, room: str, upto: int) -> None:
        sql = (
            "delete from log where room = :room and seq <= :upto"
            " and seq <= (select seq from snapshot where room = :room)"
        )
        await self._do(lambda db: db.execute(sql, {"room": room, "upto": upto}) and None)

    async def redact(
        self,
        room: str,
        seen: Position,
        replacements: Mapping[int, bytes],
        snapshot: Saved,
        *,
        anew: bool = False,
    ) -> Position:
        def work(db: sqlite3.Connection) -> Position:
            tail = _tail(db, room)
            if tail.epoch != seen.epoch or tail.seq < snapshot.seq:
                raise Taken(tail)
            changes = [(body, room, seq) for seq, body in replacements.items()]
            db.executemany("update log set body = ? where room = ? and seq = ?", changes)
            db.execute("delete from snapshot where room = ?", (room,))
            _save(db, room, snapshot)
            moved = tail.rewritten(anew=anew)
            if moved.history != tail.history:
                db.execute("delete from log where room = ? and seq <= ?", (room, snapshot.seq))
            _move(db, room, moved)
            return moved

        moved = await self._do(work)
        await self._do(_checkpoint)
        self._announcements.announce(room, Batch(moved.epoch, ()))
        return moved

    async def erase(self, room: str) -> None:
        await self._do(lambda db: _empty(db, room))
        await self._do(_checkpoint)
        self._announcements.announce(room, Batch(0, ()))

    async def rooms(self) -> set[str]:
        sql = "select id from room union select id from session union select room from card"
        return await self._do(lambda db: {room for (room,) in db.execute(sql)})

    async def restore(self, room: str, tail: Position, rows: Sequence[Row], snapshot: Saved | None) -> None:
        def work(db: sqlite3.Connection) -> None:
            _empty(db, room)
            db.executemany("insert into log values (?, ?, ?)", [(room, row.seq, row.body) for row in rows])
            _move(db, room, tail.rewritten(anew=True))
            if snapshot is not None:
                _save(db, room, snapshot)

        await self._do(work)

    # -- cards and the index ---------------------------------------------------------------------------------

    async def put_card(self, room: str, person: str, body: bytes) -> None:
        await self._run("insert or replace into card values (?, ?, ?)", room, person, body)

    async def swap_card(self, room: str, person: str, before: bytes, after: bytes) -> bool:
        sql = "update card set body = ? where room = ? and person = ? and body = ?"
        return await self._do(lambda db: db.execute(sql, (after, room, person, before)).rowcount == 1)

    async def card(self, room: str, person: str) -> bytes | None:
        return await self._one("select body from card where room = ? and person = ?", room, person)

    async def cards(self, room: str, people: Collection[str] | None = None) -> dict[str, bytes]:
        sql, wanted = "select person, body from card where room = ?", [room]
        if people is not None:
            sql += " and person in (select value from json_each(?))"
            wanted.append(json.dumps(list(people)))
        return await self._do(lambda db: dict(db.execute(sql, wanted).fetchall()))

    async def forget(self, room: str, person: str) -> None:
        await self._run("delete from card where room = ? and person = ?", room, person)
        await self._do(_checkpoint)

    async def put_session(self, session: str, body: bytes) -> None:
        await self._run("insert or replace into session values (?, ?)", session, body)

    async def swap_session(self, session: str, before: bytes, after: bytes) -> bool:
        sql = "update session set body = ? where id = ? and body = ?"
        return await self._do(lambda db: db.execute(sql, (after, session, before)).rowcount == 1)

    async def session(self, session: str) -> bytes | None:
        return await self._one("select body from session where id = ?", session)

    async def sessions(self) -> dict[str, bytes]:
        return await self._do(lambda db: dict(db.execute("select id, body from session").fetchall()))

    # -- facts with an end -----------------------------------------------------------------------------------

    async def claim_once(self, key: str, seconds: float) -> bool:
        def work(db: sqlite3.Connection) -> bool:
            now = time.time()
            db.execute("delete from fact where until <= ?", (now,))
            row = (f"once:{key}", b"", now + seconds)
            return db.execute("insert or ignore into fact values (?, ?, ?)", row).rowcount == 1

        return await self._do(work)

    async def put_fact(self, key: str, value: bytes, seconds: float) -> None:
        row = (f"fact:{key}", value, time.time() + seconds)
        await self._run("insert or replace into fact values (?, ?, ?)", *row)

    async def fact(self, key: str) -> bytes | None:
        return await self._one(
            "select value from fact where key = ? and until > ?", f"fact:{key}", time.time()
        )

    async def hold(self, key: str, holder: bytes, seconds: float) -> bytes:
        def work(db: sqlite3.Connection) -> bytes:
            name, now = f"hold:{key}", time.time()
            row = db.execute("select value from fact where key = ? and until > ?", (name, now)).fetchone()
            held: bytes = row[0] if row else holder
            if held == holder:
                db.execute("insert or replace into fact values (?, ?, ?)", (name, holder, now + seconds))
            return held

        return await self._do(work)

    async def let_go(self, key: str, holder: bytes) -> None:
        await self._run("delete from fact where key = ? and value = ?", f"hold:{key}", holder)

    async def holds(self, prefix: str) -> list[Held]:
        now = time.time()
        sql = "select substr(key, 6), value, until - ? from fact where key glob ? and until > ?"
        rows = await self._do(lambda db: db.execute(sql, (now, f"hold:{prefix}*", now)).fetchall())
        return [Held(*row) for row in rows]

    async def lease(self, room: str, names: Iterable[str], seconds: float) -> None:
        now = time.time()
        rows = [(room, name, now + seconds) for name in names]

        def work(db: sqlite3.Connection) -> None:
            db.execute("delete from lease where until <= ?", (now,))
            db.executemany("insert or replace into lease values (?, ?, ?)", rows)

        await self._do(work)

    async def release(self, room: str, names: Iterable[str]) -> None:
        rows = [(room, name) for name in names]
        sql = "delete from lease where room = ? and name = ?"
        await self._do(lambda db: db.executemany(sql, rows) and None)

    async def leases(self, room: str) -> set[str]:
        sql = "select name from lease where room = ? and until > ?"
        return await self._do(lambda db: {name for (name,) in db.execute(sql, (room, time.time()))})

    async def stamp(self, room: str) -> int:  # noqa: ARG002 - one counter serves all rooms
        self._stamp = max(self._stamp + 1, time.time_ns() // 1000)
        return self._stamp

    async def put_secret(self, secret: bytes) -> None:
        await self._run("insert or replace into fact values ('secret', ?, 9e15)", secret)

    async def secret(self) -> bytes:
        def work(db: sqlite3.Connection) -> bytes:
            row = ("secret", secrets.token_bytes(32), 9e15)
            db.execute("insert or ignore into fact values (?, ?, ?)", row)
            value: bytes = db.execute("select value from fact where key = 'secret'").fetchone()[0]
            return value

        return await self._do(work)

    async def check(self) -> None:
        await self.put_fact("check", b"", 1)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)

    # -- the writer thread -----------------------------------------------------------------------------------

    async def _run(self, sql: str, *values: object) -> None:
        await self._do(lambda db: db.execute(sql, values) and None)

    async def _one(self, sql: str, *values: object) -> bytes | None:
        row = await self._do(lambda db: db.execute(sql, values).fetchone())
        return row[0] if row else None

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise StoreAway("the store is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.put((work, future))
        return await future  # a caller that gives up does not take the commit with it

    def _write(self) -> None:
        more = True
        while more:
            try:
                group = [self._waiting.get(timeout=SWEEP_SECONDS if self._unswept else None)]
            except queue.Empty:
                self._sweep()
                continue
            with contextlib.suppress(queue.Empty):
                while len(group) < GROUP:
                    group.append(self._waiting.get_nowait())
            more = None not in group
            answers = self._commit([piece for piece in group if piece is not None])
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everybody who asked
                self._loop.call_soon_threadsafe(_answer, answers)
        self._connection.close()

    def _commit(
        self, group: list[tuple[Work, asyncio.Future[Any]]]
    ) -> list[tuple[asyncio.Future[Any], Any, Exception | None]]:
        """Do a group in one transaction; on an error of the database nobody's work is done."""
        db = self._connection
        answers: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        try:
            db.execute("begin immediate")
            for work, future in group:
                try:
                    answers.append((future, work(db), None))
                except Taken as taken:
                    answers.append((future, None, taken))
            db.execute("commit")
            if self._unswept or any(work is _checkpoint for work, _ in group):
                self._sweep()
        except Exception as error:  # noqa: BLE001 - whatever it was, the thread must live and nothing be half done
            with contextlib.suppress(sqlite3.Error):
                db.execute("rollback")
            return [(future, None, StoreAway(str(error))) for _, future in group]
        return answers

    def _sweep(self) -> None:
        """Bring the main file up to date and empty the write-ahead log, so that no old page is left in it.

        Another process that reads (a backup) may be in the way; then it is tried again until it is done.
        """
        self._unswept = True
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("pragma busy_timeout=100")  # everybody's commits wait meanwhile
            busy, _, _ = self._connection.execute("pragma wal_checkpoint(truncate)").fetchone()
            self._unswept = bool(busy)
            self._connection.execute(f"pragma busy_timeout={int(BUSY_SECONDS * 1000)}")


def _checkpoint(_db: sqlite3.Connection) -> None:
    """Ask for a checkpoint after the commit (see `EmbeddedStore._sweep`)."""


def _answer(answers: list[tuple[asyncio.Future[Any], Any, Exception | None]]) -> None:
    for future, value, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)


def _connect(file: Path) -> sqlite3.Connection:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        db = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        for pragma in ("journal_mode=wal", "synchronous=full", "secure_delete=on"):
            db.execute(f"pragma {pragma}")
        db.executescript(SCHEMA)
    except (OSError, sqlite3.Error) as error:
        raise StoreAway(f"{file}: {error}") from error
    return db


def _tail(db: sqlite3.Connection, room: str) -> Position:
    row = db.execute("select epoch, seq from room where id = ?", (room,)).fetchone()
    return Position(*row) if row else Position(1, 0)


def _move(db: sqlite3.Connection, room: str, to: Position) -> None:
    db.execute("insert or replace into room values (?, ?, ?)", (room, to.epoch, to.seq))


def _save(db: sqlite3.Connection, room: str, snapshot: Saved) -> None:
    sql = (
        "insert into snapshot values (?, ?, ?) on conflict (room) do update"
        " set seq = excluded.seq, body = excluded.body where excluded.seq >= seq"
    )
    db.execute(sql, (room, *snapshot))


def _empty(db: sqlite3.Connection, room: str) -> None:
    for table in ("log", "snapshot", "card", "lease"):
        db.execute(f"delete from {table} where room = ?", (room,))  # noqa: S608 - our own names
    for table in ("room", "session"):
        db.execute(f"delete from {table} where id = ?", (room,))  # noqa: S608 - our own names
