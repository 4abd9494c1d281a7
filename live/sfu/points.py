"""Operating points: what of one stream a viewer is sent, numbered without holes of its own making (law 11).

A stream with temporal or spatial layers can be shown whole or without its upper ones. All viewers of one
operating point share its numbers; a viewer moves to another one where the stream allows it, see `may_move`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from live.sfu.cache import Packet
from live.sfu.contract import P
from live.sfu.descriptor import Dti
from live.sfu.numbers import Renumbering
from live.sfu.rewriting import TEMPLATES, Rewrite, Shifts, furthest, lies_ahead
from live.sfu.rtp import MARKER

if TYPE_CHECKING:
    from live.sfu.downtrack import Downtrack
    from live.sfu.layer import Layer


class OperatingPoint(Generic[P]):
    """One choice of layers of one stream.

    Attributes:
        layer: The stream.
        spatial: Highest spatial layer taken.
        temporal: Highest temporal layer taken.
        target: Decode target of the stream's dependency structure, None to go by the layer ids.
        highest: Highest output number given.
        picture: Its picture id in the output, if it has one; ``tl0`` likewise.
        placed: How many packets came for the numbers up to ``highest``.
        octets: Payload octets taken.
        rate: Bits per second, measured by `measure`.
    """

    __slots__ = (
        "_measured",
        "_numbers",
        "_pictures",
        "_rewrites",
        "highest",
        "layer",
        "octets",
        "picture",
        "placed",
        "rate",
        "spatial",
        "target",
        "temporal",
        "tl0",
    )

    def __init__(self, layer: Layer[P], spatial: int = 0, temporal: int = 0) -> None:
        """Begin with the layer's next packet."""
        self.layer = layer
        self.spatial = spatial
        self.temporal = temporal
        self.target: int | None = None
        self.highest = self.placed = layer.highest
        self.octets = self.tl0 = 0
        self.picture: int | None = None
        self.rate = 0.0
        self._numbers = Renumbering()
        self._pictures = Renumbering()
        self._rewrites: dict[tuple[object, Shifts], Rewrite[P]] = {}
        self._measured = 0

    # -- who is fed ----------------------------------------------------------------------------------------

    def join(self, downtrack: Downtrack[P], shifts: Shifts) -> Rewrite[P]:
        """Add a downtrack to those fed; gives the rewriting it shares with its like."""
        key = (_look(downtrack), shifts)
        rewrite = self._rewrites.get(key)
        if rewrite is None:
            rewrite = Rewrite(
                downtrack.slot,
                self.layer.publication.spec,
                shifts,
                downtrack.red,
                downtrack.pt,
                numbered=downtrack.numbering,
                plain=downtrack.plain,
            )
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

    @property
    def rewrites(self) -> list[Rewrite[P]]:
        """The ways in which its packets are written."""
        return list(self._rewrites.values())

    def shifts(self, downtrack: Downtrack[P]) -> list[Shifts]:
        """How those count who look like a downtrack: what most of them have comes first."""
        look = _look(downtrack)
        alike = [rewrite for (other, _), rewrite in self._rewrites.items() if other == look]
        return [rewrite.shifts for rewrite in sorted(alike, key=lambda r: -len(r.downtracks))]

    def converge(self, packet: Packet) -> None:
        """Write those alike who look alike: at a keyframe counters may jump ahead.

        Each change of layers moves a viewer's counters by its own. Whoever can do so goes on as most do; the
        others, who are ahead of those, as one.
        """
        alike: dict[object, list[Rewrite[P]]] = {}
        for (look, _), rewrite in self._rewrites.items():
            alike.setdefault(look, []).append(rewrite)
        for rewrites in alike.values():
            if len(rewrites) > 1:
                most, *rest = sorted(rewrites, key=lambda r: -len(r.downtracks))
                others = [r for r in rest if not self._jump([r], most.shifts, packet)]
                if len(others) > 1:
                    shifts = furthest([r.shifts for r in others])
                    ids = [*(r.shifts.templates for r in others), *range(TEMPLATES + 1)]
                    any(self._jump(others, shifts._replace(templates=t), packet) for t in ids)

    def _jump(self, rewrites: list[Rewrite[P]], shifts: Shifts, packet: Packet) -> bool:
        """Let the viewers of some rewrites go on by other shifts, if all of them can."""
        now, before = self.layer.frames.structure, self.layer.frames.former
        for here in (rewrite.shifts for rewrite in rewrites):
            least, room = here, TEMPLATES
            if now is not None and before is not None and here.templates != shifts.templates:
                after = before.offset + len(before.templates) - now.offset
                least = here._replace(templates=here.templates + after)
                room -= len(now.templates) + len(before.templates) - 1
            if not lies_ahead(shifts, least, room):
                return False
        for downtrack in [d for r in rewrites if r.shifts != shifts for d in r.downtracks]:
            downtrack.move(self, packet, shifts)
        return True

    # -- what is taken -------------------------------------------------------------------------------------

    def takes(self, packet: Packet) -> bool:
        """Whether a packet belongs to the point; one of which nothing is known does."""
        dtis = packet.dtis
        if dtis is not None and self.target is not None:
            return self.target < len(dtis) and dtis[self.target] != 0
        return packet.spatial <= self.spatial and packet.temporal <= self.temporal

    def switches(self, packet: Packet) -> bool:
        """Whether a packet's descriptor says that the point can be begun with its frame."""
        dtis, target = packet.dtis, self.target
        return dtis is not None and target is not None and dtis[target : target + 1] == (Dti.SWITCH,)

    def count(self, packet: Packet, *, newest: bool, new_picture: bool) -> None:
        """Give a packet its place; call for each packet of the layer in order of arrival."""
        taken = self.takes(packet)
        if newest and not taken:
            self._numbers.leave_out(packet.number, 1)
            if new_picture and packet.picture is not None:
                self._pictures.leave_out(packet.picture, 1)
            return
        self.placed += 1
        self.octets += len(packet.payload) if taken else 0
        number = self._numbers.number(packet.number)
        if number is None or number <= self.highest:
            return
        self.highest = number  # a late packet's, where those after it were left out
        if taken and packet.picture is not None and packet.head is not None:
            self.picture, self.tl0 = packet.picture + self.picture_move(packet), packet.head.tl0 or 0

    def restart_pictures(self) -> None:
        """The stream's picture ids begin anew."""
        self._pictures = Renumbering()

    def number(self, packet: Packet) -> int | None:
        """A packet's output number; None if it is left out without a hole."""
        return self._numbers.number(packet.number)

    def source(self, number: int) -> int:
        """The layer's number of an output number."""
        return self._numbers.source(number)

    def picture_move(self, packet: Packet) -> int:
        """What the point adds to a packet's picture id: the pictures left out so far are not counted.

        Only VP8 needs it: its decoders wait for pictures that are missing (RFC 7741 §4.2). VP9 tells by
        reference, and AV1 by the dependency descriptor, what a picture needs.
        """
        if packet.picture is None or not packet.dense:
            return 0
        number = self._pictures.number(packet.picture)
        return 0 if number is None else number - packet.picture

    def marker(self, packet: Packet) -> int:
        """The M bit: the end of the topmost layer taken ends the picture, where those above are left out."""
        if not self.takes(packet):
            return 0
        return MARKER if packet.ends and packet.spatial == self.spatial else packet.marker

    @property
    def active(self) -> bool:
        """The encoder sends it; one of which nothing is known counts as sent."""
        return self.target is None or bool(self.layer.frames.active >> self.target & 1)

    def measure(self, seconds: float) -> None:
        """Update ``rate`` after `seconds`; what is not sent keeps the rate that it had."""
        if not self.active:
            self._measured = self.octets
            return
        rate = 8 * (self.octets - self._measured) / seconds
        self.rate = rate if not self.rate else 0.5 * self.rate + 0.5 * rate
        self._measured = self.octets


def _look(downtrack: Downtrack[P]) -> object:
    """What makes the packets of two downtracks look different, their counters aside."""
    slot = downtrack.slot
    formats = (downtrack.red.pt, downtrack.pt) if downtrack.red is not None else None
    extensions = tuple(slot.extensions.items())
    return slot.mid, extensions, slot.two_byte, formats, downtrack.numbering, downtrack.plain


def may_move(here: OperatingPoint[P], there: OperatingPoint[P], packet: Packet, since: int) -> bool:
    """Whether a viewer may go from one point of a layer to another with the packet that comes now.

    With a dependency descriptor: where its frame is a switch for the target and all it refers to was sent.
    Otherwise down at the beginning of a picture, and up by one temporal layer at a frame that depends on
    nothing of it (VP8's Y, VP9's U, a picture nobody refers to), else at a keyframe.

    Args:
        here: Where it is.
        there: Where it wants to.
        packet: Begins a frame; the newest of its layer.
        since: Frame number (of the descriptor) from which on it was fed from `here`.
    """
    if packet.keyframe:
        return True
    if packet.dtis is not None and here.target is not None and there.target is not None:
        return there.switches(packet) and here.layer.frames.reachable(packet.frame, here.target, since)
    if packet.spatial or there.spatial > here.spatial:
        return False
    return there.temporal <= here.temporal or (there.spatial == here.spatial and _syncs(here, there, packet))


def _syncs(here: OperatingPoint[P], there: OperatingPoint[P], packet: Packet) -> bool:
    head = packet.head
    if head is None:
        return False
    if head.up:
        return packet.temporal <= here.temporal
    return head.sync and packet.temporal == there.temporal == here.temporal + 1
