"""The desk that every operation works at: what it needs to know, and who is asking. `live.app` fills it."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from live.addresses import subscriber_of
from live.settings import Settings
from live.stores import Store
from live.tickets import SOCKET_SECONDS, BadTicket, Claims, Purpose, Tickets
from live.web.cookies import ORGANISER, cookie
from live.web.origins import Origins
from live.web.ports import Media, Rooms
from live.web.probe import Probe
from live.web.problems import Problem
from live.web.rates import Rates
from live.web.register import Register
from rooms import STAFF_ROLES, STAGE_ROLES, Role, Room

LINK_SECONDS = 366 * 24 * 3600
"""How long a link lasts."""
PROGRAM = "program"
"""Who uses a link's ticket as it stands: an encoder, a script. Every program is the same user."""

T = TypeVar("T", bound=msgspec.Struct)


class Bearer(msgspec.Struct, frozen=True):
    """Who asks, by ticket or cookie, in one session.

    Attributes:
        person: the person id; one that a shared ticket stands for where no cookie is.
        role: from the ticket, at this call.
        registered: the ticket names its person, so that the door lets it in.
        shared: it is a shared link's ticket, used directly.
        generation: of the session's links that the ticket was made under.
    """

    person: str
    role: Role
    registered: bool
    shared: bool = False
    generation: int | None = None

    @property
    def is_staff(self) -> bool:
        """Whether the bearer moderates."""
        return self.role in STAFF_ROLES

    @property
    def one_browser(self) -> bool:
        """Whether the bearer's link is for one browser (or one kind of program) only: staff and experts."""
        return not self.shared and self.role in STAFF_ROLES | STAGE_ROLES


@dataclass
class Desk:
    """Everything an operation needs.

    Attributes:
        settings: in force.
        organiser_token: the organiser's key.
        store: index, cards and one-time claims.
        register: the sessions that exist.
        tickets: signs and reads.
        rooms: the room hub.
        media: the media link.
        port: on which HTTP is reached.
        settle: returns once the media plane knows a room's stage.
        outsiders: per session, people who watch although the door has not admitted them; the curtain's
            opening
            ends their watching.
        process: which of this machine's processes we are.
        processes: ports at 127.0.0.1 of all of them; none when there is only one.
        now: Unix time in seconds.
    """

    settings: Settings
    organiser_token: str
    store: Store
    register: Register
    tickets: Tickets
    rooms: Rooms
    media: Media
    port: int
    settle: Callable[[str, Room], Awaitable[None]]
    outsiders: dict[str, set[str]] = field(default_factory=dict)
    now: Callable[[], float] = time.time
    draining: bool = False
    process: int = 0
    processes: tuple[int, ...] = ()
    origins: Origins = field(init=False)
    attempts: Rates = field(init=False)
    entries: Rates = field(init=False)
    checks: Rates = field(init=False)
    offers: Rates = field(init=False)
    probe: Probe = field(init=False)

    def __post_init__(self) -> None:
        self.origins = Origins(self.settings)
        self.attempts = Rates(self.settings.limits.attempts)
        self.entries = Rates(self.settings.limits.entries)
        self.checks = Rates(self.settings.limits.checks)
        self.offers = Rates(self.settings.limits.offers)
        self.probe = Probe(self.store.check)

    @property
    def public_url(self) -> str:
        """How browsers reach us, without a slash at the end."""
        return (self.settings.public_url or f"http://localhost:{self.port}").rstrip("/")

    def is_organiser(self, request: HTTPConnection) -> bool:
        """Tell whether the organiser asks.

        Raises:
            Problem: the cookie is right but another site's page sends it; or the token is right but may have
                been guessed, because the address has failed too often.
        """
        given = cookie(request, ORGANISER)
        if given is not None and self._reads(given, ORGANISER):
            self.origins.check_cookie(request)
            return True
        token = bearer_token(request)
        if token is None or not hmac.compare_digest(token.encode(), self.organiser_token.encode()):
            return False
        self.check_attempts(request)
        return True

    def require_organiser(self, request: HTTPConnection) -> None:
        """Let only the organiser pass.

        Raises:
            Problem: somebody else asks, or the address has tried too often.
        """
        if not self.is_organiser(request):
            if bearer_token(request) is not None:
                self.failed_attempt(request)
            raise Problem("bad_ticket")

    async def bearer(self, request: HTTPConnection, session: str, *, binds: bool = True) -> Bearer:
        """Return who asks in a session, by `Authorization: Bearer <ticket>` or by cookie.

        Args:
            request: the request.
            session: the session that it is about.
            binds: whether using a staff link here makes it a program's; not where a page only tries the line.

        Raises:
            Problem: no ticket, or not one of this session, or another site's page sends the cookie.
        """
        text = bearer_token(request)
        if text is not None:
            bearer = await self.bearer_by(request, session, text)
            if binds:
                await self.bind(text, bearer, PROGRAM)
            return bearer
        seat = cookie(request, session)
        if seat is None:
            raise Problem("bad_ticket")
        bearer = await self._seated(session, seat)
        self.origins.check_cookie(request)
        return bearer

    async def bearer_by(self, request: HTTPConnection, session: str, text: str) -> Bearer:
        """Return who a ticket stands for that a request brings; a wrong one counts against its address.

        A right one passes whatever others behind the same address have tried: nobody guesses a signature.

        Raises:
            Problem: it is wrong, or wrong once too often.
        """
        try:
            return await self.bearer_of(session, text)
        except Problem:
            self.failed_attempt(request)
            raise

    async def bearer_of(self, session: str, text: str) -> Bearer:
        """Return who a link ticket of this session stands for.

        Raises:
            Problem: it is not one, or was revoked.
        """
        claims = await self._claims("link", session, text)
        if claims.person is not None:
            return Bearer(claims.person, claims.role, registered=True, generation=claims.generation)
        person = self.tickets.person_of(text)
        return Bearer(person, claims.role, registered=False, shared=True, generation=claims.generation)

    async def bind(self, text: str, bearer: Bearer, user: str) -> None:
        """Let a personal staff link belong to its first user, for good.

        Args:
            text: the link's ticket.
            bearer: whom it stands for.
            user: `PROGRAM`, or the secret that one browser holds.

        Raises:
            Problem: `link_used`, it belongs to another browser, or to a program.
        """
        if not bearer.one_browser:
            return
        key = f"link:{hashlib.sha256(text.encode()).hexdigest()}"
        mark = hashlib.sha256(user.encode()).digest()
        if not hmac.compare_digest(await self.store.hold(key, mark, LINK_SECONDS), mark):
            raise Problem("link_used")

    async def bearer_of_hello(self, session: str, text: str) -> Bearer:
        """Return who says hello on a socket, by a one-time socket ticket or (programs) by a link ticket.

        Raises:
            Problem: neither, or the one-time ticket was used before.
        """
        try:
            claims = await self._claims("socket", session, text)
        except Problem:
            bearer = await self.bearer_of(session, text)
            await self.bind(text, bearer, PROGRAM)
            return bearer
        if claims.person is None or not await self.store.claim_once(
            f"socket:{claims.id}", 2 * SOCKET_SECONDS
        ):
            raise Problem("bad_ticket")
        return Bearer(claims.person, claims.role, registered=claims.registered, generation=claims.generation)

    def check_attempts(self, request: HTTPConnection) -> None:
        """Refuse an address that has failed too often of late.

        Raises:
            Problem: `too_many`.
        """
        wait = self.attempts.wait(address(request), self.now() * 1000)
        if wait:
            raise Problem("too_many", wait=wait)

    def failed_attempt(self, request: HTTPConnection) -> None:
        """Count a wrong token or ticket against its address.

        Raises:
            Problem: `too_many`, it has failed too often of late.
        """
        wait = self.attempts.take(address(request), self.now() * 1000)
        if wait:
            raise Problem("too_many", wait=wait)

    async def read(self, request: Request, takes: type[T]) -> T:
        """Read and decode a JSON body.

        Raises:
            Problem: it is too large, not JSON, or not of this type.
        """
        if (
            request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
            != "application/json"
        ):
            raise Problem("media_type_refused", "application/json is taken")
        raw = await self.read_bytes(request)
        try:
            return msgspec.json.decode(raw, type=takes)
        except msgspec.ValidationError as error:
            raise Problem("bad_value", str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem("bad_body") from error

    async def read_bytes(self, request: Request) -> bytes:
        """Read a body up to the limit.

        Raises:
            Problem: it is larger, too slow, or the client went away in the middle.
        """
        limit = self.settings.limits.body
        if int(request.headers.get("content-length", "0")) > limit:
            raise Problem("body_too_large", headers={"Connection": "close"})
        raw = bytearray()
        try:
            async with asyncio.timeout(self.settings.limits.patience):
                async for chunk in request.stream():
                    raw += chunk
                    if len(raw) > limit:
                        raise Problem("body_too_large", headers={"Connection": "close"})
        except TimeoutError as error:
            raise Problem("body_late", headers={"Connection": "close"}) from error
        except ClientDisconnect as error:
            raise Problem("bad_body") from error
        return bytes(raw)

    async def _seated(self, session: str, seat: str) -> Bearer:
        claims = await self._claims("seat", session, seat)
        if claims.person is None:
            raise Problem("bad_ticket")
        return Bearer(claims.person, claims.role, registered=claims.registered, generation=claims.generation)

    async def _claims(self, purpose: Purpose, session: str, text: str) -> Claims:
        try:
            claims = self.tickets.read(purpose, text, self.now())
        except BadTicket as error:
            raise Problem("bad_ticket") from error
        record = await self.register.find(session)
        if claims.session != session or claims.generation != record.generation:
            raise Problem("bad_ticket")
        return claims

    def _reads(self, text: str, session: str) -> bool:
        try:
            return self.tickets.read("seat", text, self.now()).session == session
        except BadTicket:
            return False


def bearer_token(request: HTTPConnection) -> str | None:
    """Return the token of `Authorization: Bearer …` (RFC 6750 §2.1), or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def address(request: HTTPConnection) -> str:
    """Return whom limits count as one, as far as a trusted proxy or the socket says who it is."""
    return subscriber_of(request.client.host) if request.client else "?"
