"""One slot of one viewer: a stream with its own numbers, whatever it is fed from (law 11)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic

from live.sfu.bandwidth import Departures
from live.sfu.cache import Packet
from live.sfu.contract import TRANSPORT_CC, Cast, Codec, Fanout, P, Slot
from live.sfu.numbers import SEQUENCE, TIMESTAMP, ahead
from live.sfu.rewriting import PICTURE, TEMPLATES, TL0, Rewrite, Shifts, Written, lies_ahead
from live.sfu.rtcp import SenderReport, write_sr
from live.sfu.rtp import EXTENDED, HEADER, MARKER, ONE_BYTE, PADDED, PLAIN
from live.sfu.timeline import to_ntp

if TYPE_CHECKING:
    from live.sfu.layer import Layer
    from live.sfu.points import OperatingPoint
    from live.sfu.publication import Publication

SEGMENTS = 12
"""Sources remembered to answer NACKs after a switch."""
REMEMBERED = 256
"""Resent packets remembered, so that they are not resent twice in a round trip."""
_PADDING = bytes(254) + b"\xff"
"""As much as one packet can be padded with (RFC 3550 §5.1)."""


class Segment(Generic[P]):
    """A stretch of the output that came from one operating point (``last`` None: still going)."""

    __slots__ = ("first", "last", "layer", "point", "pt", "rewrite", "shift", "timestamp_shift")

    def __init__(self, point: OperatingPoint[P], rewrite: Rewrite[P], downtrack: Downtrack[P]) -> None:
        """Begin at the downtrack's present numbers."""
        self.point = point
        self.layer = point.layer
        self.rewrite = rewrite
        self.first = downtrack.start + downtrack.shift
        self.last: int | None = None
        self.shift = downtrack.shift
        self.timestamp_shift = downtrack.timestamp_shift
        self.pt = downtrack.pt


class Downtrack(Generic[P]):
    """The output of a slot.

    Attributes:
        source: Publication it should show, None for nothing.
        target: Operating point it waits for, None when it has what it wants.
        layer: Layer it is fed from now.
        point: Operating point of that layer.
        since: Frame number (of the dependency descriptor) from which on it is fed from there.
        start: First number of that point it takes.
        shift: Added to the point's numbers.
        timestamp_shift: Added to the layer's timestamps.
        pt: The viewer's payload type now.
        red: The viewer's RED format, if it takes any.
        shown: Something has been sent since it began.
        waited: Seconds from the choice of what it shows now to its first packet; None for the first choice.
    """

    __slots__ = (
        "_aimed_at",
        "_clock",
        "_codec",
        "_departures",
        "_last",
        "_last_frame",
        "_last_picture",
        "_last_templates",
        "_last_timestamp",
        "_last_tl0",
        "_next_template",
        "_octets",
        "_octets_before",
        "_packets",
        "_resent",
        "_rewrite",
        "_rtx_sequence",
        "_wide",
        "layer",
        "peer",
        "point",
        "pt",
        "red",
        "segments",
        "shift",
        "shown",
        "since",
        "slot",
        "source",
        "ssrc",
        "start",
        "target",
        "timestamp_shift",
        "waited",
    )

    def __init__(self, peer: P, slot: Slot) -> None:
        """Nothing to show yet."""
        self.peer = peer
        self.slot = slot
        self.ssrc = slot.ssrc
        self.source: Publication[P] | None = None
        self.target: OperatingPoint[P] | None = None
        self.layer: Layer[P] | None = None
        self.point: OperatingPoint[P] | None = None
        self.start = self.shift = self.timestamp_shift = self.pt = self.since = 0
        self.red = next((c for c in slot.codecs if c.name == "red"), None)
        self.shown = False
        self.waited: float | None = None
        self._aimed_at: float | None = None
        self.segments: deque[Segment[P]] = deque(maxlen=SEGMENTS)
        self._codec: Codec | None = None
        self._rewrite: Rewrite[P] | None = None
        self._last = 0
        self._last_timestamp: int | None = None
        self._last_picture: int | None = None
        self._last_tl0 = 0
        self._last_frame: int | None = None
        self._next_template = self._last_templates = 0
        self._clock = 0
        self._packets = self._octets = self._octets_before = 0
        self._rtx_sequence = 0
        self._departures: Departures | None = None
        self._resent: dict[int, float] = {}
        self._wide: dict[int, int] = {}

    @property
    def numbers(self) -> bool:
        """Transport-wide numbers are agreed here."""
        return TRANSPORT_CC in self.slot.extensions

    @property
    def numbering(self) -> bool:
        """Transport-wide numbers are written now."""
        return self._departures is not None

    @property
    def plain(self) -> bool:
        """What is shown is resent under its own numbers, as there is no RTX for it."""
        return self.slot.rtx_ssrc is None or self._codec is None or self._codec.rtx_pt is None

    @property
    def pads(self) -> bool:
        """There is an RTX stream to pad with."""
        return self.slot.rtx_ssrc is not None

    def number(self, departures: Departures | None) -> None:
        """Write transport-wide numbers from now on, or none.

        What went out the other way is not resent plainly any more: it would be other bytes under its number.
        """
        wanted = departures if self.numbers else None
        if wanted is self._departures:
            return
        self._departures = wanted
        point, rewrite = self.point, self._rewrite
        if point is not None and rewrite is not None:
            point.part(self, rewrite)
            segment = self.segments[-1]
            self._rewrite = segment.rewrite = point.join(self, rewrite.shifts)
            if rewrite.written is not None:
                segment.first = max(segment.first, point.highest + self.shift + 1)

    def numbered(self, body: bytes, number: int, now: float) -> bytes:
        """The body with this viewer's next transport-wide number; `number` is the packet's at its point."""
        if self._departures is None:
            return body
        wide = self._departures.leave(now, len(body) + HEADER.size)
        if self.plain:
            self._wide[number + self.shift] = wide
            if len(self._wide) > REMEMBERED:
                del self._wide[next(iter(self._wide))]
        return _with_wide(body, wide)

    def _departing(self, body: bytes, now: float) -> bytes:
        """The same for a packet of the RTX stream, which is never sent again."""
        if self._departures is None:
            return body
        return _with_wide(body, self._departures.leave(now, len(body) + HEADER.size))

    def aim(self, point: OperatingPoint[P], now: float) -> None:
        """Wait for an operating point, unless it is shown already; ask for a keyframe if it takes one."""
        if self.point is point:
            self.unaim()
            return
        if self.target is point:
            return
        self.unaim()
        self.target, self._aimed_at = point, now
        layer, shown = point.layer, self.point
        if shown is not None and shown.layer is layer:
            layer.moving[self] = now
            if shown.spatial != point.spatial:
                layer.keyframes.want(now, newcomer=False)
            return
        layer.waiting[self] = None
        if layer.publication.spec.kind == "video" and layer.fits(self):
            shows = shown is not None and shown.layer.publication is layer.publication
            layer.keyframes.want(now, newcomer=not shows)

    def unaim(self) -> None:
        """Wait for nothing."""
        if self.target is not None:
            self.target.layer.waiting.pop(self, None)
            self.target.layer.moving.pop(self, None)
            self.target = None

    def attach(self, point: OperatingPoint[P], packet: Packet, codec: Codec) -> Rewrite[P]:
        """Begin to show a point with this packet, numbers and time going on from what was shown before."""
        self.detach()
        layer = point.layer
        number = point.number(packet)
        self.layer, self.point = layer, point
        self.target = None
        self.start = packet.number if number is None else number
        self.since = packet.frame
        self.shift = self._last + 1 - self.start
        self.timestamp_shift = self._next_timestamp(layer, packet) - packet.timestamp
        self.pt = codec.pt
        self._codec = codec
        self._clock = layer.clock
        self._octets_before = point.octets
        self._rewrite = point.join(self, self._shifts(point, packet))
        self.segments.append(Segment(point, self._rewrite, self))
        switched = self.shown and self._aimed_at is not None
        self.waited = packet.arrived - self._aimed_at if switched and self._aimed_at is not None else None
        self._aimed_at, self.shown = None, True
        return self._rewrite

    def _shifts(self, point: OperatingPoint[P], packet: Packet) -> Shifts:
        """Let the counters inside the packets go on: as those of others do, or from where they were."""
        picture = tl0 = frames = templates = 0
        head, structure = packet.head, point.layer.frames.structure
        if head is not None and head.picture_id is not None and self._last_picture is not None:
            first = head.picture_id + point.picture_move(packet)
            picture = (self._last_picture + 1 - first) & PICTURE
            tl0 = (self._last_tl0 + 1 - (head.tl0 or 0)) & TL0
        if packet.dtis is not None and self._last_frame is not None and structure is not None:
            frames = (self._last_frame + 1 - packet.frame) & SEQUENCE
            templates = (self._next_template - structure.offset) & TEMPLATES
        own = Shifts(picture, tl0, frames, templates)
        room = TEMPLATES
        if structure is not None and self._last_frame is not None:
            room -= len(structure.templates) + self._last_templates - 1
        others = point.shifts(self)
        return next((s for s in others if not self.shown or s == own or lies_ahead(s, own, room)), own)

    def move(self, point: OperatingPoint[P], packet: Packet, shifts: Shifts | None = None) -> None:
        """Go to another point of the same layer, from this packet on, which no point has counted yet.

        At a keyframe the counters inside may go on by other `shifts` than before.

        What is missing just before it keeps its place: it may still come.
        """
        here, rewrite = self.point, self._rewrite
        if here is None or rewrite is None:
            return
        reached, begins = here.number(packet) or 0, point.number(packet) or 0
        here.part(self, rewrite)
        segment = self.segments[-1]
        segment.last = reached + self.shift - 1
        self._packets += segment.last - self.start - self.shift + 1
        self._octets += here.octets - self._octets_before
        self._octets_before = point.octets
        self.point = point
        self.shift += reached - begins
        self.start = begins
        self.since = packet.frame
        if shifts is None:
            picture = rewrite.shifts.picture + here.picture_move(packet) - point.picture_move(packet)
            shifts = rewrite.shifts._replace(picture=picture & PICTURE)
        self._rewrite = point.join(self, shifts)
        self.segments.append(Segment(point, self._rewrite, self))

    def _next_timestamp(self, layer: Layer[P], packet: Packet) -> int:
        timestamp = round(layer.timeline.moment(packet.timestamp, packet.arrived) * layer.clock) & TIMESTAMP
        if self._last_timestamp is None or self._clock != layer.clock:
            return timestamp
        least = self._last_timestamp + layer.clock // (50 if self.slot.kind == "audio" else 60)
        return timestamp if ahead(timestamp, least & TIMESTAMP, TIMESTAMP) > 0 else least

    def detach(self) -> None:
        """Stop showing the layer; the next one goes on from here."""
        layer, point, rewrite = self.layer, self.point, self._rewrite
        if layer is None or point is None or rewrite is None:
            return
        point.part(self, rewrite)
        segment = self.segments[-1]
        segment.last = self._last = max(point.highest, self.start - 1) + self.shift
        self._last_timestamp = layer.newest + self.timestamp_shift
        shifts = rewrite.shifts
        if point.picture is not None:
            self._last_picture, self._last_tl0 = point.picture + shifts.picture, point.tl0 + shifts.tl0
        if layer.frame is not None and layer.frames.structure is not None:
            structure = layer.frames.structure
            self._last_frame = layer.frame + shifts.frames
            self._last_templates = len(structure.templates)
            self._next_template = structure.offset + self._last_templates + shifts.templates
        self._packets += segment.last - self.start - self.shift + 1
        self._octets += point.octets - self._octets_before
        self.layer = self.point = self._rewrite = None

    def due(self, sequence: int, again: float, now: float) -> bool:
        """Whether a packet may be resent: it was not within the last `again` seconds.

        What a paused picture lacks, its next keyframe makes good.
        """
        if self.layer is None:
            return False
        if now - self._resent.get(sequence, float("-inf")) < again:
            return False
        self._resent.pop(sequence, None)
        self._resent[sequence] = now
        if len(self._resent) > REMEMBERED:
            del self._resent[next(iter(self._resent))]
        return True

    def resend(self, sequence: int, now: float) -> Fanout[P] | None:
        """Answer a NACK: by RTX (RFC 4588 §4) if the slot has it, else the same again; None if it is gone."""
        highest = self._last if self.point is None else self.point.highest + self.shift
        number = highest - ((highest - sequence) & SEQUENCE)
        for segment in reversed(self.segments):
            if segment.first <= number and (segment.last is None or number <= segment.last):
                packet = segment.layer.cache.get(segment.point.source(number - segment.shift), now)
                if packet is None:
                    return None
                if segment.rewrite.written is not None:
                    return self._repeated(segment, segment.rewrite.written, number)
                return self._again(segment, packet, number & SEQUENCE, now)
        return None

    def _repeated(self, segment: Segment[P], written: Written, number: int) -> Fanout[P] | None:
        """The packet as it was sent, transport-wide number included; feedback about it says nothing then."""
        known, wide = written.get(number - segment.shift), self._wide.get(number)
        if known is None or (segment.rewrite.numbered and wide is None):
            return None
        head, body = known
        if segment.rewrite.numbered and wide is not None:
            body = _with_wide(body, wide)
            if self._departures is not None:
                self._departures.forget(wide)
        row = (self.peer, segment.pt, segment.shift, segment.timestamp_shift, self.ssrc)
        return Fanout.cast_to(Cast([row]), head, body, segment.layer.publication.spec.id)

    def _again(self, segment: Segment[P], packet: Packet, sequence: int, now: float) -> Fanout[P] | None:
        point, rewrite = segment.point, segment.rewrite
        codec = next((c for c in self.slot.codecs if c.pt == segment.pt), None)
        if self.slot.rtx_ssrc is None or codec is None or codec.rtx_pt is None:
            return None
        timestamp = packet.timestamp + segment.timestamp_shift & TIMESTAMP
        move, filler = point.picture_move(packet), not point.takes(packet)
        first, body = rewrite.body(packet, now, move=move, filler=filler, prefix=sequence.to_bytes(2))
        if rewrite.numbered:
            body = self._departing(body, now)
        self._rtx_sequence = self._rtx_sequence + 1 & SEQUENCE
        second = codec.rtx_pt | point.marker(packet) & MARKER
        header = HEADER.pack(first, second, self._rtx_sequence, timestamp, self.slot.rtx_ssrc)
        return Fanout(body, [(self.peer, header)], segment.layer.publication.spec.id)

    def padding(self, size: int, now: float) -> list[Fanout[P]]:
        """Packets of the RTX stream that carry nothing but `size` bytes of padding (at least), for a probe.

        Receivers count them and play nothing of them: an RTX packet without an original sequence number is
        none (RFC 4588 §4), and the media stream keeps its numbers.
        """
        layer = self.layer
        codec = self._codec
        if layer is None or self.slot.rtx_ssrc is None or codec is None or codec.rtx_pt is None:
            return []
        timestamp = layer.newest + self.timestamp_shift & TIMESTAMP
        block = self._rewrite.extensions(now) if self._rewrite is not None else b""
        first = PADDED | (EXTENDED if block else PLAIN)
        out: list[Fanout[P]] = []
        while size > 0:
            self._rtx_sequence = self._rtx_sequence + 1 & SEQUENCE
            header = HEADER.pack(first, codec.rtx_pt, self._rtx_sequence, timestamp, self.slot.rtx_ssrc)
            body = block + _PADDING
            if self._rewrite is not None and self._rewrite.numbered:
                body = self._departing(body, now)
            out.append(Fanout(body, [(self.peer, header)]))
            size -= len(body)
        return out

    def forget(self, publication: Publication[P]) -> None:
        """Nothing of a publication may be resent any more."""
        kept = [s for s in self.segments if s.layer.publication is not publication]
        self.segments.clear()
        self.segments.extend(kept)

    def sender_report(self, now: float) -> bytes | None:
        """A sender report for now, None while nothing is shown or its sender never reported."""
        layer, point = self.layer, self.point
        timestamp = None if layer is None else layer.timeline.timestamp(now)
        if point is None or timestamp is None:
            return None
        packets = self._packets + max(0, point.highest - self.start + 1)
        octets = self._octets + point.octets - self._octets_before
        timestamp += self.timestamp_shift
        return write_sr(SenderReport(self.ssrc, to_ntp(now), timestamp & TIMESTAMP, packets, octets))


def _with_wide(body: bytes, wide: int) -> bytes:
    """A body with a transport-wide number where `Rewrite.body` left room for it."""
    at = 5 if body[0] == ONE_BYTE >> 8 else 6
    return b"".join((body[:at], wide.to_bytes(2), body[at + 2 :]))
