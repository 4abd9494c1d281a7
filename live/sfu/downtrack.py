"""One slot of one viewer: a stream with its own numbers, whatever it is fed from (law 11)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Generic

from live.sfu.cache import Packet
from live.sfu.contract import ABS_SEND_TIME, MID, TO_VIEWERS, Cast, Codec, Fanout, Head, P, Slot
from live.sfu.numbers import SEQUENCE, TIMESTAMP, ahead
from live.sfu.rtcp import SenderReport, write_sr
from live.sfu.rtp import EXTENDED, HEADER, MARKER, PLAIN, write_extensions
from live.sfu.timeline import to_ntp

if TYPE_CHECKING:
    from live.sfu.publication import Layer, Publication

SEGMENTS = 6
"""Sources remembered to answer NACKs after a switch."""
_PICTURE = 0x7FFF


class Rewrite(Generic[P]):
    """How a layer's packets are written for downtracks that look alike: their body is built once.

    Attributes:
        downtracks: Those attached now (a dict as an ordered set); changed by `add` and `remove`.
    """

    __slots__ = ("_cast", "_mid", "_moves", "_send_time", "_two_byte", "downtracks", "picture", "tl0")

    def __init__(self, slot: Slot, source: dict[str, int], picture: int, tl0: int) -> None:
        """Towards `slot`, from a publication with the extension ids of `source`."""
        self.downtracks: dict[Downtrack[P], None] = {}
        self._cast: Cast[P] | None = None
        ids = slot.extensions
        self._mid = [(ids[MID], slot.mid.encode())] if MID in ids else []
        self._send_time = ids.get(ABS_SEND_TIME)
        self._moves = [
            (source[uri], ids[uri])
            for uri in TO_VIEWERS
            if uri in source and uri in ids and uri not in (MID, ABS_SEND_TIME)
        ]
        self._two_byte = slot.two_byte
        self.picture = picture
        self.tl0 = tl0

    def body(self, packet: Packet, sent: float, prefix: bytes = b"") -> tuple[int, bytes]:
        """First header byte, and extensions and payload; `prefix` stands before the payload (RTX)."""
        elements = list(self._mid)
        if self._send_time is not None:
            elements.append((self._send_time, (int(sent * (1 << 18)) & 0xFFFFFF).to_bytes(3)))
        if packet.extensions:
            for theirs, ours in self._moves:
                value = packet.extensions.get(theirs)
                if value is not None:
                    elements.append((ours, value))
        payload = packet.payload
        if packet.vp8 is not None and (self.picture or self.tl0):
            payload = packet.vp8.rewrite(payload, self.picture, self.tl0)
        block = write_extensions(elements, two_byte=self._two_byte) if elements else b""
        return EXTENDED if block else PLAIN, block + prefix + payload

    def add(self, downtrack: Downtrack[P]) -> None:
        """Feed a downtrack from now on, by the numbers that it has now."""
        self.downtracks[downtrack] = None
        self._cast = None

    def remove(self, downtrack: Downtrack[P]) -> None:
        """Feed a downtrack no longer."""
        self.downtracks.pop(downtrack, None)
        self._cast = None

    def fan_out(self, packet: Packet, downtracks: dict[Downtrack[P], None], *, late: bool) -> Fanout[P]:
        """The packet for each of `downtracks`; a late one only for those that began before it."""
        first, body = self.body(packet, packet.arrived)
        head = Head(first, packet.marker, -1, packet.number & SEQUENCE, packet.timestamp)
        if late:
            cast = _cast([d for d in downtracks if packet.number >= d.start])
        elif downtracks is not self.downtracks:
            cast = _cast(downtracks)
        else:
            cast = self._cast = self._cast or _cast(downtracks)
        return Fanout.cast_to(cast, head, body)


def _cast(downtracks: Iterable[Downtrack[P]]) -> Cast[P]:
    return Cast([(d.peer, d.pt, d.shift, d.timestamp_shift, d.ssrc) for d in downtracks])


class Segment(Generic[P]):
    """A stretch of the output that came from one layer (``last`` None: still going)."""

    __slots__ = ("first", "last", "layer", "pt", "rewrite", "shift", "timestamp_shift")

    def __init__(self, layer: Layer[P], rewrite: Rewrite[P], downtrack: Downtrack[P]) -> None:
        """Begin at the downtrack's present numbers."""
        self.layer = layer
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
        target: Layer it waits for, None when it has what it wants.
        layer: Layer it is fed from now.
        start: First number of that layer it takes.
        shift: Added to the layer's numbers.
        timestamp_shift: Added to the layer's timestamps.
        pt: The viewer's payload type now.
        shown: Something has been sent since it began.
    """

    __slots__ = (
        "_clock",
        "_codec",
        "_last",
        "_last_picture",
        "_last_timestamp",
        "_last_tl0",
        "_octets",
        "_octets_before",
        "_packets",
        "_rewrite",
        "_rtx_sequence",
        "layer",
        "peer",
        "pt",
        "segments",
        "shift",
        "shown",
        "slot",
        "source",
        "ssrc",
        "start",
        "target",
        "timestamp_shift",
    )

    def __init__(self, peer: P, slot: Slot) -> None:
        """Nothing to show yet."""
        self.peer = peer
        self.slot = slot
        self.ssrc = slot.ssrc
        self.source: Publication[P] | None = None
        self.target: Layer[P] | None = None
        self.layer: Layer[P] | None = None
        self.start = self.shift = self.timestamp_shift = self.pt = 0
        self.shown = False
        self.segments: deque[Segment[P]] = deque(maxlen=SEGMENTS)
        self._codec: Codec | None = None
        self._rewrite: Rewrite[P] | None = None
        self._last = 0
        self._last_timestamp: int | None = None
        self._last_picture: int | None = None
        self._last_tl0 = 0
        self._clock = 0
        self._packets = self._octets = self._octets_before = 0
        self._rtx_sequence = 0

    def attach(self, layer: Layer[P], packet: Packet, codec: Codec) -> Rewrite[P]:
        """Begin to show a layer with this packet, numbers and time going on from what was shown before."""
        self.detach()
        self.layer, self.target = layer, None
        self.start = packet.number
        self.shift = self._last + 1 - packet.number
        self.timestamp_shift = self._next_timestamp(layer, packet) - packet.timestamp
        self.pt = codec.pt
        self._codec = codec
        self._clock = layer.clock
        self._octets_before = layer.octets
        picture = tl0 = 0
        if packet.vp8 is not None and self._last_picture is not None:
            picture = (self._last_picture + 1 - (packet.vp8.picture_id or 0)) & _PICTURE
            tl0 = (self._last_tl0 + 1 - (packet.vp8.tl0 or 0)) & 0xFF
        self._rewrite = layer.join(self, picture, tl0)
        self.segments.append(Segment(layer, self._rewrite, self))
        self.shown = True
        return self._rewrite

    def _next_timestamp(self, layer: Layer[P], packet: Packet) -> int:
        timestamp = round(layer.timeline.moment(packet.timestamp, packet.arrived) * layer.clock) & TIMESTAMP
        if self._last_timestamp is None or self._clock != layer.clock:
            return timestamp
        least = self._last_timestamp + layer.clock // (50 if self.slot.kind == "audio" else 60)
        return timestamp if ahead(timestamp, least & TIMESTAMP, TIMESTAMP) > 0 else least

    def detach(self) -> None:
        """Stop showing the layer; the next one goes on from here."""
        layer, rewrite = self.layer, self._rewrite
        if layer is None or rewrite is None:
            return
        layer.part(self, rewrite)
        segment = self.segments[-1]
        segment.last = self._last = layer.highest + self.shift
        self._last_timestamp = layer.newest + self.timestamp_shift
        if layer.picture is not None:
            self._last_picture, self._last_tl0 = layer.picture + rewrite.picture, layer.tl0 + rewrite.tl0
        self._packets += segment.last - segment.first + 1
        self._octets += layer.octets - self._octets_before
        self.layer = self._rewrite = None

    def resend(self, sequence: int, now: float) -> Fanout[P] | None:
        """Answer a NACK: by RTX (RFC 4588 §4) if the slot has it, else the same again; None if it is gone."""
        highest = self._last if self.layer is None else self.layer.highest + self.shift
        number = highest - ((highest - sequence) & SEQUENCE)
        for segment in reversed(self.segments):
            if segment.first <= number and (segment.last is None or number <= segment.last):
                packet = segment.layer.cache.get(number - segment.shift, now)
                return None if packet is None else self._again(segment, packet, number & SEQUENCE, now)
        return None

    def _again(self, segment: Segment[P], packet: Packet, sequence: int, now: float) -> Fanout[P]:
        timestamp = packet.timestamp + segment.timestamp_shift & TIMESTAMP
        codec = next((c for c in self.slot.codecs if c.pt == segment.pt), None)
        if self.slot.rtx_ssrc is None or codec is None or codec.rtx_pt is None:
            first, body = segment.rewrite.body(packet, packet.arrived)
            header = HEADER.pack(first, segment.pt | packet.marker, sequence, timestamp, self.ssrc)
            return Fanout(body, [(self.peer, header)])
        first, body = segment.rewrite.body(packet, now, sequence.to_bytes(2))
        self._rtx_sequence = self._rtx_sequence + 1 & SEQUENCE
        second = codec.rtx_pt | packet.marker & MARKER
        header = HEADER.pack(first, second, self._rtx_sequence, timestamp, self.slot.rtx_ssrc)
        return Fanout(body, [(self.peer, header)])

    def forget(self, publication: Publication[P]) -> None:
        """Nothing of a publication may be resent any more."""
        kept = [s for s in self.segments if s.layer.publication is not publication]
        self.segments.clear()
        self.segments.extend(kept)

    def sender_report(self, now: float) -> bytes | None:
        """A sender report for now, None while nothing is shown or its sender never reported."""
        layer = self.layer
        timestamp = None if layer is None else layer.timeline.timestamp(now)
        if layer is None or timestamp is None:
            return None
        packets = self._packets + layer.highest - self.start + 1
        octets = self._octets + layer.octets - self._octets_before
        timestamp += self.timestamp_shift
        return write_sr(SenderReport(self.ssrc, to_ntp(now), timestamp & TIMESTAMP, packets, octets))
