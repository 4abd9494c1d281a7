"""Reading session descriptions (RFC 8866, RFC 9429) and fragments of them (RFC 8840).

aiortc's parser reads the bulk; what it does not know (rid, simulcast, extmap-allow-mixed) is read here. Any
text gives a value or `SdpError`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, cast

from aiortc.sdp import MediaDescription, SessionDescription

from live.media.control import SDP_LIMIT
from live.media.ice import Credentials
from live.sfu import Codec, Encoding

#: Media sections one description may have, and lines of text, of which browsers write some hundreds.
LINE_LIMIT, TEXT_LIMIT = 32, 2048

#: Characters that RFC 8839 §5.4 allows in a ufrag (4 to 256) and a password (22 to 256).
_UFRAG = re.compile(r"[A-Za-z0-9+/=_-]{4,256}")
_PWD = re.compile(r"[A-Za-z0-9+/=_-]{22,256}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`{|}~A-Za-z0-9-]{1,64}")
_RID = re.compile(r"[A-Za-z0-9_-]{1,32}")

_DIRECTIONS = frozenset({"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"})

#: Simulcast layers that are agreed to; further ones are left out of the answer (RFC 8853 §5.3.2).
RID_LIMIT = 4

_PT_LIMIT = 128
_EXTENSION_IDS = range(1, 256)
_SSRC_LIMIT = 1 << 32
_REFUSALS = (AssertionError, ValueError, KeyError, IndexError, AttributeError, TypeError, StopIteration)

#: Rids that the world uses, by rising quality; others are taken as RFC 8853 orders them: best first.
_ORDERS = (("q", "h", "f"), ("l", "m", "h"), ("low", "mid", "high"), ("low", "medium", "high"))


class SdpError(ValueError):
    """The text is no session description, or no fragment of one, that we can use."""


@dataclass(frozen=True, slots=True)
class Line:
    """One media section.

    Attributes:
        kind: `audio`, `video`, or what else stands after `m=`.
        protocol: the transport profile as written.
        formats: the formats as written.
        mid: `a=mid`, or the section's index.
        direction: as the writer of the description sees it.
        rejected: the port is zero, and not because the bundle gives one (`bundle-only`, RFC 8843 §6).
        mux: RTP and RTCP share a port.
        codecs: in the order of the formats; RTX is joined to its codec.
        extensions: header extension ids by URI.
        rids: simulcast streams to send, as listed; `by_quality` orders them.
        encodings: streams whose SSRC is written, lowest quality first.
        credentials: ICE's, if written.
        fingerprints: (algorithm, value) of the certificate.
        setup: DTLS role by RFC 4145: `actpass`, `active`, `passive`, or None.
    """

    kind: str
    protocol: str
    formats: str
    mid: str
    direction: str
    rejected: bool
    mux: bool
    codecs: tuple[Codec, ...]
    extensions: dict[str, int]
    rids: tuple[str, ...]
    encodings: tuple[Encoding, ...]
    credentials: Credentials | None
    fingerprints: tuple[tuple[str, str], ...]
    setup: str | None

    @property
    def usable(self) -> bool:
        """It is sound or picture, and wanted."""
        return self.kind in ("audio", "video") and not self.rejected


@dataclass(frozen=True, slots=True)
class Description:
    """A session description as far as the media plane cares."""

    lines: tuple[Line, ...]
    bundle: tuple[str, ...]
    mixed: bool


@dataclass(frozen=True, slots=True)
class Fragment:
    """A trickle fragment (RFC 8840): new credentials mean an ICE restart."""

    credentials: Credentials | None = None
    candidates: tuple[str, ...] = field(default=())


def read_description(text: str) -> Description:
    """Reads an offer or an answer.

    What browsers of one kind write differs by little but secrets and fingerprints; so those are taken out,
    the rest is read once and remembered, and they are put back.

    Raises:
        SdpError: the text is too long, malformed, or has impossible numbers.
    """
    if len(text) > SDP_LIMIT:
        raise SdpError("the description is too long")
    if not text.startswith("v=0"):
        raise SdpError("a description starts with v=0")
    kept = [line for line in text.splitlines() if not line.startswith(_PASSING)]
    if len(kept) > TEXT_LIMIT:
        raise SdpError("the description has too many lines")
    own: dict[str, str] = {}

    def take(found: re.Match[str]) -> str:
        return found[1] + own.setdefault(found[2], _placeholder(len(own)))

    read = _read(_OWN.sub(take, _ORIGIN.sub("o=- 1 1 IN IP4 0.0.0.0", "\r\n".join(kept))))
    values = {placeholder: value for value, placeholder in own.items()}
    return replace(read, lines=tuple(_with(line, values) for line in read.lines)) if own else read


#: Values that are a connection's own.
_OWN = re.compile(r"^(a=(?:ice-ufrag:|ice-pwd:|fingerprint:[\w-]+ ))(\S+)(?=\r?$)", re.MULTILINE)

#: Names the session, which nothing here reads.
_ORIGIN = re.compile(r"^o=\S+ \d+ \d+ IN IP[46] \S+(?=\r?$)", re.MULTILINE)

#: Lines that nothing here reads: we are ICE-lite, and learn addresses from checks; and we tell what feedback
#: we give whatever is offered, while aiortc would join each one that is to each codec.
_PASSING = ("a=candidate:", "a=end-of-candidates", "a=rtcp-fb:")


def _placeholder(number: int) -> str:
    return f"own-value-number-{number:08}"


def _with(line: Line, values: Mapping[str, str]) -> Line:
    """The line with the connection's own values in place."""
    credentials = line.credentials
    if credentials is not None:
        ufrag, pwd = (values.get(value, value) for value in credentials)
        credentials = _credentials(ufrag, pwd)
    fingerprints = tuple((name, values.get(value, value)) for name, value in line.fingerprints)
    return replace(line, credentials=credentials, fingerprints=fingerprints)


@lru_cache(maxsize=64)
def _read(text: str) -> Description:
    sections = _sections(text)
    if len(sections) > LINE_LIMIT + 1:
        raise SdpError("too many media sections")
    if any(sum(line.startswith("a=rtpmap:") for line in section) > _PT_LIMIT for section in sections):
        raise SdpError("more codecs than payload types")
    try:
        parsed = SessionDescription.parse(text)
        usual = _direction(sections[0], "sendrecv")
        pairs = enumerate(zip(parsed.media, sections[1:], strict=True))
        lines = tuple(_line(n, media, section, usual) for n, (media, section) in pairs)
    except SdpError:
        raise
    except _REFUSALS as error:
        raise SdpError("the description is malformed") from error
    bundle = next((g.items for g in parsed.group if g.semantic == "BUNDLE"), [])
    if len({line.mid for line in lines}) != len(lines):
        raise SdpError("two media sections have one mid")
    mixed = all("a=extmap-allow-mixed" in s for s in sections[1:]) or "a=extmap-allow-mixed" in sections[0]
    return Description(lines=lines, bundle=tuple(str(mid) for mid in bundle), mixed=mixed)


def _sections(text: str) -> list[list[str]]:
    sections: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line.strip())
    return sections


def _values(section: Sequence[str], name: str) -> Iterator[str]:
    prefix = f"a={name}:"
    return (line[len(prefix) :].strip() for line in section if line.startswith(prefix))


def _direction(section: Sequence[str], usual: str) -> str:
    """The direction that a section states, or the usual one (RFC 8866 §6.7: a session may state one too)."""
    return next((line[2:] for line in section if line in _DIRECTIONS), usual)


def _line(index: int, media: MediaDescription, section: Sequence[str], usual: str) -> Line:
    mid = media.rtp.muxId or str(index)
    if not _TOKEN.fullmatch(mid):
        raise SdpError("a mid is no token")
    audiovisual = media.kind in ("audio", "video")
    ice = media.ice
    credentials = None
    if ice is not None and ice.usernameFragment is not None and ice.password is not None:
        credentials = _credentials(ice.usernameFragment, ice.password)
    dtls = media.dtls
    setups = list(_values(section, "setup"))
    return Line(
        kind=media.kind,
        protocol=media.profile,
        formats=" ".join(str(f) for f in media.fmt),
        mid=mid,
        direction=_direction(section, usual),
        rejected=media.port == 0 and "a=bundle-only" not in section,
        mux=media.rtcp_mux,
        codecs=_codecs(media) if audiovisual else (),
        extensions=_extensions(media),
        rids=_rids(section),
        encodings=_encodings(media),
        credentials=credentials,
        fingerprints=tuple((f.algorithm, f.value) for f in dtls.fingerprints) if dtls else (),
        setup=(setups[-1] if setups else _ROLE_SETUP.get(dtls.role)) if dtls else None,
    )


_ROLE_SETUP = {"auto": "actpass", "client": "active", "server": "passive"}


def _credentials(ufrag: str, pwd: str) -> Credentials:
    ufrag, pwd = ufrag.strip(), pwd.strip()
    if not _UFRAG.fullmatch(ufrag) or not _PWD.fullmatch(pwd):
        raise SdpError("ice-ufrag or ice-pwd is malformed")
    return Credentials(ufrag, pwd)


def _fmtp(parameters: dict[str, Any]) -> dict[str, str]:
    return {
        key.strip().lower(): "" if value is None else str(value).strip() for key, value in parameters.items()
    }


def _codecs(media: MediaDescription) -> tuple[Codec, ...]:
    known: dict[int, Codec] = {}
    repairs: dict[int, int] = {}
    for codec in media.rtp.codecs:
        pt, clock = codec.payloadType, codec.clockRate
        if pt is None or not 0 <= pt < _PT_LIMIT or not 0 < clock < _SSRC_LIMIT:
            raise SdpError("an impossible payload type or clock rate")
        fmtp = _fmtp(cast("dict[str, Any]", codec.parameters))
        name = codec.mimeType.split("/", 1)[1].strip().lower()
        if name == "rtx":
            repairs[int(fmtp.get("apt", "-1"))] = pt
        else:
            known[pt] = Codec(name=name, clock=clock, pt=pt, fmtp=fmtp)
    return tuple(
        Codec(known[pt].name, known[pt].clock, pt, repairs.get(pt), known[pt].fmtp)
        for pt in dict.fromkeys(media.fmt)
        if pt in known
    )


def _extensions(media: MediaDescription) -> dict[str, int]:
    found: dict[str, int] = {}
    for extension in media.rtp.headerExtensions:
        if extension.id not in _EXTENSION_IDS:
            raise SdpError("an impossible header extension id")
        found.setdefault(extension.uri, extension.id)
    return found


def _encodings(media: MediaDescription) -> tuple[Encoding, ...]:
    numbers = [s.ssrc for s in media.ssrc] + [int(n) for g in media.ssrc_group for n in g.items]
    if any(not 0 <= number < _SSRC_LIMIT for number in numbers):
        raise SdpError("an impossible SSRC")
    repairs: dict[int, int] = {}
    layers: list[int] = []
    for group in media.ssrc_group:
        items = [int(n) for n in group.items]
        if group.semantic == "FID" and len(items) == 2:  # noqa: PLR2004  # RFC 4588 §8.8: a pair
            repairs[items[0]] = items[1]
        elif group.semantic == "SIM":
            layers = items
    primary = layers or [s.ssrc for s in media.ssrc if s.ssrc not in repairs.values()][:1]
    return tuple(Encoding(ssrc=ssrc, rtx_ssrc=repairs.get(ssrc)) for ssrc in dict.fromkeys(primary))


def _rids(section: Sequence[str]) -> tuple[str, ...]:
    sent = {value.split()[0] for value in _values(section, "rid") if value.split()[1:2] == ["send"]}
    if any(not _RID.fullmatch(rid) for rid in sent):
        raise SdpError("a rid is malformed")
    for value in _values(section, "simulcast"):
        words = value.split()
        listed = dict(zip(words[::2], words[1::2], strict=False)).get("send", "")
        order = [alternatives.split(",")[0].lstrip("~") for alternatives in listed.split(";")]
        return tuple(rid for rid in dict.fromkeys(order) if rid in sent)[:RID_LIMIT]
    return ()


def by_quality(rids: Sequence[str]) -> tuple[str, ...]:
    """Orders rids lowest quality first: by the names in use, by number (0 is best), or else as preferred."""
    names = [rid.lower() for rid in rids]
    for order in _ORDERS:
        if set(names) <= set(order):
            return tuple(sorted(rids, key=lambda rid: order.index(rid.lower())))
    if all(name.isascii() and name.isdigit() for name in names):
        return tuple(sorted(rids, key=int, reverse=True))
    return tuple(reversed(rids))


def read_fragment(text: str) -> Fragment:
    """Reads the body of a PATCH of type application/trickle-ice-sdpfrag.

    Raises:
        SdpError: too long, a line that is none, or half a pair of credentials.
    """
    if len(text) > SDP_LIMIT:
        raise SdpError("the fragment is too long")
    found: dict[str, str] = {}
    candidates = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line:
            continue
        if not re.match(r"[a-z]=", line):
            raise SdpError("a line is no SDP line")
        name, _, value = line[2:].partition(":")
        if line.startswith("a=") and name in ("ice-ufrag", "ice-pwd"):
            if found.setdefault(name, value) != value:
                raise SdpError("two different credentials")
        elif line.startswith("a=candidate:"):
            candidates.append(value)
    if not found:
        return Fragment(candidates=tuple(candidates))
    if len(found) != 2:  # noqa: PLR2004  # a pair
        raise SdpError("credentials are a pair")
    return Fragment(_credentials(found["ice-ufrag"], found["ice-pwd"]), tuple(candidates))
