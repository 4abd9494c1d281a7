"""Several servers of one store: which of them has a room's media, and how the others reach it.

A room's media has one home in all: the server that holds the room's lease in the store. Another server does
its own part (who asks, and may they?), then hands the request to the home, signed with a key that only the
store's servers have, and shows its viewers what the home tells of the stage.
"""

import asyncio
import contextlib
import hashlib
import hmac
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.gateway.hub import Hub
from live.media.control import (
    MESSAGE_LIMIT,
    SDP_LIMIT,
    Answer,
    Answered,
    Choose,
    Complete,
    Delete,
    Done,
    Failed,
    Inspect,
    Inspected,
    Patch,
    Patched,
    Publish,
    Reply,
    Trickle,
    Watch,
)
from live.neighbours import HubRooms, LinkMedia, publisher_lines
from live.protocol.frames import Stage
from live.stores import Store, StoreAway
from live.telemetry import log
from live.web.bodies import PublisherLine
from live.web.ports import Tier
from live.web.problems import Problem
from rooms import Level, Room, StageTruth

#: Seconds that a room's lease lasts, and between two renewals.
LEASE, RENEW = 12.0, 3.0

#: Seconds that a server may take to answer for another, and that its clock may be wrong.
PATIENCE, SKEW = 8.0, 60.0

PATH = "/nodes/media"
_SIGNATURE = "Madoi-Signature"

Asked = Publish | Watch | Complete | Trickle | Choose | Delete | Inspect


class Call(msgspec.Struct, frozen=True):
    """What one server asks another.

    Attributes:
        at: Unix time in seconds.
        asked: the request, as the media link has it.
        outsider: the door has not admitted the person, who therefore goes when the curtain opens.
    """

    at: float
    asked: Asked
    outsider: bool = False


class Reaction(msgspec.Struct, frozen=True):
    """The answer, and what the room's viewers know of the stage now, by level."""

    reply: Reply
    stage: dict[int, Stage] = {}


_calls = msgspec.msgpack.Decoder(Call)
_reactions = msgspec.msgpack.Decoder(Reaction)
_stages = msgspec.json.Decoder(dict[int, Stage])


class Homes:
    """The leases of this server.

    Args:
        store: where they lie.
        me: how others name this server: its URL, or a name that is no URL when they cannot reach it.
        near: where this machine's media is, when another process of it has the workers; "" when we have.

    Attributes:
        held: rooms whose media is here, with the time of the last renewal (monotonic seconds).
    """

    def __init__(self, store: Store, me: str, near: str = "") -> None:
        self._store, self._me, self.near = store, me.encode(), near
        self.held: dict[str, float] = {}

    async def of(self, session: str) -> str:
        """Return the home of a room, "" for this process; this machine takes the lease if nobody holds it.

        Raises:
            StoreAway: it cannot be told.
        """
        now = time.monotonic()
        if now - self.held.get(session, -LEASE) < LEASE - RENEW:
            return ""
        holder = await self._store.hold(f"media:{session}", self._me, LEASE)
        if holder != self._me:
            self.held.pop(session, None)
            return holder.decode()
        if self.near:  # the process there renews the lease and lets it go
            return self.near
        self.held[session] = now
        return ""

    async def renew(self, session: str) -> bool:
        """Hold on to a room, or take it again; False: another server has it now."""
        self.held[session] = -LEASE
        return not await self.of(session)

    async def let_go(self, session: str) -> None:
        """Leave a room to whoever asks next."""
        self.held.pop(session, None)
        await self._store.let_go(f"media:{session}", self._me)


class NodeMedia:
    """The media of all servers in the shape that the HTTP side and the curtain want.

    Args:
        own: the workers here.
        homes: the leases.
        rooms: shows notices to viewers here.
        hub: keeps rooms open whose media is here.
        settle: returns once the workers here know a room's stage.
        outsiders: per session, people who watch without having been admitted.
        key: what servers sign with.
    """

    def __init__(  # noqa: PLR0917  # its neighbours, each once
        self,
        own: LinkMedia,
        homes: Homes,
        rooms: HubRooms,
        hub: Hub,
        settle: Callable[[str, Room], Awaitable[None]],
        outsiders: dict[str, set[str]],
        key: bytes,
    ) -> None:
        self._own, self._homes, self._rooms, self._hub = own, homes, rooms, hub
        self._settle, self._outsiders, self._key = settle, outsiders, key
        self._client = httpx.AsyncClient(timeout=PATIENCE)
        self._news: dict[str, None] = {}
        self._told = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep leases and tell the other servers; at the end let go."""
        self._rooms.on_stage = self.told
        self._hub.on_stage(self.overheard)
        tasks = [
            asyncio.create_task(self._tell(), name="nodes tell"),
            asyncio.create_task(self._hold_on(), name="nodes hold on"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            with contextlib.suppress(StoreAway):
                for session in list(self._homes.held):
                    await self._homes.let_go(session)
            await self._client.aclose()

    # -- what the HTTP side asks -------------------------------------------------------------------

    async def publish(self, room: str, person: str, source: str, offer_sdp: str) -> Answer:
        """Take a WHIP offer, here or at the room's home."""
        _fits(offer_sdp)
        if home := await self._homes.of(room):
            return _answer(await self._ask(home, Publish(0, room, person, source, offer_sdp)))
        return await self._own.publish(room, person, source, offer_sdp)

    async def watch(self, room: str, person: str, behind: bool, offer_sdp: str | None, tier: Tier) -> Answer:
        """Take a WHEP offer, or make one, here or at the room's home."""
        _fits(offer_sdp or "")
        if home := await self._homes.of(room):
            return _answer(await self._ask(home, Watch(0, room, person, behind, offer_sdp, tier)))
        return await self._own.watch(room, person, behind, offer_sdp, tier)

    async def answer(self, room: str, resource: str, sdp: str) -> None:
        """Take the answer to an offer of ours."""
        _fits(sdp)
        if home := await self._holder(room, resource):
            await self._ask(home, Complete(0, room, resource, sdp))
        else:
            await self._own.answer(room, resource, sdp)

    async def patch(self, room: str, resource: str, fragment: str, etag: str | None) -> Patch:
        """Take candidates or an ICE restart."""
        _fits(fragment)
        if home := await self._holder(room, resource):
            reply = await self._ask(home, Trickle(0, room, resource, fragment, etag))
            return reply.patch if isinstance(reply, Patched) else _confused()
        return await self._own.patch(room, resource, fragment, etag)

    async def choose(self, room: str, resource: str, tier: Tier) -> None:
        """Change how much of the stage a watch receives."""
        if home := await self._holder(room, resource):
            await self._ask(home, Choose(0, room, resource, tier))
        else:
            await self._own.choose(room, resource, tier)

    async def delete(self, room: str, resource: str) -> None:
        """End a resource."""
        if home := await self._holder(room, resource):
            await self._ask(home, Delete(0, room, resource))
        else:
            await self._own.delete(room, resource)

    async def lines(self, room: str) -> list[PublisherLine]:
        """Tell how the publishers' lines are doing."""
        if home := await self._homes.of(room):
            reply = await self._ask(home, Inspect(0, room))
            return publisher_lines(reply.lines) if isinstance(reply, Inspected) else []
        return await self._own.lines(room)

    async def stage(self, room: str, truth: StageTruth) -> None:
        """Tell the workers here; every server's curtain follows the log itself."""
        await self._own.stage(room, truth)

    async def expel(self, room: str, person: str) -> None:
        """End everything that a person has here; every server's curtain does so."""
        await self._own.expel(room, person)

    async def stats(self) -> list[dict[str, int | float | str]]:
        """Count what is here."""
        return await self._own.stats()

    async def _holder(self, room: str, resource: str) -> str:
        return "" if self._own.has(resource) else await self._homes.of(room)

    # -- asking another server ---------------------------------------------------------------------

    async def _ask(self, home: str, asked: Asked) -> Reply:
        if not home.startswith(("http://", "https://")):
            raise Problem("media_elsewhere", wait=1000)
        outsider = isinstance(asked, Watch) and asked.person in self._outsiders.get(asked.room, ())
        body = msgspec.msgpack.encode(Call(time.time(), asked, outsider))
        try:
            answer = await self._client.post(
                home.rstrip("/") + PATH, content=body, headers={_SIGNATURE: self._sign(body)}
            )
            answer.raise_for_status()
            reaction = _reactions.decode(answer.content)
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            log.warning("nodes.unreachable", home=home, error=repr(error))
            raise Problem("media_elsewhere", wait=1000) from error
        if reaction.stage:
            self._show(asked.room, reaction.stage)
        if isinstance(reaction.reply, Failed):
            failed = reaction.reply
            wait = 1000 if failed.status >= 500 else None  # noqa: PLR2004 - the server's own trouble passes
            raise Problem(failed.code, status=failed.status, wait=wait)
        return reaction.reply

    def _sign(self, body: bytes) -> str:
        return hmac.new(self._key, body, hashlib.sha256).hexdigest()

    def _show(self, session: str, stage: dict[int, Stage]) -> None:
        self._rooms.show(session, {Level(level): frame for level, frame in stage.items()})

    # -- being asked -------------------------------------------------------------------------------

    def route(self) -> Route:
        """Make the address where other servers ask."""
        return Route(PATH, self._serve, methods=["POST"])

    async def _serve(self, request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MESSAGE_LIMIT:
                return Response(status_code=413)
        signature = request.headers.get(_SIGNATURE, "")
        if self._homes.near:
            return await self._pass_on(bytes(body), signature)
        if not hmac.compare_digest(signature.encode(), self._sign(bytes(body)).encode()):
            return Response(status_code=403)
        try:
            call = _calls.decode(body)
        except msgspec.DecodeError:
            return Response(status_code=400)
        if abs(time.time() - call.at) > SKEW:
            return Response(status_code=403)
        reaction = Reaction(await self._reply(call), self._stage(call.asked.room))
        return Response(msgspec.msgpack.encode(reaction), media_type="application/msgpack")

    async def _pass_on(self, body: bytes, signature: str) -> Response:
        """Let the process of this machine answer that has the media workers; it looks at the signature."""
        try:
            answer = await self._client.post(
                self._homes.near + PATH, content=body, headers={_SIGNATURE: signature}
            )
        except httpx.HTTPError:
            return Response(status_code=503)
        kind = answer.headers.get("content-type")
        return Response(answer.content, answer.status_code, media_type=kind)

    async def _reply(self, call: Call) -> Reply:
        asked = call.asked
        try:
            if isinstance(asked, Publish | Watch):
                if await self._homes.of(asked.room):
                    return Failed(0, "media_elsewhere", 503)
                await self._settle(asked.room, await self._hub.room(asked.room))
                if call.outsider:
                    self._outsiders.setdefault(asked.room, set()).add(asked.person)
            return await self._do(asked)
        except Problem as problem:
            return Failed(0, problem.body.code, problem.body.status)
        except StoreAway:
            return Failed(0, "store_away", 503)

    async def _do(self, asked: Asked) -> Reply:
        own = self._own
        match asked:
            case Publish(_, room, person, source, sdp):
                return Answered(0, await own.publish(room, person, source, sdp))
            case Watch(_, room, person, behind, sdp, tier):
                return Answered(0, await own.watch(room, person, behind, sdp, tier))
            case Complete(_, room, resource, sdp):
                await own.answer(room, resource, sdp)
            case Trickle(_, room, resource, fragment, etag):
                return Patched(0, await own.patch(room, resource, fragment, etag))
            case Choose(_, room, resource, tier):
                await own.choose(room, resource, tier)
            case Delete(_, room, resource):
                await own.delete(room, resource)
            case Inspect(_, room):
                return Inspected(0, await own.line_facts(room))
        return Done(0)

    # -- what is told of the stage -----------------------------------------------------------------

    def told(self, session: str) -> None:
        """Note that the stage frames of a room here have changed; the other servers are told soon."""
        if session in self._homes.held:
            self._news[session] = None
            self._told.set()

    def overheard(self, session: str, body: bytes) -> None:
        """Take in what a room's home whispered; our own whispers change nothing."""
        if session not in self._homes.held:
            with contextlib.suppress(msgspec.DecodeError, ValueError):
                self._show(session, _stages.decode(body))

    def _stage(self, session: str) -> dict[int, Stage]:
        return {int(level): frame for level, frame in self._rooms.shown(session).items()}

    async def _tell(self) -> None:
        """Whisper what `told` noted, until cancelled."""
        while True:
            await self._told.wait()
            self._told.clear()
            while self._news:
                session, _ = self._news.popitem()
                try:
                    await self._hub.whisper_stage(session, msgspec.json.encode(self._stage(session)))
                except StoreAway:
                    pass  # whispers may be lost; the next one is whole again
                except Exception:  # noqa: BLE001 - one room must not cost the others their news
                    log.exception("nodes.telling_failed", session=session)

    async def _hold_on(self) -> None:
        """Hold on to rooms with media here and let go of others, until cancelled."""
        while True:
            await asyncio.sleep(RENEW)
            occupied = self._own.occupied()
            for session in {*self._homes.held, *occupied}:
                try:
                    await self._renew(session, used=session in occupied)
                except StoreAway:
                    pass  # then nobody else can take it either
                except Exception:  # noqa: BLE001 - one room must not cost the others their leases
                    log.exception("nodes.renewal_failed", session=session)

    async def _renew(self, session: str, *, used: bool) -> None:
        if not used:
            await self._homes.let_go(session)
        elif await self._homes.renew(session):
            await self._hub.room(session)  # it stays open, and its curtain follows the log
            self.told(session)
        else:
            log.warning("nodes.lease_lost", session=session)
            await self._own.clear(session)


def node_name(url: str, port: int) -> str:
    """Return how other servers name this one: its URL, or a name by which they cannot reach it."""
    return url or f"unreachable:{socket.gethostname()}:{port}"


def node_key(secret: bytes) -> bytes:
    """Return what the servers of a store sign their calls with."""
    return hmac.digest(secret, b"madoi.node", "sha256")


def _fits(text: str) -> None:
    if len(text.encode(errors="replace")) > SDP_LIMIT:
        raise Problem("sdp_too_long", status=413)


def _answer(reply: Reply) -> Answer:
    if isinstance(reply, Answered):
        return reply.answer
    raise Problem("media_confused")


def _confused() -> Patch:
    raise Problem("media_confused")
