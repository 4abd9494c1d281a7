"""How packets are written towards viewers: the body once for all who look alike, twelve bytes for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Generic, NamedTuple

from live.sfu.cache import Packet
from live.sfu.contract import (
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    MID,
    TO_VIEWERS,
    TRANSPORT_CC,
    Cast,
    Codec,
    Fanout,
    Head,
    P,
    PublicationSpec,
    Slot,
)
from live.sfu.descriptor import MANDATORY, move_descriptor
from live.sfu.numbers import SEQUENCE, ahead
from live.sfu.rtp import EXTENDED, PLAIN, write_extensions

if TYPE_CHECKING:
    from live.sfu.downtrack import Downtrack


class Shifts(NamedTuple):
    """What is added to the counters inside a packet, so that a viewer's go on over a change of source.

    Attributes:
        picture: To the picture id of VP8 and VP9.
        tl0: To TL0PICIDX.
        frames: To the frame number of the dependency descriptor.
        templates: To its template ids.
    """

    picture: int = 0
    tl0: int = 0
    frames: int = 0
    templates: int = 0


UNMOVED = Shifts()
PICTURE, TL0, TEMPLATES = 0x7FFF, 0xFF, 0x3F
KEPT = 256
"""Packets kept as they were written, where they are resent plainly."""


def lies_ahead(there: Shifts, here: Shifts, room: int) -> bool:
    """Whether no counter goes back from one to the other, and template ids do not mean two things.

    Args:
        there: What a viewer would have from a keyframe on.
        here: The least that goes on from what it had.
        room: Template ids that neither the structure before nor the one of the keyframe uses.
    """
    counters = zip(there[:3], here[:3], (PICTURE, TL0, SEQUENCE), strict=True)
    return (
        all(ahead(a, b, mask) >= 0 for a, b, mask in counters)
        and (there.templates - here.templates) & TEMPLATES <= room
    )


def furthest(shifts: Sequence[Shifts]) -> Shifts:
    """The least that lies ahead of all, template ids aside: those of the first."""
    base = shifts[0]
    moves = [
        max((ahead(each[n], base[n], mask) for each in shifts), default=0)
        for n, mask in enumerate((PICTURE, TL0, SEQUENCE))
    ]
    picture, tl0, frames = moves
    return Shifts(
        (base.picture + picture) & PICTURE,
        (base.tl0 + tl0) & TL0,
        (base.frames + frames) & SEQUENCE,
        base.templates,
    )


class Written:
    """The newest `KEPT` packets of one rewriting, as they left.

    What is resent under its old number must be what was sent, byte for byte: under GCM one nonce over two
    packets gives the key of its tags away (NIST SP 800-38D §8). So it is never written a second time.
    """

    __slots__ = ("_ring",)

    def __init__(self) -> None:
        """Nothing has left."""
        self._ring: list[tuple[int, Head, bytes] | None] = [None] * KEPT

    def put(self, number: int, head: Head, body: bytes) -> None:
        """Keep a packet, unless a newer one took its place."""
        there = self._ring[number % KEPT]
        if there is None or there[0] < number:
            self._ring[number % KEPT] = (number, head, body)

    def get(self, number: int) -> tuple[Head, bytes] | None:
        """A packet as it was written; None if it is gone."""
        there = self._ring[number % KEPT]
        return there[1:] if there is not None and there[0] == number else None


class Rewrite(Generic[P]):
    """How a point's packets are written for downtracks that look alike: their body is built once.

    Attributes:
        downtracks: Those attached now (a dict as an ordered set); changed by `add` and `remove`.
        numbered: Their packets carry transport-wide numbers, so each viewer has a body of its own.
        written: What was sent, where it is resent without RTX; None elsewhere.
    """

    __slots__ = (
        "_cast",
        "_descriptor",
        "_mid",
        "_moves",
        "_pt",
        "_red",
        "_send_time",
        "_source",
        "_transport",
        "_two_byte",
        "downtracks",
        "numbered",
        "shifts",
        "written",
    )

    def __init__(
        self,
        slot: Slot,
        source: PublicationSpec,
        shifts: Shifts,
        red: Codec | None,
        pt: int,
        *,
        numbered: bool = False,
        plain: bool = False,
    ) -> None:
        """Towards `slot`, from a publication.

        Args:
            slot: One of those that look alike.
            source: The publication.
            shifts: See there.
            red: The viewer's RED format; without it redundant blocks are taken off.
            pt: The viewer's payload type of what RED contains.
            numbered: See above.
            plain: Lost packets are sent again under their own numbers, for want of RTX.
        """
        self.written = Written() if plain else None
        self.downtracks: dict[Downtrack[P], None] = {}
        self._source = source.id
        theirs = source.extensions
        self._cast: Cast[P] | None = None
        ids = slot.extensions
        self.numbered = numbered
        self._transport = [(ids[TRANSPORT_CC], b"\0\0")] if numbered else []
        self._mid = [(ids[MID], slot.mid.encode())] if MID in ids else []
        self._send_time = ids.get(ABS_SEND_TIME)
        # The structure of a scalable stream does not fit the one-byte form, and without it other descriptors
        # are of no use.
        own = (MID, ABS_SEND_TIME, TRANSPORT_CC)
        mute = own if slot.two_byte else (*own, DEPENDENCY_DESCRIPTOR)
        self._moves = [
            (theirs[uri], ids[uri]) for uri in TO_VIEWERS if uri in theirs and uri in ids and uri not in mute
        ]
        moved = shifts.frames or shifts.templates
        self._descriptor = theirs.get(DEPENDENCY_DESCRIPTOR, -1) if moved else -1
        self._two_byte = slot.two_byte
        self._red = red
        self._pt = pt
        self.shifts = shifts

    def _own(self, sent: float) -> list[tuple[int, bytes]]:
        """Extension elements that do not come from the publisher, the number's place first of all."""
        elements = self._transport + self._mid
        if self._send_time is not None:  # 6.18 fixed point
            elements.append((self._send_time, (int(sent * (1 << 18)) & 0xFFFFFF).to_bytes(3)))
        return elements

    def extensions(self, sent: float) -> bytes:
        """The extension block of a packet that carries no media."""
        elements = self._own(sent)
        return write_extensions(elements, two_byte=self._two_byte) if elements else b""

    def body(
        self, packet: Packet, sent: float, *, move: int = 0, filler: bool = False, prefix: bytes = b""
    ) -> tuple[int, bytes]:
        """First header byte, and extensions and payload.

        Args:
            packet: As it came.
            sent: Seconds; for abs-send-time.
            move: What the operating point adds to its picture id.
            filler: Without payload: it stands for a packet that the viewer does without.
            prefix: Stands before the payload (RTX).
        """
        elements = self._own(sent)
        payload = b""
        if not filler:
            if packet.extensions:
                for theirs, ours in self._moves:
                    value = packet.extensions.get(theirs)
                    if value is not None:
                        if theirs == self._descriptor and len(value) >= MANDATORY:
                            value = move_descriptor(value, self.shifts.frames, self.shifts.templates)
                        elements.append((ours, value))
            payload = self._payload(packet, move)
        block = write_extensions(elements, two_byte=self._two_byte) if elements else b""
        return EXTENDED if block else PLAIN, block + prefix + payload

    def _payload(self, packet: Packet, move: int) -> bytes:
        payload = packet.payload
        if packet.red is not None:
            if self._red is None:
                return payload[packet.red.primary :]
            return payload if {*packet.red.blocks} == {self._pt} else packet.red.renamed(payload, self._pt)
        picture, tl0 = self.shifts.picture + move, self.shifts.tl0
        if packet.head is not None and packet.head.picture_id is not None and (picture or tl0):
            payload = packet.head.rewrite(payload, picture, tl0)
        return payload

    def payload_type(self, packet: Packet, pt: int) -> int:
        """The viewer's payload type for a packet of a stream it has as `pt`."""
        return pt if packet.red is None or self._red is None else self._red.pt

    def add(self, downtrack: Downtrack[P]) -> None:
        """Feed a downtrack from now on, by the numbers that it has now."""
        self.downtracks[downtrack] = None
        self._cast = None

    def remove(self, downtrack: Downtrack[P]) -> None:
        """Feed a downtrack no longer."""
        self.downtracks.pop(downtrack, None)
        self._cast = None

    def fan_out(
        self,
        packet: Packet,
        number: int,
        downtracks: dict[Downtrack[P], None],
        *,
        move: int,
        marker: int,
        filler: bool,
        late: bool,
        now: float,
    ) -> list[Fanout[P]]:
        """The packet for each of `downtracks`, with the number of its point; see `body`.

        A late one is only for those that began before it. One fan-out for all of them, or, where their
        packets are numbered, one for each.
        """
        known = None if self.written is None else self.written.get(number)
        head, body = known or self._write(packet, number, move=move, marker=marker, filler=filler)
        due: Iterable[Downtrack[P]] = downtracks
        if late:
            due = [d for d in downtracks if number >= d.start]
        if self.numbered:
            return [
                Fanout.cast_to(_cast([d]), head, d.numbered(body, number, now), self._source) for d in due
            ]
        if due is not self.downtracks:
            return [Fanout.cast_to(_cast(due), head, body, self._source)]
        cast = self._cast = self._cast or _cast(due)
        return [Fanout.cast_to(cast, head, body, self._source)]

    def _write(
        self, packet: Packet, number: int, *, move: int, marker: int, filler: bool
    ) -> tuple[Head, bytes]:
        first, body = self.body(packet, packet.arrived, move=move, filler=filler)
        head = Head(first, marker, self.payload_type(packet, -1), number & SEQUENCE, packet.timestamp)
        if self.written is not None:
            self.written.put(number, head, body)
        return head, body


def _cast(downtracks: Iterable[Downtrack[P]]) -> Cast[P]:
    return Cast([(d.peer, d.pt, d.shift, d.timestamp_shift, d.ssrc) for d in downtracks])
