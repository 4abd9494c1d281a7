"""What a router has to say to the world."""

from __future__ import annotations

from collections import Counter
from typing import Generic

from live.sfu.contract import Fanout, P


class Outbox(Generic[P]):
    """What has come together since the last `Router.drain`; the parts of a router share it.

    Attributes:
        fanouts: Packets for viewers.
        rtcp: Peers with what they are to be told, unprotected.
        hidden: Publications that lost audience, with the viewer who may see no more of it, or None for any.
        changed: There may be news of the stage.
        counts: What happened since the router's start, see `live.sfu.measures.COUNTERS`.
    """

    __slots__ = ("changed", "counts", "fanouts", "hidden", "rtcp")

    def __init__(self) -> None:
        """Nothing to say."""
        self.counts: Counter[str] = Counter()
        self.empty()

    def empty(self) -> None:
        """All of it has been taken."""
        self.fanouts: list[Fanout[P]] = []
        self.rtcp: list[tuple[P, bytes]] = []
        self.hidden: list[tuple[str, P | None]] = []
        self.changed = False
