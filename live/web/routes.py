"""Every address of the HTTP surface, in one list."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.telemetry import Numbers
from live.web import audit, check, entry, exports, health, pages, sessions, whip
from live.web.desk import Desk
from live.web.openapi import document
from live.web.operation import JSON, METHODS, Access, Call, Operation, answer, routes
from live.web.problems import Problem


def operations(numbers: Numbers) -> tuple[Operation, ...]:
    """List every operation of the JSON API."""
    listed = (
        *entry.OPERATIONS,
        *sessions.OPERATIONS,
        *exports.OPERATIONS,
        *audit.OPERATIONS,
        *health.operations(numbers),
    )
    printed = msgspec.json.encode(document(listed, health.server_version()))

    async def openapi(_call: Call) -> Response:
        return Response(printed, media_type=JSON)

    return (
        *listed,
        Operation("GET", "/api/openapi.json", "This document", Access.ANYONE, openapi),
    )


def web_routes(desk: Desk, numbers: Numbers) -> list[Route]:
    """Make all routes; the pages come last because they take every address that is left."""

    async def nothing(_call: Call) -> Response:
        raise Problem("unknown_resource")

    methods = {method: Operation(method, "", "", Access.ANYONE, nothing) for method in METHODS}

    async def lost(request: Request) -> Response:
        return await answer(desk, methods, request)

    return [
        *routes(desk, operations(numbers)),
        *whip.routes(desk),
        *check.routes(desk),
        Route("/api/{path:path}", lost, methods=METHODS),
        *pages.routes(),
    ]
