"""Recent packets of one layer, kept to answer NACKs."""

from __future__ import annotations

from live.sfu.payloads import Vp8


class Packet:
    """One received packet, parsed once.

    Attributes:
        number: Dense output number of the layer (see `Renumbering`).
        marker: The M bit in its place.
        pt: The publisher's payload type.
        timestamp: The publisher's, 32 bits.
        extensions: The publisher's elements by id.
        payload: Without padding.
        arrived: Seconds.
        keyframe: A keyframe starts here.
        vp8: Where the VP8 descriptor's counters stand, for rewriting.
    """

    __slots__ = ("arrived", "extensions", "keyframe", "marker", "number", "payload", "pt", "timestamp", "vp8")

    def __init__(
        self,
        *,
        number: int,
        marker: int,
        pt: int,
        timestamp: int,
        extensions: dict[int, bytes],
        payload: bytes,
        arrived: float,
        keyframe: bool,
        vp8: Vp8 | None,
    ) -> None:
        """Take the fields as they are."""
        self.number = number
        self.marker = marker
        self.pt = pt
        self.timestamp = timestamp
        self.extensions = extensions
        self.payload = payload
        self.arrived = arrived
        self.keyframe = keyframe
        self.vp8 = vp8


class PacketCache:
    """A ring bounded by count and by age; what falls out can no longer be resent."""

    __slots__ = ("_age", "_mask", "_ring")

    def __init__(self, count: int, age: float) -> None:
        """Hold the last `count` packets (a power of two), no older than `age` seconds."""
        if count & (count - 1):
            raise ValueError("count must be a power of two")
        self._mask = count - 1
        self._age = age
        self._ring: list[Packet | None] = [None] * count

    def put(self, packet: Packet) -> bool:
        """Keep a packet; False if it is there already, or is older than what took its place."""
        at = packet.number & self._mask
        there = self._ring[at]
        if there is not None and there.number >= packet.number:
            return False
        self._ring[at] = packet
        return True

    def get(self, number: int, now: float) -> Packet | None:
        """The packet, if it is still here and young enough."""
        packet = self._ring[number & self._mask]
        if packet is None or packet.number != number or now - packet.arrived > self._age:
            return None
        return packet

    def clear(self) -> None:
        """Forget all: what was hidden must not be resent."""
        self._ring = [None] * (self._mask + 1)
