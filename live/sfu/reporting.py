"""What publishers are told of how they arrive, and how well that is by person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic

from live.sfu.contract import P
from live.sfu.outbox import Outbox
from live.sfu.publication import ACTIVE, Publication, Publisher
from live.sfu.quality import AWAY, GOOD, LOST, Lines, grade
from live.sfu.rtcp import ReportBlock, write_rr

_MOST_BLOCKS: Final = 31
"""Report blocks that fit into one report (RFC 3550 §6.4.2)."""


class Reporting(Generic[P]):
    """Measures publishers' streams.

    Attributes:
        lines: How well everybody arrives who publishes.
    """

    def __init__(
        self,
        publishers: Mapping[P, Publisher[P]],
        publications: Mapping[str, Publication[P]],
        outbox: Outbox[P],
        ssrc: int,
    ) -> None:
        """Report on these as `ssrc`."""
        self.lines = Lines()
        self._publishers = publishers
        self._publications = publications
        self._outbox = outbox
        self._ssrc = ssrc

    def arrivals(self) -> None:
        """Tell publishers when their packets arrived, since the last time: their senders steer by it."""
        for publisher in self._publishers.values():
            own = next((x.ssrc for x, repair in publisher.streams.values() if not repair), None)
            if own is not None:
                packets = publisher.arrivals.feedback(self._ssrc, own)
                self._outbox.rtcp += [(publisher.peer, packet) for packet in packets]

    def each_second(self, now: float) -> None:
        """Tell publishers what was lost, and grade their persons; who publishes and is silent is lost."""
        grades: dict[str, int] = {}
        for publisher in self._publishers.values():
            blocks = self._report_to(publisher, now, grades)
            if blocks:
                self._outbox.rtcp.append((publisher.peer, write_rr(self._ssrc, blocks[:_MOST_BLOCKS])))
        for publication in self._publications.values():
            grades.setdefault(publication.spec.owner, LOST)
        for person, value in grades.items():
            self.lines.note(person, value)
        self.lines.keep(grades)

    def _report_to(self, publisher: Publisher[P], now: float, grades: dict[str, int]) -> list[ReportBlock]:
        """Measure a publisher's streams and grade its persons, unless it is silent; gives what to report."""
        blocks: list[ReportBlock] = []
        rests = all(x.demand.idle for p in publisher.publications.values() for x in p.layers)
        silent = now - publisher.seen > AWAY and not rests
        for publication in publisher.publications.values():
            owner = publication.spec.owner
            for layer in publication.layers:
                layer.measure(now)
                block = layer.reception.block(now)
                if block is not None and not silent and now - layer.seen < ACTIVE:
                    blocks.append(block)
                    value = grade(block.fraction, block.jitter / layer.clock)
                    grades[owner] = min(grades.get(owner, value), value)
                if layer.needs_keyframe(now) and layer.ssrc is not None and now - layer.seen < ACTIVE:
                    layer.keyframes.want(now, newcomer=False)
                elif now - layer.seen > AWAY:
                    layer.keyframes.cancel()
            if not silent:
                grades.setdefault(owner, self.lines.quality.get(owner) or GOOD)
        return blocks
