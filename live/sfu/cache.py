"""Recent packets of one layer, kept to answer NACKs."""

from __future__ import annotations

from live.sfu.payloads import PayloadHead, Red


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
        starts: A frame starts here; `ends` likewise, where the format tells.
        spatial: Spatial layer.
        temporal: Temporal layer.
        head: What the payload's first bytes say, with counters to rewrite; None where nothing is known of it.
        red: The blocks, if it is RED.
        dtis: What its frame is to each decode target, None without a dependency descriptor.
        frame: The descriptor's frame number, unwrapped.
        picture: The picture id, unwrapped.
        dense: Missing picture ids mean missing pictures (VP8).
    """

    __slots__ = (
        "arrived",
        "dense",
        "dtis",
        "ends",
        "extensions",
        "frame",
        "head",
        "keyframe",
        "marker",
        "number",
        "payload",
        "picture",
        "pt",
        "red",
        "spatial",
        "starts",
        "temporal",
        "timestamp",
    )

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
    ) -> None:
        """Take the fields as they are; what the payload says is set by its reader."""
        self.number = number
        self.marker = marker
        self.pt = pt
        self.timestamp = timestamp
        self.extensions = extensions
        self.payload = payload
        self.arrived = arrived
        self.keyframe = self.starts = self.ends = self.dense = False
        self.spatial = self.temporal = self.frame = 0
        self.head: PayloadHead | None = None
        self.red: Red | None = None
        self.dtis: tuple[int, ...] | None = None
        self.picture: int | None = None


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
