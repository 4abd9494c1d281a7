"""What goes into a router and what comes out of it: values only, no behaviour."""

from __future__ import annotations

import struct
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, Literal, NamedTuple, TypeVar

P = TypeVar("P", bound=Hashable)
"""The caller's name for a transport: any hashable object; it comes back in the outputs as it is."""

Source = Literal["camera", "microphone", "screen"]
Kind = Literal["audio", "video"]
Tier = Literal["video", "audio", "captions"]
"""What a viewer wants to receive: everything; sound and the shared screen (the slides); or no media at all,
where captions and documents come by other ways. The rest never leaves the server."""

STAGE = "stage"
"""``Slot.follows``: the shared screen, or else the active speaker's camera."""
LOUDEST = "loudest"
"""``Slot.follows``: the active speaker's microphone."""

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
VIDEO_ORIENTATION = "urn:3gpp:video-orientation"
ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
DEPENDENCY_DESCRIPTOR = (
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
)
PLAYOUT_DELAY = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
VIDEO_CONTENT_TYPE = "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type"

FROM_PUBLISHERS = (
    MID, RID, REPAIRED_RID, AUDIO_LEVEL, VIDEO_ORIENTATION, TRANSPORT_CC, DEPENDENCY_DESCRIPTOR,
    PLAYOUT_DELAY, VIDEO_CONTENT_TYPE,
)  # fmt: skip
"""Header extensions worth agreeing to with a publisher."""
TO_VIEWERS = (
    MID, AUDIO_LEVEL, VIDEO_ORIENTATION, ABS_SEND_TIME, DEPENDENCY_DESCRIPTOR,
    PLAYOUT_DELAY, VIDEO_CONTENT_TYPE, TRANSPORT_CC,
)  # fmt: skip
"""Header extensions the router writes towards viewers. REMB at the viewer needs abs-send-time; transport-wide
numbers are written only for viewers whose line is limited (see `live.sfu.serving`)."""


class Audience(IntEnum):
    """Whom a publication may reach."""

    NOBODY = 0
    BEHIND = 1
    EVERYONE = 2


class Malformed(ValueError):  # noqa: N818  the house names errors by what happened
    """Bytes that are not what their parser reads. Counted by the router, never raised by it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """One agreed payload type.

    Attributes:
        name: Encoding name of the rtpmap in lower case: ``vp8 vp9 h264 av1 opus red …``; never ``rtx``.
        clock: RTP clock rate, Hz.
        pt: Payload type, 0–127.
        rtx_pt: Payload type of the RTX format with ``apt=pt``, if agreed (RFC 4588).
        fmtp: Format parameters, lower-case keys.
    """

    name: str
    clock: int
    pt: int
    rtx_pt: int | None = None
    fmtp: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encoding:
    """A stream whose SSRC the SDP gave (``a=ssrc``, FID group), with its rid if it has one."""

    ssrc: int
    rtx_ssrc: int | None = None
    rid: str | None = None


@dataclass(frozen=True, slots=True)
class PublicationSpec:
    """One m-line a peer publishes.

    Streams are found by ``encodings``; SSRCs that SDP did not name are learned from the mid, rid and
    repaired-rid extensions (RFC 8852), or from a payload type that only one publication of the peer has.

    Attributes:
        id: Unique in the room.
        owner: Person id of the publisher; the same (owner, source, kind) replaces the older one.
        source: What it shows. Sound of a shared screen is ``screen`` with kind ``audio``.
        kind: Audio or video.
        codecs: By payload type.
        encodings: Streams known from SDP, lowest quality first.
        mid: The publisher's ``a=mid``, if the extension is agreed.
        rids: Simulcast rids, lowest quality first; empty without simulcast.
        extensions: Agreed extension ids by URI.
    """

    id: str
    owner: str
    source: Source
    kind: Kind
    codecs: Mapping[int, Codec]
    encodings: tuple[Encoding, ...] = ()
    mid: str | None = None
    rids: tuple[str, ...] = ()
    extensions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slot:
    """One m-line a viewer receives: always the same SSRC, whoever is shown in it.

    Attributes:
        mid: The viewer's ``a=mid``; written into the packets when ``extensions`` has its id.
        kind: Audio or video.
        ssrc: SSRC the viewer sees.
        rtx_ssrc: SSRC of its RTX stream, if agreed.
        codecs: What the viewer accepts here; matched with a publication by name (and profile).
        extensions: Agreed extension ids by URI.
        follows: A seat (``v0``…``v5``, ``screen``, ``a0``…``a5``), or ``STAGE`` or ``LOUDEST``.
        two_byte: ``a=extmap-allow-mixed`` is agreed, so two-byte extensions may be written.
    """

    mid: str
    kind: Kind
    ssrc: int
    rtx_ssrc: int | None
    codecs: tuple[Codec, ...]
    extensions: Mapping[str, int]
    follows: str
    two_byte: bool = True


ROW = struct.Struct("=BxHII")
"""A viewer's row in a `Cast`: payload type, what is added to number and timestamp, SSRC."""
FIXED = struct.Struct("!BBHII")
"""A fixed RTP header (RFC 3550 §5.1)."""


class Cast(Generic[P]):
    """Viewers who get the same bodies, each under numbers of its own.

    It never changes: when somebody joins or leaves, another one takes its place. So a sender may learn it
    once and use what it learned for every packet.

    Attributes:
        peers: In the order in which they joined.
        rows: A `ROW` for each of them, one behind the other.
        prepared: What a sender keeps with it; nobody else looks at it.
    """

    __slots__ = ("_viewers", "peers", "prepared", "rows")

    def __init__(self, rows: Sequence[tuple[P, int, int, int, int]]) -> None:
        """Take for each viewer its peer and the values of its row, of any size."""
        self.peers = tuple([row[0] for row in rows])
        self.rows = b"".join(
            [
                ROW.pack(pt, shift & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc)
                for _, pt, shift, timestamp, ssrc in rows
            ]
        )
        self.prepared: object | None = None
        self._viewers: list[tuple[P, tuple[int, int, int, int]]] | None = None

    @property
    def viewers(self) -> list[tuple[P, tuple[int, int, int, int]]]:
        """Each peer with the values of its row; for senders in Python."""
        if self._viewers is None:
            self._viewers = list(zip(self.peers, ROW.iter_unpack(self.rows), strict=True))
        return self._viewers

    def headers(self, head: Head) -> list[tuple[P, bytes]]:
        """Each peer with the 12 bytes of its fixed RTP header; for senders in Python."""
        first, marker, own, number, timestamp = head
        return [
            (
                peer,
                FIXED.pack(
                    first,
                    marker | (pt if own < 0 else own),
                    number + shift & 0xFFFF,
                    timestamp + later & 0xFFFFFFFF,
                    ssrc,
                ),
            )
            for peer, (pt, shift, later, ssrc) in self.viewers
        ]

    def without(self, peer: P) -> Cast[P]:
        """The same viewers but one, who is among them."""
        at = self.peers.index(peer)
        rest: Cast[P] = Cast([])
        rest.peers = self.peers[:at] + self.peers[at + 1 :]
        rest.rows = self.rows[: at * ROW.size] + self.rows[(at + 1) * ROW.size :]
        return rest


class Head(NamedTuple):
    """What the headers of one packet have in common.

    Attributes:
        first: The first byte.
        marker: The M bit in its place.
        pt: The payload type; negative: each viewer's own.
        number: The sender's number, 16 bits.
        timestamp: The sender's, 32 bits.
    """

    first: int
    marker: int
    pt: int
    number: int
    timestamp: int


class Fanout(Generic[P]):
    """One source packet for many viewers: each gets ``header + body``.

    Retransmissions come the same way, with one header. A plain resend (slot without RTX) repeats an old
    packet byte for byte, so the SRTP sender must allow repeated indices; two packets under one index would
    give the key of GCM's tags away.

    Attributes:
        body: Everything after the fixed header: rebuilt extensions and payload; shared, never changed.
        cast: Who gets it, None when `headers` were given as they are.
        head: What their headers are made of, with their rows.
        source: The id of the publication that it is of; "" for one that shows nothing (padding).
    """

    __slots__ = ("_headers", "body", "cast", "head", "source")

    def __init__(self, body: bytes, headers: list[tuple[P, bytes]], source: str = "") -> None:
        """A packet under given headers; see `cast_to` for the other kind."""
        self.body = body
        self.source = source
        self.cast: Cast[P] | None = None
        self.head: Head | None = None
        self._headers: list[tuple[P, bytes]] | None = headers

    @classmethod
    def cast_to(cls, cast: Cast[P], head: Head, body: bytes, source: str = "") -> Fanout[P]:
        """A packet for everybody in a cast."""
        fanout = cls(body, [], source)
        fanout.cast, fanout.head, fanout._headers = cast, head, None
        return fanout

    @property
    def headers(self) -> list[tuple[P, bytes]]:
        """(peer, the 12 bytes of its fixed RTP header), for those who do not read `cast` and `head`."""
        if self._headers is None and self.cast is not None and self.head is not None:
            self._headers = self.cast.headers(self.head)
        return self._headers or []

    def __len__(self) -> int:
        """How many get it."""
        return len(self.headers if self.cast is None else self.cast.peers)


@dataclass(frozen=True, slots=True)
class Seat:
    """Who sits in a seat. ``behind``: only viewers behind the curtain may know or see (law 7)."""

    person: str
    source: Source
    behind: bool


@dataclass(frozen=True, slots=True)
class StageNotice:
    """The whole of what viewers should know about the stage; sent when any of it changed.

    Attributes:
        slots: Seat name → who sits there. The same for every viewer; drop ``behind`` seats for the audience.
        speaking: Active speaker among those the audience sees, or None.
        speaking_behind: Active speaker among all, for viewers behind the curtain.
        lines: Person → quality of the publisher's line: 3 good, 2 fair, 1 poor, 0 lost.
        away: Persons on stage who published and from whom nothing arrives now.
        idle: Person and source → rids of the layers that nobody wants and that need not be sent, "" for a
            stream without rid. For who publishes them; a publisher that cannot listen does no harm.
    """

    slots: Mapping[str, Seat]
    speaking: str | None
    speaking_behind: str | None
    lines: Mapping[str, int]
    away: frozenset[str]
    idle: Mapping[str, Mapping[Source, tuple[str, ...]]] = field(default_factory=dict)


class Stream(NamedTuple):
    """Which stream of a publication an SSRC is.

    Publishers say it in their first packets only (RFC 8852 §3), so who comes later has to be told.
    """

    publication: str
    rid: str | None
    repair: bool


@dataclass(frozen=True, slots=True)
class Relayed(Generic[P]):
    """One unprotected packet of a publisher, for every sibling; ``stream`` None: its sender report."""

    peer: P
    packet: bytes
    stream: Stream | None


@dataclass(slots=True)
class Outputs(Generic[P]):
    """What to do after a mutation, in this order: send ``fanouts``, send ``rtcp``, publish ``notice``.

    ``hidden``: publications that lost audience, with the viewer who may see no more of it, or None for any:
    whatever waits of it, these ``fanouts`` included, must not be sent. ``rtcp``: (peer, compound or
    reduced-size RTCP), unprotected. ``notice``: None when nothing changed.
    ``relayed``: for sibling routers, after the notice; empty unless `Siblings.name` asked for it.
    """

    fanouts: list[Fanout[P]]
    rtcp: list[tuple[P, bytes]]
    notice: StageNotice | None
    relayed: list[Relayed[P]] = field(default_factory=list)
    hidden: list[tuple[str, P | None]] = field(default_factory=list)
