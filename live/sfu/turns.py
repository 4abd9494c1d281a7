"""Whose turn it is: what every viewer needs now and then is spread over the ticks of a router."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, Generic

from live.sfu.contract import P
from live.sfu.outbox import Outbox
from live.sfu.serving import Serving
from live.sfu.viewer import REPORT, Viewer

AT_ONCE: Final = 50
"""Viewers whose lines are allocated anew in one tick; a tenth of all, where that is more."""
PAD: Final = 0.02
"""Seconds between padding packets of a probe: small enough not to be a burst."""
_SHARE: Final = 10
"""One in so many viewers has its turn in a tick."""


class Turns(Generic[P]):
    """Allocates viewers' lines, pads those that are tried for more, and writes sender reports."""

    def __init__(self, viewers: Mapping[P, Viewer[P]], serving: Serving[P], outbox: Outbox[P]) -> None:
        """Serve these viewers; who comes later has to `join`."""
        self._viewers = viewers
        self._serving = serving
        self._outbox = outbox
        self._reports: deque[Viewer[P]] = deque()
        self._hasty: set[P] = set()
        self._due: dict[Viewer[P], None] = {}
        self._pad_at = 0.0

    def join(self, viewer: Viewer[P]) -> None:
        """Give a viewer turns."""
        self._reports.append(viewer)

    def leave(self, viewer: Viewer[P]) -> None:
        """Give it none any more."""
        self._reports.remove(viewer)
        self._due.pop(viewer, None)
        self._hasty.discard(viewer.peer)

    def hasten(self, peers: Iterable[P]) -> None:
        """Send these their reports with the next tick: something has just begun for them."""
        self._hasty.update(peers)

    def soon(self, *, limited: bool = False) -> None:
        """Allocate every line anew, a few in each tick; `limited`: those that cannot carry all, first."""
        if not limited:
            self._due |= dict.fromkeys(self._viewers.values())
        elif narrow := [viewer for viewer in self._viewers.values() if viewer.line.limited]:
            self._due = dict.fromkeys(narrow) | self._due

    def grant(self, now: float) -> None:
        """Allocate the lines of those whose turn it is."""
        for viewer in list(islice(self._due, max(AT_ONCE, len(self._viewers) // _SHARE + 1))):
            del self._due[viewer]
            self._serving.grant(viewer, now)

    def report(self, now: float) -> None:
        """Write the reports that are due; the queue is in their order, as all wait equally long."""
        for peer in self._hasty:
            if (viewer := self._viewers.get(peer)) is not None and (report := viewer.reports(now)):
                self._outbox.rtcp.append((peer, report))
        self._hasty.clear()
        for _ in range(len(self._reports) // _SHARE + 1 if self._reports else 0):
            viewer = self._reports[0]
            if viewer.report_at > now:
                break
            self._reports.rotate(-1)
            report = viewer.reports(now)
            viewer.report_at = now + REPORT
            if report:
                self._outbox.rtcp.append((viewer.peer, report))

    def due(self, at: float) -> float:
        """When a probe has to be padded, if that is before `at`."""
        return min(at, self._pad_at + PAD) if self._serving.busy else at

    def pad(self, now: float) -> None:
        """Send the padding of this moment's probes, if there are any and it is due."""
        if not self._serving.busy or now < self._pad_at + PAD:
            return
        passed = min(2 * PAD, now - self._pad_at)
        self._pad_at = now
        for viewer in self._serving.busy.values():
            if not viewer.line.padding:
                continue
            shown = next((d for d in viewer.downtracks if d.pads and d.layer is not None), None)
            if shown is not None:
                packets = shown.padding(int(viewer.line.padding * passed / 8), now)
                self._outbox.counts["padding_sent"] += len(packets)
                self._outbox.fanouts += packets
