"""Offers and answers (RFC 3264, RFC 9429): what we take of an offer, and how a description is written.

We are ICE-lite with one port, so every description bundles its lines, multiplexes RTCP and carries all
candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from live.media.control import MediaRefused
from live.media.ice import Credentials
from live.media.sdp import Description, Line
from live.sfu import FROM_PUBLISHERS, LOUDEST, STAGE, TO_VIEWERS, Codec, Slot
from live.sfu.contract import AUDIO_LEVEL, DEPENDENCY_DESCRIPTOR, VIDEO_CONTENT_TYPE, VIDEO_ORIENTATION

#: Codecs forwarded, by kind, most preferred first.
CODECS: Mapping[str, tuple[str, ...]] = {"audio": ("opus", "red"), "video": ("vp8", "h264", "vp9", "av1")}

#: How SDP spells them.
_SPELLING = {"opus": "opus", "red": "red", "vp8": "VP8", "h264": "H264", "vp9": "VP9", "av1": "AV1"}

#: Media sections a WHIP offer may want: one sound and one picture.
_PUBLISHED = {"audio": 1, "video": 1}

#: Media sections a WHEP offer may want.
_WATCHED = {"audio": 6, "video": 7}

_VIDEO_ONLY = {VIDEO_ORIENTATION, DEPENDENCY_DESCRIPTOR, VIDEO_CONTENT_TYPE}

_FROM_PUBLISHER = ("nack", "nack pli", "ccm fir", "transport-cc")
_FROM_VIEWER = ("nack", "nack pli", "ccm fir", "goog-remb", "transport-cc")
#: Of these, what is meant for sound too; it is resent as it was, without RTX.
_FOR_SOUND = ("nack", "transport-cc")


@dataclass(frozen=True, slots=True)
class Local:
    """Our side of a transport, as a description tells it."""

    credentials: Credentials
    fingerprint: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remote:
    """The other side of a transport, as its description told it."""

    credentials: Credentials
    fingerprints: tuple[tuple[str, str], ...]
    role: Literal["client", "server"]
    """Our DTLS role towards it."""


@dataclass(frozen=True, slots=True)
class Pooled:
    """A line of the pool: the same for every viewer, so that one rewritten packet serves them all."""

    mid: str
    kind: Literal["audio", "video"]
    ssrc: int
    rtx_ssrc: int | None


_VIDEO_MIDS = (*(f"v{n}" for n in range(6)), "screen")
_AUDIO_MIDS = tuple(f"a{n}" for n in range(6))
POOL: tuple[Pooled, ...] = (
    *(Pooled(mid, "video", 1000 + n, 2000 + n) for n, mid in enumerate(_VIDEO_MIDS)),
    *(Pooled(mid, "audio", 3000 + n, None) for n, mid in enumerate(_AUDIO_MIDS)),
)


class Offered(NamedTuple):
    """A line of an offer of ours, and what is shown on it."""

    place: Pooled
    follows: str


#: What our own client is offered: every seat.
WHOLE_STAGE = tuple(Offered(place, place.mid) for place in POOL)

#: What a player is offered that wanted something else: one picture and one sound that follow the stage.
ONE_OF_EACH = (Offered(POOL[0], STAGE), Offered(POOL[len(_VIDEO_MIDS)], LOUDEST))

_POOL_CODECS: Mapping[str, tuple[Codec, ...]] = {
    "audio": (
        Codec("opus", 48000, 111, None, {"minptime": "10", "useinbandfec": "1"}),
        Codec("red", 48000, 63, None, {"111/111": ""}),
    ),
    "video": (
        Codec("vp8", 90000, 96, 97),
        Codec(
            "h264",
            90000,
            102,
            103,
            {"level-asymmetry-allowed": "1", "packetization-mode": "1", "profile-level-id": "42e01f"},
        ),
        Codec("vp9", 90000, 98, 99, {"profile-id": "0"}),
        Codec("av1", 90000, 45, 46),
    ),
}
_POOL_EXTENSIONS: Mapping[str, dict[str, int]] = {
    "audio": {uri: n for n, uri in enumerate(TO_VIEWERS, 1) if uri not in _VIDEO_ONLY},
    "video": {uri: n for n, uri in enumerate(TO_VIEWERS, 1) if uri != AUDIO_LEVEL},
}


@dataclass(frozen=True, slots=True)
class Taken:
    """A line of an offer with what we agree to of it; without codecs it is turned down."""

    line: Line
    codecs: tuple[Codec, ...] = ()
    extensions: Mapping[str, int] | None = None


def candidates(addresses: Sequence[str], port: int, *, tcp: bool = False) -> tuple[str, ...]:
    """Host candidates, the first most preferred, UDP before passive TCP (RFC 8445 §5.1.2, RFC 6544 §4.2)."""
    count = len(addresses)
    udp = [
        f"{n} 1 udp {_priority(126, n)} {address} {port} typ host" for n, address in enumerate(addresses, 1)
    ]
    streams = [
        f"{count + n} 1 tcp {_priority(90, n)} {address} {port} typ host tcptype passive"
        for n, address in enumerate(addresses, 1)
    ]
    return (*udp, *(streams if tcp else ()))


def _priority(kind: int, place: int) -> int:
    return (kind << 24) | ((0x7FFF - place) << 8) | 255


def remote_of(description: Description, lines: Sequence[Line]) -> Remote:
    """The transport that carries the given lines, all in one bundle; there is at least one.

    Raises:
        MediaRefused: 422 `no_bundle`, `no_rtcp_mux`, `no_ice`, `no_fingerprint` or `setup_invalid`.
    """
    tagged = min(lines, key=lambda line: _place(description, line.mid))
    if len(lines) > 1 and not {line.mid for line in lines} <= set(description.bundle):
        raise MediaRefused("no_bundle", 422)
    if not all(line.mux for line in lines):
        raise MediaRefused("no_rtcp_mux", 422)
    if tagged.credentials is None:
        raise MediaRefused("no_ice", 422)
    if not any(
        algorithm.lower() in ("sha-256", "sha-384", "sha-512") for algorithm, _ in tagged.fingerprints
    ):
        raise MediaRefused("no_fingerprint", 422)
    if tagged.setup not in ("actpass", "active", "passive"):
        raise MediaRefused("setup_invalid", 422)
    return Remote(
        tagged.credentials, tagged.fingerprints, "client" if tagged.setup == "passive" else "server"
    )


def _place(description: Description, mid: str) -> int:
    return description.bundle.index(mid) if mid in description.bundle else len(description.bundle)


def take_publication(offer: Description) -> list[Taken]:
    """Takes a WHIP offer: per line one codec, the best we forward.

    All or nothing: a line that we cannot carry refuses the offer, lest somebody speak without a picture and
    never know (RFC 9725 §4.4.3). `sendrecv` is taken for `sendonly` (§4.2).

    Raises:
        MediaRefused: 422 `direction`, `too_many_lines` or `no_codec`.
    """
    taken = _take(offer, "sendonly", _PUBLISHED, FROM_PUBLISHERS, one=True)
    if any(t.line.usable and t.line.direction != "inactive" and not t.codecs for t in taken):
        raise MediaRefused("no_codec", 422)
    return taken


def take_watch(offer: Description) -> list[Taken]:
    """Takes a WHEP offer: per line every codec we forward; `sendrecv` is taken for `recvonly`.

    Raises:
        MediaRefused: as `take_publication` does, but only when no line at all is of use.
    """
    return _take(offer, "recvonly", _WATCHED, TO_VIEWERS, one=False)


def _take(
    offer: Description, direction: str, limits: Mapping[str, int], uris: Sequence[str], *, one: bool
) -> list[Taken]:
    wanted = [line for line in offer.lines if line.usable and line.direction != "inactive"]
    if any(line.direction not in (direction, "sendrecv") for line in wanted):
        raise MediaRefused("direction", 422)
    if any(sum(line.kind == kind for line in wanted) > limit for kind, limit in limits.items()):
        raise MediaRefused("too_many_lines", 422)
    taken = []
    for line in offer.lines:
        codecs = _known(line) if line in wanted else ()
        extensions = {uri: line.extensions[uri] for uri in uris if uri in line.extensions}
        taken.append(Taken(line, _one(codecs) if one else codecs, extensions))
    if not any(t.codecs for t in taken):
        raise MediaRefused("no_codec", 422)
    return taken


def _known(line: Line) -> tuple[Codec, ...]:
    order = CODECS[line.kind]
    fit = [codec for codec in line.codecs if codec.name in order and codec.fmtp.get("profile-id", "0") == "0"]
    if line.kind == "audio":  # the writer says by the order whether redundancy is wanted (RFC 2198 §5)
        return tuple(codec for codec in fit if codec.name != "red" or _around(codec, fit))
    return tuple(sorted(fit, key=lambda codec: (order.index(codec.name), *_h264_rank(codec))))


def _around(red: Codec, codecs: Sequence[Codec]) -> bool:
    """Whether RED contains nothing but one of these."""
    inner = {*"".join(red.fmtp).split("/")}
    return any(codec.name == "opus" and inner == {str(codec.pt)} for codec in codecs)


def _one(codecs: tuple[Codec, ...]) -> tuple[Codec, ...]:
    """The best codec; with sound, the redundancy around it too."""
    best = [codec for codec in codecs if codec.name != "red"][:1]
    return tuple(codec for codec in codecs if codec in best or (codec.name == "red" and _around(codec, best)))


def _h264_rank(codec: Codec) -> tuple[bool, bool]:
    plain = codec.fmtp.get("profile-level-id", "42e01f").lower().startswith(("42e0", "4200"))
    return codec.fmtp.get("packetization-mode", "0") != "1", not plain


def slots_for(offer: Description, taken: Sequence[Taken]) -> tuple[Slot, ...]:
    """What a foreign viewer's lines show: one of a kind follows the stage, several have a seat each."""
    slots = []
    for kind, single, seats in (("video", STAGE, _VIDEO_MIDS), ("audio", LOUDEST, _AUDIO_MIDS)):
        lines = [t for t in taken if t.codecs and t.line.kind == kind]
        pooled = [p for p in POOL if p.kind == kind]
        for place, follows, t in zip(pooled, [single] if len(lines) == 1 else seats, lines, strict=False):
            slots.append(_slot(place, t.line.mid, follows, t.codecs, t.extensions or {}, mixed=offer.mixed))
    return tuple(slots)


def _slot(
    place: Pooled,
    mid: str,
    follows: str,
    codecs: tuple[Codec, ...],
    extensions: Mapping[str, int],
    *,
    mixed: bool,
) -> Slot:
    repaired = any(codec.rtx_pt is not None for codec in codecs)
    return Slot(
        mid=mid,
        kind=place.kind,
        ssrc=place.ssrc,
        rtx_ssrc=place.rtx_ssrc if repaired else None,
        codecs=codecs,
        extensions=dict(extensions),
        follows=follows,
        two_byte=mixed,
    )


def take_answer(answer: Description, offered: Sequence[Offered] = ()) -> tuple[Slot, ...]:
    """Takes the client's answer to an offer of ours, which was `WHOLE_STAGE` unless said otherwise.

    Raises:
        MediaRefused: 422 `answer_mismatch` when its lines are not the offer's, `no_codec` when it wants none.
    """
    offered = offered or WHOLE_STAGE
    if [line.mid for line in answer.lines] != [o.place.mid for o in offered]:
        raise MediaRefused("answer_mismatch", 422)
    slots = []
    for (place, follows), line in zip(offered, answer.lines, strict=True):
        if line.kind != place.kind:
            raise MediaRefused("answer_mismatch", 422)
        ours = {codec.pt: codec for codec in _POOL_CODECS[place.kind]}
        agreed = tuple(
            Codec(c.name, c.clock, c.pt, c.rtx_pt, ours[c.pt].fmtp)
            for c in line.codecs
            if c.pt in ours and ours[c.pt].name == c.name
        )
        extensions = {u: n for u, n in line.extensions.items() if _POOL_EXTENSIONS[place.kind].get(u) == n}
        useful = any(codec.name != "red" for codec in agreed)
        if line.usable and line.direction == "recvonly" and useful:
            slots.append(_slot(place, place.mid, follows, agreed, extensions, mixed=answer.mixed))
    if not slots:
        raise MediaRefused("no_codec", 422)
    return tuple(slots)


def write_publication_answer(
    offer: Description, taken: Sequence[Taken], local: Local, most_kbps: int = 0
) -> str:
    """The answer to a WHIP offer; a cap is told as the picture's bandwidth (RFC 3890, RFC 8866 §5.8)."""
    sections = []
    for t in taken:
        rids = t.line.rids
        cap = most_kbps if t.line.kind == "video" else 0
        more = [f"a=rid:{rid} recv" for rid in rids]
        if rids:
            more.append("a=simulcast:recv " + ";".join(rids))
        section = _answered(t, "recvonly", _FROM_PUBLISHER, more, local)
        if cap and t.codecs:
            section[2:2] = [f"b=AS:{cap}", f"b=TIAS:{1000 * cap}"]
        sections.append(section)
    return _write(offer.mixed, [t.line.mid for t in taken if t.codecs], sections)


def write_watch_answer(
    offer: Description, taken: Sequence[Taken], slots: Sequence[Slot], local: Local
) -> str:
    """The answer to a WHEP offer."""
    by_mid = {slot.mid: slot for slot in slots}
    sections = [
        _answered(
            t,
            "sendonly",
            _FROM_VIEWER,
            _streams(s.mid, s.follows, s.ssrc, s.rtx_ssrc) if (s := by_mid.get(t.line.mid)) else [],
            local,
        )
        for t in taken
    ]
    return _write(offer.mixed, [t.line.mid for t in taken if t.codecs], sections)


def write_pool_offer(local: Local, offered: Sequence[Offered] = ()) -> str:
    """The server's own offer: every seat of the stage unless said otherwise."""
    offered = offered or WHOLE_STAGE
    sections = [
        _section(
            Shape(p.kind, "UDP/TLS/RTP/SAVPF", p.mid, "sendonly", "actpass", _FROM_VIEWER),
            _POOL_CODECS[p.kind],
            _POOL_EXTENSIONS[p.kind],
            _streams(p.mid, follows, p.ssrc, p.rtx_ssrc),
            local,
        )
        for p, follows in offered
    ]
    return _write(True, [o.place.mid for o in offered], sections)


@dataclass(frozen=True, slots=True)
class Shape:
    """The head of a media section."""

    kind: str
    protocol: str
    mid: str
    direction: str
    setup: str
    feedback: Sequence[str]


def _streams(mid: str, follows: str, ssrc: int, rtx_ssrc: int | None) -> list[str]:
    """A person's picture and sound are one stream, and in step; so are those that follow the stage.

    Seats of one number are one person's, see `live.sfu.seating`.
    """
    seat = follows[1:] if follows[:1] in ("v", "a") else follows
    stream = "stage" if follows in (STAGE, LOUDEST) else f"seat-{seat}"
    lines = [f"a=msid:{stream} {mid}", f"a=ssrc:{ssrc} cname:madoi"]
    if rtx_ssrc is not None:
        lines += [f"a=ssrc:{rtx_ssrc} cname:madoi", f"a=ssrc-group:FID {ssrc} {rtx_ssrc}"]
    return lines


def _answered(
    taken: Taken, direction: str, feedback: Sequence[str], more: Sequence[str], local: Local
) -> list[str]:
    line = taken.line
    if not taken.codecs:
        head = f"m={line.kind} 0 {line.protocol} {line.formats}"
        return [head, "c=IN IP4 0.0.0.0", "a=inactive", f"a=mid:{line.mid}"]
    setup = "active" if line.setup == "passive" else "passive"
    shape = Shape(line.kind, line.protocol, line.mid, direction, setup, feedback)
    return _section(shape, taken.codecs, taken.extensions or {}, more, local)


def _section(
    shape: Shape,
    codecs: Sequence[Codec],
    extensions: Mapping[str, int],
    more: Sequence[str],
    local: Local,
) -> list[str]:
    formats = [str(pt) for c in codecs for pt in (c.pt, c.rtx_pt) if pt is not None]
    return [
        f"m={shape.kind} 9 {shape.protocol} {' '.join(formats)}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        *(f"a=candidate:{candidate}" for candidate in local.candidates),
        "a=end-of-candidates",
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.pwd}",
        f"a=fingerprint:{local.fingerprint}",
        f"a=setup:{shape.setup}",
        f"a=mid:{shape.mid}",
        *(f"a=extmap:{number} {uri}" for uri, number in extensions.items()),
        f"a={shape.direction}",
        "a=rtcp-mux",
        "a=rtcp-mux-only",
        "a=rtcp-rsize",
        *(text for codec in codecs for text in _codec(codec, shape)),
        *more,
    ]


def _codec(codec: Codec, shape: Shape) -> list[str]:
    channels = "/2" if codec.name in ("opus", "red") else ""
    lines = [f"a=rtpmap:{codec.pt} {_SPELLING[codec.name]}/{codec.clock}{channels}"]
    wanted = [f for f in shape.feedback if shape.kind == "video" or f in _FOR_SOUND]
    lines += [f"a=rtcp-fb:{codec.pt} {what}" for what in wanted]
    fmtp = dict(codec.fmtp) | ({"useinbandfec": "1"} if codec.name == "opus" else {})
    if fmtp:
        lines.append(f"a=fmtp:{codec.pt} " + ";".join(f"{k}={v}" if v else k for k, v in fmtp.items()))
    if codec.rtx_pt is not None:
        lines += [f"a=rtpmap:{codec.rtx_pt} rtx/{codec.clock}", f"a=fmtp:{codec.rtx_pt} apt={codec.pt}"]
    return lines


def _write(mixed: bool, mids: Sequence[str], sections: Sequence[Sequence[str]]) -> str:
    bundle = "a=group:BUNDLE " + " ".join(mids)
    lines = ["v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite", bundle]
    if mixed:
        lines.append("a=extmap-allow-mixed")
    lines.append("a=msid-semantic: WMS *")
    return "\r\n".join([*lines, *(line for section in sections for line in section), ""])


def write_fragment(local: Local, mid: str) -> str:
    """The server's fragment after an ICE restart (RFC 9725 §4.3.3, RFC 8840 §9)."""
    lines = [
        "a=ice-lite",
        f"a=group:BUNDLE {mid}",
        "m=audio 9 UDP/TLS/RTP/SAVPF 0",
        f"a=mid:{mid}",
        f"a=ice-ufrag:{local.credentials.ufrag}",
        f"a=ice-pwd:{local.credentials.pwd}",
        *(f"a=candidate:{candidate}" for candidate in local.candidates),
        "a=end-of-candidates",
    ]
    return "\r\n".join([*lines, ""])
