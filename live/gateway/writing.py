"""The writing end of a room: commands become entries, in one order, on disk before anybody is answered.

Theory of operation. One task owns everything here. Commands that wait while an append is under way are
decided together on a copy that runs ahead of the room, and go to the store as one batch. If somebody else
wrote first, the room catches up, the copy is made again, and the same commands are decided again. Refusals
are told only after the batch they were decided in has been kept.

Some entries end somebody's words (a deleted message, say). They are answered like any other; a moment later
the words are taken out of the earlier entries and of the snapshot, which leaves the room as it is. No
snapshot is saved while that is to be done, so what a snapshot follows upon has been done: a node that loads
the room looks only at what came after.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from functools import reduce
from operator import or_
from typing import Any, Final, TypeVar

import msgspec
import structlog

from live.stores import Batch, Position, Row, Saved, Store, StoreAway, Taken
from live.telemetry import Numbers
from rooms import Asked, Command, Entry, Gone, Refused, Room, Snapshot, decide

T = TypeVar("T")
log = structlog.get_logger()

GROUP: Final = 256
"""Most commands in one batch."""
QUEUE: Final = 5000
"""Commands that may wait; above it the answer is `busy`."""
RING: Final = 1024
"""Entries kept for viewers who resume."""
PAGE: Final = 256
SNAPSHOT_EVERY: Final = 200
"""Entries between two snapshots in the store; more in a room whose snapshot holds much, so that the work of
writing snapshots grows only as fast as the room."""
KEPT: Final = 4096
"""Entries that stay in the store below the snapshot, for viewers who come back after long."""
ERASE_SECONDS: Final = (0.2, 5.0)
"""How soon words are taken out of the log after the entry that ends them: our own, and another node's."""
PATIENCE_SECONDS: Final = 8.0
"""How long commands wait for a store that is away."""
PAUSES: Final = (0.05, 1.0)
LOADS: Final = 5
NOTHINGS: Final = 4096
"""Commands remembered by this node that had nothing to do; they leave no entry that would answer for them."""

Outcome = int | Refused
"""The seq of the entry (0: nothing was to be done), or why not."""

NOWHERE: Final = Position(1, 0)
"""Where a room stands that does not exist, perhaps no longer."""

_entries = msgspec.json.Decoder(Entry)
_snapshots = msgspec.json.Decoder(Snapshot)
_encode = msgspec.json.Encoder().encode


class Unreadable(Exception):  # noqa: N818 - what a newer server has written
    """An entry or a snapshot that this version cannot read: the room cannot be kept here."""


class Wish(msgspec.Struct, frozen=True):
    """A command that waits for its decision, and who wants to know.

    Attributes:
        command: What is asked.
        asked: By whom.
        settle: Called once with the outcome.
        since: Of a repetition, an entry before which it was not asked.
        repeatable: Whether the asker knows the nonce, and so may ask again.
    """

    command: Command
    asked: Asked
    settle: Callable[[Outcome], None]
    since: int | None = None
    repeatable: bool = True


class Log:
    """A room and its log, kept equal.

    Attributes:
        room: The room as the store has it; only ever confirmed entries.
        position: Where it stands.
        ring: The newest entries, for viewers who resume.
        heard: Called after entries were folded, with them; with none, history has changed.
        lost: Entries that had been heard here and that the newest history does not have. Nearly all of them
            had been acknowledged; with replicas, the last ones may have been read before these had them.
    """

    def __init__(
        self, session: str, store: Store, clock: Callable[[], int], counts: Numbers | None = None
    ) -> None:
        self.session = session
        self._counts = counts or Numbers()
        self.room = Room()
        self.position = NOWHERE
        self.ring: deque[Entry] = deque(maxlen=RING)
        self.heard: Callable[[Sequence[Entry], bool], None] = lambda _entries, _own: None
        self._ahead = Room()
        self._store = store
        self._clock = clock
        self._wishes: deque[Wish] = deque()
        self._syncs: list[asyncio.Future[None]] = []
        self._nothings: dict[str, None] = {}
        self._news: asyncio.Queue[Batch] = asyncio.Queue(PAGE)
        self._wake = asyncio.Event()
        self.lost = 0
        self._saved = self._weight = 0
        self._writing = False
        self._ended = False
        self._doubtful = False
        self._behind = False
        self._again: asyncio.TimerHandle | None = None
        self._pause = PAUSES[0]
        self._erasing: list[tuple[int, Gone]] = []
        self._erase_at = 0.0
        self._erasable = asyncio.Event()

    # -- asking ------------------------------------------------------------------------------------

    def wish(self, wish: Wish) -> None:
        """Queue a command; its `settle` is called once: from the owning task, or here if that has ended."""
        if self._ended:
            wish.settle(Refused("store_away", wait=1000))
            return
        if len(self._wishes) >= QUEUE:
            self._counts.commands.labels("busy").inc()
            wish.settle(Refused("busy", wait=500))
            return
        self._wishes.append(wish)
        self._wake.set()

    async def sync(self) -> None:
        """Return when the room holds everything that was in the store at the time of the call.

        Raises:
            StoreAway: The store does not answer, or the room has been closed here.
        """
        if self._ended:
            raise StoreAway("the room is going away")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._syncs.append(done)
        self._wake.set()
        await done

    @property
    def ended(self) -> bool:
        """Whether the room is no longer here."""
        return self._ended

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._wishes and not self._syncs and not self._writing

    @property
    def waiting(self) -> int:
        """How many commands wait for their decision."""
        return len(self._wishes)

    # -- the owning task ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Own the room until cancelled. Call `load` first."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name=f"follow {self.session}")
                tasks.create_task(self._serve(), name=f"write {self.session}")
                tasks.create_task(self._erase(), name=f"erase {self.session}")
        finally:
            self.end()

    async def load(self) -> None:
        """Read the room from the store: the snapshot and what came after.

        Raises:
            StoreAway: The store does not answer, or it holds what only newer servers can read.
        """
        for _ in range(LOADS):
            try:
                if await self._load():
                    return
            except Unreadable as error:
                log.error("room unreadable", session=self.session, error=str(error))  # noqa: TRY400 - no fault here
                raise StoreAway(str(error)) from error
        raise StoreAway(f"{self.session} cannot be read to its end")

    async def _load(self) -> bool:
        """Try once; False if a row is missing, because somebody trimmed what was being read."""
        position = await self._tail()
        saved = await self._store.snapshot(self.session)
        room = Room.restore(_decoded(_snapshots, saved.body)) if saved else Room()
        kept_at = room.seq
        ring: deque[Entry] = deque(maxlen=RING)
        erasing: list[tuple[int, Gone]] = []
        while room.seq < position.seq:
            rows = await self._store.read(self.session, room.seq, PAGE)
            if not rows or rows[0].seq != room.seq + 1:
                return False
            for row in rows:
                ring.append(_decoded(_entries, row.body))
                room.fold(ring[-1])
                if gone := ring[-1].erases():
                    erasing.append((room.seq, gone))
        self._saved, self._doubtful = kept_at, False
        self.room, self.ring, self.position = room, ring, Position(position.epoch, room.seq)
        self._erasing = []
        for seq, gone in erasing:
            self._ends(seq, gone, own=True)
        self._rewind()
        return True

    async def _follow(self) -> None:
        follow: AsyncGenerator[Batch, None] = self._store.follow(self.session, self.position)
        async with contextlib.aclosing(follow):
            async for batch in follow:
                await self._news.put(batch)
                self._wake.set()

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not self._news.empty():
                await self._hear(self._news.get_nowait())
            if self._syncs or (self._behind and self._again is None):
                await self._catch_up_for_those_who_wait()
            if self._wishes:
                await self._write([self._wishes.popleft() for _ in range(min(GROUP, len(self._wishes)))])
                self._wake.set()

    async def _hear(self, batch: Batch) -> None:
        if batch.epoch == self.position.epoch and batch.rows and self._take(batch.rows):
            return
        try:
            await self._catch_up()
        except StoreAway:  # the follower has said it, and does not say it again
            self._look_again()

    def _look_again(self) -> None:
        """Have the room catch up a little later, even if nobody asks for anything until then."""
        self._behind = True
        if self._again is None:
            self._again = asyncio.get_running_loop().call_later(self._pause, self._look_now)
            self._pause = min(self._pause * 2, PAUSES[1])

    def _look_now(self) -> None:
        self._again = None
        self._wake.set()

    async def _catch_up_for_those_who_wait(self) -> None:
        waiting, self._syncs = self._syncs, []
        error: StoreAway | None = StoreAway("the room is going away")
        try:
            await self._catch_up()
            error = None
        except StoreAway as away:
            error = away
            if self._behind:
                self._look_again()
        finally:
            for done in waiting:
                if not done.done():
                    if error is None:
                        done.set_result(None)
                    else:
                        done.set_exception(StoreAway(str(error)))

    async def _catch_up(self) -> None:
        tail = await self._tail()
        if tail.history != self.position.history or tail.seq < self.position.seq:
            await self._reload()
        elif tail.epoch != self.position.epoch:
            # Words were taken out of entries. The room is the same without them, but the ring holds them.
            self.ring.clear()
            self.position = Position(tail.epoch, self.position.seq)
        while self.position.seq < tail.seq:
            rows = await self._store.read(self.session, self.position.seq, PAGE)
            if rows and rows[0].seq != self.position.seq + 1:
                await self._reload()
            elif not rows or not self._take(rows):
                raise StoreAway(f"{self.session} has a gap after {self.position.seq}")
        self._doubtful = self._behind = False
        self._pause = PAUSES[0]

    async def _tail(self) -> Position:
        """Ask where the log stands.

        Raises:
            StoreAway: The store does not answer, or answers of a history that is over: a server that was
                master once, perhaps.
        """
        tail = await self._store.position(self.session, kept=True)
        if tail.history < self.position.history and tail != NOWHERE:
            raise StoreAway(f"{self.session} is in history {self.position.history}, not {tail.history}")
        return tail

    async def _reload(self) -> None:
        before, known = self.position, {entry.seq: (entry.at, entry.key) for entry in self.ring}
        await self.load()
        replaced = sum(known.get(one.seq, (one.at, one.key)) != (one.at, one.key) for one in self.ring)
        self.lost = replaced + max(0, before.seq - self.position.seq)
        if self.lost:
            log.error("entries lost", session=self.session, lost=self.lost, seq=self.position.seq)
        log.info("room loaded again", session=self.session, epoch=self.position.epoch, seq=self.position.seq)
        self.heard((), False)

    def _take(self, rows: Sequence[Row]) -> bool:
        """Fold rows that somebody else may have written; False if one before them is missing.

        Raises:
            Unreadable: They were written by a newer server. The room ends here, and its viewers come back.
        """
        entries = [_decoded(_entries, row.body) for row in rows if row.seq > self.position.seq]
        if entries and entries[0].seq != self.position.seq + 1:
            return False
        self._confirm(entries, own=False)
        return True

    def _confirm(self, entries: Sequence[Entry], *, own: bool) -> None:
        for entry in entries:
            self.room.fold(entry)
            if self._ahead.seq < entry.seq:
                self._ahead.fold(entry)
            self.ring.append(entry)
            if gone := entry.erases():
                self._ends(entry.seq, gone, own=own)
        self.position = Position(self.position.epoch, self.room.seq)
        if entries:
            self.heard(entries, own)

    def _rewind(self) -> None:
        self._ahead = Room.restore(self.room.snapshot())

    # -- one batch ---------------------------------------------------------------------------------

    async def _write(self, wishes: list[Wish]) -> None:
        """Settle a batch of wishes, whatever happens."""
        outcomes: list[Outcome] = [Refused("store_away", wait=1000)] * len(wishes)
        self._writing = True
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                outcomes = await self._insist(wishes)
        except TimeoutError:
            log.warning("store away", session=self.session, wishes=len(wishes))
            self._rewind()
        finally:
            for wish, outcome in zip(wishes, outcomes, strict=True):
                self._counts.commands.labels(outcome.code if isinstance(outcome, Refused) else "done").inc()
                if outcome == 0 and wish.repeatable:
                    self._remember_nothing(wish.asked.key)
                wish.settle(outcome)
            self._writing = False
        await self._save_now_and_then()

    async def _insist(self, wishes: list[Wish]) -> list[Outcome]:
        pause, longest = PAUSES
        while True:
            try:
                return await self._attempt(wishes)
            except StoreAway:
                await asyncio.sleep(pause)
                pause = min(pause * 2, longest)

    async def _attempt(self, wishes: list[Wish]) -> list[Outcome]:
        while True:
            if self._doubtful:
                await self._step_back()
            entries, outcomes = self._decide(wishes)
            if not entries:
                return outcomes
            try:
                with self._counts.append.time():
                    await self._store.append(
                        self.session, self.position, [_encode(entry) for entry in entries]
                    )
            except Taken:
                await self._step_back()
            except StoreAway:
                # Nobody knows whether the entries are there, and on the replicas. If they are, their keys
                # answer for them; until that is known, nobody is answered. They may be known so late that the
                # keys are forgotten: from here on each is a repetition.
                self._doubtful = True
                wishes[:] = [_repeated(wish, self.position.seq) for wish in wishes]
                self._counts.append_failures.inc()
                raise
            else:
                self._confirm(entries, own=True)
                return outcomes

    async def _step_back(self) -> None:
        try:
            await self._catch_up()
        finally:
            self._rewind()

    def _decide(self, wishes: list[Wish]) -> tuple[list[Entry], list[Outcome]]:
        """Decide in order, each on what the ones before it caused."""
        room = self._ahead
        entries: list[Entry] = []
        outcomes: list[Outcome] = []
        for wish in wishes:
            if entries and room.seq < entries[-1].seq:
                room.fold(entries[-1])
            outcome, events = (0, []) if wish.asked.key in self._nothings else _decided(room, wish)
            if events:
                entry = Entry(seq=room.seq + 1, at=wish.asked.at, events=events, key=wish.asked.key)
                entries.append(entry)
                outcome = entry.seq
            outcomes.append(outcome)
        return entries, outcomes

    def _remember_nothing(self, key: str) -> None:
        """A repetition that comes late must not do what there was no need to do when it was asked."""
        self._nothings[key] = None
        while len(self._nothings) > NOTHINGS:
            del self._nothings[next(iter(self._nothings))]

    async def _save_now_and_then(self) -> None:
        if self.room.seq - self._saved < max(SNAPSHOT_EVERY, self._weight // 4) or self._erasing:
            return
        snapshot = self.room.snapshot()
        at, body = self.position, _encode(snapshot)
        self._weight = len(snapshot.events)
        with contextlib.suppress(StoreAway):  # the next batch tries again
            await self._store.save_snapshot(self.session, at, body)
            self._saved = at.seq
            if at.seq > KEPT:
                await self._store.trim(self.session, at.seq - KEPT)

    # -- words that have to go ---------------------------------------------------------------------

    def _ends(self, seq: int, gone: Gone, *, own: bool) -> None:
        """Note that an entry ends somebody's words. Each node sees to it, in case the others die."""
        due = asyncio.get_running_loop().time() + ERASE_SECONDS[0 if own else 1]
        self._erase_at = min(self._erase_at, due) if self._erasing else due
        self._erasing.append((seq, gone))
        self._erasable.set()

    async def _erase(self) -> None:
        pause = PAUSES[0]
        while True:
            await self._erasable.wait()
            await asyncio.sleep(max(pause, self._erase_at - asyncio.get_running_loop().time()))
            try:
                await self._take_words_out(list(self._erasing))
                pause = PAUSES[0]
            except (StoreAway, Taken):  # somebody else was taking words out; look again
                pause = min(pause * 2, PAUSES[1])

    async def _take_words_out(self, erasing: list[tuple[int, Gone]]) -> None:
        """Rewrite what the store still holds of words that have ended.

        Raises:
            Taken: The log was rewritten meanwhile.
        """
        seen = await self._store.position(self.session)
        if seen.history != self.position.history:
            raise Taken(seen)
        replaced: dict[int, bytes] = {}
        last = max((seq for seq, _ in erasing), default=0)
        after = 0
        while after < last and (rows := await self._store.read(self.session, after, PAGE)):
            after = rows[-1].seq
            for row in rows:
                gone = reduce(or_, (gone for seq, gone in erasing if row.seq <= seq), Gone())
                if any(name.encode() in row.body for name in gone.ids):
                    entry = _entries.decode(row.body)
                    if (bare := entry.without(gone)) is not entry:
                        replaced[row.seq] = _encode(bare)
        saved = await self._store.snapshot(self.session)
        stale = saved is not None and saved.seq < last
        if replaced or stale:
            whole = Saved(self.room.seq, _encode(self.room.snapshot()))
            await self._store.redact(self.session, seen, replaced, whole)
            self._saved = whole.seq
            log.info("words taken out", session=self.session, entries=len(replaced))
        self._erasing = [one for one in self._erasing if one not in erasing]
        if not self._erasing:
            self._erasable.clear()

    def end(self) -> None:
        """Tell everybody who waits, and from now on everybody who asks, that the room is no longer here."""
        self._ended = True
        if self._again is not None:
            self._again.cancel()
        for wish in self._wishes:
            wish.settle(Refused("store_away", wait=1000))
        for done in self._syncs:
            if not done.done():
                done.set_exception(StoreAway("the room is going away"))
        self._wishes.clear()
        self._syncs.clear()


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error


def _repeated(wish: Wish, since: int) -> Wish:
    return wish if wish.since is not None else msgspec.structs.replace(wish, since=since)


def _decided(room: Room, wish: Wish) -> tuple[Outcome, list[Any]]:
    if (seq := room.answered(wish.asked.key)) is not None:
        return seq, []
    if wish.since is not None and room.forgets(wish.since):
        return Refused("unsure"), []
    try:
        return 0, list(decide(room, wish.asked, wish.command))
    except Refused as refused:
        return refused, []
