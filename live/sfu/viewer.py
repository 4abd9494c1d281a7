"""One watching peer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Generic

from live.sfu.allocation import Line
from live.sfu.bandwidth import Departures, Reports
from live.sfu.contract import P, PublicationSpec, Slot, Tier
from live.sfu.downtrack import Downtrack
from live.sfu.rtcp import write_cname
from live.sfu.rtp import ONE_BYTE_IDS

RESENT_OPEN, RESENT_LIMITED = 0.5, 0.25
"""Share of what a viewer is sent that resent packets may have: NACKs must neither amplify nor keep a line
full that lost packets because it was full."""
RESENT_LEAST = 0.05
"""The same where the estimate leaves nothing."""
RESENT_FREE = 400_000.0
"""Bits per second of resending that an open line is always trusted with."""
NUMBERED_FOR = 30.0
"""Seconds for which packets stay numbered after the line carries everything again."""
KEYFRAMES, KEYFRAMES_RATE = 5.0, 0.5
"""Keyframes one viewer's decoder may ask for at once, and per second afterwards: they make the picture worse
for everybody, and a viewer who needs more is helped by a smaller picture, not by keyframes."""
REPORT = 5.0
"""Seconds between sender reports, after those that begin a picture (RFC 3550 §6.2)."""


class Viewer(Generic[P]):
    """A peer that watches.

    Attributes:
        downtracks: One per slot, in the order of its slots.
        tracks: The same by the viewer's SSRC.
        line: What it can receive.
        departures: Its packets by transport-wide number, None while they are not numbered.
        counts: Its report blocks, counted.
        tier: What it wants to receive.
        round_trip: Seconds, None before it reported.
        report_at: When its next sender report is due.
    """

    __slots__ = (
        "_cname",
        "_credit",
        "_credit_at",
        "_numbered_until",
        "_requests",
        "_requests_at",
        "behind",
        "counts",
        "departures",
        "downtracks",
        "line",
        "peer",
        "person",
        "report_at",
        "round_trip",
        "tier",
        "tracks",
    )

    def __init__(self, peer: P, person: str, now: float, cname: str, most: float = float("inf")) -> None:
        """Watches nothing yet."""
        self.peer = peer
        self.person = person
        self.behind = False
        self.downtracks: list[Downtrack[P]] = []
        self.tracks: dict[int, Downtrack[P]] = {}
        self.line = Line(most)
        self.counts = Reports()
        self.departures: Departures | None = None
        self.tier: Tier = "video"
        self.round_trip: float | None = None
        self.report_at = now
        self._cname = cname
        self._credit = RESENT_FREE / 8
        self._credit_at = now
        self._requests = KEYFRAMES
        self._requests_at = now
        self._numbered_until = now

    def take(self, slots: Sequence[Slot]) -> list[Downtrack[P]]:
        """Replace the slots; equal ones keep their downtrack. Gives the downtracks that are gone.

        Raises:
            ValueError: Two slots share an SSRC.
        """
        if len({slot.ssrc for slot in slots}) != len(slots):
            raise ValueError("two slots share an SSRC")
        slots = [_writable(slot) for slot in slots]
        kept = {d.ssrc: d for d in self.downtracks if d.slot in slots}
        gone = [d for d in self.downtracks if d.ssrc not in kept]
        self.downtracks = [kept.get(slot.ssrc) or Downtrack(self.peer, slot) for slot in slots]
        self.tracks = {d.ssrc: d for d in self.downtracks}
        self.line.can_pad = any(d.pads for d in self.downtracks)
        for downtrack in self.downtracks:
            downtrack.number(self.departures)
        return gone

    def number(self, wanted: bool, now: float) -> None:
        """Number the packets from now on, or, when that has not been wanted for a while, no longer."""
        if wanted:
            self._numbered_until = now + NUMBERED_FOR
        if wanted and self.departures is None and any(d.numbers for d in self.downtracks):
            self.departures = Departures()
            self.line.bandwidth.begin(self.line.spending)
        elif self.departures is not None and now >= self._numbered_until:
            self.departures = None
        else:
            return
        for downtrack in self.downtracks:
            downtrack.number(self.departures)

    def may_ask_keyframe(self, now: float) -> bool:
        """Take one request from the allowance for keyframes."""
        self._requests = min(KEYFRAMES, self._requests + (now - self._requests_at) * KEYFRAMES_RATE)
        self._requests_at = now
        if self._requests < 1:
            return False
        self._requests -= 1
        return True

    def wants(self, spec: PublicationSpec) -> bool:
        """Whether the tier it chose has room for a publication."""
        if self.tier == "audio":
            return spec.kind == "audio" or spec.source == "screen"
        return self.tier == "video"

    def may_resend(self, now: float) -> bool:
        """Whether the allowance for resends has anything left; `resent` takes from it."""
        line = self.line
        if line.limited:
            left = (line.estimate or 0.0) - line.spending
            rate = max(RESENT_LEAST * line.spending, min(RESENT_LIMITED * line.spending, left)) / 8
        else:
            rate = max(RESENT_OPEN * line.spending, RESENT_FREE) / 8
        self._credit = min(rate, self._credit + (now - self._credit_at) * rate)
        self._credit_at = now
        return self._credit > 0

    def resent(self, size: int) -> None:
        """A packet of `size` bytes went out again."""
        self._credit -= size

    def reports(self, now: float) -> bytes:
        """Sender reports of all slots that show something, with a CNAME; empty if there are none."""
        reports = [r for d in self.downtracks if (r := d.sender_report(now)) is not None]
        if not reports:
            return b""
        return b"".join(reports) + write_cname(int.from_bytes(reports[0][4:8]), self._cname)


def _writable(slot: Slot) -> Slot:
    """A slot without the extensions that the one-byte form cannot write (RFC 8285 §4.2) and that it must."""
    if slot.two_byte or all(i <= ONE_BYTE_IDS for i in slot.extensions.values()):
        return slot
    return replace(slot, extensions={uri: i for uri, i in slot.extensions.items() if i <= ONE_BYTE_IDS})
