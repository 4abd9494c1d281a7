"""Sessions: the organiser makes them, hands out tickets, moves them through their life."""

import secrets

import msgspec

from live.protocol.frames import Card
from live.tickets import Claims
from live.web.bodies import (
    Counts,
    Erased,
    Links,
    NewSession,
    NewState,
    NewTicket,
    PublisherLines,
    SessionFacts,
    SessionList,
    SessionMade,
    StateNow,
    TicketMade,
)
from live.web.desk import LINK_SECONDS, Desk, bearer_token
from live.web.operation import HOST, Access, Call, Operation
from live.web.problems import Problem
from live.web.register import Record, facts_of, new_record, timestamp
from rooms import NoteAct, Role, Room
from rooms.door import Standing
from rooms.session import Kind, Open, QuestionPolicy, SetState, Settings, State, VoidLinks
from rooms.text import clean_name


async def create(call: Call) -> SessionMade:
    """Make a session: its line in the index, and the first entry of its log."""
    desk, body = call.desk, call.body
    record = new_record(body, int(desk.now() * 1000))
    await desk.rooms.ask(record.id, HOST, Role.ORGANISER, Open(session=record.id, settings=_settings(record)))
    room = await desk.rooms.room(record.id)
    record = msgspec.structs.replace(record, title=room.session.settings.title)
    await desk.register.put(record)
    return SessionMade(record.id, links_of(desk, record))


async def listed(call: Call) -> SessionList:
    """List sessions, newest first."""
    records = await call.desk.register.all()
    facts = [
        facts_of(r) if r.erased else msgspec.structs.replace(facts_of(r), links=links_of(call.desk, r))
        for r in records
    ]
    return SessionList(facts)


async def show(call: Call) -> SessionFacts:
    """Show one session; the organiser also gets links and counts."""
    record = await call.desk.register.find(call.session)
    facts = facts_of(record)
    if not call.desk.is_organiser(call.request):
        if bearer_token(call.request) is not None:
            await call.desk.bearer(call.request, call.session, binds=False)  # a guess counts here too
        return facts
    room = await call.desk.rooms.room(call.session)
    return msgspec.structs.replace(facts, links=links_of(call.desk, record), counts=counts_of(room))


async def ticket(call: Call) -> TicketMade:
    """Make a personal ticket and its person's card."""
    desk, body = call.desk, call.body
    record = await desk.register.find(call.session)
    if call.bearer is not None and body.role is Role.ORGANISER and call.bearer.role is not Role.ORGANISER:
        body = msgspec.structs.replace(
            body, role=Role.MODERATOR
        )  # a moderator's invitation cannot outrank its maker
    person = body.person or new_person()
    if body.person:
        await _check_second_link(call)
    await put_card(desk, call.session, Card(person, body.name, body.role, body.profession))
    await call.ask(NoteAct(what="make_ticket", person=person))
    expires = int(desk.now()) + LINK_SECONDS
    claims = Claims(record.id, body.role, record.generation, expires, person, secrets.token_urlsafe(9))
    text = desk.tickets.sign("link", claims)
    return TicketMade(text, link_of(desk, record.id, text), person)


async def _check_second_link(call: Call) -> None:
    """Let the organiser alone speak for a person who exists, and not change what that person is."""
    if call.bearer is not None and call.bearer.role is not Role.ORGANISER:
        raise Problem("role_refused")
    raw = await call.desk.store.card(call.session, call.body.person)
    if raw is None or msgspec.json.decode(raw, type=Card).role is not call.body.role:
        raise Problem("no_such_person")


async def state(call: Call) -> StateNow:
    """Move a session on, or back behind the curtain."""
    await call.desk.register.find(call.session)
    await call.ask(SetState(state=State(call.body.state)))
    room = await call.desk.rooms.room(call.session)
    await call.desk.register.follow(room)
    return StateNow(str(room.session.state))


async def erase(call: Call) -> Erased:
    """Erase a session now: log, cards, snapshots. Its line with counts stays in the organiser's list."""
    record = await call.desk.register.find(call.session)
    return await erase_session(call.desk, record)


async def erase_session(desk: Desk, record: Record) -> Erased:
    """Close a session for everybody, erase what the store has of it, and keep the counts as a receipt."""
    counts = counts_of(await desk.rooms.room(record.id))
    now = int(desk.now() * 1000)
    for person in (await desk.rooms.room(record.id)).door.people:
        await desk.media.expel(record.id, person)
    await desk.rooms.erase(record.id)
    await desk.register.put(msgspec.structs.replace(record, state="closed", erased=now, counts=counts))
    return Erased(erased_at=timestamp(now), counts=counts)


async def reduce_session(desk: Desk, record: Record) -> None:
    """Close a session for everybody, and leave only the organiser's record of it."""
    for person in (await desk.rooms.room(record.id)).door.people:
        await desk.media.expel(record.id, person)
    await desk.rooms.reduce(record.id)
    reduced = int(desk.now() * 1000)
    await desk.register.change(
        record.id, lambda current: msgspec.structs.replace(current, state="closed", reduced=reduced)
    )


async def renew(call: Call) -> Links:
    """Void every link, ticket and seat made so far, and make new links: a link got into wrong hands."""
    desk, session = call.desk, call.session
    record = await desk.register.renew(session)
    await call.ask(VoidLinks(generation=record.generation))
    return links_of(desk, record)


def new_person() -> str:
    """Return a fresh person id."""
    return "p-" + secrets.token_urlsafe(12)


async def put_card(desk: Desk, session: str, card: Card) -> Card:
    """Keep a person's card beside the log; returns it as it will be shown.

    Raises:
        rooms.Refused: the name is empty or too long once cleaned.
    """
    job = clean_name(card.profession) if card.profession.strip() else ""
    shown = msgspec.structs.replace(card, name=clean_name(card.name), profession=job)
    await desk.rooms.put_card(session, shown)
    return shown


async def name_of(desk: Desk, session: str, person: str) -> str:
    """Return the name on a person's card, or nothing when it was forgotten."""
    raw = await desk.store.card(session, person)
    return msgspec.json.decode(raw, type=Card).name if raw else ""


def links_of(desk: Desk, record: Record) -> Links:
    """Return the four shared links; they are derived, so they are the same every time."""

    def link(role: Role) -> str:
        expires = record.created // 1000 + LINK_SECONDS
        text = desk.tickets.sign("link", Claims(record.id, role, record.generation, expires))
        return link_of(desk, record.id, text)

    return Links(link(Role.ORGANISER), link(Role.MODERATOR), link(Role.SPEAKER), link(Role.ATTENDEE))


def link_of(desk: Desk, session: str, text: str) -> str:
    """Return the page's address with the ticket in the fragment, which no server and no Referer ever sees."""
    return f"{desk.public_url}/s/{session}#t={text}"


def counts_of(room: Room) -> Counts:
    """Count a room."""
    standings = [person.standing for person in room.door.people.values()]
    return Counts(
        inside=standings.count(Standing.INSIDE),
        waiting=standings.count(Standing.WAITING),
        questions=len(room.questions.items),
        messages=len(room.chat.messages),
    )


def _settings(record: Record) -> Settings:
    kind = Kind(record.kind)
    return Settings(
        title=record.title,
        kind=kind,
        starts_at=record.starts_at,
        capacity=record.capacity,
        door="open" if record.door == "open" else "knock",
        retention=record.retention,
        qa=QuestionPolicy(moderated=record.qa.moderated, anonymity=record.qa.anonymity),
    )


async def lines(call: Call) -> PublisherLines:
    """Tell how the lines of everybody on stage and behind it are doing."""
    await call.desk.register.find(call.session)
    return PublisherLines(await call.desk.media.lines(call.session))


OPERATIONS = (
    Operation(
        "POST",
        "/api/sessions",
        "Make a session",
        Access.ORGANISER,
        create,
        NewSession,
        SessionMade,
        201,
        ("too_short", "too_long", "store_away"),
    ),
    Operation(
        "GET", "/api/sessions", "List sessions, newest first", Access.ORGANISER, listed, None, SessionList
    ),
    Operation(
        "GET",
        "/api/sessions/{id}",
        "Show a session (links and counts for the organiser only)",
        Access.ANYONE,
        show,
        None,
        SessionFacts,
        200,
        ("unknown_session", "bad_ticket", "too_many"),
    ),
    Operation(
        "DELETE",
        "/api/sessions/{id}",
        "Erase a session; its counts remain as a receipt",
        Access.ORGANISER,
        erase,
        None,
        Erased,
        200,
        ("unknown_session", "erased", "store_away"),
    ),
    Operation(
        "POST",
        "/api/sessions/{id}/tickets",
        "Make a personal ticket",
        Access.STAFF,
        ticket,
        NewTicket,
        TicketMade,
        201,
        ("unknown_session", "no_such_person", "too_short", "too_long"),
    ),
    Operation(
        "POST",
        "/api/sessions/{id}/state",
        "Move a session through its life",
        Access.STAFF,
        state,
        NewState,
        StateNow,
        200,
        ("unknown_session", "bad_transition"),
    ),
    Operation(
        "GET",
        "/api/sessions/{id}/lines",
        "How the lines of those who publish are doing",
        Access.STAFF,
        lines,
        None,
        PublisherLines,
        200,
        ("unknown_session", "media_unavailable"),
    ),
    Operation(
        "POST",
        "/api/sessions/{id}/links",
        "Void every link, ticket and seat made so far, and make new links",
        Access.ORGANISER,
        renew,
        None,
        Links,
        200,
        ("unknown_session",),
    ),
)
