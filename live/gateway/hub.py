"""All rooms of this node: opened when somebody asks, closed when nobody does.

`Hub` is what the rest of the program talks to; `live.gateway.socket` brings it the viewers.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog

from live.gateway.broadcast import Broadcast, Line, broadcast_body, native_broadcast
from live.gateway.host import STAGE, Host
from live.gateway.setting import PAGING, TELLING, Change, Setting
from live.gateway.viewing import Blinding, Caller, Member
from live.gateway.writing import Log
from live.protocol.codes import Close
from live.protocol.frames import Card, Client, Hello, Server
from live.stores import Saved, Store, StoreAway, Taken
from live.telemetry import Numbers
from rooms import Act, Arrive, Command, ForgetMe, Level, Refused, Room, State, broken_at, record_of

log = structlog.get_logger()

SLOW_TICK_SECONDS: Final = 0.5
IDLE_MS: Final = 60_000
"""A room without viewers and questions is closed after so long."""
DRAIN_SECONDS: Final = 2.0
WAITING: Final = 2000
"""People at one door."""
REFUSED_AT_THE_DOOR: Final = {
    "removed": Close.REMOVED,
    "bad_ticket": Close.BAD_TICKET,
    "full": Close.FULL,
    "ended": Close.ENDED,
    "store_away": Close.STORE_AWAY,
    "busy": Close.TOO_MANY,
}


def clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def fresh() -> str:
    """An identifier that nobody can guess."""
    return secrets.token_hex(8)


class Visit:
    """A viewer in a room, as the socket sees it."""

    def __init__(self, host: Host, member: Member) -> None:
        self._host = host
        self._member = member

    def receive(self, frame: Client) -> None:
        """Act on a frame."""
        self._host.receive(self._member, frame)

    def leave(self) -> None:
        """The connection is gone."""
        self._host.leave(self._member)


class Hub:
    """The rooms of this node.

    Start it in the running loop, close it before the store. `drain` first when there is time to be polite.

    Args:
        store: Where rooms lie.
        clock: Milliseconds since 1970.
        numbers: Where it is counted what happens.
        waiting: How many may wait at one door.
        broadcast: Sends a message to a crowd; the native body where it is built, if nothing is given.

    Attributes:
        counts: what happens here, for the metrics.
    """

    def __init__(
        self,
        store: Store,
        clock: Callable[[], int] = clock,
        numbers: Numbers | None = None,
        waiting: int = WAITING,
        broadcast: Broadcast | None = None,
    ) -> None:
        self._store, self._waiting = store, waiting
        self.counts = numbers or Numbers()
        self._broadcast = broadcast or broadcast_body("auto")
        self._clock = clock
        self._setting: Setting | None = None
        self._hosts: dict[str, asyncio.Task[Host]] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._changes: list[Change] = []
        self._stages: list[Callable[[str, bytes], None]] = []
        self._ticking: asyncio.Task[None] | None = None
        self._notices: dict[str, Mapping[Level, Server]] = {}
        self._draining = False

    async def start(self) -> None:
        """Fetch the site's secret and begin to tick.

        Raises:
            StoreAway: The store does not answer.
        """
        blinding = Blinding(await self._store.secret())
        self._setting = Setting(
            self._store,
            blinding,
            self._clock,
            fresh,
            self._changed,
            asyncio.Semaphore(PAGING),
            asyncio.Semaphore(TELLING),
            self._staged,
            self.counts,
            self._waiting,
            self._broadcast,
        )
        self._ticking = asyncio.create_task(self._tick(), name="hub tick")

    async def close(self) -> None:
        """Close every connection and every room."""
        self._draining = True
        for host in self._open():
            host.members.close_all(Close.RESTARTING)
        tasks = [task for task in (self._ticking, *self._running.values(), *self._hosts.values()) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._hosts.clear()

    # -- for the HTTP side -------------------------------------------------------------------------

    async def room(self, session: str) -> Room:
        """The room as it stands; of an unknown session an empty one (`room.session.id` is empty then).

        Do not change it, and do not keep it across an `await`.

        Raises:
            StoreAway: The store does not answer.
        """
        host = await self._host(session)
        await host.log.sync()
        return host.room

    async def ask(self, session: str, asked_by: Caller, command: Command, nonce: str = "") -> int:
        """Ask a command on behalf of a person; returns its entry's seq, 0 if nothing was to be done.

        Args:
            session: Session id.
            asked_by: Whose ticket was verified.
            command: Any command, those of the server included.
            nonce: The same nonce of the same person is answered once.

        Raises:
            rooms.Refused: With its code; `store_away` if the store did not answer in time.
            StoreAway: The room could not be read.
        """
        return await (await self._host(session)).ask(asked_by, command, nonce)

    async def put_card(self, session: str, card: Card) -> None:
        """Keep a person's card; viewers who know the person learn the new one.

        Raises:
            StoreAway: The store does not answer.
        """
        await (await self._host(session)).people.put(card)

    async def acts(self, session: str) -> list[Act]:
        """Read a session's staff acts from the store, past what is in memory.

        Raises:
            StoreAway: The store does not answer.
        """
        found = Log(session, self._store, self._clock)
        await found.load()
        return found.room.acts.acts

    def on_change(self, call: Change) -> None:
        """Have `call(session, room)` called when a room opens and after each change; it must not wait."""
        self._changes.append(call)

    def on_stage(self, call: Callable[[str, bytes], None]) -> None:
        """Have `call(session, body)` called with what any node whispers about a stage; it must not wait."""
        self._stages.append(call)

    async def whisper_stage(self, session: str, body: bytes) -> None:
        """Whisper to the other nodes with viewers of a room; may be lost.

        Raises:
            StoreAway: The store does not answer.
        """
        await self._store.whisper(session, STAGE + body)

    def signal(self, session: str, frames: Mapping[Level, Server]) -> None:
        """Send each viewer the frame of the highest level reached; the newest also to those who come later.

        Two variants of a `stage` frame: `{Level.ADMITTED: front, Level.STAGE: behind}`.
        """
        self._notices[session] = dict(frames)
        if (host := self._find(session)) is not None:
            host.notify(frames)

    def online(self, session: str) -> int:
        """How many people are present, as far as this node knows."""
        host = self._find(session)
        return len(host.presence.online) if host is not None else 0

    def connections(self) -> dict[str, int]:
        """Connections of this node by session; for metrics."""
        return {host.session: len(host.members) for host in self._open()}

    def numbers(self) -> dict[str, float]:
        """Count rooms, who is in them and what waits, for the metrics."""
        hosts = self._open()
        waiting = [member.connection.waiting for host in hosts for member in host.members.values()]
        return {
            "rooms": len(hosts),
            "sockets": len(waiting),
            "largest": max((len(host.members) for host in hosts), default=0),
            "commands_waiting": sum(host.log.waiting for host in hosts),
            "outbox_bytes": sum(waiting),
            "outbox_largest_bytes": max(waiting, default=0),
            "readers_behind": sum(size > 0 for size in waiting),
            "broadcast_native": int(self._broadcast is native_broadcast),
        }

    async def erase(self, session: str) -> None:
        """Close a room for everybody and remove everything about it from the store.

        Raises:
            StoreAway: The store does not answer; try again.
        """
        self._notices.pop(session, None)
        if (host := self._find(session)) is not None:
            host.members.close_all(Close.ENDED)
            await self._drop(host)
        await self._store.erase(session)

    async def forget(self, session: str, caller: Caller) -> None:
        """Erase what a person has said, and the person's card.

        Raises:
            StoreAway: The store does not answer; try again.
        """
        host = await self._host(session)
        await host.ask(caller, ForgetMe())
        await self._store.forget(session, caller.person)
        host.see_out(caller.person)

    async def reduce(self, session: str) -> None:
        """Leave only the organiser's record of a session; cards of who was never inside go, too.

        Raises:
            StoreAway: The store does not answer; try again.
        """
        host = await self._host(session)
        await host.log.sync()
        record = record_of(host.room)
        host.members.close_all(Close.ENDED)
        try:
            body = msgspec.json.encode(record)
            await self._store.redact(session, host.log.position, {}, Saved(record.seq, body), anew=True)
        except Taken as taken:
            raise StoreAway("the room is still being written") from taken
        finally:
            await self._drop(host)
        stayed = {stay.person for stay in record.stays}
        for person in await self._store.cards(session):
            if person not in stayed:
                await self._store.forget(session, person)

    async def drain(self, seconds: float = DRAIN_SECONDS) -> None:
        """Ask everybody to come back later, a few at a time so that they do not all come at once."""
        self._draining = True
        members = [member for host in self._open() for member in host.members.values()]
        random.shuffle(members)
        for member in members:
            member.tell(lambda connection: connection.close(Close.RESTARTING))
            await asyncio.sleep(seconds / len(members))

    # -- for the sockets ---------------------------------------------------------------------------

    async def join(self, session: str, caller: Caller, hello: Hello, line: Line) -> Visit | None:
        """Bring a person into a room; if that cannot be, the connection is told why and closed.

        Args:
            session: Session id.
            caller: From the ticket.
            hello: The greeting, with the position to resume from.
            line: The viewer's connection with its wire.
        """
        connection = line.connection
        try:
            if self._draining:
                raise Refused("restarting")  # noqa: TRY301 - one place turns refusals into codes
            host = await self._host(session)
            await host.log.sync()
            if not host.room.session.id or host.is_void(caller):
                connection.close(Close.BAD_TICKET)
                return None
            if host.room.session.state is State.CLOSED:
                connection.close(Close.ENDED)
                return None
            caller = await host.people.named(caller)
            await host.ask(caller, Arrive(registered=caller.registered, most_waiting=self._waiting))
            stamp = await self._store.stamp(session)
            member = self._member(host, caller, line, stamp)
            refused = await host.take_in(member, hello)
        except Refused as refused:
            connection.close(REFUSED_AT_THE_DOOR.get(refused.code, Close.RESTARTING))
            return None
        except StoreAway:
            connection.close(Close.STORE_AWAY)
            return None
        if refused is not None:
            connection.close(refused)
            return None
        return Visit(host, member)

    def _member(self, host: Host, caller: Caller, line: Line, stamp: int) -> Member:
        alias = self._world.blinding.alias(host.session, caller.person)
        # By the store's count, not by our clock: which of two seats is the newer must be the same everywhere.
        return Member(caller, alias, line, f"{stamp:020d}")

    # -- rooms that are open -----------------------------------------------------------------------

    @property
    def _world(self) -> Setting:
        if self._setting is None:
            raise RuntimeError("the hub has not been started")
        return self._setting

    def _open(self) -> list[Host]:
        return [host for session in list(self._hosts) if (host := self._find(session)) is not None]

    def _find(self, session: str) -> Host | None:
        task = self._hosts.get(session)
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    async def _host(self, session: str) -> Host:
        """Find or open a room; many who ask at once wait for one loading."""
        task = self._hosts.get(session)
        if task is None or (task.done() and self._find(session) is None):
            task = asyncio.create_task(self._load(session), name=f"load {session}")
            self._hosts[session] = task
        host = await asyncio.shield(task)
        host.used_at = self._clock()
        return host

    async def _load(self, session: str) -> Host:
        host = Host(session, self._world)
        await host.load()
        host.notify(self._notices.get(session, {}))
        if (broken := broken_at(session, host.room.acts.acts)) is not None:
            log.error("audit.broken", session=session, act=broken)
        if host.room.session.id:
            self._changed(session, host.room)
        running = asyncio.create_task(host.run(), name=f"room {session}")
        self._running[session] = running
        running.add_done_callback(lambda task: self._ended(host, task))
        return host

    def _ended(self, host: Host, task: asyncio.Task[None]) -> None:
        """A room's task has ended; if it was not asked to, its viewers come back to a new one."""
        if self._running.get(host.session) is task:
            del self._running[host.session]
            self._hosts.pop(host.session, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("room failed", session=host.session, exc_info=error)
        host.log.end()  # a task that was cancelled before its first step has told nobody
        host.members.close_all(Close.RESYNC)

    async def _drop(self, host: Host) -> None:
        self._hosts.pop(host.session, None)
        if (running := self._running.pop(host.session, None)) is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _staged(self, session: str, body: bytes) -> None:
        for call in self._stages:
            try:
                call(session, body)
            except Exception:
                log.exception("a listener to stages failed", session=session)

    def _changed(self, session: str, room: Room) -> None:
        for call in self._changes:
            try:
                call(session, room)
            except Exception:
                log.exception("a listener to changes failed", session=session)

    # -- twice a second ----------------------------------------------------------------------------

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(SLOW_TICK_SECONDS)
            now = self._clock()
            await asyncio.gather(*(self._tick_one(host, now) for host in self._open()))

    async def _tick_one(self, host: Host, now: int) -> None:
        try:
            await host.tick(now)
            if not host.members and host.log.idle and now - host.used_at > IDLE_MS:
                await self._drop(host)
        except Exception:
            log.exception("tick failed", session=host.session)
