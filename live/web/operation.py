"""One operation of the JSON API as a value: routes, checks and `/api/openapi.json` are all read from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.stores import StoreAway
from live.telemetry import log
from live.web.desk import Bearer, Desk
from live.web.problems import Problem
from rooms import Command, Refused, Role

HOST = "host"
"""Who the organiser is in acts that the token permits."""
JSON = "application/json"
_STATUS = {
    "bad_ticket": 401,
    "forbidden": 403,
    "removed": 403,
    "not_admitted": 403,
    "no_such_person": 404,
    "ended": 410,
    "too_short": 422,
    "too_long": 422,
    "slow_down": 429,
    "rate": 429,
    "busy": 503,
    "store_away": 503,
}
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Access(Enum):
    """Who may ask an operation."""

    ANYONE = "anyone"
    ORGANISER = "organiser"
    MEMBER = "member"
    """A bearer of a ticket or cookie of the session in the path."""
    STAFF = "staff"
    """The organiser, or a member of the session with a staff role."""


@dataclass(frozen=True)
class Call:
    """One request, checked: the caller is known and the body is what the operation takes."""

    desk: Desk
    request: Request
    body: Any
    bearer: Bearer | None

    @property
    def session(self) -> str:
        """The session id in the path."""
        return str(self.request.path_params["id"])

    async def ask(self, command: Command) -> None:
        """Let the room decide a command of the staff: of the bearer, or of the organiser, who has the token.

        Raises:
            rooms.Refused: with its code.
            StoreAway: the store does not answer.
        """
        if self.bearer is None:
            await self.desk.rooms.ask(self.session, HOST, Role.ORGANISER, command)
        else:
            by = self.bearer
            await self.desk.rooms.ask(self.session, by.person, by.role, command, by.generation)

    @property
    def member(self) -> Bearer:
        """The bearer, where access demands one."""
        if self.bearer is None:
            raise Problem("bad_ticket")
        return self.bearer


@dataclass(frozen=True)
class Operation:
    """What an address and a method do.

    Attributes:
        method: HTTP method.
        path: with `{id}` for the session.
        says: one line for the documentation.
        access: who may ask.
        run: does it.
        takes: the body's struct, or None for no body.
        gives: the answer's struct, or None for no body.
        status: of the answer.
        problems: codes beyond those that follow from access and body.
    """

    method: str
    path: str
    says: str
    access: Access
    run: Callable[[Call], Awaitable[object]]
    takes: type[msgspec.Struct] | None = None
    gives: type[msgspec.Struct] | None = None
    status: int = 200
    problems: tuple[str, ...] = ()


def routes(desk: Desk, operations: tuple[Operation, ...]) -> list[Route]:
    """Make one route per path; a method that is not listed gets 405 with `Allow`."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    return [Route(path, _endpoint(desk, methods), methods=METHODS) for path, methods in by_path.items()]


def _endpoint(desk: Desk, methods: dict[str, Operation]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return await answer(desk, methods, request)

    return endpoint


async def answer(desk: Desk, methods: dict[str, Operation], request: Request) -> Response:
    """Run the operation for a request; every failure becomes its problem."""
    operation = methods.get("GET" if request.method == "HEAD" else request.method)
    if operation is None:
        return Problem("method_refused", headers={"Allow": ", ".join(sorted(methods))}).response()
    try:
        return await _run(desk, operation, request)
    except Exception as error:  # noqa: BLE001 - the boundary: whatever happens gets its documented answer
        return problem_of(error, request).response()


def problem_of(error: Exception, request: Request) -> Problem:
    """Translate any exception of an operation into what the client is told."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, Refused):
        return refusal(error)
    if isinstance(error, StoreAway):
        return Problem("store_away", wait=1000)
    log.error("http.fault", method=request.method, path=request.url.path, exc_info=error)
    return Problem("server_fault")


def refusal(refused: Refused) -> Problem:
    """Translate the room's refusal: its code stays, the status follows from what kind it is."""
    return Problem(refused.code, status=_STATUS.get(refused.code, 409), wait=refused.wait)


async def _run(desk: Desk, operation: Operation, request: Request) -> Response:
    bearer = await _admit(desk, operation.access, request)
    body = await desk.read(request, operation.takes) if operation.takes else None
    result = await operation.run(Call(desk, request, body, bearer))
    if isinstance(result, Response):
        result.headers.setdefault("Cache-Control", "no-store")
        return result
    headers = {"Cache-Control": "no-store"}
    if result is None:
        return Response(status_code=operation.status, headers=headers)
    return Response(msgspec.json.encode(result), operation.status, headers, media_type=JSON)


async def _admit(desk: Desk, access: Access, request: Request) -> Bearer | None:
    if access is Access.ANYONE:
        desk.origins.check_anonymous(request)
        return None
    if access is Access.ORGANISER:
        desk.require_organiser(request)
        return None
    session = str(request.path_params["id"])
    if access is Access.STAFF and desk.is_organiser(request):
        return None
    bearer = await desk.bearer(request, session)
    if access is Access.STAFF:
        if not bearer.is_staff:
            raise Problem("role_refused")
        if (await desk.rooms.room(session)).level_of(bearer.person, bearer.role) is None:
            raise Problem("removed")
    return bearer
