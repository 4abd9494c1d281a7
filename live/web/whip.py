"""The HTTP side of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): offers, answers, trickle, the end.

The media worker does the work behind `Desk.media`; here are methods, status codes, headers and who may.
"""

import contextlib
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.protocol.frames import Card
from live.web.cookies import cookie
from live.web.desk import Bearer, Desk, bearer_token
from live.web.operation import METHODS, problem_of
from live.web.ports import Answer, Tier
from live.web.problems import Problem
from live.web.sessions import put_card
from live.web.turn import ice_links
from rooms import Arrive, Level, Room, State, stage_truth

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
SOURCES = frozenset({"camera", "screen"})
JSON = "application/json"
TIER_RELATION = "urn:madoi:whep:tier"
"""Relation of the address where a watch's tier is put."""
_OPTIONS = {"Access-Control-Max-Age": "86400", "Accept-Post": SDP, "Accept-Patch": f"{FRAGMENT}, {SDP}"}
_READS = frozenset({"GET", "HEAD"})
_CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Expose-Headers": "Location, ETag, Link, Retry-After",
}
Run = Callable[[Request, Bearer], Awaitable[Response]]


def routes(desk: Desk) -> list[Route]:
    """Make the five addresses."""
    door = Doorway(desk)

    async def whip(request: Request) -> Response:
        return await door.serve(request, "GET, HEAD, POST", door.publish)

    async def whep(request: Request) -> Response:
        return await door.serve(request, "GET, HEAD, POST", door.watch)

    async def resource(request: Request) -> Response:
        if request.method == "DELETE":
            return await door.serve(request, "DELETE", door.delete)
        return await door.serve(request, "GET, HEAD, PATCH, DELETE", door.patch)

    async def tier(request: Request) -> Response:
        return await door.serve(request, "PUT", door.choose)

    return [
        Route("/whip/{id}", whip, methods=METHODS),
        Route("/whep/{id}", whep, methods=METHODS),
        Route("/whip/{id}/{resource}", resource, methods=METHODS),
        Route("/whep/{id}/{resource}", resource, methods=METHODS),
        Route("/whep/{id}/{resource}/tier", tier, methods=METHODS),
    ]


class TierBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the stage a watch shall receive."""

    tier: Tier


class Standing(NamedTuple):
    """What a bearer may see and do now: level, whether behind the curtain, whether the session is live."""

    level: Level
    behind: bool
    live: bool


class Doorway:
    """The operations behind WHIP's and WHEP's addresses.

    Args:
        desk: what they work at.
        binds: whether a staff link that is used here becomes a program's.
    """

    def __init__(self, desk: Desk, *, binds: bool = True) -> None:
        self._desk = desk
        self._binds = binds

    async def serve(self, request: Request, allowed: str, run: Run) -> Response:
        """Answer a preflight, refuse other methods, run, and turn failures into problems."""
        response = await self._answer(request, allowed, run)
        response.headers.update({**_CORS, "Cache-Control": "no-store"})
        return response

    async def _answer(self, request: Request, allowed: str, run: Run) -> Response:
        if request.method in _READS and request.method in allowed:
            return _nothing(request)
        if request.method not in (*allowed.split(", "), "OPTIONS"):
            return Problem("method_refused", headers={"Allow": f"{allowed}, OPTIONS"}).response()
        try:
            if request.method == "OPTIONS":
                return await self._options(request)
            bearer = await self._desk.bearer(request, request.path_params["id"], binds=self._binds)
            return await run(request, bearer)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever happens gets its documented answer
            return problem_of(error, request).response()

    async def _options(self, request: Request) -> Response:
        """Answer a preflight; who shows ticket or seat is told the ICE servers before (RFC 9725 §4.6)."""
        response = Response(status_code=200, headers=_OPTIONS)
        session = request.path_params["id"]
        if bearer_token(request) is not None or cookie(request, session) is not None:
            bearer = await self._desk.bearer(request, session, binds=False)
            self._name_servers(response, bearer)
        return response

    async def publish(self, request: Request, bearer: Bearer) -> Response:
        """WHIP: take an offer from somebody who may be behind the curtain (RFC 9725 §4.2)."""
        session = request.path_params["id"]
        source = request.query_params.get("source", "camera")
        if source not in SOURCES:
            raise Problem("source_invalid")
        self._count_offer(session, bearer)
        offer = await self.read_offer(request)
        if not offer:
            raise Problem("sdp_invalid", "an offer is needed")
        standing = await self._arrive(request, session, bearer)
        if not standing.behind:
            raise Problem("role_refused" if standing.level >= Level.ADMITTED else "not_admitted")
        answer = await self._desk.media.publish(session, bearer.person, source, offer)
        await self._look_again(session, bearer, standing, answer.resource)
        return self.created(request, bearer, answer)

    async def watch(self, request: Request, bearer: Bearer) -> Response:
        """WHEP: take an offer, or make one that the client answers by PATCH.

        One is made for an empty body (201, every seat of the stage: what our own page asks for), and in place
        of a well-formed offer that does not fit (406, one picture and one sound).
        """
        session = request.path_params["id"]
        tier = _tier(request.query_params.get("tier", "video"))
        self._count_offer(session, bearer)
        offer = await self.read_offer(request)
        standing = await self._arrive(request, session, bearer)
        if standing.level < Level.ADMITTED:
            if standing.live:
                raise Problem("not_admitted")
            self._desk.outsiders.setdefault(session, set()).add(bearer.person)
        answer = await self._desk.media.watch(session, bearer.person, standing.behind, offer, tier)
        await self._look_again(session, bearer, standing, answer.resource)
        response = self.created(request, bearer, answer)
        place = response.headers["Location"]
        response.headers.append("Link", f'<{place}/tier>; rel="{TIER_RELATION}"')
        return response

    async def choose(self, request: Request, bearer: Bearer) -> Response:
        """Change how much of the stage a watch receives; the rest stops at the server."""
        session, resource = self.resource(request, bearer)
        if _content_type(request) != JSON:
            raise Problem("media_type_refused", f"{JSON} is taken")
        try:
            body = msgspec.json.decode(await self._desk.read_bytes(request), type=TierBody)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Problem("tier_invalid") from error
        await self._desk.media.choose(session, resource, body.tier)
        return Response(status_code=204)

    async def patch(self, request: Request, bearer: Bearer) -> Response:
        """Trickle or restart ICE (RFC 9725 §4.3), or take the answer to an offer of ours."""
        session, resource = self.resource(request, bearer)
        kind = _content_type(request)
        if kind not in (SDP, FRAGMENT):
            raise Problem(
                "media_type_refused", f"{FRAGMENT} or {SDP} is taken", headers={"Accept-Patch": FRAGMENT}
            )
        if kind == SDP:
            self._count_offer(session, bearer)
        text = _text(await self._desk.read_bytes(request))
        if kind == SDP:
            await self._desk.media.answer(session, resource, text)
            return Response(status_code=204)
        patch = await self._desk.media.patch(session, resource, text, request.headers.get("if-match"))
        if patch.sdpfrag is None:
            return Response(status_code=204)
        return Response(patch.sdpfrag, 200, {"ETag": patch.etag}, FRAGMENT)

    def _count_offer(self, session: str, bearer: Bearer) -> None:
        """Refuse a person who offers and answers without end, before anything is read.

        Raises:
            Problem: too many in the last minute.
        """
        wait = self._desk.offers.take(f"{session}/{bearer.person}", self._desk.now() * 1000)
        if wait:
            raise Problem("too_many_offers", wait=wait)

    async def delete(self, request: Request, bearer: Bearer) -> Response:
        """End a publication or a watch (RFC 9725 §4.2); one that is over already is over."""
        session, resource = self.resource(request, bearer)
        try:
            await self._desk.media.delete(session, resource)
        except Problem as problem:
            if problem.body.code != "unknown_resource":
                raise
        return Response(status_code=200)

    async def _arrive(self, request: Request, session: str, bearer: Bearer) -> Standing:
        """Bring a program's person to the door like anybody (a page's person came by its socket)."""
        if bearer.shared and await self._desk.store.card(session, bearer.person) is None:
            name = request.query_params.get("name") or "WHIP"
            await put_card(self._desk, session, Card(bearer.person, name, bearer.role))
        most = self._desk.settings.limits.waiting
        command = Arrive(registered=bearer.registered, most_waiting=most)
        await self._desk.rooms.ask(session, bearer.person, bearer.role, command, bearer.generation)
        room = await self._desk.rooms.room(session)
        standing = _standing(room, bearer)
        if standing is None:
            raise Problem("removed")
        await self._desk.settle(session, room)
        return standing

    async def _look_again(self, session: str, bearer: Bearer, before: Standing, resource: str) -> None:
        """Take back what was made while its person lost the right to it.

        What is lost after this look the curtain sees to: the resource is there by then. The look before the
        worker was asked is too early for that, and another server may have made it late.

        Raises:
            Problem: the right is lost, or nobody can tell.
        """
        why = "store_away"
        try:
            why = _lost(await self._desk.rooms.room(session), bearer, before)
        finally:
            if why:
                with contextlib.suppress(Problem):  # the curtain was quicker
                    await self._desk.media.delete(session, resource)
        if why:
            raise Problem(why)

    async def read_offer(self, request: Request) -> str | None:
        """Read an SDP body, None for an empty one."""
        raw = await self._desk.read_bytes(request)
        if raw and _content_type(request) != SDP:
            raise Problem("media_type_refused", f"{SDP} is taken", headers={"Accept-Post": SDP})
        accept = request.headers.get("accept", "*/*")
        if not any(kind in accept for kind in (SDP, "application/*", "*/*")):
            raise Problem("accept_refused")
        return _text(raw) or None

    def created(self, request: Request, bearer: Bearer, answer: Answer) -> Response:
        """Hand an answer back with its address, its entity tag and the ICE servers."""
        proof = self._desk.tickets.proof(request.path_params["id"], bearer.person, answer.resource)
        location = f"{request.url.path}/{answer.resource}.{proof}"
        patched = SDP if answer.counter else FRAGMENT
        headers = {"Location": location, "ETag": answer.etag, "Accept-Patch": patched}
        response = Response(answer.sdp, 406 if answer.counter else 201, headers, SDP)
        self._name_servers(response, bearer)
        return response

    def _name_servers(self, response: Response, bearer: Bearer) -> None:
        for link in ice_links(self._desk.settings.turn, bearer.person, self._desk.now()):
            response.headers.append("Link", link)

    def resource(self, request: Request, bearer: Bearer) -> tuple[str, str]:
        """Return session and resource of an address; it must be the bearer's own."""
        session = request.path_params["id"]
        resource, _, proof = request.path_params["resource"].rpartition(".")
        if not resource or proof != self._desk.tickets.proof(session, bearer.person, resource):
            raise Problem("unknown_resource")
        return session, resource


def _standing(room: Room, bearer: Bearer) -> Standing | None:
    """What a bearer may see and do, None for somebody who was removed."""
    level = room.level_of(bearer.person, bearer.role)
    if level is None:
        return None
    truth = stage_truth(room)
    behind = level >= Level.STAGE or bearer.person in truth.on_stage or bearer.person in truth.backstage
    return Standing(level, behind=behind, live=room.session.state is State.LIVE)


def _lost(room: Room, bearer: Bearer, before: Standing) -> str:
    """Why a bearer may no longer have what was made under an earlier standing; empty: it is still right."""
    if not room.session.id or room.session.state is State.CLOSED:
        return "ended"
    if room.session.voids(bearer.generation):
        return "bad_ticket"
    now = _standing(room, bearer)
    if now is None:
        return "removed"
    if before.behind and not now.behind:
        return "role_refused"
    if now.level < Level.ADMITTED and (now.live or before.level >= Level.ADMITTED):
        return "not_admitted"
    return ""


def _tier(text: str) -> Tier:
    try:
        return msgspec.convert({"tier": text}, TierBody).tier
    except msgspec.ValidationError as error:
        raise Problem("tier_invalid") from error


def _nothing(request: Request) -> Response:
    """GET and HEAD give nothing, with success (RFC 9725 §4.1); WHEP's say that an offer may be posted."""
    plays = request.url.path.startswith("/whep/") and "resource" not in request.path_params
    return Response(status_code=200, media_type=SDP) if plays else Response(status_code=204)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Problem("sdp_invalid", "not UTF-8") from error
