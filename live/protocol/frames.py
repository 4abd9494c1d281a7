"""Every frame of the wire. JSON text frames, told apart by `t`; the domain's commands and events inside.

A connection's life: the server says `ready`, the client `hello`, the server `welcome` and then either a
replay of `events` after the client's position or a `snapshot`. From then on `events` keep the client's copy
of the room equal to the server's, as far as the client's level reaches.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from rooms import AnyCommand, AnyEvent, Level, Role, SignalKind
from rooms.chat import Channel
from rooms.room import ANSWERS_KEPT

FRAME_BYTES = 16 * 1024
"""Largest frame that a client may send."""

Ref = Annotated[int, Meta(ge=0, le=2**53 - 1)]
"""The client's own number for a question; the answer carries it."""
Nonce = Annotated[str, Meta(min_length=8, max_length=64)]
"""Random, new for each command, the same when the command is repeated."""
RefusalCode = Annotated[str, Meta(extra={"typescript": "RefusalCode"})]


class Server(msgspec.Struct, frozen=True, tag_field="t", tag=str.lower, omit_defaults=True):
    """A frame from the server."""


class Client(msgspec.Struct, frozen=True, tag_field="t", tag=str.lower, forbid_unknown_fields=True):
    """A frame from the client."""


class Rate(msgspec.Struct, frozen=True):
    """A token bucket.

    Attributes:
        per_second: How fast the bucket fills.
        burst: How much it holds.
    """

    per_second: float
    burst: int


class Limits(msgspec.Struct, frozen=True):
    """What the server will bear from one connection.

    Attributes:
        frame_bytes: Largest frame.
        window: Commands that may be under way at once.
        hello_ms: Time for `hello` to come.
        ping_ms: How often the client should `ping`.
        silence_ms: Time without any frame after which the server closes.
        answers: The room remembers its answers to so many commands; who says `since` is told `unsure`, not
            answered anew, when it does no longer. A server that does not say this does not know `since`.
        commands: Rate of `do`.
        pages: Rate of `page`.
        signals: Rate of `signal` and `typing` together.
    """

    frame_bytes: int = FRAME_BYTES
    window: int = 8
    hello_ms: int = 5_000
    ping_ms: int = 20_000
    silence_ms: int = 90_000
    answers: int = ANSWERS_KEPT
    commands: Rate = Rate(5, 20)
    pages: Rate = Rate(2, 10)
    signals: Rate = Rate(2, 10)


class Card(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who a person is, as far as it is shown. Cards lie beside the log and can be erased.

    Attributes:
        id: The person id that events carry.
        name: As shown to others.
        role: The role in this session.
        profession: If given.
        alike: The name looks like that of somebody on the staff or on stage, and the person is neither.
    """

    id: str
    name: str
    role: Role
    profession: str = ""
    alike: bool = False


class You(msgspec.Struct, frozen=True):
    """Who the server takes you for.

    Attributes:
        id: Your person id.
        role: From your ticket.
        level: How much of the room you see now: 0 everyone, 1 admitted, 2 stage, 3 staff.
        name: As shown to others.
        alias: Your blinded name; in fully anonymous Q&A your own questions carry it.
    """

    id: str
    role: Role
    level: Level
    name: str
    alias: str


class Seen(msgspec.Struct, frozen=True):
    """One entry of the log, without what the viewer may not see.

    Attributes:
        seq: The entry's number.
        at: When it was decided, in milliseconds since 1970.
        events: What happened, in order.
    """

    seq: int
    at: int
    events: list[AnyEvent]


class Publication(msgspec.Struct, frozen=True):
    """Whose track fills a slot of the media connection.

    Attributes:
        person: Person id.
        source: `camera`, `microphone` or `screen`.
    """

    person: str
    source: str


# -- from the server -------------------------------------------------------------------------------


class Ready(Server, frozen=True):
    """The first frame, at once after the upgrade: which version is spoken and what is allowed.

    Attributes:
        v: Version of the protocol.
        limits: What the server will bear.
    """

    v: int
    limits: Limits


class Welcome(Server, frozen=True):
    """The answer to `hello`, and again whenever your level changes (a `snapshot` follows then).

    Attributes:
        epoch: History's edition. Another one than you knew: forget your copy, a `snapshot` comes.
        seq: The room's newest entry.
        now: The server's clock, in milliseconds since 1970.
        session: Session id.
        you: Who you are and what you see.
        lost: Entries that had been acknowledged and are gone, because the store failed over to a copy that
            did not have them. Tell the person: what was said last may be missing. Do not send again what was
            acknowledged; it may contradict what others have said since.
    """

    epoch: int
    seq: int
    now: int
    session: str
    you: You
    lost: int = 0


class Snapshot(Server, frozen=True):
    """The whole room as you may see it, as events to fold into an empty copy.

    Attributes:
        epoch: Position to resume from, with `seq`.
        seq: The entry that the snapshot includes last.
        events: Facts, in the order to apply them.
        cards: The people who occur in them.
    """

    epoch: int
    seq: int
    events: list[AnyEvent]
    cards: list[Card]


class Events(Server, frozen=True):
    """What happened since the last frame. Entries without anything for you are left out, `seq` still moves.

    Attributes:
        seq: Your position after this frame; keep it for the next `hello`.
        entries: In order.
        cards: People who occur here for the first time.
    """

    seq: int
    entries: list[Seen] = []
    cards: list[Card] = []


class Done(Server, frozen=True):
    """The command is on disk. Its events come, or came, with `seq`.

    Attributes:
        ref: Your number for it.
        seq: The entry that holds it; 0 if it changed nothing.
    """

    ref: int
    seq: int


class Refused(Server, frozen=True):
    """The question was understood and refused; nothing changed.

    Attributes:
        ref: Your number for it.
        why: Stable code.
        at: The current version or limit that it missed.
        wait: Milliseconds after which it may succeed.
        by: Who came first, where you may know it.
    """

    ref: int
    why: RefusalCode
    at: int | None = None
    wait: int | None = None
    by: str | None = None


class Page(Server, frozen=True):
    """History of a chat channel, oldest first. Put each message where its time says.

    Attributes:
        ref: Your number for the question.
        events: Messages as they stand now.
        more: Whether there is more in this direction.
        cards: The people who occur in them.
    """

    ref: int
    events: list[AnyEvent]
    more: bool
    cards: list[Card] = []


class Signals(Server, frozen=True):
    """Counts that are not history: lossy, at most a few a second; absent means unchanged.

    Attributes:
        online: People connected, for those inside; ids for the staff in `present`.
        present: Who is connected (staff only).
        waiting: People at the door, for the staff and for those who wait there.
        waves: Quiet signals of the last seconds by kind; never below five people.
        typing: Who is writing in the main channel, at most five.
        votes: Votes of all listed questions that have any; empty where counts are for the staff only.
    """

    online: int | None = None
    present: list[str] | None = None
    waiting: int | None = None
    waves: dict[SignalKind, int] | None = None
    typing: list[str] | None = None
    votes: dict[str, int] | None = None


class Tally(Server, frozen=True):
    """The count of one poll that has been opened; the newest replaces any before it, twice a second at most.

    Attributes:
        poll: Poll id.
        voters: How many have voted.
        counts: How often each option, by id, was chosen; absent while you may not see the results.
    """

    poll: str
    voters: int
    counts: dict[str, int] | None = None


class Stage(Server, frozen=True):
    """What the media connection carries now; the whole truth each time.

    Attributes:
        slots: Whose track is in which media line, by its `mid`.
        speaking: The active speaker.
        lines: Quality of each person's line, 0 (lost) to 3 (good).
        away: People on stage whose line is lost and whose seat is kept, for two minutes.
        gone: Media workers that have died, newest last. Up to its first dot a WHIP or WHEP resource is named
            after its worker; whoever has one of these publishes or watches anew at once.
        idle: By person and source, the encodings (rids, "" for one without) that nobody wants now. Only those
            on stage and the staff are told. Who publishes them may stop sending them, until they are gone
            from here.
    """

    slots: dict[str, Publication] = {}
    speaking: str | None = None
    lines: dict[str, int] = {}
    away: list[str] = []
    gone: list[str] = []
    idle: dict[str, dict[str, list[str]]] = {}


class Pong(Server, frozen=True):
    """The answer to `ping`.

    Attributes:
        at: What the ping carried.
        now: The server's clock, in milliseconds since 1970.
    """

    at: int
    now: int


# -- from the client -------------------------------------------------------------------------------


class Hello(Client, frozen=True):
    """The first frame of a client, within `limits.hello_ms` after `ready`.

    Attributes:
        v: Version that the client speaks.
        ticket: A one-time socket ticket, or a personal ticket.
        epoch: Position to resume from, if any.
        seq: Likewise; both or neither.
    """

    v: int
    ticket: Annotated[str, Meta(min_length=1, max_length=4096)]
    epoch: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    seq: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


class Do(Client, frozen=True):
    """Ask for a command. Repeat it with the same nonce after a reconnect until it is answered.

    Attributes:
        ref: Your number; `done` or `refused` carry it.
        nonce: Answered once, however often it is asked.
        cmd: The command.
        since: For a repetition: the newest entry that you knew of when you first asked, or when you asked
            again if that was less. Only if `limits.answers` was told.
    """

    ref: Ref
    nonce: Nonce
    cmd: AnyCommand
    since: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None


class AskPage(Client, frozen=True, tag="page"):
    """Ask for older or newer messages of a chat channel than the snapshot held.

    Attributes:
        ref: Your number; the answering `page` carries it.
        channel: Which channel.
        before: Id of the oldest message you have; go towards the past.
        after: Id of the newest message you have; go towards the present.
        limit: At most so many.
    """

    ref: Ref
    channel: Channel
    before: Annotated[str, Meta(max_length=64)] = ""
    after: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=100)] = 50


class Signal(Client, frozen=True):
    """A quiet signal: a nod (うなずき) or one of the five others. Never stored.

    Attributes:
        kind: Which.
    """

    kind: SignalKind


class Typing(Client, frozen=True):
    """I am writing in the main channel; repeat every three seconds while it lasts."""


class Ping(Client, frozen=True):
    """Are you there? Also keeps a quiet connection open.

    Attributes:
        at: Anything; comes back in `pong`.
    """

    at: Annotated[int, Meta(ge=0, le=2**53 - 1)]


ServerFrame = Ready | Welcome | Snapshot | Events | Done | Refused | Page | Signals | Tally | Stage | Pong
ClientFrame = Hello | Do | AskPage | Signal | Typing | Ping
