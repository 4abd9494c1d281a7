"""Coming in and going out: the organiser's entry, a person's seat, the socket's one-time ticket."""

import secrets

import msgspec
from starlette.responses import Response

from live.protocol.frames import Card
from live.tickets import SOCKET_SECONDS, BadTicket, Claims
from live.web.bodies import Entry, OrganiserEntry, Seat, SocketTicket
from live.web.cookies import (
    ORGANISER,
    ORGANISER_SECONDS,
    SEAT_SECONDS,
    clear_cookie,
    cookie,
    set_cookie,
)
from live.web.desk import LINK_SECONDS, Bearer, address
from live.web.operation import JSON, Access, Call, Operation
from live.web.problems import Problem
from live.web.sessions import name_of, new_person, put_card
from rooms import Role
from rooms.door import Standing


async def organiser(call: Call) -> Response:
    """Change the organiser's token for a cookie."""
    call.desk.check_attempts(call.request)
    if not secrets.compare_digest(call.body.token.encode(), call.desk.organiser_token.encode()):
        call.desk.failed_attempt(call.request)
        raise Problem("bad_ticket")
    expires = int(call.desk.now()) + ORGANISER_SECONDS
    value = call.desk.tickets.sign("seat", Claims(ORGANISER, Role.ORGANISER, 1, expires, ORGANISER))
    response = Response(status_code=204)
    set_cookie(call.request, response, ORGANISER, value, ORGANISER_SECONDS)
    return response


async def organiser_leave(call: Call) -> Response:
    """Take the organiser's cookie back."""
    response = Response(status_code=204)
    clear_cookie(call.request, response, ORGANISER)
    return response


async def enter(call: Call) -> Response:
    """Change a link's ticket for a seat: a personal ticket's person, or a new one with a name."""
    desk, body = call.desk, call.body
    record = await desk.register.find(call.session)
    bearer = await desk.bearer_by(call.request, call.session, body.ticket)
    if record.state == "closed":
        raise Problem("ended")
    wait = desk.entries.take(address(call.request), desk.now() * 1000)
    if wait:
        raise Problem("too_many", wait=wait)
    device = cookie(call.request, f"device-{record.id}") or secrets.token_urlsafe(18)
    await desk.bind(body.ticket, bearer, f"browser:{device}")
    seat = await _seat(call, bearer)
    expires = int(desk.now()) + SEAT_SECONDS
    claims = Claims(
        record.id, seat.role, record.generation, expires, seat.person, registered=bearer.registered
    )
    response = Response(msgspec.json.encode(seat), media_type=JSON)
    set_cookie(call.request, response, record.id, desk.tickets.sign("seat", claims), SEAT_SECONDS)
    if bearer.one_browser:
        set_cookie(call.request, response, f"device-{record.id}", device, LINK_SECONDS)
    return response


async def _seat(call: Call, bearer: Bearer) -> Seat:
    desk, body = call.desk, call.body
    person = (_known_person(call, bearer.role) or new_person()) if bearer.shared else bearer.person
    known = (await desk.rooms.room(call.session)).door.people.get(person)
    if known is not None and known.standing is Standing.BLOCKED:
        raise Problem("removed")
    if not bearer.shared and not body.name and (name := await name_of(desk, call.session, person)):
        return Seat(person, bearer.role, name)
    if not (body.name or "").strip():
        raise Problem("name_required")
    card = await put_card(desk, call.session, Card(person, body.name, bearer.role, body.profession))
    return Seat(person, bearer.role, card.name)


def _known_person(call: Call, role: Role) -> str | None:
    """Return who this browser already is here, so that a link opened twice does not make two people."""
    given = cookie(call.request, call.session)
    if given is None:
        return None
    try:
        claims = call.desk.tickets.read("seat", given, call.desk.now())
    except BadTicket:
        return None
    same = claims.session == call.session and claims.role is role and not claims.registered
    return claims.person if same else None


async def me(call: Call) -> Seat:
    """Say who the cookie's bearer is."""
    bearer = call.member
    return Seat(bearer.person, bearer.role, await name_of(call.desk, call.session, bearer.person))


async def forget_me(call: Call) -> Response:
    """Erase what the bearer has said here, and the bearer's name; the seat goes with it."""
    bearer = call.member
    await call.desk.register.find(call.session)
    await call.desk.rooms.forget(call.session, bearer.person, bearer.role)
    await call.desk.media.expel(call.session, bearer.person)
    response = Response(status_code=204)
    clear_cookie(call.request, response, call.session)
    return response


async def leave(call: Call) -> Response:
    """Give the cookie back; leaving the room itself is the room's command `leave`."""
    response = Response(status_code=204)
    clear_cookie(call.request, response, call.session)
    return response


async def socket_ticket(call: Call) -> SocketTicket:
    """Make a ticket that opens one WebSocket, once, within 30 s."""
    desk, bearer = call.desk, call.member
    record = await desk.register.find(call.session)
    claims = Claims(
        call.session,
        bearer.role,
        record.generation,
        int(desk.now()) + SOCKET_SECONDS,
        bearer.person,
        secrets.token_urlsafe(12),
        bearer.registered,
    )
    return SocketTicket(desk.tickets.sign("socket", claims))


OPERATIONS = (
    Operation(
        "POST",
        "/api/organiser/enter",
        "Change the organiser's token for a cookie",
        Access.ANYONE,
        organiser,
        OrganiserEntry,
        None,
        204,
        ("bad_ticket", "too_many", "origin_refused"),
    ),
    Operation(
        "POST",
        "/api/organiser/leave",
        "Give the organiser's cookie back",
        Access.ANYONE,
        organiser_leave,
        None,
        None,
        204,
        ("origin_refused",),
    ),
    Operation(
        "POST",
        "/api/sessions/{id}/enter",
        "Change a link's ticket for a seat (a cookie)",
        Access.ANYONE,
        enter,
        Entry,
        Seat,
        200,
        (
            "bad_ticket",
            "link_used",
            "removed",
            "unknown_session",
            "name_required",
            "ended",
            "too_many",
            "too_long",
            "origin_refused",
        ),
    ),
    Operation("GET", "/api/sessions/{id}/me", "Who the cookie's bearer is", Access.MEMBER, me, None, Seat),
    Operation(
        "DELETE",
        "/api/sessions/{id}/me",
        "Delete my data: name, messages, questions, talk at the door; one leaves the session with it",
        Access.MEMBER,
        forget_me,
        None,
        None,
        204,
        ("store_away",),
    ),
    Operation(
        "POST",
        "/api/sessions/{id}/leave",
        "Give the cookie back",
        Access.ANYONE,
        leave,
        None,
        None,
        204,
        ("origin_refused",),
    ),
    Operation(
        "POST",
        "/api/sessions/{id}/socket-ticket",
        "A one-time ticket for the WebSocket's hello",
        Access.MEMBER,
        socket_ticket,
        None,
        SocketTicket,
    ),
)
