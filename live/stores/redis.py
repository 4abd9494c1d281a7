"""The Redis store, for several nodes: one stream per room is log, lock and loudspeaker.

A small script appends only at the tail that the caller saw and publishes the rows. Pub/Sub is the fast path
and may lose anything; `live.stores.following` reads what is missing from the stream. Acknowledged means on
disk where Redis runs with `appendonly yes` and `appendfsync always`, and on n replicas too where the URL says
`?replicas=n`: an append that they have not confirmed in time raises `StoreAway`, and so does
`position(kept=True)` until they have. `live.stores.routes` knows where Redis is.
"""

# ruff: noqa: D102 - the port documents its methods

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MovedError, NoScriptError, ReadOnlyError, RedisError, ResponseError

from live.stores import scripts
from live.stores.following import Announcements, follow
from live.stores.port import Batch, Held, Position, Row, Saved, StoreAway, Taken
from live.stores.routes import ANSWER_SECONDS, BadUrl, read_url, routes_to

log = structlog.get_logger()

RECONNECT_SECONDS: Final = (0.05, 2.0)
LISTEN_SECONDS: Final = 0.05
"""How long a new room may wait for its subscription; its follower looks into the log meanwhile."""
REPLICA_MS: Final = 1000
MOVES: Final = 3
"""How often a question follows a key that has moved."""
REWRITE_SECONDS: Final = 0.5
REWRITE_TRIES: Final = 240
REWRITE_LOOK_SECONDS: Final = 0.1
UNDER_WAY: Final = ("aof_rewrite_in_progress", "aof_rewrite_scheduled", "rdb_bgsave_in_progress")
ROWS, WHISPERS = "rows", "whispers"


class RedisStore:
    """A `Store` in Redis ≥ 6.2 (see `live.stores.port.Store` for the meaning)."""

    def __init__(self, url: str) -> None:
        self._servers: WeakKeyDictionary[AbstractConnection, str] = WeakKeyDictionary()
        self._told_by: dict[str, str] = {}
        address = read_url(url)
        self._replicas = address.replicas
        self._routes = routes_to(address, self._greet)
        self._announcements = Announcements[Batch]()
        self._whispers = Announcements[bytes]()
        self._stale = True
        self._listener = asyncio.create_task(self._listen(), name="redis announcements")
        self._unclean = False
        self._rewriter: asyncio.Task[None] | None = None

    @classmethod
    async def connect(cls, url: str) -> "RedisStore":
        """Connect and look whether Redis answers.

        Args:
            url: See `live.stores.routes`, plus `replicas=n`: acknowledge only when n replicas have it.

        Raises:
            StoreAway: Redis does not answer, or the URL cannot be read.
        """
        try:
            store = cls(url)
        except (BadUrl, ValueError) as error:
            raise StoreAway(str(error)) from error
        try:
            await store.check()
        except StoreAway:
            await store.close()
            raise
        store._clean()
        return store

    # -- the log ---------------------------------------------------------------------------------------------

    async def append(self, room: str, seen: Position, entries: Sequence[bytes]) -> None:
        keys = (_log(room), _meta(room))
        args = (seen.epoch, seen.seq, _channel(room), *entries)
        done, epoch, seq = await self._fenced(scripts.APPEND, keys, args, kept=True)
        if not done:
            raise Taken(Position(epoch, seq))

    async def read(self, room: str, after: int, limit: int) -> list[Row]:
        rows = await self._beside(room, "XRANGE", _log(room), f"{after + 1}-0", "+", "COUNT", limit)
        return [Row(int(at.partition(b"-")[0]), body) for at, (_, body) in rows]

    async def position(self, room: str, *, kept: bool = False) -> Position:
        kept = kept and self._replicas > 0
        keys, args = (_log(room), _meta(room)), (int(kept),)
        epoch, seq = await self._fenced(scripts.POSITION, keys, args, kept=kept)
        return Position(epoch, seq)

    async def follow(self, room: str, seen: Position) -> AsyncGenerator[Batch, None]:
        with self._announcements.tap(room) as tap, self._listening_to_more_or_less():
            try:
                async for batch in follow(self, tap, room, seen):
                    yield batch
            finally:
                self._told_by.pop(_log(room), None)

    async def whisper(self, room: str, body: bytes) -> None:
        channel = _whispering(room)
        await self._on(_log(room), lambda redis: redis.publish(channel, body))

    async def whispers(self, room: str) -> AsyncGenerator[bytes, None]:
        with self._whispers.tap(room) as tap, self._listening_to_more_or_less():
            while True:
                yield await tap.get()

    async def snapshot(self, room: str) -> Saved | None:
        seq, body = await self._beside(room, "HMGET", _snapshot(room), "seq", "body")
        return Saved(int(seq), body) if seq is not None else None

    async def save_snapshot(self, room: str, at: Position, body: bytes) -> None:
        await self._script(scripts.SAVE, (_snapshot(room), _meta(room)), (at.epoch, at.seq, body))

    async def trim(self, room: str, upto: int) -> None:
        await self._script(scripts.TRIM, (_log(room), _snapshot(room)), (upto,))

    async def redact(
        self,
        room: str,
        seen: Position,
        replacements: Mapping[int, bytes],
        snapshot: Saved,
        *,
        anew: bool = False,
    ) -> Position:
        pairs = [part for seq, body in replacements.items() for part in (str(seq), body)]
        keys = (_log(room), _meta(room), _snapshot(room), _mark(room))
        to = seen.rewritten(anew=anew)
        alone = int(to.history != seen.history)
        saved = (snapshot.seq, snapshot.body)
        args = (_channel(room), seen.epoch, to.epoch, *saved, alone, secrets.token_hex(8), *pairs)
        try:
            done, epoch, seq = await self._fenced(scripts.REDACT, keys, args, kept=True)
        finally:
            self._clean()  # it may have been done, whatever was answered
        if not done:
            raise Taken(Position(epoch, seq))
        return Position(epoch, seq)

    async def erase(self, room: str) -> None:
        keys = (_log(room), _meta(room), _snapshot(room), _cards(room), _leases(room), _stamp(room))
        try:
            await self._script(scripts.ERASE, (_mark(room), *keys), (secrets.token_hex(8),))
            forget = (secrets.token_hex(8), room)
            await self._script(scripts.FORGET, (_mark("sessions"), "sessions"), forget)
        finally:
            self._clean()
        channel = _channel(room)
        await self._on(keys[0], lambda redis: redis.publish(channel, b"0 0 \n"))

    async def rooms(self) -> set[str]:
        found = {name.decode() for name in await self._on("sessions", lambda redis: redis.hkeys("sessions"))}
        for redis in await _ask(self._routes.clients()):
            for kind in ("meta", "cards"):
                async for key in _all(redis, f"{kind}:{{*}}"):
                    found.add(key.decode()[len(kind) + 2 : -1])
        return found

    async def restore(self, room: str, tail: Position, rows: Sequence[Row], snapshot: Saved | None) -> None:
        pairs = [part for row in rows for part in (str(row.seq), row.body)]
        saved = (snapshot.seq, snapshot.body) if snapshot is not None else ("", b"")
        keys = (_log(room), _meta(room), _snapshot(room))
        args = (tail.rewritten(anew=True).epoch, tail.seq, *saved, *pairs)
        await self._fenced(scripts.RESTORE, keys, args, kept=True)

    # -- cards and the index ---------------------------------------------------------------------------------

    async def put_card(self, room: str, person: str, body: bytes) -> None:
        key = _cards(room)
        await self._on(key, lambda redis: redis.hset(key, person, body))

    async def swap_card(self, room: str, person: str, before: bytes, after: bytes) -> bool:
        return bool(await self._script(scripts.SWAP, (_cards(room),), (person, before, after)))

    async def card(self, room: str, person: str) -> bytes | None:
        key = _cards(room)
        return cast("bytes | None", await self._on(key, lambda redis: redis.hget(key, person)))

    async def cards(self, room: str, people: Collection[str] | None = None) -> dict[str, bytes]:
        key = _cards(room)
        if people is None:
            return _named(await self._on(key, lambda redis: redis.hgetall(key)))
        if not people:
            return {}
        named = list(people)
        bodies = await self._on(key, lambda redis: redis.hmget(key, named))
        return {person: body for person, body in zip(named, bodies, strict=True) if body is not None}

    async def forget(self, room: str, person: str) -> None:
        try:
            keys = (_mark(room), _cards(room))
            await self._script(scripts.FORGET, keys, (secrets.token_hex(8), person))
        finally:
            self._clean()

    async def put_session(self, session: str, body: bytes) -> None:
        await self._on("sessions", lambda redis: redis.hset("sessions", session, body))

    async def swap_session(self, session: str, before: bytes, after: bytes) -> bool:
        return bool(await self._script(scripts.SWAP, ("sessions",), (session, before, after)))

    async def session(self, session: str) -> bytes | None:
        return cast("bytes | None", await self._on("sessions", lambda redis: redis.hget("sessions", session)))

    async def sessions(self) -> dict[str, bytes]:
        return _named(await self._on("sessions", lambda redis: redis.hgetall("sessions")))

    # -- facts with an end -----------------------------------------------------------------------------------

    async def claim_once(self, key: str, seconds: float) -> bool:
        name, px = f"once:{key}", int(seconds * 1000)
        return bool(await self._on(name, lambda redis: redis.set(name, b"", nx=True, px=px)))

    async def put_fact(self, key: str, value: bytes, seconds: float) -> None:
        name, px = f"fact:{key}", int(seconds * 1000)
        await self._on(name, lambda redis: redis.set(name, value, px=px))

    async def fact(self, key: str) -> bytes | None:
        name = f"fact:{key}"
        return cast("bytes | None", await self._on(name, lambda redis: redis.get(name)))

    async def hold(self, key: str, holder: bytes, seconds: float) -> bytes:
        args = (holder, int(seconds * 1000))
        return cast("bytes", await self._script(scripts.HOLD, (f"hold:{key}",), args))

    async def let_go(self, key: str, holder: bytes) -> None:
        await self._script(scripts.LET_GO, (f"hold:{key}",), (holder,))

    async def holds(self, prefix: str) -> list[Held]:
        found: list[Held] = []
        for redis in await _ask(self._routes.clients()):
            async for key in _all(redis, f"hold:{prefix}*"):
                holder, left = await _ask(redis.get(key)), await _ask(redis.pttl(key))
                if holder is not None and left > 0:
                    found.append(Held(key.decode()[len("hold:") :], holder, left / 1000))
        return found

    async def lease(self, room: str, names: Iterable[str], seconds: float) -> None:
        await self._script(scripts.LEASE, (_leases(room),), (seconds, *names))

    async def release(self, room: str, names: Iterable[str]) -> None:
        key = _leases(room)
        if held := list(names):
            await self._on(key, lambda redis: redis.zrem(key, *held))

    async def leases(self, room: str) -> set[str]:
        return {name.decode() for name in await self._script(scripts.LEASE, (_leases(room),), (0,))}

    async def stamp(self, room: str) -> int:
        return int(await self._script(scripts.STAMP, (_stamp(room),), ()))

    async def secret(self) -> bytes:
        fresh = secrets.token_bytes(32)
        await self._on("secret", lambda redis: redis.setnx("secret", fresh))
        return cast("bytes", await self._on("secret", lambda redis: redis.get("secret")))

    async def put_secret(self, secret: bytes) -> None:
        await self._on("secret", lambda redis: redis.set("secret", secret))

    async def check(self) -> None:
        await self.put_fact("check", b"", 1)

    async def close(self) -> None:
        for task in (self._listener, self._rewriter):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._routes.close()

    # -- the connection --------------------------------------------------------------------------------------

    async def _greet(self, connection: AbstractConnection) -> None:
        """Learn on every new connection which server is at its other end."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        answer = await connection.read_response()
        text = answer.decode() if isinstance(answer, bytes) else str(answer)
        run = next(line[7:].strip() for line in text.splitlines() if line.startswith("run_id:"))
        self._servers[connection] = run

    async def _on(self, key: str, question: Callable[[Redis], Awaitable[Any]]) -> Any:  # noqa: ANN401 - redis-py types its answers as Any
        """Ask the server that holds a key."""
        for _ in range(MOVES):
            try:
                return await _ask(self._answer(key, question))
            except MovedError:
                await _ask(self._routes.renew())
            except StoreAway as away:
                if isinstance(away.__cause__, ReadOnlyError):  # it was a master and is a replica now
                    await _ask(self._routes.renew())
                self._routes.doubt()
                raise
        raise StoreAway(f"{key} moves on and on")

    async def _answer(self, key: str, question: Callable[[Redis], Awaitable[Any]]) -> Any:  # noqa: ANN401 - likewise
        return await question(await self._routes.client(key))

    async def _fenced(
        self, text: str, keys: Sequence[str], args: Sequence[Any], *, kept: bool = False
    ) -> list[int]:
        """Run a script that has to know its server: the one at the end of this very connection.

        With `kept`, `WAIT` takes the same way right behind it, as it looks at its own connection's writes.
        """

        async def question(redis: Redis) -> Any:  # noqa: ANN401 - Lua's answer
            connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call] # redis-py
            try:
                run = self._servers[connection]
                rest = (len(keys), *keys, run, *args)
                waits = [("WAIT", self._replicas, REPLICA_MS)] if kept and self._replicas else []
                try:
                    answers = await _in_a_row(connection, [("EVALSHA", _SHA[text], *rest), *waits])
                except NoScriptError:
                    answers = await _in_a_row(connection, [("EVAL", text, *rest), *waits])
                self._told_by[keys[0]] = run
                return answers
            finally:
                await redis.connection_pool.release(connection)

        answer, *reached = await self._on(keys[0], question)
        if reached and answer[0] and reached[0] < self._replicas:
            raise StoreAway(f"{reached[0]} of {self._replicas} replicas have confirmed in time")
        return cast("list[int]", answer)

    async def _beside(self, room: str, *command: Any) -> Any:  # noqa: ANN401 - Redis's answer
        """Ask the server that told last where the room's log stands: another one may hold another history."""

        async def question(redis: Redis) -> Any:  # noqa: ANN401 - likewise
            connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call] # redis-py
            try:
                run = self._servers[connection]
                if self._told_by.get(_log(room), run) != run:
                    raise RedisConnectionError("another server has told where the log stands")
                return (await _in_a_row(connection, [command]))[0]
            finally:
                await redis.connection_pool.release(connection)

        return await self._on(_log(room), question)

    async def _script(self, text: str, keys: Sequence[str], args: Sequence[Any]) -> Any:  # noqa: ANN401 - Lua's answer
        async def question(redis: Redis) -> Any:  # noqa: ANN401 - likewise
            try:
                return await redis.evalsha(_SHA[text], len(keys), *keys, *args)
            except NoScriptError:
                return await redis.eval(text, len(keys), *keys, *args)

        return await self._on(keys[0], question)

    # -- bytes that have to leave the disk -------------------------------------------------------------------

    def _clean(self) -> None:
        """Have files written anew that still hold what was removed."""
        self._unclean = True
        if self._rewriter is None or self._rewriter.done():
            self._rewriter = asyncio.create_task(self._rewrite(), name="redis rewrite")

    async def _rewrite(self) -> None:
        """Go from server to server until no mark says that bytes have yet to leave the disk.

        A removal leaves its mark in the same step, and the mark goes when files have been written that were
        begun later: so whoever dies in between, the next one to start finds it.
        """
        for _ in range(REWRITE_TRIES):
            self._unclean = False
            try:
                for redis in await _ask(self._routes.clients()):
                    await self._rewrite_marked(redis)
            except StoreAway:
                self._unclean = True
            except Exception:
                log.exception("rewriting failed")
                self._unclean = True
            if not self._unclean:
                return
            await asyncio.sleep(REWRITE_SECONDS)
        log.warning("store unclean: what was removed may still be in Redis's files")

    async def _rewrite_marked(self, redis: Redis) -> None:
        marks = {mark: await _ask(redis.get(mark)) async for mark in _all(redis, _mark("*"))}
        if marks:
            await _write_files(redis)
        for mark, value in marks.items():
            await self._script(scripts.LET_GO, (mark.decode(),), (value,))

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
                async with (await self._routes.listener()).pubsub() as pubsub:
                    held: set[str] = set()
                    while True:
                        if self._stale or not held:
                            held = await self._subscribe(pubsub, held)
                            pause = RECONNECT_SECONDS[0]
                        message = await pubsub.get_message(timeout=LISTEN_SECONDS)
                        if message is not None:
                            self._hear(message)
            except (RedisError, OSError, ValueError):
                self._routes.doubt()
            except Exception:
                log.exception("listening failed")
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


async def _ask(question: Awaitable[Any]) -> Any:  # noqa: ANN401 - redis-py types its answers as Any
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await question
    except MovedError:
        raise
    except (RedisError, OSError) as error:
        raise StoreAway(str(error)) from error


async def _in_a_row(connection: AbstractConnection, commands: Sequence[Sequence[Any]]) -> list[Any]:
    """Send commands at once and read all their answers; then raise the first error among them, if any."""
    await connection.send_packed_command(connection.pack_commands(commands))
    answers: list[Any] = []
    for _ in commands:
        try:
            answers.append(await connection.read_response())
        except ResponseError as error:
            answers.append(error)
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers


async def _all(redis: Redis, pattern: str) -> AsyncGenerator[bytes, None]:
    cursor = 0
    while True:
        cursor, keys = await _ask(redis.scan(cursor, match=pattern, count=1000))
        for key in keys:
            yield key
        if not cursor:
            return


async def _write_files(redis: Redis) -> None:
    """Have a server write its files anew, and its replicas as far as they can be reached.

    Raises:
        StoreAway: it has not done so; one that was under way began too early, and has to end first.
    """
    await _write_own_files(redis)
    with contextlib.suppress(RedisError, OSError, StoreAway):
        for name, replica in (await redis.info("replication")).items():
            if name.startswith("slave") and isinstance(replica, dict):
                options = dict(redis.connection_pool.connection_kwargs)
                for ours in ("sentinel", "service", "doubts", "redis_connect_func", "path"):
                    options.pop(ours, None)
                async with Redis(**{**options, "host": replica["ip"], "port": replica["port"]}) as other:
                    await _write_own_files(other)


async def _write_own_files(redis: Redis) -> None:
    before = await _ask(redis.info())
    if before.get("aof_enabled"):
        await _ask(redis.bgrewriteaof())
    with contextlib.suppress(StoreAway):  # CONFIG may be forbidden; then dumps are the operator's own
        if (await _ask(redis.config_get("save"))).get("save"):
            await _ask(redis.bgsave(schedule=True))
    about = await _ask(redis.info())
    while any(about.get(one) for one in UNDER_WAY):
        await asyncio.sleep(REWRITE_LOOK_SECONDS)
        about = await _ask(redis.info())
    if about["run_id"] != before["run_id"] or about.get("aof_last_bgrewrite_status") != "ok":
        raise StoreAway("the files have not been written anew")


def _named(found: Mapping[bytes, bytes]) -> dict[str, bytes]:
    return {name.decode(): body for name, body in found.items()}


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


def _mark(room: str) -> str:
    return f"unclean:{{{room}}}"


def _stamp(room: str) -> str:
    return f"stamp:{{{room}}}"


_SHA = {text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for text in scripts.ALL}
