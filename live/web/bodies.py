"""What the JSON operations take and give: one struct each, printed into `/api/openapi.json` as it stands."""

from typing import Annotated, Literal

import msgspec

from rooms import Role

SessionKind = Literal["lecture", "case", "networking", "reading"]
Anonymity = Literal["named", "anonymous", "full"]
DoorPolicy = Literal["knock", "open"]
NamePolicy = Literal["name", "name_profession", "nickname"]
Target = Literal["doors", "backstage", "live", "after", "closed"]

Title = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]
Profession = Annotated[str, msgspec.Meta(max_length=80)]
Ticket = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request's body; a field that is not listed is an error."""


class QuestionRules(Body, frozen=True):
    """How questions are asked: whether staff approve them first, and who sees the asker's name."""

    moderated: bool = True
    anonymity: Anonymity = "anonymous"


class NewSession(Body, frozen=True):
    """A session to be made.

    Attributes:
        title: shown to everyone, 1 to 120 characters.
        kind: the template.
        starts_at: RFC 3339 with offset, or milliseconds since the epoch, or absent while undecided.
        capacity: most attendees inside at once.
        qa: how questions are asked.
        door: whether people from the shared link knock or walk in.
        name_policy: which name the entry form asks for.
        retention: A (erased 10 minutes after the end), B (after 7 days) or C (kept until somebody erases
            it); when left out, the kind decides.
    """

    title: Title
    kind: SessionKind = "lecture"
    starts_at: str | int | None = None
    capacity: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 500
    qa: QuestionRules = QuestionRules()
    door: DoorPolicy = "knock"
    name_policy: NamePolicy = "name"
    retention: Literal["A", "B", "C"] | None = None


class Links(msgspec.Struct, frozen=True):
    """One shared link per role; whoever opens one gives a name and becomes a new person."""

    organiser: str
    moderator: str
    speaker: str
    attendee: str


class SessionMade(msgspec.Struct, frozen=True):
    """The new session and its links."""

    id: str
    links: Links


class Counts(msgspec.Struct, frozen=True):
    """How many people stand where, and how many questions and messages there are."""

    inside: int
    waiting: int
    questions: int
    messages: int


class Erased(msgspec.Struct, frozen=True):
    """The receipt of an erasure: when, and what was there."""

    erased_at: str
    counts: Counts


class SessionFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What anyone who knows the id may see; `links` and `counts` are for the organiser only.

    Of an erased session nothing but this remains, with `erased_at` and the counts, in the organiser's list.
    """

    id: str
    title: str
    kind: str
    state: str
    starts_at: str | None
    capacity: int
    qa: QuestionRules
    door: str
    name_policy: str
    created_at: str
    retention: str
    erased_at: str | None = None
    links: Links | None = None
    counts: Counts | None = None


class SessionList(msgspec.Struct, frozen=True):
    """The organiser's sessions, newest first."""

    sessions: list[SessionFacts]


class NewTicket(Body, frozen=True):
    """A personal ticket to be made: its bearer is this person, known by this name.

    Attributes:
        role: what its bearer is.
        name: as shown to others.
        profession: if given.
        person: somebody who has a ticket, for a further device of theirs; when left out, a new person.
    """

    role: Role
    name: Name
    profession: Profession = ""
    person: Annotated[str, msgspec.Meta(max_length=64)] = ""


class TicketMade(msgspec.Struct, frozen=True):
    """The ticket, the link that carries it in its fragment, and whom it names."""

    ticket: str
    link: str
    person: str


class AuditAct(msgspec.Struct, frozen=True, omit_defaults=True):
    """One act of a member of staff: who did what to whom, when."""

    id: str
    at: str
    by: str
    what: str
    about: str
    chain: str


class Audit(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the staff did, as it lies in the store, and whether it is what was written.

    Attributes:
        whole: each act follows from the one before.
        head: the newest act's chain; note it elsewhere to be able to show that nothing was rewritten.
        acts: oldest first.
        broken: id of the first act that does not follow.
    """

    whole: bool
    head: str
    acts: list[AuditAct]
    broken: str = ""


class NewState(Body, frozen=True):
    """Where the session shall move."""

    state: Target


class StateNow(msgspec.Struct, frozen=True):
    """Where the session stands."""

    state: str


class OrganiserEntry(Body, frozen=True):
    """The organiser's token, once, for a cookie."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Entry(Body, frozen=True):
    """A ticket, and for a shared link the name to go by."""

    ticket: Ticket
    name: Name | None = None
    profession: Profession = ""


class Seat(msgspec.Struct, frozen=True):
    """Who the cookie's bearer is in this session."""

    person: str
    role: Role
    name: str


class SocketTicket(msgspec.Struct, frozen=True):
    """Opens one WebSocket, once, within 30 seconds."""

    ticket: str


class PublisherStream(msgspec.Struct, frozen=True):
    """What arrives of one source: bits per second, fraction lost (0-1), jitter in milliseconds."""

    source: str
    layer: str | None
    bitrate: int
    loss: float
    jitter: int


class PublisherLine(msgspec.Struct, frozen=True):
    """How one publishing person's line is doing.

    Attributes:
        person: whose.
        quality: 3 good, 2 fair, 1 poor, 0 lost.
        transport: `udp` or `tcp`, null while nothing is connected.
        round_trip: milliseconds, null before it is known.
        streams: what arrives now, lowest layer first.
    """

    person: str
    quality: int
    transport: str | None
    round_trip: int | None
    streams: list[PublisherStream]


class PublisherLines(msgspec.Struct, frozen=True):
    """The lines of everybody who publishes."""

    lines: list[PublisherLine]


class Health(msgspec.Struct, frozen=True):
    """The server's word about itself."""

    status: str
    version: str
