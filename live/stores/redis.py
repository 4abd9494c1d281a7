"""The Redis store, for several nodes: one stream per room is log, lock and loudspeaker.

A small script appends only at the tail that the caller saw and publishes the rows. Pub/Sub is the fast path
and may lose anything; `live.stores.following` reads what is missing from the stream. Acknowledged means on
disk where Redis runs with `appendonly yes` and `appendfsync always`, and on a replica too where the URL says
`?replicas=1`.
"""

# ruff: noqa: D102 - the port documents its methods

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from live.stores import scripts
from live.stores.following import Announcements, follow
from live.stores.port import Batch, Position, Row, Saved, StoreAway, Taken

CONNECTIONS = 16
ANSWER_SECONDS = 5.0
RECONNECT_SECONDS = (0.05, 2.0)
LISTEN_SECONDS = 0.05
"""How long a new room may wait for its subscription; its follower looks into the log meanwhile."""
REPLICA_MS = 1000
ROWS, WHISPERS = "rows", "whispers"


class RedisStore:
    """A `Store` in Redis ≥ 6.2 (see `live.stores.port.Store` for the meaning)."""

    def __init__(self, url: str, replicas: int = 0) -> None:
        self._servers: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()
        self._replicas = replicas
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ANSWER_SECONDS,
            socket_timeout=None,
            socket_connect_timeout=ANSWER_SECONDS,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._greet,
        )
        self._pool = pool
        self._redis = Redis(connection_pool=pool)
        self._announcements = Announcements[Batch]()
        self._whispers = Announcements[bytes]()
        self._stale = True
        self._listener = asyncio.create_task(self._listen(), name="redis announcements")

    @classmethod
    async def connect(cls, url: str) -> "RedisStore":
        """Connect and look whether Redis answers.

        Args:
            url: As redis-py reads it, plus `replicas=n`: acknowledge only when n replicas have it.

        Raises:
            StoreAway: Redis does not answer.
        """
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        replicas = int(query.pop("replicas", ["0"])[0])
        rest = "&".join(f"{name}={value}" for name, values in query.items() for value in values)
        store = cls(urlunsplit(parts._replace(query=rest)), replicas)
        try:
            await store.check()
        except StoreAway:
            await store.close()
            raise
        return store

    # -- the log ---------------------------------------------------------------------------------------------

    async def append(self, room: str, seen: Position, entries: Sequence[bytes]) -> None:
        keys = (_log(room), _meta(room))
        args = (seen.epoch, seen.seq, _channel(room), *entries)
        done, epoch, seq = await self._fenced(scripts.APPEND, keys, args)
        if not done:
            raise Taken(Position(epoch, seq))
        if self._replicas:
            reached = await _ask(self._redis.wait(self._replicas, REPLICA_MS))
            if reached < self._replicas:
                raise StoreAway("no replica has confirmed in time")

    async def read(self, room: str, after: int, limit: int) -> list[Row]:
        rows = await _ask(self._redis.xrange(_log(room), min=f"{after + 1}-0", count=limit))
        return [Row(int(at.partition(b"-")[0]), fields[b"e"]) for at, fields in rows]

    async def position(self, room: str) -> Position:
        epoch, seq = await self._fenced(scripts.POSITION, (_log(room), _meta(room)), ())
        return Position(epoch, seq)

    async def follow(self, room: str, seen: Position) -> AsyncGenerator[Batch, None]:
        with self._announcements.tap(room) as tap, self._listening_to_more_or_less():
            async for batch in follow(self, tap, room, seen):
                yield batch

    async def whisper(self, room: str, body: bytes) -> None:
        await _ask(self._redis.publish(_whispering(room), body))

    async def whispers(self, room: str) -> AsyncGenerator[bytes, None]:
        with self._whispers.tap(room) as tap, self._listening_to_more_or_less():
            while True:
                yield await tap.get()

    async def snapshot(self, room: str) -> Saved | None:
        seq, body = await _ask(self._redis.hmget(_snapshot(room), ["seq", "body"]))
        return Saved(int(seq), body) if seq is not None else None

    async def save_snapshot(self, room: str, seq: int, body: bytes) -> None:
        await self._script(scripts.SAVE, (_snapshot(room),), (seq, body))

    async def redact(self, room: str, replacements: Mapping[int, bytes]) -> Position:
        pairs = [part for seq, body in replacements.items() for part in (str(seq), body)]
        keys = (_log(room), _meta(room), _snapshot(room))
        epoch, seq = await self._fenced(scripts.REDACT, keys, (_channel(room), *pairs))
        await self._rewrite()
        return Position(epoch, seq)

    async def erase(self, room: str) -> None:
        keys = (_log(room), _meta(room), _snapshot(room), _cards(room), _leases(room))
        await _ask(self._redis.delete(*keys))
        await _ask(self._redis.hdel("sessions", room))
        await self._rewrite()

    # -- cards and the index ---------------------------------------------------------------------------------

    async def put_card(self, room: str, person: str, body: bytes) -> None:
        await _ask(self._redis.hset(_cards(room), person, body))

    async def card(self, room: str, person: str) -> bytes | None:
        return cast("bytes | None", await _ask(self._redis.hget(_cards(room), person)))

    async def cards(self, room: str) -> dict[str, bytes]:
        return {name.decode(): body for name, body in (await _ask(self._redis.hgetall(_cards(room)))).items()}

    async def forget(self, room: str, person: str) -> None:
        await _ask(self._redis.hdel(_cards(room), person))
        await self._rewrite()

    async def put_session(self, session: str, body: bytes) -> None:
        await _ask(self._redis.hset("sessions", session, body))

    async def session(self, session: str) -> bytes | None:
        return cast("bytes | None", await _ask(self._redis.hget("sessions", session)))

    async def sessions(self) -> dict[str, bytes]:
        return {name.decode(): body for name, body in (await _ask(self._redis.hgetall("sessions"))).items()}

    # -- facts with an end -----------------------------------------------------------------------------------

    async def claim_once(self, key: str, seconds: float) -> bool:
        px = int(seconds * 1000)
        return bool(await _ask(self._redis.set(f"once:{key}", b"", nx=True, px=px)))

    async def put_fact(self, key: str, value: bytes, seconds: float) -> None:
        await _ask(self._redis.set(f"fact:{key}", value, px=int(seconds * 1000)))

    async def fact(self, key: str) -> bytes | None:
        return cast("bytes | None", await _ask(self._redis.get(f"fact:{key}")))

    async def lease(self, room: str, names: Iterable[str], seconds: float) -> None:
        await self._script(scripts.LEASE, (_leases(room),), (seconds, *names))

    async def release(self, room: str, names: Iterable[str]) -> None:
        if held := list(names):
            await _ask(self._redis.zrem(_leases(room), *held))

    async def leases(self, room: str) -> set[str]:
        return {name.decode() for name in await self._script(scripts.LEASE, (_leases(room),), (0,))}

    async def secret(self) -> bytes:
        await _ask(self._redis.setnx("secret", secrets.token_bytes(32)))
        return cast("bytes", await _ask(self._redis.get("secret")))

    async def check(self) -> None:
        await self.put_fact("check", b"", 1)

    async def close(self) -> None:
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        await self._redis.aclose()
        await self._pool.disconnect()

    # -- the connection --------------------------------------------------------------------------------------

    async def _greet(self, connection: AbstractConnection) -> None:
        """Learn on every new connection which server is at its other end."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        answer = await connection.read_response()
        text = answer.decode() if isinstance(answer, bytes) else str(answer)
        run = next(line[7:].strip() for line in text.splitlines() if line.startswith("run_id:"))
        self._servers[connection] = run

    async def _fenced(self, text: str, keys: Sequence[str], args: Sequence[Any]) -> list[int]:
        """Run a script that has to know its server: the one at the end of this very connection."""
        connection = await _ask(self._pool.get_connection())  # type: ignore[no-untyped-call] # redis-py
        try:
            rest = (len(keys), *keys, self._servers[connection], *args)
            try:
                await _ask(connection.send_command("EVALSHA", _SHA[text], *rest))
                return cast("list[int]", await _ask(connection.read_response()))
            except _Unknown:
                await _ask(connection.send_command("EVAL", text, *rest))
                return cast("list[int]", await _ask(connection.read_response()))
        finally:
            await self._pool.release(connection)

    async def _script(self, text: str, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401 - Lua's answer
        sha = _SHA[text]
        try:
            return await _ask(self._redis.evalsha(sha, len(keys), *keys, *args))
        except _Unknown:
            return await _ask(self._redis.eval(text, len(keys), *keys, *args))

    async def _rewrite(self) -> None:
        """Ask for a new append-only file, so that erased bytes leave the disk, too."""
        with contextlib.suppress(StoreAway):  # one is running already, and ends without them
            await _ask(self._redis.bgrewriteaof())

    # -- announcements ---------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _listening_to_more_or_less(self) -> Iterator[None]:
        """Have the listener look again at what it should be subscribed to, now and at the end."""
        self._stale = True
        try:
            yield
        finally:
            self._stale = True

    async def _listen(self) -> None:
        """Own the subscribed connection: nobody else writes to it or reads from it."""
        pause, longest = RECONNECT_SECONDS
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    held: set[str] = set()
                    while True:
                        if self._stale or not held:
                            held = await self._subscribe(pubsub, held)
                            pause = RECONNECT_SECONDS[0]
                        message = await pubsub.get_message(timeout=LISTEN_SECONDS)
                        if message is not None:
                            self._hear(message)
            except (RedisError, OSError, ValueError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)

    async def _subscribe(self, pubsub: PubSub, held: set[str]) -> set[str]:
        self._stale = False
        rows, whispers = self._announcements.rooms, self._whispers.rooms
        # One channel that nobody uses keeps the connection subscribed when there is no room.
        wanted = {"", *map(_channel, rows), *map(_whispering, whispers)}
        if fresh := wanted - held:
            await pubsub.subscribe(*fresh)
        if stale := held - wanted:
            await pubsub.unsubscribe(*stale)
        return wanted

    def _hear(self, message: Mapping[str, Any]) -> None:
        kind, _, tagged = message["channel"].decode().partition(":")
        room, news = tagged[1:-1], message["type"] == "message"
        if kind == ROWS:
            # Subscribed, perhaps again: the followers look into the log for what was missed.
            self._announcements.announce(room, _rows(message["data"]) if news else Batch(0, ()))
        elif news:
            self._whispers.announce(room, message["data"])


class _Unknown(Exception):  # noqa: N818 - the script is not loaded yet
    pass


async def _ask(question: Awaitable[Any] | Any) -> Any:  # noqa: ANN401 - redis-py types its answers as Any
    # Not by redis-py's `socket_timeout`: that uses `asyncio.wait_for`, which loses cancellations in 3.11.
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await question
    except NoScriptError:
        raise _Unknown from None
    except (RedisError, OSError) as error:
        raise StoreAway(str(error)) from error


def _rows(data: bytes) -> Batch:
    """Read what the append script published: `epoch first lengths`, a line feed, the bodies."""
    head, _, bodies = data.partition(b"\n")
    epoch, first, lengths = head.split(b" ")
    rows: list[Row] = []
    start = 0
    for n, length in enumerate(lengths.split(b",") if lengths else ()):
        rows.append(Row(int(first) + n, bodies[start : start + int(length)]))
        start += int(length)
    return Batch(int(epoch), rows)


def _log(room: str) -> str:
    return f"log:{{{room}}}"


def _meta(room: str) -> str:
    return f"meta:{{{room}}}"


def _snapshot(room: str) -> str:
    return f"snapshot:{{{room}}}"


def _cards(room: str) -> str:
    return f"cards:{{{room}}}"


def _leases(room: str) -> str:
    return f"leases:{{{room}}}"


def _channel(room: str) -> str:
    return f"{ROWS}:{{{room}}}"


def _whispering(room: str) -> str:
    return f"{WHISPERS}:{{{room}}}"


_SHA = {
    text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    for text in (scripts.POSITION, scripts.APPEND, scripts.REDACT, scripts.SAVE, scripts.LEASE)
}
