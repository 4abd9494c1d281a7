"""The register of sessions: what the store's index keeps of each, beside its log."""

import contextlib
import datetime as dt
import secrets
from collections.abc import Callable

import msgspec

from live.stores import Store
from live.telemetry import log
from live.web.bodies import Counts, NewSession, QuestionRules, SessionFacts
from live.web.problems import Problem
from rooms import Kind, Room, retention_for
from rooms.session import Retention, Session

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
ID_LENGTH = 12
LATEST = 253_402_300_800_000
"""Milliseconds since the epoch at the end of the year 9999, after which no date can be written."""


class Record(msgspec.Struct, frozen=True):
    """A session's line in the index.

    Attributes:
        id: the session.
        title: as shown to everyone.
        kind: the template.
        state: where it stood when this server last saw it move.
        starts_at: milliseconds since the epoch, or None.
        capacity: most attendees inside.
        qa: how questions are asked.
        door: whether shared links knock.
        name_policy: which name the entry form asks for.
        created: milliseconds since the epoch.
        generation: raise it, and every ticket made before is void.
        retention: the class that says how long it is kept.
        since: when the state began, in milliseconds since the epoch.
        erased: when everything but this line was erased, or None.
        reduced: when everything but the organiser's record was erased, or None.
        counts: what was there when it was erased.
    """

    id: str
    title: str
    kind: str
    state: str
    starts_at: int | None
    capacity: int
    qa: QuestionRules
    door: str
    name_policy: str
    created: int
    generation: int = 1
    retention: Retention = "C"
    since: int = 0
    erased: int | None = None
    counts: Counts | None = None
    reduced: int | None = None


class Register:
    """Reads and writes the index.

    Args:
        store: where the index is kept.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, session: str) -> Record:
        """Return a session's record.

        Raises:
            Problem: `unknown_session`, or `erased` when its time was over.
        """
        return (await self._read(session))[1]

    async def all(self) -> list[Record]:
        """Return every session, newest first; an unreadable line is told in the log and left alone."""
        records = []
        for session, raw in (await self._store.sessions()).items():
            try:
                records.append(msgspec.json.decode(raw, type=Record))
            except msgspec.DecodeError as error:
                log.error("register.unreadable", session=session, why=str(error))
        return sorted(records, key=lambda record: record.created, reverse=True)

    async def put(self, record: Record) -> None:
        """Keep a record."""
        await self._store.put_session(record.id, msgspec.json.encode(record))

    async def renew(self, session: str) -> Record:
        """Raise a session's generation, which voids every ticket of it.

        Raises:
            Problem: `unknown_session`.
        """
        return await self.change(session, _renewed)

    async def follow(self, room: Room) -> None:
        """Bring a session's record up to what its room says, where they differ; not that of an erased one."""
        with contextlib.suppress(Problem):
            await self.change(room.session.id, lambda record: _following(record, room.session))

    async def change(self, session: str, how: Callable[[Record], Record]) -> Record:
        """Change a session's record as it is when the change is kept, whoever else changes it meanwhile.

        Args:
            session: the session.
            how: called again with the newer record when somebody was faster.

        Raises:
            Problem: `unknown_session`, or `erased`.
        """
        while True:
            raw, record = await self._read(session)
            now = how(record)
            if now == record or await self._store.swap_session(session, raw, msgspec.json.encode(now)):
                return now

    async def _read(self, session: str) -> tuple[bytes, Record]:
        raw = await self._store.session(session)
        if raw is None:
            raise Problem("unknown_session")
        record = msgspec.json.decode(raw, type=Record)
        if record.erased is not None:
            raise Problem("erased")
        return raw, record


def _renewed(record: Record) -> Record:
    return msgspec.structs.replace(record, generation=record.generation + 1)


def _following(record: Record, session: Session) -> Record:
    settings = session.settings
    return msgspec.structs.replace(
        record,
        title=settings.title,
        state=str(session.state),
        since=session.since,
        retention=settings.retention,
        starts_at=settings.starts_at,
        capacity=settings.capacity,
        door=settings.door,
        qa=QuestionRules(moderated=settings.qa.moderated, anonymity=settings.qa.anonymity),
    )


def new_id() -> str:
    """Return a session id that nobody can guess (59 bits) and anybody can read aloud."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(ID_LENGTH))


def new_record(body: NewSession, now_ms: int) -> Record:
    """Make the record of a session to be.

    Raises:
        Problem: `starts_at` is neither RFC 3339 with an offset nor milliseconds, or beyond every calendar.
    """
    return Record(
        id=new_id(),
        title=body.title,
        kind=body.kind,
        state="published",
        starts_at=_milliseconds(body.starts_at),
        capacity=body.capacity,
        qa=body.qa,
        door=body.door,
        name_policy=body.name_policy,
        created=now_ms,
        retention=body.retention or retention_for(Kind(body.kind)),
    )


def facts_of(record: Record) -> SessionFacts:
    """Return what everyone who knows the id may see."""
    return SessionFacts(
        id=record.id,
        title=record.title,
        kind=record.kind,
        state=record.state,
        starts_at=None if record.starts_at is None else timestamp(record.starts_at),
        capacity=record.capacity,
        qa=record.qa,
        door=record.door,
        name_policy=record.name_policy,
        created_at=timestamp(record.created),
        retention=record.retention,
        erased_at=None if record.erased is None else timestamp(record.erased),
        counts=record.counts,
    )


def timestamp(ms: int) -> str:
    """Write milliseconds since the epoch as RFC 3339 in UTC."""
    moment = dt.datetime.fromtimestamp(ms / 1000, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(given: str | int | None) -> int | None:
    if given is None or given == "":
        return None
    ms = given if isinstance(given, int) else _read_moment(given)
    if not 0 <= ms < LATEST:
        raise Problem("bad_value", "starts_at must lie between 1970 and 9999")
    return ms


def _read_moment(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise Problem("bad_value", "starts_at must be RFC 3339, such as 2026-12-01T20:00:00+09:00") from error
    if moment.tzinfo is None:
        raise Problem("bad_value", "starts_at needs an offset, such as +09:00")
    return int(moment.timestamp() * 1000)
