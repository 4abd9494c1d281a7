"""One watching peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic

from live.sfu.allocation import Line
from live.sfu.contract import P, PublicationSpec, Slot, Tier
from live.sfu.downtrack import Downtrack
from live.sfu.rtcp import write_cname

RESENDS = 400.0
"""Packets resent to one viewer at most in a burst, and per second afterwards: a NACK must not amplify."""
REPORT = 2.0
"""Seconds between sender reports."""


class Viewer(Generic[P]):
    """A peer that watches.

    Attributes:
        downtracks: One per slot, in the order of its slots.
        tracks: The same by the viewer's SSRC.
        line: What it can receive.
        tier: What it wants to receive.
        round_trip: Seconds, None before it reported.
        report_at: When its next sender report is due.
    """

    __slots__ = (
        "_cname",
        "_credit",
        "_credit_at",
        "behind",
        "downtracks",
        "line",
        "peer",
        "person",
        "report_at",
        "round_trip",
        "tier",
        "tracks",
    )

    def __init__(self, peer: P, person: str, now: float, cname: str) -> None:
        """Watches nothing yet."""
        self.peer = peer
        self.person = person
        self.behind = False
        self.downtracks: list[Downtrack[P]] = []
        self.tracks: dict[int, Downtrack[P]] = {}
        self.line = Line()
        self.tier: Tier = "video"
        self.round_trip: float | None = None
        self.report_at = now
        self._cname = cname
        self._credit = RESENDS
        self._credit_at = now

    def take(self, slots: Sequence[Slot]) -> list[Downtrack[P]]:
        """Replace the slots; equal ones keep their downtrack. Gives the downtracks that are gone.

        Raises:
            ValueError: Two slots share an SSRC.
        """
        if len({slot.ssrc for slot in slots}) != len(slots):
            raise ValueError("two slots share an SSRC")
        kept = {d.ssrc: d for d in self.downtracks if d.slot in slots}
        gone = [d for d in self.downtracks if d.ssrc not in kept]
        self.downtracks = [kept.get(slot.ssrc) or Downtrack(self.peer, slot) for slot in slots]
        self.tracks = {d.ssrc: d for d in self.downtracks}
        return gone

    def wants(self, spec: PublicationSpec) -> bool:
        """Whether the tier it chose has room for a publication."""
        if self.tier == "audio":
            return spec.kind == "audio" or spec.source == "screen"
        return self.tier == "video"

    def may_resend(self, now: float) -> bool:
        """Take one packet from the allowance for resends."""
        self._credit = min(RESENDS, self._credit + (now - self._credit_at) * RESENDS)
        self._credit_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        return True

    def reports(self, now: float) -> bytes:
        """Sender reports of all slots that show something, with a CNAME; empty if there are none."""
        reports = [r for d in self.downtracks if (r := d.sender_report(now)) is not None]
        if not reports:
            return b""
        return b"".join(reports) + write_cname(int.from_bytes(reports[0][4:8]), self._cname)
