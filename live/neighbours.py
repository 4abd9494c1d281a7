"""The room hub and the media link, in the shapes that the HTTP side wants of its neighbours."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
from starlette.routing import WebSocketRoute

from live.gateway.hub import Hub
from live.gateway.socket import RoomSocket
from live.gateway.viewing import Caller
from live.media import (
    Answer,
    LineFacts,
    MediaFleet,
    MediaRefused,
    MediaSettings,
    Patch,
    StageFacts,
    StageNotice,
    cores,
)
from live.protocol.frames import Card, Publication, Rate, Stage
from live.protocol.frames import Limits as SocketLimits
from live.settings import Settings
from live.web.bodies import PublisherLine, PublisherStream
from live.web.desk import Bearer, Desk
from live.web.ports import Tier
from live.web.problems import Problem
from rooms import Act, Command, Level, Role, Room, StageTruth


class HubRooms:
    """The room hub in the shape that the HTTP side wants.

    Args:
        hub: already started.

    Attributes:
        on_stage: called with a room whose stage frames, made here, have changed.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._notices: dict[str, dict[Level, Stage]] = {}
        self._gone: list[str] = []
        self.on_stage: Callable[[str], None] | None = None

    async def room(self, session: str) -> Room:
        """Return the session's room as the log has it now."""
        return await self._hub.room(session)

    async def ask(
        self, session: str, person: str, role: Role, command: Command, generation: int | None = None
    ) -> None:
        """Let the room decide and the store keep."""
        await self._hub.ask(session, Caller(person, role, generation=generation), command)

    async def acts(self, session: str) -> list[Act]:
        """Read a session's staff acts from the store."""
        return await self._hub.acts(session)

    async def forget(self, session: str, person: str, role: Role) -> None:
        """Erase what a person has said, and the person's card."""
        await self._hub.forget(session, Caller(person, role, ""))

    async def reduce(self, session: str) -> None:
        """Leave only the organiser's record of a session."""
        await self._hub.reduce(session)

    async def erase(self, session: str) -> None:
        """Close a room for everybody and remove everything about it from the store."""
        await self._hub.erase(session)

    async def put_card(self, session: str, card: Card) -> None:
        """Keep a card and show it to those who know the person."""
        await self._hub.put_card(session, card)

    def numbers(self) -> dict[str, float]:
        """Count rooms, sockets and what waits at this server."""
        return self._hub.numbers()

    def notice(self, session: str, notice: StageNotice) -> None:
        """Show viewers what the media plane tells: one variant for the audience, one behind the curtain."""
        slots = {mid: Publication(slot.person, slot.source) for mid, slot in notice.slots.items()}
        frame = Stage(
            slots=slots,
            speaking=notice.speaking,
            lines=notice.lines,
            away=notice.away,
            gone=self._gone,
            idle=notice.idle,
        )
        frames = self._notices.setdefault(session, {})
        frames[Level.STAGE if notice.behind else Level.ADMITTED] = frame
        self._signal(session, frames)

    def gone(self, workers: tuple[str, ...]) -> None:
        """Tell every room here which media workers died: media that was there is to be set up anew."""
        self._gone = list(workers)
        for session in {*self._notices, *self._hub.connections()}:
            frames = self._notices.setdefault(session, {Level.ADMITTED: Stage()})
            for level, frame in frames.items():
                frames[level] = msgspec.structs.replace(frame, gone=self._gone)
            self._signal(session, frames)

    def shown(self, session: str) -> dict[Level, Stage]:
        """Return what viewers of a room know of its stage."""
        return self._notices.get(session, {})

    def show(self, session: str, frames: dict[Level, Stage]) -> None:
        """Show viewers here what another server, the media's home, tells."""
        if frames != self._notices.get(session):
            self._notices[session] = frames
            self._hub.signal(session, frames)

    def _signal(self, session: str, frames: dict[Level, Stage]) -> None:
        self._hub.signal(session, frames)
        if self.on_stage is not None:
            self.on_stage(session)


def socket_route(hub: Hub, desk: Desk, settings: Settings) -> WebSocketRoute:
    """Make the WebSocket's route; who says hello is found at the desk."""

    async def authenticate(session: str, ticket: str) -> Caller | None:
        try:
            bearer = await desk.bearer_of_hello(session, ticket)
        except Problem:
            return None
        return await _caller(desk, session, bearer)

    given = settings.limits
    limits = SocketLimits(
        hello_ms=int(given.hello * 1000),
        commands=Rate(given.commands, given.commands_burst),
        pages=Rate(given.pages, given.pages_burst),
        signals=Rate(given.signals, given.signals_burst),
    )
    return RoomSocket(hub, authenticate, desk.origins.admits, limits, most_of_one=given.sockets).route()


async def _caller(desk: Desk, session: str, bearer: Bearer) -> Caller:
    raw = await desk.store.card(session, bearer.person)
    card = msgspec.json.decode(raw, type=Card) if raw else Card(bearer.person, "", bearer.role)
    return Caller(
        bearer.person, bearer.role, card.name, card.profession, bearer.registered, bearer.generation
    )


class LinkMedia:
    """The media workers in the shape that the HTTP side and the curtain want.

    Args:
        fleet: the workers, already started.
    """

    def __init__(self, fleet: MediaFleet) -> None:
        self._link = fleet

    @classmethod
    @asynccontextmanager
    async def running(
        cls, settings: Settings, secret: bytes, *, workers: bool = True
    ) -> AsyncIterator["LinkMedia"]:
        """Start the media workers, and end them on the way out.

        Args:
            settings: in force.
            secret: the same after a restart, so that peers of the former life are told to come back.
            workers: False in a process whose machine has its media workers in another one.

        Raises:
            live.media.MediaRefused: a media port is taken, or a worker does not start.
        """
        fleet = MediaFleet(
            MediaSettings(
                port=settings.media.port,
                host=settings.media.host,
                public_addresses=list(settings.media.addresses),
                fanout=settings.fanout,
                viewer_kbps=settings.media.viewer_kbps,
                publisher_kbps=settings.media.publisher_kbps,
            ),
            secret=secret,
            workers=len(settings.media.ports(cores())) if workers else 0,
            limit=settings.media.viewers,
        )
        await fleet.start()
        try:
            yield cls(fleet)
        finally:
            await fleet.close()

    def on_notice(
        self, told: Callable[[str, StageNotice], None], gone: Callable[[tuple[str, ...]], None]
    ) -> None:
        """Let `told` hear what the workers tell of rooms, and `gone` which workers died."""
        self._link.on_notice, self._link.on_gone = told, gone

    async def publish(self, room: str, person: str, source: str, offer_sdp: str) -> Answer:
        """Take a WHIP offer."""
        with _problems():
            return await self._link.publish(room, person, source, offer_sdp)

    async def watch(self, room: str, person: str, behind: bool, offer_sdp: str | None, tier: Tier) -> Answer:
        """Take a WHEP offer, or make one, for so much of the stage."""
        with _problems():
            return await self._link.watch(room, person, behind, offer_sdp, tier)

    async def choose(self, room: str, resource: str, tier: Tier) -> None:
        """Change how much of the stage a watch receives."""
        with _problems():
            await self._link.choose(room, resource, tier)

    async def answer(self, room: str, resource: str, sdp: str) -> None:
        """Take the answer to an offer of ours."""
        with _problems():
            await self._link.answer(room, resource, sdp)

    async def patch(self, room: str, resource: str, fragment: str, etag: str | None) -> Patch:
        """Take candidates or an ICE restart."""
        with _problems():
            return await self._link.patch(room, resource, fragment, etag)

    async def delete(self, room: str, resource: str) -> None:
        """End a resource."""
        with _problems():
            await self._link.delete(room, resource)

    async def stage(self, room: str, truth: StageTruth) -> None:
        """Tell the stage's whole truth."""
        muted = {person: [str(source) for source in sources] for person, sources in truth.muted.items()}
        facts = StageFacts(
            open=truth.open,
            on_stage=truth.on_stage,
            backstage=truth.backstage,
            muted=muted,
            veiled=truth.veiled,
        )
        await self._link.stage(room, facts)

    async def expel(self, room: str, person: str) -> None:
        """End everything that a person sends and receives."""
        await self._link.expel(room, person)

    async def lines(self, room: str) -> list[PublisherLine]:
        """Tell how the publishers' lines are doing."""
        return publisher_lines(await self.line_facts(room))

    async def line_facts(self, room: str) -> list[LineFacts]:
        """Return the same as the workers tell it."""
        with _problems():
            return await self._link.lines(room)

    def has(self, resource: str) -> bool:
        """Tell whether a resource is at one of our workers."""
        return self._link.has(resource)

    def occupied(self) -> set[str]:
        """Return the rooms in which anybody has media here."""
        return self._link.occupied()

    async def clear(self, room: str) -> None:
        """End everything that anybody has in a room."""
        await self._link.expel(room, None)

    async def stats(self) -> list[dict[str, int | float | str]]:
        """Count, worker by worker."""
        return await self._link.stats_by_worker()


@contextmanager
def _problems() -> Iterator[None]:
    """Let the media plane's refusals arrive as problems of the HTTP surface."""
    try:
        yield
    except MediaRefused as refused:
        passes = refused.status >= 500 or refused.status == 429  # noqa: PLR2004 - trouble that passes
        wait = 1000 if passes else None
        raise Problem(refused.code, status=refused.status, wait=wait) from refused


def publisher_lines(lines: list[LineFacts]) -> list[PublisherLine]:
    """Write lines as the HTTP side shows them."""
    return [
        PublisherLine(
            line.person,
            line.quality,
            line.transport,
            None if line.round_trip is None else round(line.round_trip * 1000),
            [
                PublisherStream(s.source, s.rid, s.bitrate, round(s.loss, 3), round(s.jitter * 1000))
                for s in line.streams
            ],
        )
        for line in lines
    ]
