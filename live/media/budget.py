"""How much one peer may ask of the worker: what is over it costs that peer its own packets, and nobody else.

Only what is proven to come from the peer is counted, after unprotecting; else whoever forges its address
could spend its budget.
"""

from live.sfu.rtcp import weigh_rtcp

#: RTP packets a second of one publisher, and bytes: several times what the best camera and screen need.
RTP_PACKETS, RTP_BYTES = 4000.0, 5_000_000.0

#: RTCP packets a second of one peer: transport feedback comes 20 times a second, NACKs in bad times 100.
RTCP_PACKETS = 400.0

#: What they may have in them, a second: packets' statuses, missing numbers, and a few for each packet
#: of a compound. A viewer of ten Mbit/s tells of a thousand packets a second, some of them twice.
RTCP_VALUES = 8000.0

#: Trickle fragments a second of one peer, and at once.
PATCHES, PATCH_BURST = 5.0, 50.0


class Bucket:
    """Tokens that come back at `rate` a second, up to `burst`.

    Args:
        rate: tokens a second.
        burst: as many as can be saved; a second's worth unless said otherwise.
    """

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = rate if burst is None else burst
        self._level = self._burst
        self._at = 0.0

    def take(self, now: float, count: float = 1.0) -> bool:
        """Takes so many if they are there.

        Args:
            now: seconds on a clock that never goes back.
            count: tokens wanted.
        """
        level = self._level
        if now > self._at:
            level += (now - self._at) * self._rate
            level = min(level, self._burst)
        self._at = now
        if level < count:
            self._level = level
            return False
        self._level = level - count
        return True


class Budget:
    """One peer's buckets.

    Attributes:
        refused: packets that were over it.
    """

    __slots__ = ("_bytes", "_patches", "_rtcp", "_rtp", "_values", "refused")

    def __init__(self) -> None:
        self._rtp = Bucket(RTP_PACKETS)
        self._bytes = Bucket(RTP_BYTES)
        self._rtcp = Bucket(RTCP_PACKETS)
        self._values = Bucket(RTCP_VALUES)
        self._patches = Bucket(PATCHES, PATCH_BURST)
        self.refused = 0

    def rtp(self, size: int, now: float) -> bool:
        """Whether an RTP packet of so many bytes may be taken."""
        return self._note(self._rtp.take(now) and self._bytes.take(now, size))

    def rtcp(self, packet: bytes, now: float) -> bool:
        """Whether an RTCP datagram may be taken, for its values too."""
        return self._note(self._rtcp.take(now) and self._values.take(now, weigh_rtcp(packet)))

    def patch(self, now: float) -> bool:
        """Whether a trickle fragment may be read."""
        return self._note(self._patches.take(now))

    def _note(self, granted: bool) -> bool:
        self.refused += not granted
        return granted
