"""`/check/{id}`: a trial media connection, so that a page learns at the door how media will reach it.

It is offered and answered as in WHEP and goes through the same port, ICE, DTLS and TURN as the real thing,
but shows nothing, brings nobody to the door, and ends by itself. Any ticket of the session will do.
"""

import asyncio
import contextlib
import secrets

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from live.web.desk import Bearer, Desk, address
from live.web.operation import METHODS
from live.web.problems import Problem
from live.web.whip import Doorway

#: Seconds after which a trial is over whatever the page does.
TRIAL_SECONDS = 20.0


def routes(desk: Desk) -> list[Route]:
    """Make the two addresses."""
    trials = Trials(desk)
    door = Doorway(desk, binds=False)

    async def offer(request: Request) -> Response:
        return await door.serve(request, "POST", trials.begin)

    async def resource(request: Request) -> Response:
        return await door.serve(request, "DELETE", trials.end)

    return [
        Route("/check/{id}", offer, methods=METHODS),
        Route("/check/{id}/{resource}", resource, methods=METHODS),
    ]


class Trials:
    """Begins and ends trial connections; each has a room of its own kind, where nobody ever plays."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._door = Doorway(desk, binds=False)
        self._endings: set[asyncio.Task[None]] = set()

    async def begin(self, request: Request, bearer: Bearer) -> Response:
        """Answer an offer of one sound to receive, which will stay silent."""
        wait = self._desk.checks.take(address(request), self._desk.now() * 1000)
        if wait:
            raise Problem("too_many", wait=wait)
        offer = await self._door.read_offer(request)
        if not offer:
            raise Problem("sdp_invalid", "an offer is needed")
        hall = _hall(request)
        answer = await self._desk.media.watch(hall, secrets.token_urlsafe(9), False, offer, "captions")
        if answer.counter:
            await self._desk.media.delete(hall, answer.resource)
            raise Problem("no_codec")
        ending = asyncio.create_task(self._end_later(hall, answer.resource))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return self._door.created(request, bearer, answer)

    async def end(self, request: Request, bearer: Bearer) -> Response:
        """End a trial before its time."""
        _, resource = self._door.resource(request, bearer)
        await self._finish(_hall(request), resource)
        return Response(status_code=200)

    async def _end_later(self, hall: str, resource: str) -> None:
        await asyncio.sleep(TRIAL_SECONDS)
        await self._finish(hall, resource)

    async def _finish(self, hall: str, resource: str) -> None:
        with contextlib.suppress(Problem):  # it is over already, or its worker is
            await self._desk.media.delete(hall, resource)


def _hall(request: Request) -> str:
    return f"{request.path_params['id']}/check"
