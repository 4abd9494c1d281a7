"""One stream of a publication: received, numbered, kept, and given to those who are fed from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic

from live.sfu.cache import Packet, PacketCache
from live.sfu.contract import Audience, Codec, Fanout, Malformed, P
from live.sfu.demand import Demand
from live.sfu.descriptor import MANDATORY, Frames
from live.sfu.downtrack import Downtrack
from live.sfu.keyframes import KeyframeRequests
from live.sfu.losses import LIMIT, Losses
from live.sfu.numbers import SEQUENCE, Renumbering, Unwrapper, ahead
from live.sfu.payloads import HEADS, PayloadHead, Red, Vp8
from live.sfu.points import OperatingPoint, may_move
from live.sfu.reception import Reception
from live.sfu.rewriting import Rewrite
from live.sfu.rtp import Rtp
from live.sfu.timeline import Skew, Timeline

if TYPE_CHECKING:
    from live.sfu.publication import Publication

OUTAGE = 0.5
"""Seconds of silence after which what was missed is older than a publisher keeps it, or anybody waits."""
_OUTAGE_LOSS = 10
"""Fewest packets missed by then: a silence without them is a still screen or a pause in speech."""
MAX_POINTS = 15
"""Points below the whole stream; a structure may have more decode targets, browsers' have nine at most."""
_WORTH = 0.9
"""A point is worth choosing if it costs at most so much of the next one."""
_PATIENCE = 3.0
"""Seconds after which a change of layers that found no frame to be made at is made at a keyframe."""
_REST = 0.2
"""Seconds of silence after which an idle layer is no longer measured."""
_PICTURES = 64
"""H.264 pictures whose temporal layer is remembered."""
_FRAME = 64
"""Most packets of a keyframe looked back at for its beginning."""
_CACHE = {"video": 1024, "audio": 128}
_CACHE_AGE = 2.0
_MEASURED = 0.4
"""Seconds below which a rate says nothing."""


class Layer(Generic[P]):
    """One stream of a publication.

    Attributes:
        publication: What it belongs to.
        rid: Its rid, None without simulcast.
        ssrc: None until SDP or a packet has told.
        clock: Hz.
        pt: Payload type of the newest packet; of what it contains, if that is RED.
        highest: Highest output number given (dense, see `Renumbering`).
        newest: Timestamp of the packet with that number.
        frame: Its frame number by the dependency descriptor, unwrapped; None without.
        frames: What its descriptors said.
        points: What a viewer may be sent of it, lowest quality first, the whole of it last.
        best: The highest of them that the encoder sends now; the whole if it says that it sends none.
        octets: Payload octets received for output.
        seen: When the last packet arrived.
        rate: Bits per second, measured by `measure`; what it was, while it is not sent because it is idle.
        demand: Whether anybody wants it.
        waiting: Downtracks that begin at the next keyframe, each at its target.
        moving: Downtracks that are fed and will go to another point when it can be done; since when.
        begun: Those that began with the last packet; the router takes them.
    """

    __slots__ = (
        "_active",
        "_measured",
        "_measured_at",
        "_picture",
        "_picture_mask",
        "_pictures",
        "_renumbering",
        "_temporal",
        "begun",
        "best",
        "cache",
        "clock",
        "codec",
        "demand",
        "frame",
        "frames",
        "highest",
        "keyframes",
        "losses",
        "moving",
        "newest",
        "octets",
        "points",
        "pt",
        "publication",
        "rate",
        "reception",
        "rid",
        "seen",
        "ssrc",
        "timeline",
        "waiting",
    )

    def __init__(self, publication: Publication[P], ssrc: int | None, rid: str | None, skew: Skew) -> None:
        """Nothing received yet."""
        spec = publication.spec
        self.publication = publication
        self.ssrc = ssrc
        self.rid = rid
        self.codec = publication.codec
        self.clock = self.codec.clock
        self.pt = -1
        self.reception = Reception(ssrc or 0, self.clock)
        self.losses = Losses()
        self.keyframes = KeyframeRequests()
        self.cache = PacketCache(_CACHE[spec.kind], _CACHE_AGE)
        self.timeline = Timeline(skew, self.clock)
        self.highest = self.newest = self.octets = 0
        self.frame: int | None = None
        self.frames = Frames()
        self.seen = float("-inf")
        self.rate = 0.0
        self.demand = Demand()
        self.waiting: dict[Downtrack[P], None] = {}
        self.moving: dict[Downtrack[P], float] = {}
        self.begun: list[Downtrack[P]] = []
        self.points: list[OperatingPoint[P]] = [OperatingPoint(self)]
        self.best = self.whole
        self._active = 0
        self._renumbering = Renumbering()
        self._pictures = Unwrapper()
        self._picture_mask = 0
        self._picture: int | None = None
        self._temporal: dict[int, int] = {}
        self._measured = 0
        self._measured_at: float | None = None

    def bind(self, ssrc: int) -> None:
        """A packet told the SSRC."""
        self.ssrc = self.reception.ssrc = ssrc

    @property
    def whole(self) -> OperatingPoint[P]:
        """The point of the highest quality."""
        return self.points[-1]

    def downtracks(self) -> list[Downtrack[P]]:
        """All that are fed now."""
        return [d for point in self.points for d in point.downtracks()]

    def fits(self, downtrack: Downtrack[P]) -> bool:
        """The viewer can decode what is sent; else it may wait, but no keyframe helps."""
        return match(self.codec, downtrack.slot.codecs) is not None

    def needs_keyframe(self, now: float) -> bool:
        """Somebody waits for one, or has been waiting too long for a frame to change layers at."""
        served = any(self.fits(downtrack) for downtrack in self.waiting)
        return served or any(now - since >= _PATIENCE for since in self.moving.values())

    def offers(self) -> list[OperatingPoint[P]]:
        """Points worth choosing from, lowest first.

        Each is being sent and saves something, and a small picture is preferred to a quarter of the frames of
        a larger one.
        """
        best = self.best
        found: list[OperatingPoint[P]] = [best]
        for point in reversed(self.points[: self.points.index(best)]):
            if not point.active:
                continue
            sparse = point.spatial > 0 and point.temporal < best.temporal - 1
            if point.rate and not sparse and point.rate < _WORTH * found[-1].rate:
                found.append(point)
        return found[::-1]

    # -- packets -------------------------------------------------------------------------------------------

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
        follows = before is None or extended == before + 1
        if before is None:
            self.highest = extended - 1
            for point in self.points:
                point.highest = point.placed = self.highest
            self._measured_at = now
        elif extended > before + 1:
            missing = extended - before - 1
            if missing > LIMIT or (silent > OUTAGE and missing > _OUTAGE_LOSS):
                self._renumbering.leave_out(before + 1, missing)
                self._begin_anew(now)
            elif self.losses.skipped(before + 1, extended, now) and self.publication.spec.kind == "video":
                self.keyframes.want(now, newcomer=False)
        else:
            self.losses.found(extended, now)
        newest = before is None or extended > before
        return self._place(rtp, extended, now, newest=newest, follows=follows and newest)

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
        return self._place(rtp, extended, now, newest=False, follows=False)

    def _place(self, rtp: Rtp, extended: int, now: float, *, newest: bool, follows: bool) -> list[Fanout[P]]:
        said = self.publication.spec.codecs.get(rtp.pt)
        codec = self.publication.codec if said is not None and said.name == "red" else said
        empty = not rtp.payload
        if newest and (empty or codec is None or codec.clock != self.clock):
            self._renumbering.leave_out(extended, 1)
            return []
        number = self._renumbering.number(extended)
        if codec is None or number is None or (codec.pt != self.pt and not newest):
            return []
        if newest and codec.pt != self.pt:
            self._change_codec(codec)
        try:
            packet = self._packet(rtp, codec, number, now, newest=newest, follows=follows)
        except Malformed:
            if newest:
                self._renumbering.leave_out(extended, 1)
            raise
        self._learn(packet, newest=newest)
        new_picture = newest and self._advance(packet)
        if number > self.highest:  # late, where those after it were left out
            self.highest, self.newest = number, packet.timestamp
        if newest or self.cache.get(number, now) is None:
            self.octets += len(rtp.payload)
            for point in self.points:
                point.count(packet, newest=newest, new_picture=new_picture)
        if self.publication.audience is Audience.NOBODY or not self.cache.put(packet):
            return []
        return self._forward(packet)

    def _advance(self, packet: Packet) -> bool:
        """Take the newest packet; True if it is the first of its picture."""
        picture = packet.picture
        new_picture = picture is not None and (self._picture is None or picture > self._picture)
        if new_picture:
            self._picture = picture
        if packet.starts and self.moving:
            self._move(packet)
        if packet.keyframe and packet.starts:
            for point in self.points:
                if len(point.rewrites) > 1:
                    point.converge(packet)
        self.highest, self.newest = packet.number, packet.timestamp
        return new_picture

    def _begin_anew(self, now: float) -> None:
        """Too much is missing to be asked for: pictures stand still until a keyframe, sound just goes on."""
        self.losses.give_up()
        if self.publication.spec.kind == "video" and (downtracks := self.downtracks()):
            for downtrack in downtracks:
                target = downtrack.target or downtrack.point
                downtrack.detach()
                if target is not None and target.layer is self:
                    downtrack.target = target
                    self.waiting[downtrack] = None
            self.moving.clear()
            self.keyframes.want(now, newcomer=True)

    def _packet(
        self, rtp: Rtp, codec: Codec, number: int, now: float, *, newest: bool, follows: bool
    ) -> Packet:
        packet = Packet(
            number=number,
            marker=rtp.marker,
            pt=codec.pt,
            timestamp=rtp.timestamp,
            extensions=rtp.extensions,
            payload=rtp.payload,
            arrived=now,
        )
        if not rtp.payload:
            return packet
        if rtp.pt != codec.pt:
            packet.red = Red(rtp.payload)
            if {*packet.red.blocks} != {codec.pt}:
                raise Malformed("RED around something else")
        read = HEADS.get(codec.name)
        if read is None:
            packet.keyframe = True
            return packet
        head = packet.head = read(rtp.payload)
        packet.keyframe, packet.starts, packet.ends = head.keyframe, head.starts, head.ends
        packet.spatial, packet.temporal = head.spatial, head.temporal
        descriptor = rtp.extensions.get(self.publication.descriptor_id)
        if descriptor is not None and len(descriptor) >= MANDATORY:
            self._describe(packet, descriptor, now, newest=newest)
        elif codec.name == "h264":
            packet.temporal = self._disposable(packet, head, follows=follows)
        if head.picture_id is not None:
            self._number_picture(packet, head, restarts=newest and packet.keyframe)
        return packet

    def _describe(self, packet: Packet, data: bytes, now: float, *, newest: bool) -> None:
        """What the dependency descriptor says holds before what the payload says."""
        descriptor, packet.frame = self.frames.read(data, now, newest=newest)
        if newest:  # also where its template is told by a packet that is late
            self.frame = packet.frame
        packet.starts, packet.ends = descriptor.starts, descriptor.ends
        packet.keyframe = descriptor.starts and descriptor.structure is not None
        packet.spatial = packet.temporal = 0
        if descriptor.frame is not None:
            packet.spatial, packet.temporal = descriptor.frame.spatial, descriptor.frame.temporal
            packet.dtis = descriptor.frame.dtis

    def _disposable(self, packet: Packet, head: PayloadHead, *, follows: bool) -> int:
        """The temporal layer of an H.264 picture: told by its first packet, if that is surely the first."""
        known = self._temporal.get(packet.timestamp)
        if known is None:
            first = follows and head.starts and packet.timestamp != self.newest
            known = self._temporal[packet.timestamp] = head.temporal if first else 0
            if len(self._temporal) > _PICTURES:
                del self._temporal[next(iter(self._temporal))]
        return known

    def _number_picture(self, packet: Packet, head: PayloadHead, *, restarts: bool) -> None:
        """Unwrap the picture id; an encoder that begins anew, begins anew here too."""
        mask = (1 << head.picture_bits) - 1
        picture = self._pictures.unwrap(head.picture_id or 0)
        behind = restarts and self._picture is not None and picture < self._picture
        if mask != self._picture_mask or behind:
            self._picture_mask, self._pictures, self._picture = mask, Unwrapper(mask), None
            picture = self._pictures.unwrap(head.picture_id or 0)
            for point in self.points:
                point.restart_pictures()
        packet.picture, packet.dense = picture, isinstance(head, Vp8)

    def _change_codec(self, codec: Codec) -> None:
        """The publisher sends another payload type: everyone begins anew with it."""
        left = self.downtracks() if self.pt >= 0 else []
        for downtrack in left:
            downtrack.detach()
        self.moving.clear()
        whole = OperatingPoint(self)
        for downtrack in [*left, *self.waiting]:
            downtrack.target = whole
            self.waiting[downtrack] = None
        self.points = [whole]
        self.best = whole
        self.pt, self.codec = codec.pt, codec
        self.frame, self.frames = None, Frames()
        self._picture_mask = 0
        self._temporal.clear()

    # -- layers within the stream --------------------------------------------------------------------------

    def _learn(self, packet: Packet, *, newest: bool) -> None:
        """Know the layers that a packet shows, also if it is late."""
        structure = self.frames.structure
        if packet.dtis is not None and structure is not None:
            if (newest and packet.keyframe) or self.whole.target is None:
                self._target(structure.targets)
                self._follow(packet.arrived)
            elif self.frames.active != self._active:
                self._follow(packet.arrived)
        elif packet.spatial > self.whole.spatial or packet.temporal > self.whole.temporal:
            self._grow(packet)

    def _target(self, targets: tuple[tuple[int, int], ...]) -> None:
        """Let the points be the decode targets of the structure that holds now."""
        labels = {label: n for n, label in reversed([*enumerate(targets)])}
        top = max(labels)
        whole = self.whole
        whole.spatial, whole.temporal = top
        kept = {(p.spatial, p.temporal): p for p in self.points[:-1]}
        for label in sorted(labels)[:-1][:MAX_POINTS]:
            if label not in kept:
                kept[label] = OperatingPoint(self, *label)
        self.points = [*(kept[label] for label in sorted(kept)), whole]
        for point in self.points:
            point.target = labels.get((point.spatial, point.temporal))
        self._drop(lambda point: point.target is None)

    def _follow(self, now: float) -> None:
        """The encoder leaves layers out or sends them again: who had the best there was, has it from now on.

        Without upper layers a frame of those below may belong to them no longer (the modes named KEY): who
        went on waiting would be shown nothing.
        """
        self._active = self.frames.active
        before, self.best = self.best, next((p for p in reversed(self.points) if p.active), self.whole)
        for downtrack in [*self.downtracks(), *self.waiting]:
            wanted = downtrack.target or downtrack.point
            if wanted is None or wanted.layer is not self or wanted is self.best:
                continue
            if wanted is before or not wanted.active:
                self._lead(downtrack, now)

    def _lead(self, downtrack: Downtrack[P], now: float) -> None:
        """Let a downtrack go to the best point when it can be done; it is asked for nothing yet."""
        if downtrack.point is self.best:
            downtrack.unaim()
            return
        downtrack.target = self.best
        if downtrack not in self.waiting:
            self.moving[downtrack] = now

    def _grow(self, packet: Packet) -> None:
        """A layer shows itself that was not known: the points below it are there from now on."""
        whole = self.whole
        spatial, temporal = max(whole.spatial, packet.spatial), max(whole.temporal, packet.temporal)
        whole.spatial, whole.temporal = spatial, temporal
        known = {(p.spatial, p.temporal): p for p in self.points[:-1]}
        labels = [(s, t) for s in range(spatial + 1) for t in range(temporal + 1)][:-1]
        points = [known.get(label) or OperatingPoint(self, *label) for label in labels[:MAX_POINTS]]
        self.points = [*points, whole]

    def _drop(self, useless: Callable[[OperatingPoint[P]], bool]) -> None:
        """Forget points that are no longer there; who was fed from them goes on with the whole."""
        for point in [p for p in self.points[:-1] if useless(p)]:
            for downtrack in point.downtracks():
                if downtrack.target is None:
                    downtrack.target = self.whole
                    self.moving[downtrack] = 0.0
            if not point.downtracks():
                self.points.remove(point)

    def _move(self, packet: Packet) -> None:
        """Let those go to their points who may do so with this packet."""
        for downtrack in [*self.moving]:
            here, there = downtrack.point, downtrack.target
            if here is None or there is None or here.layer is not self or there not in self.points:
                del self.moving[downtrack]
                continue
            step = there
            if there.temporal > here.temporal + 1 and not may_move(here, there, packet, downtrack.since):
                label = (here.spatial, here.temporal + 1)
                step = next((p for p in self.points if (p.spatial, p.temporal) == label and p.active), there)
            if may_move(here, step, packet, downtrack.since):
                downtrack.move(step, packet)
                if step is there:
                    downtrack.target = None
                    del self.moving[downtrack]
            elif step.spatial != here.spatial and step.switches(
                packet
            ):  # later frames will refer to this one
                self.keyframes.want(packet.arrived, newcomer=False)

    # -- towards viewers -----------------------------------------------------------------------------------

    @staticmethod
    def _fan_out(
        rewrite: Rewrite[P],
        point: OperatingPoint[P],
        packet: Packet,
        downtracks: dict[Downtrack[P], None],
        *,
        late: bool,
        now: float,
    ) -> list[Fanout[P]]:
        """A packet for viewers of a point.

        A late packet that the point does without is sent without its payload: its place has been kept for it,
        and would be asked for again and again.
        """
        number = point.number(packet)
        filler = not point.takes(packet)
        if number is None:
            return []
        return rewrite.fan_out(
            packet,
            number,
            downtracks,
            move=point.picture_move(packet),
            marker=point.marker(packet),
            filler=filler,
            late=late,
            now=now,
        )

    def _forward(self, packet: Packet) -> list[Fanout[P]]:
        late = packet.number < self.highest
        out = []
        for point in self.points:
            for rewrite in point.rewrites:
                downtracks = rewrite.downtracks
                fanouts = self._fan_out(rewrite, point, packet, downtracks, late=late, now=packet.arrived)
                out += [fanout for fanout in fanouts if len(fanout)]
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
        joined: dict[Rewrite[P], tuple[OperatingPoint[P], dict[Downtrack[P], None]]] = {}
        for downtrack in self.waiting:
            codec = match(self.codec, downtrack.slot.codecs)
            point = downtrack.target
            if codec is None:
                continue
            if point is None or point.layer is not self or point not in self.points or not point.active:
                point = self.best
            joined.setdefault(downtrack.attach(point, first, codec), (point, {}))[1][downtrack] = None
        self.begun = [d for _, downtracks in joined.values() for d in downtracks]
        for downtrack in self.begun:
            del self.waiting[downtrack]
        packets = [first]
        for number in range(first.number + 1, self.highest + 1):
            following = self.cache.get(number, packet.arrived)
            if following is not None:
                packets.append(following)
        return [
            fanout
            for p in packets
            for rewrite, (point, downtracks) in joined.items()
            for fanout in self._fan_out(rewrite, point, p, downtracks, late=False, now=packet.arrived)
        ]

    def measure(self, now: float) -> None:
        """Update ``rate``, and those of the points; call about once a second."""
        rests = self.demand.idle and now - self.seen > _REST
        if self._measured_at is None or now - self._measured_at < _MEASURED:
            return
        if not rests:
            seconds = now - self._measured_at
            rate = 8 * (self.octets - self._measured) / seconds
            self.rate = rate if not self.rate else 0.5 * self.rate + 0.5 * rate
            for point in self.points:
                point.measure(seconds)
        self._measured, self._measured_at = self.octets, now

    def end(self) -> list[Downtrack[P]]:
        """Let go of all downtracks, fed and waiting."""
        left = [*self.downtracks(), *self.waiting]
        for downtrack in left:
            if downtrack.layer is self:
                downtrack.detach()
            if downtrack.target is not None and downtrack.target.layer is self:
                downtrack.target = None
        self.waiting.clear()
        self.moving.clear()
        self.keyframes.cancel()
        return left


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
