"""What a peer publishes: publications, their layers (one per SSRC), and the transport they share."""

from __future__ import annotations

from enum import IntEnum
from typing import Generic

from live.sfu.cache import Packet, PacketCache
from live.sfu.contract import (
    DEPENDENCY_DESCRIPTOR,
    MID,
    REPAIRED_RID,
    RID,
    Codec,
    Fanout,
    Malformed,
    P,
    PublicationSpec,
    Stream,
)
from live.sfu.downtrack import Downtrack, Rewrite
from live.sfu.keyframes import KeyframeRequests
from live.sfu.losses import LIMIT, Losses
from live.sfu.numbers import SEQUENCE, Renumbering, ahead
from live.sfu.payloads import Vp8, starts_keyframe
from live.sfu.reception import Reception
from live.sfu.rtp import Rtp
from live.sfu.timeline import Skew, Timeline
from live.sfu.twcc import Arrivals

MAX_STREAMS = 64
"""SSRCs remembered per publisher; further unknown ones are not learned."""
ACTIVE = 1.5
"""Seconds after its last packet in which a stream counts as being sent."""
LAYER_ACTIVE = 0.6
"""The same for one of several layers: the others step in."""
OUTAGE = 0.5
"""Seconds of silence after which what was missed is older than a publisher keeps it, or anybody waits."""
_OUTAGE_LOSS = 10
"""Fewest packets missed by then: a silence without them is a still screen or a pause in speech."""
CHANGE = 0.3
"""Seconds a stream must have been silent before another SSRC takes its place."""
_FRAME = 64
"""Most packets of a keyframe looked back at for its beginning."""
_CACHE = {"video": 1024, "audio": 128}
_CACHE_AGE = 2.0


class Audience(IntEnum):
    """Whom a publication may reach."""

    NOBODY = 0
    BEHIND = 1
    EVERYONE = 2


class Layer(Generic[P]):
    """One stream of a publication.

    Attributes:
        publication: What it belongs to.
        rid: Its rid, None without simulcast.
        ssrc: None until SDP or a packet has told.
        clock: Hz.
        pt: Payload type of the newest packet.
        highest: Highest output number given (dense, see `Renumbering`).
        newest: Timestamp of the packet with that number.
        picture: Its VP8 picture id, if it has one; `tl0` likewise.
        octets: Payload octets received for output.
        seen: When the last packet arrived.
        rate: Bits per second, measured by `measure`.
        waiting: Downtracks that begin at the next keyframe.
        begun: Those that began with the last packet; the router takes them.
    """

    __slots__ = (
        "_measured",
        "_measured_at",
        "_renumbering",
        "_rewrites",
        "begun",
        "cache",
        "clock",
        "codec",
        "highest",
        "keyframes",
        "losses",
        "newest",
        "octets",
        "picture",
        "pt",
        "publication",
        "rate",
        "reception",
        "rid",
        "seen",
        "ssrc",
        "timeline",
        "tl0",
        "waiting",
    )

    def __init__(self, publication: Publication[P], ssrc: int | None, rid: str | None, skew: Skew) -> None:
        """Nothing received yet."""
        spec = publication.spec
        self.publication = publication
        self.ssrc = ssrc
        self.rid = rid
        self.codec = next(iter(spec.codecs.values()))
        self.clock = self.codec.clock
        self.pt = -1
        self.reception = Reception(ssrc or 0, self.clock)
        self.losses = Losses()
        self.keyframes = KeyframeRequests()
        self.cache = PacketCache(_CACHE[spec.kind], _CACHE_AGE)
        self.timeline = Timeline(skew, self.clock)
        self.highest = self.newest = self.octets = self.tl0 = 0
        self.picture: int | None = None
        self.seen = float("-inf")
        self.rate = 0.0
        self.waiting: dict[Downtrack[P], None] = {}
        self.begun: list[Downtrack[P]] = []
        self._renumbering = Renumbering()
        self._rewrites: dict[object, Rewrite[P]] = {}
        self._measured = 0
        self._measured_at: float | None = None

    def bind(self, ssrc: int) -> None:
        """A packet told the SSRC."""
        self.ssrc = self.reception.ssrc = ssrc

    def join(self, downtrack: Downtrack[P], picture: int, tl0: int) -> Rewrite[P]:
        """Add a downtrack to those fed; gives the rewriting it shares with its like."""
        slot = downtrack.slot
        key = (slot.mid, tuple(slot.extensions.items()), slot.two_byte, picture, tl0)
        rewrite = self._rewrites.get(key)
        if rewrite is None:
            rewrite = Rewrite(slot, dict(self.publication.spec.extensions), picture, tl0)
            self._rewrites[key] = rewrite
        rewrite.add(downtrack)
        return rewrite

    def part(self, downtrack: Downtrack[P], rewrite: Rewrite[P]) -> None:
        """Feed a downtrack no longer."""
        rewrite.remove(downtrack)
        if not rewrite.downtracks:
            self._rewrites = {k: r for k, r in self._rewrites.items() if r is not rewrite}

    def downtracks(self) -> list[Downtrack[P]]:
        """All that are fed now."""
        return [d for r in self._rewrites.values() for d in r.downtracks]

    def receive(self, rtp: Rtp, now: float) -> list[Fanout[P]]:
        """Take a packet of this stream.

        Raises:
            Malformed: The payload is not what its type says; the packet is left out without a hole.
        """
        before = self.reception.highest
        extended = self.reception.receive(rtp.sequence, rtp.timestamp, now)
        if extended is None:
            return []
        silent, self.seen = now - self.seen, now
        if before is None:
            self.highest = extended - 1
        elif extended > before + 1:
            missing = extended - before - 1
            if missing > LIMIT or (silent > OUTAGE and missing > _OUTAGE_LOSS):
                self._renumbering.leave_out(before + 1, missing)
                self._begin_anew(now)
            else:
                self.losses.skipped(before + 1, extended, now)
        else:
            self.losses.found(extended, now)
        return self._place(rtp, extended, now, newest=before is None or extended > before)

    def repair(self, rtp: Rtp, sequence: int, now: float) -> list[Fanout[P]]:
        """Take a packet that came again by RTX under the original `sequence`.

        Raises:
            Malformed: As `receive`.
        """
        highest = self.reception.highest
        if highest is None:
            return []
        extended = highest + ahead(sequence, highest & SEQUENCE, SEQUENCE)
        if extended > highest:
            return []
        self.losses.found(extended, now)
        return self._place(rtp, extended, now, newest=False)

    def _place(self, rtp: Rtp, extended: int, now: float, *, newest: bool) -> list[Fanout[P]]:
        codec = self.publication.spec.codecs.get(rtp.pt)
        empty = not rtp.payload
        if newest and (empty or codec is None or codec.clock != self.clock):
            self._renumbering.leave_out(extended, 1)
            return []
        number = self._renumbering.number(extended)
        if codec is None or number is None or (rtp.pt != self.pt and not newest):
            return []
        try:
            packet = self._packet(rtp, codec, number, now)
        except Malformed:
            if newest:
                self._renumbering.leave_out(extended, 1)
            raise
        if newest:
            if rtp.pt != self.pt:
                self._change_codec(codec)
            self.highest, self.newest = number, rtp.timestamp
            if packet.vp8 is not None and packet.vp8.picture_id is not None:
                self.picture, self.tl0 = packet.vp8.picture_id, packet.vp8.tl0 or 0
        self.octets += len(rtp.payload)
        if self.publication.audience is Audience.NOBODY or not self.cache.put(packet):
            return []
        return self._forward(packet)

    def _begin_anew(self, now: float) -> None:
        """Too much is missing to be asked for: pictures stand still until a keyframe, sound just goes on."""
        self.losses.give_up()
        if self.publication.spec.kind == "video" and (downtracks := self.downtracks()):
            for downtrack in downtracks:
                downtrack.detach()
                if downtrack.target is None:
                    downtrack.target = self
                    self.waiting[downtrack] = None
            self.keyframes.want(now, newcomer=True)

    def _packet(self, rtp: Rtp, codec: Codec, number: int, now: float) -> Packet:
        vp8 = None
        if not rtp.payload:
            keyframe = False
        elif codec.name == "vp8":
            vp8 = Vp8(rtp.payload)
            keyframe = vp8.keyframe
        else:
            descriptor = self.publication.descriptor_id
            keyframe = starts_keyframe(codec.name, rtp.payload, rtp.extensions.get(descriptor))
        return Packet(
            number=number,
            marker=rtp.marker,
            pt=rtp.pt,
            timestamp=rtp.timestamp,
            extensions=rtp.extensions,
            payload=rtp.payload,
            arrived=now,
            keyframe=keyframe,
            vp8=vp8,
        )

    def _change_codec(self, codec: Codec) -> None:
        """The publisher sends another payload type: everyone begins anew with it."""
        if self.pt >= 0:
            for downtrack in self.downtracks():
                downtrack.detach()
                self.waiting[downtrack] = None
        self.pt, self.codec = codec.pt, codec
        self.picture = None

    def _forward(self, packet: Packet) -> list[Fanout[P]]:
        late = packet.number < self.highest
        out = [r.fan_out(packet, r.downtracks, late=late) for r in self._rewrites.values()]
        if late:
            out = [fanout for fanout in out if len(fanout)]
        if packet.keyframe:
            if self.publication.spec.kind == "video":
                self.keyframes.arrived()
            if self.waiting and (not late or self.publication.spec.kind == "video"):
                out += self._begin(packet)
        return out

    def _begin(self, packet: Packet) -> list[Fanout[P]]:
        """Attach those who wait, from the beginning of this packet's frame on.

        H.264 announces a keyframe more than once (SPS, then each slice): who comes in between still gets all.
        """
        first = packet
        for number in range(packet.number - 1, packet.number - _FRAME, -1):
            earlier = self.cache.get(number, packet.arrived)
            if earlier is None or earlier.timestamp != packet.timestamp:
                break
            first = earlier
        joined: dict[Rewrite[P], dict[Downtrack[P], None]] = {}
        for downtrack in self.waiting:
            codec = match(self.codec, downtrack.slot.codecs)
            if codec is not None:
                joined.setdefault(downtrack.attach(self, first, codec), {})[downtrack] = None
        self.begun = [d for downtracks in joined.values() for d in downtracks]
        for downtrack in self.begun:
            del self.waiting[downtrack]
        packets = [first]
        for number in range(first.number + 1, self.highest + 1):
            following = self.cache.get(number, packet.arrived)
            if following is not None:
                packets.append(following)
        return [r.fan_out(p, downtracks, late=False) for p in packets for r, downtracks in joined.items()]

    def measure(self, now: float) -> None:
        """Update ``rate``; call about once a second."""
        if self._measured_at is not None and now > self._measured_at:
            rate = 8 * (self.octets - self._measured) / (now - self._measured_at)
            self.rate = rate if not self.rate else 0.5 * self.rate + 0.5 * rate
        self._measured, self._measured_at = self.octets, now

    def end(self) -> list[Downtrack[P]]:
        """Let go of all downtracks, fed and waiting."""
        left = [*self.downtracks(), *self.waiting]
        for downtrack in left:
            if downtrack.layer is self:
                downtrack.detach()
            if downtrack.target is self:
                downtrack.target = None
        self.waiting.clear()
        self.keyframes.cancel()
        return left


class Publication(Generic[P]):
    """What a peer publishes in one m-line.

    Attributes:
        layers: Lowest quality first.
        audience: Whom it may reach; set by the router's stage.
        repairs: Codec by its RTX payload type.
        patience: Seconds of silence after which a layer is not active.
    """

    __slots__ = ("audience", "descriptor_id", "layers", "patience", "peer", "repairs", "skew", "spec")

    def __init__(self, peer: P, spec: PublicationSpec, skew: Skew) -> None:
        """Not yet placed on the stage."""
        if not spec.codecs:
            raise ValueError("a publication needs a codec")
        self.peer = peer
        self.spec = spec
        self.skew = skew
        self.audience = Audience.NOBODY
        self.repairs = {c.rtx_pt: c for c in spec.codecs.values() if c.rtx_pt is not None}
        self.descriptor_id = spec.extensions.get(DEPENDENCY_DESCRIPTOR, -1)
        streams: list[tuple[int | None, str | None]] = [(e.ssrc, e.rid) for e in spec.encodings]
        if not streams:
            streams = [(None, rid) for rid in spec.rids] or [(None, None)]
        self.layers: list[Layer[P]] = [Layer(self, ssrc, rid, skew) for ssrc, rid in streams]
        self.patience = ACTIVE if len(self.layers) == 1 else LAYER_ACTIVE

    def hide(self, audience: Audience) -> None:
        """Change the audience; what nobody may see is forgotten."""
        self.audience = audience
        if audience is Audience.NOBODY:
            for layer in self.layers:
                layer.cache.clear()
                layer.keyframes.cancel()

    def restart(self, layer: Layer[P], ssrc: int) -> Layer[P]:
        """The publisher changed the SSRC of a layer: a new layer in its place."""
        layer.end()
        fresh = Layer(self, ssrc, layer.rid, self.skew)
        self.layers[self.layers.index(layer)] = fresh
        return fresh

    def active(self, now: float) -> list[Layer[P]]:
        """Layers being sent now, lowest first; all of them if none is."""
        return [x for x in self.layers if now - x.seen < self.patience] or self.layers


class Publisher(Generic[P]):
    """One publishing peer.

    Attributes:
        publications: By id.
        streams: By SSRC: the layer, and whether this is its RTX stream.
        seen: When anything last arrived.
    """

    __slots__ = ("arrivals", "peer", "publications", "seen", "skew", "streams")

    def __init__(self, peer: P, now: float) -> None:
        """Publishes nothing yet."""
        self.peer = peer
        self.publications: dict[str, Publication[P]] = {}
        self.streams: dict[int, tuple[Layer[P], bool]] = {}
        self.arrivals = Arrivals()
        self.skew = Skew()
        self.seen = now

    def add(self, spec: PublicationSpec) -> Publication[P]:
        """Take a publication and the SSRCs its SDP named."""
        publication = Publication(self.peer, spec, self.skew)
        self.publications[spec.id] = publication
        for encoding, layer in zip(spec.encodings, publication.layers, strict=False):
            self.streams[encoding.ssrc] = (layer, False)
            if encoding.rtx_ssrc is not None:
                self.streams[encoding.rtx_ssrc] = (layer, True)
        return publication

    def remove(self, publication: Publication[P]) -> None:
        """Forget a publication."""
        self.publications.pop(publication.spec.id, None)
        self.streams = {s: x for s, x in self.streams.items() if x[0].publication is not publication}
        for layer in publication.layers:
            layer.end()

    def learn(self, rtp: Rtp, now: float) -> tuple[Layer[P], bool] | None:
        """Find out what an unknown SSRC is (RFC 8852, RFC 8843 §9.2); None if it cannot be told.

        A layer changes its SSRC only after ``CHANGE`` of silence under the old one.
        """
        if len(self.streams) >= MAX_STREAMS:
            return None
        publication = self._publication_of(rtp)
        if publication is None:
            return None
        repair = rtp.pt in publication.repairs
        layer = self._layer_of(publication, rtp, repair=repair)
        if layer is None:
            return None
        if not repair and layer.ssrc is not None and now - layer.seen < CHANGE:
            return None
        return self._bind(layer, rtp.ssrc, repair=repair)

    def adopt(self, ssrc: int, named: Stream) -> tuple[Layer[P], bool] | None:
        """Take another router's word for what an SSRC is; None if there is no such stream here."""
        publication = self.publications.get(named.publication)
        if publication is None or len(self.streams) >= MAX_STREAMS:
            return None
        layer = next((x for x in publication.layers if x.rid == named.rid), None)
        return None if layer is None else self._bind(layer, ssrc, repair=named.repair)

    def _bind(self, layer: Layer[P], ssrc: int, *, repair: bool) -> tuple[Layer[P], bool]:
        """Let an SSRC mean a layer; a layer that had another one begins anew."""
        if not repair and layer.ssrc is None:
            layer.bind(ssrc)
        elif not repair:
            self.streams = {s: x for s, x in self.streams.items() if x[0] is not layer}
            layer = layer.publication.restart(layer, ssrc)
        self.streams[ssrc] = (layer, repair)
        return layer, repair

    def _publication_of(self, rtp: Rtp) -> Publication[P] | None:
        for publication in self.publications.values():
            mid = rtp.extensions.get(publication.spec.extensions.get(MID, -1))
            if mid is not None and publication.spec.mid is not None and mid == publication.spec.mid.encode():
                return publication
        fitting = [p for p in self.publications.values() if rtp.pt in p.spec.codecs or rtp.pt in p.repairs]
        return fitting[0] if len(fitting) == 1 else None

    def _layer_of(self, publication: Publication[P], rtp: Rtp, *, repair: bool) -> Layer[P] | None:
        if len(publication.layers) == 1:
            return publication.layers[0]
        uri = REPAIRED_RID if repair else RID
        rid = rtp.extensions.get(publication.spec.extensions.get(uri, -1))
        if rid is None:
            return None
        return next((x for x in publication.layers if x.rid is not None and x.rid.encode() == rid), None)


def match(codec: Codec, offered: tuple[Codec, ...]) -> Codec | None:
    """The viewer's payload type for a publisher's codec: same name, clock and, where it matters, profile."""
    same = [c for c in offered if c.name == codec.name and c.clock == codec.clock]
    for parameter, default in _DECIDING.get(codec.name, ()):
        wanted = codec.fmtp.get(parameter, default)
        same = [c for c in same if c.fmtp.get(parameter, default) == wanted] or (
            same if codec.name == "h264" and parameter == "profile-level-id" else []
        )
    return same[0] if same else None


_DECIDING: dict[str, tuple[tuple[str, str], ...]] = {
    "h264": (("packetization-mode", "0"), ("profile-level-id", "42e01f")),
    "vp9": (("profile-id", "0"),),
    "av1": (("profile", "0"),),
}
