"""What the ASGI side and the media worker say to each other, and the values that callers of the link hold.

Messages travel over one unix socket as MessagePack behind a four-byte length. A request carries `ref`, and
its reply the same `ref`; notices have none. The socket is read in order and answered in any order.
"""

import struct
from typing import Literal

import msgspec

from live.sfu import Tier

#: The largest message either side accepts, bytes: one SDP (64 kB) with room for names.
MESSAGE_LIMIT = 256 * 1024

#: The largest SDP or SDP fragment accepted from anybody, characters.
SDP_LIMIT = 64 * 1024

_LENGTH = struct.Struct("!I")


class MediaRefused(Exception):  # noqa: N818  # a refusal is an answer, as in rooms.Refused
    """The media plane says no.

    Attributes:
        code: a stable word for programs, such as `sdp_invalid` or `unknown_resource`.
        status: the HTTP status that says the same.
    """

    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


class MediaSettings(msgspec.Struct, frozen=True):
    """How the media worker listens and what it promises.

    Attributes:
        port: the one UDP port for everybody; 0 takes a free one.
        host: the address to bind; empty binds every address, IPv6 included where the machine has it.
        public_addresses: what candidates say; empty advertises the machine's interface addresses.
        peers_per_person: open publications and watches one person may hold in a room.
        peers: open peers in the whole worker.
        handshake_seconds: a peer that has not finished its DTLS handshake by then is freed.
        consent_seconds: a peer whose STUN checks stop for so long is gone (RFC 7675).
        request_seconds: how long the link waits for the worker's answer.
        fanout: the body that sends to viewers: `native`, `python`, or `auto` for the native one where it is
            built.
        silence_seconds: a worker that answers nothing for so long is killed and replaced.
        viewer_kbps: kilobits per second sent to one viewer at most; 0: no cap.
        publisher_kbps: kilobits per second taken from one publisher at most; 0: no cap.
        transport_wide: number every viewer's packets; else only those of viewers whose line is limited.
    """

    port: int = 8443
    host: str = ""
    public_addresses: list[str] = []
    peers_per_person: int = 12
    peers: int = 4000
    handshake_seconds: float = 15.0
    consent_seconds: float = 30.0
    request_seconds: float = 10.0
    fanout: Literal["auto", "native", "python"] = "auto"
    silence_seconds: float = 3.0
    viewer_kbps: int = 0
    publisher_kbps: int = 6000
    transport_wide: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What a publish or a watch got.

    Attributes:
        resource: its name.
        sdp: to hand back.
        etag: the ICE session's entity tag.
        counter: `sdp` is not the answer but an offer of ours in place of one that does not fit.
    """

    resource: str
    sdp: str
    etag: str
    counter: bool = False


class Patch(msgspec.Struct, frozen=True):
    """What a PATCH got: the server's fragment after an ICE restart, and the entity tag that is valid now."""

    sdpfrag: str | None
    etag: str


class StageFacts(msgspec.Struct, frozen=True):
    """The whole truth about a room's stage, as its log says it.

    Attributes:
        open: the curtain is up: what persons on stage publish goes to everyone.
        on_stage: persons whose media goes to everyone while the curtain is up, else only behind it.
        backstage: persons who may publish and are seen only behind the curtain.
        muted: sources by person that leave for nobody: `microphone`, `camera`, `screen`.
        veiled: everything is stopped: nothing leaves for anybody.
    """

    open: bool = False
    on_stage: list[str] = []
    backstage: list[str] = []
    muted: dict[str, list[str]] = {}
    veiled: bool = False


class SlotFacts(msgspec.Struct, frozen=True):
    """Who is in a slot of the pool and with what: `camera`, `microphone` or `screen`."""

    person: str
    source: str


class StageNotice(msgspec.Struct, frozen=True):
    """What the media worker tells of a room; it is whole and replaces the one before with the same `behind`.

    Attributes:
        slots: by the mid of the server's offer, who is seen or heard there.
        speaking: the loudest person, if anybody speaks.
        lines: by person, how good the publishing line is: 0 (gone) to 3 (good).
        away: persons on stage whose media has stopped although they did not leave.
        behind: this notice is for those behind the curtain only; False: it is fit for everyone.
        idle: by person and source, the rids that nobody wants and that need not be sent, "" for a picture
            without rids; only behind the curtain, where those sit who publish.
    """

    slots: dict[str, SlotFacts] = {}
    speaking: str | None = None
    lines: dict[str, int] = {}
    away: list[str] = []
    behind: bool = False
    idle: dict[str, dict[str, list[str]]] = {}


class StreamFacts(msgspec.Struct, frozen=True):
    """What arrives of one source from a publisher.

    Attributes:
        source: `camera`, `microphone` or `screen`.
        rid: the layer's name, None without layers.
        bitrate: bits per second of payload.
        loss: fraction lost on the way here of late, 0-1.
        jitter: seconds.
    """

    source: str
    rid: str | None
    bitrate: int
    loss: float
    jitter: float


class LineFacts(msgspec.Struct, frozen=True):
    """How one publishing person's line is doing.

    Attributes:
        person: whose.
        quality: 3 good, 2 fair, 1 poor, 0 lost.
        transport: `udp` or `tcp`, None while nothing is connected. A relayed line shows the relay's.
        round_trip: seconds, None before anybody knows.
        streams: what arrives, lowest layer first.
    """

    person: str
    quality: int
    transport: Literal["udp", "tcp"] | None
    round_trip: float | None
    streams: list[StreamFacts]


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """The first message to a worker; it binds its port and answers `Ready`.

    Attributes:
        secret: keys ICE passwords.
        life: this process's own name; every resource's name begins with it and a dot.
        relay: path of the unix socket on which siblings' relays arrive; empty for none.
    """

    ref: int
    settings: MediaSettings
    secret: bytes
    life: str = ""
    relay: str = ""


class Publish(msgspec.Struct, frozen=True, tag="publish"):
    """Take a WHIP offer."""

    ref: int
    room: str
    person: str
    source: str
    sdp: str


class Watch(msgspec.Struct, frozen=True, tag="watch"):
    """Take a WHEP offer, or make one when there is none."""

    ref: int
    room: str
    person: str
    behind: bool
    sdp: str | None
    tier: Tier = "video"


class Complete(msgspec.Struct, frozen=True, tag="complete"):
    """The client's answer to an offer that the server made."""

    ref: int
    room: str
    resource: str
    sdp: str


class Trickle(msgspec.Struct, frozen=True, tag="trickle"):
    """A fragment: candidates, which an ICE-lite agent needs not, or new credentials: an ICE restart."""

    ref: int
    room: str
    resource: str
    fragment: str
    etag: str | None


class Choose(msgspec.Struct, frozen=True, tag="choose"):
    """What a watch shall receive from now on."""

    ref: int
    room: str
    resource: str
    tier: Tier


class Delete(msgspec.Struct, frozen=True, tag="delete"):
    """End a resource."""

    ref: int
    room: str
    resource: str


class Stage(msgspec.Struct, frozen=True, tag="stage"):
    """The stage's facts, whole.

    Attributes:
        home: this worker is the room's home: publishers come here, and it alone tells notices.
        revision: rises with every change of a room's facts; older facts than those known are ignored.
    """

    ref: int
    room: str
    facts: StageFacts
    home: bool = True
    revision: int = 0


class Relay(msgspec.Struct, frozen=True, tag="relay"):
    """The paths of all siblings that have viewers of a room; its home relays to these and to no others."""

    ref: int
    room: str
    siblings: list[str]


class Expel(msgspec.Struct, frozen=True, tag="expel"):
    """End everything a person has in a room; None: everything that anybody has."""

    ref: int
    room: str
    person: str | None


class Count(msgspec.Struct, frozen=True, tag="count"):
    """Ask for the worker's numbers."""

    ref: int


class Inspect(msgspec.Struct, frozen=True, tag="inspect"):
    """Ask how the lines of a room's publishers are doing."""

    ref: int
    room: str


class Poll(msgspec.Struct, frozen=True, tag="poll"):
    """Ask for peers by room, and for a sign of life."""

    ref: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker listens on this port."""

    ref: int
    port: int


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """The reply to `Publish` and `Watch`."""

    ref: int
    answer: Answer


class Patched(msgspec.Struct, frozen=True, tag="patched"):
    """The reply to `Trickle`."""

    ref: int
    patch: Patch


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The reply where there is nothing to say."""

    ref: int


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """The worker's numbers, flat."""

    ref: int
    numbers: dict[str, int | float | str]


class Inspected(msgspec.Struct, frozen=True, tag="inspected"):
    """The reply to `Inspect`."""

    ref: int
    lines: list[LineFacts]


class Polled(msgspec.Struct, frozen=True, tag="polled"):
    """Peers by room."""

    ref: int
    rooms: dict[str, int]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The reply that raises `MediaRefused` at the caller."""

    ref: int
    code: str
    status: int


class Noticed(msgspec.Struct, frozen=True, tag="noticed"):
    """A room's notice, unasked."""

    room: str
    notice: StageNotice


Request = (
    Configure
    | Publish
    | Watch
    | Complete
    | Trickle
    | Choose
    | Delete
    | Stage
    | Relay
    | Expel
    | Count
    | Poll
    | Inspect
)
Reply = Ready | Answered | Patched | Done | Counted | Polled | Inspected | Failed
_requests = msgspec.msgpack.Decoder(Request)
_replies = msgspec.msgpack.Decoder(Reply | Noticed)
_encoder = msgspec.msgpack.Encoder()


def frame(message: msgspec.Struct) -> bytes:
    """One message with its length before it."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


class Unframer:
    """Cuts a byte stream into message bodies.

    Raises:
        ValueError: from `feed`, when a message would be longer than `MESSAGE_LIMIT`; the stream is lost.
    """

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Takes what arrived and gives the bodies that are complete."""
        self._rest += data
        bodies = []
        while len(self._rest) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest)
            if length > MESSAGE_LIMIT:
                raise ValueError("a control message is too long")
            end = _LENGTH.size + length
            if len(self._rest) < end:
                break
            bodies.append(bytes(self._rest[_LENGTH.size : end]))
            del self._rest[:end]
        return bodies


def read_request(body: bytes) -> Request:
    """Decodes what the link says; raises `msgspec.DecodeError`."""
    request: Request = _requests.decode(body)
    return request


def read_reply(body: bytes) -> Reply | Noticed:
    """Decodes what the worker says; raises `msgspec.DecodeError`."""
    reply: Reply | Noticed = _replies.decode(body)
    return reply
