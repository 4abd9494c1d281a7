"""What a peer publishes: publications with their layers, and the transport they share."""

from __future__ import annotations

from typing import Generic

from live.sfu.contract import (
    DEPENDENCY_DESCRIPTOR,
    MID,
    REPAIRED_RID,
    RID,
    Audience,
    P,
    PublicationSpec,
    Stream,
)
from live.sfu.layer import Layer
from live.sfu.points import OperatingPoint
from live.sfu.rtp import Rtp
from live.sfu.timeline import Skew
from live.sfu.twcc import Arrivals

MAX_STREAMS = 64
"""SSRCs remembered per publisher; further unknown ones are not learned."""
POLICE = 1.5
"""Times its cap that a publisher may really send: browsers steer by it, they do not hit it."""
BURST = 2.0
"""Seconds' worth of that at once: keyframes are large."""
PACKET = 600
"""Bytes that the packets of a publisher at its cap have on average at least: small ones cost as much work."""
PACKETS = 500.0
"""Packets a second that every publisher may send for each of its publications, however small its cap."""
ACTIVE = 1.5
"""Seconds after its last packet in which a stream counts as being sent."""
LAYER_ACTIVE = 0.6
"""The same for one of several layers: the others step in."""
CHANGE = 0.3
"""Seconds a stream must have been silent before another SSRC takes its place."""


class Publication(Generic[P]):
    """What a peer publishes in one m-line.

    Attributes:
        layers: Lowest quality first.
        audience: Whom it may reach; set by the router's stage.
        codec: The first agreed that is no RED; what RED contains.
        repairs: Codec by its RTX payload type.
        patience: Seconds of silence after which a layer is not active.
    """

    __slots__ = (
        "audience",
        "codec",
        "descriptor_id",
        "layers",
        "patience",
        "peer",
        "repairs",
        "skew",
        "spec",
    )

    def __init__(self, peer: P, spec: PublicationSpec, skew: Skew) -> None:
        """Not yet placed on the stage."""
        codec = next((c for c in spec.codecs.values() if c.name != "red"), None)
        if codec is None:
            raise ValueError("a publication needs a codec")
        self.codec = codec
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

    def sent(self, layer: Layer[P], now: float) -> bool:
        """Whether a layer is being sent now."""
        return now - layer.seen < self.patience

    def offers(self, now: float) -> list[OperatingPoint[P]]:
        """What a viewer may be sent, lowest quality first; idle layers are, when they are wanted again.

        Fewer frames are offered of the lowest layer only: above it a viewer falls to the layer below.
        """
        layers = [x for x in self.layers if self.sent(x, now) or x.demand.idle] or self.layers
        return [*layers[0].offers(), *(layer.best for layer in layers[1:])]

    def want(self, layer: Layer[P], now: float, *, best: bool) -> bool:
        """Somebody wants a layer; True if its publisher has to be told.

        The lowest is wanted with it, to fall back to; and who gets the `best` that is being sent would take
        better ones too.
        """
        place = self.layers.index(layer) if layer in self.layers else 0
        wanted = [self.layers[0], *(self.layers[place:] if best else self.layers[place : place + 1])]
        woken = [x for x in wanted if x.demand.want(now)]
        return bool(woken)

    @property
    def idle(self) -> tuple[str, ...]:
        """Rids of the layers that nobody wants, "" for a stream without one."""
        return tuple(x.rid or "" for x in self.layers if x.demand.idle)


class Publisher(Generic[P]):
    """One publishing peer.

    Attributes:
        publications: By id.
        streams: By SSRC: the layer, and whether this is its RTX stream.
        seen: When anything last arrived.
    """

    __slots__ = (
        "_credit",
        "_credit_at",
        "_most",
        "_packets",
        "arrivals",
        "peer",
        "publications",
        "seen",
        "skew",
        "streams",
    )

    def __init__(self, peer: P, now: float, most: float = float("inf")) -> None:
        """Publishes nothing yet, and may send `most` bits, and a fitting number of packets, per second."""
        self._most = most * POLICE
        self._credit = self._most * BURST
        self._credit_at = now
        self._packets = 0.0
        self.peer = peer
        self.publications: dict[str, Publication[P]] = {}
        self.streams: dict[int, tuple[Layer[P], bool]] = {}
        self.arrivals = Arrivals()
        self.skew = Skew()
        self.seen = now

    def may_send(self, size: int, now: float) -> bool:
        """Take a packet of `size` bytes from what this publisher may send."""
        if self._most == float("inf"):
            return True
        passed, self._credit_at = now - self._credit_at, now
        packets = max(PACKETS * len(self.publications), self._most / (8 * PACKET))
        self._credit = min(self._most * BURST, self._credit + passed * self._most)
        self._packets = max(0.0, self._packets - passed * packets)
        if self._credit < 8 * size or self._packets + 1 > packets * BURST:
            return False
        self._credit -= 8 * size
        self._packets += 1
        return True

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
