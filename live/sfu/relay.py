"""What the router of a room's home hands to routers elsewhere, and what those ask of it.

A sibling's router is fed the publishers' packets as they came, so it sees what the home saw and decides for
its own viewers in the same way. Only what *everyone* may see is handed on: what is behind the curtain, muted
or veiled never leaves the home, whatever a sibling believes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic

from live.sfu.asking import Asking
from live.sfu.contract import Audience, Malformed, P, PublicationSpec, Relayed, Source, Stream
from live.sfu.layer import Layer
from live.sfu.numbers import TIMESTAMP
from live.sfu.outbox import Outbox
from live.sfu.publication import Publication, Publisher
from live.sfu.rtcp import KeyframeRequest, Nack, SenderReport, parse_rtcp, write_sr
from live.sfu.rtp import Rtp

KEPT = 1024
"""Packets kept of each publisher, for siblings that lost some."""

Resting = Mapping[str, Mapping[Source, tuple[str, ...]]]
"""By person and source, the rids of layers that nobody at a sibling wants (`StageNotice.idle`)."""


class Tap(Generic[P]):
    """Copies what siblings get.

    Attributes:
        taken: Copied since the last `drain`.
    """

    __slots__ = ("_kept", "_reported", "_resting", "taken")

    def __init__(self) -> None:
        """No siblings."""
        self._resting: dict[str, Resting] = {}
        self.taken: list[Relayed[P]] = []
        self._kept: dict[P, dict[tuple[int, int], Relayed[P]]] = {}
        self._reported: set[tuple[P, int]] = set()

    @property
    def on(self) -> bool:
        """There are siblings."""
        return bool(self._resting)

    def name(self, siblings: Iterable[str]) -> None:
        """Take the names of all siblings. One that is new wants everything until it says what rests."""
        self._resting = {name: self._resting.get(name, {}) for name in siblings}
        if not self._resting:
            self.forget()

    def rest(self, sibling: str, resting: Resting) -> None:
        """Take all that nobody at a sibling wants; of a stranger it counts for nothing."""
        if sibling in self._resting:
            self._resting[sibling] = resting

    def wants(self, spec: PublicationSpec, rid: str | None) -> bool:
        """Whether somebody at a sibling wants a layer, or may, for all that is known."""
        return any(
            (rid or "") not in resting.get(spec.owner, {}).get(spec.source, ())
            for resting in self._resting.values()
        )

    def take(self, peer: P, ssrc: int, sequence: int, packet: bytes, stream: Stream) -> None:
        """Hand on an RTP packet that everyone may see."""
        relayed = Relayed(peer, packet, stream)
        kept = self._kept.setdefault(peer, {})
        kept[ssrc, sequence] = relayed
        if len(kept) > KEPT:
            del kept[next(iter(kept))]
        self.taken.append(relayed)

    def report(self, peer: P, report: SenderReport) -> None:
        """Hand on a sender report of a stream that everyone may see."""
        self._reported.add((peer, report.ssrc))
        self.taken.append(Relayed(peer, write_sr(report), None))

    def reported(self, peer: P, ssrc: int) -> bool:
        """Whether every sibling had a report of a stream since it joined, and since the stream was hidden."""
        return (peer, ssrc) in self._reported

    def welcome(self) -> None:
        """A sibling joined, and had none."""
        self._reported.clear()

    def again(self, peer: P, ssrc: int, sequence: int) -> bool:
        """Hand on once more what a sibling lost; False if it is gone, or was never to leave."""
        relayed = self._kept.get(peer, {}).get((ssrc, sequence))
        if relayed is not None:
            self.taken.append(relayed)
        return relayed is not None

    def forget(self, peer: P | None = None) -> None:
        """Nothing of a publisher, or of all, is handed on again: it left, or somebody was hidden."""
        if peer is None:
            self._kept.clear()
            self._reported.clear()
            self.taken.clear()
        else:
            self._kept.pop(peer, None)
            self._reported = {stream for stream in self._reported if stream[0] is not peer}

    def drain(self) -> list[Relayed[P]]:
        """Take what was copied."""
        taken, self.taken = self.taken, []
        return taken


class Siblings(Generic[P]):
    """The other routers of a room that is too large for one: this one is its home."""

    def __init__(
        self,
        publishers: Mapping[P, Publisher[P]],
        publications: Mapping[str, Publication[P]],
        asking: Asking[P],
        outbox: Outbox[P],
    ) -> None:
        """None yet; what they want is asked of these publishers."""
        self._publishers = publishers
        self._publications = publications
        self._asking = asking
        self._outbox = outbox
        self._tap: Tap[P] = Tap()

    # -- the owner's calls ---------------------------------------------------------------------------------

    def name(self, siblings: Iterable[str]) -> None:
        """Copy what everyone may see into ``Outputs.relayed`` for these; for none: no longer."""
        self._tap.name(siblings)

    def welcome(self) -> None:
        """One joined: it gets every stream's sender report as soon as it knows the stream."""
        self._tap.welcome()

    def rest(self, sibling: str, resting: Resting, now: float) -> None:
        """Take what rests at one of them: its ``StageNotice.idle``, whole each time."""
        self._tap.rest(sibling, resting)
        self.weigh(now)

    def receive(self, peer: P, data: bytes, now: float) -> None:
        """Take what they ask of a publisher: keyframes, and packets that were lost on the way to them."""
        publisher = self._publishers.get(peer)
        if publisher is None:
            return
        try:
            values = parse_rtcp(data)
        except Malformed:
            self._outbox.counts["malformed"] += 1
            return
        for value in values:
            if isinstance(value, KeyframeRequest) and value.media in publisher.streams:
                layer = publisher.streams[value.media][0]
                if layer.publication.audience is Audience.EVERYONE:
                    layer.keyframes.want(now, newcomer=True)
            elif isinstance(value, Nack):
                for sequence in value.sequences:
                    self._outbox.counts["relayed_again"] += self._tap.again(peer, value.media, sequence)
        self._asking.for_keyframes(now)

    # -- the router's --------------------------------------------------------------------------------------

    @property
    def present(self) -> bool:
        """There are any."""
        return self._tap.on

    def copy(
        self, publisher: Publisher[P], layer: Layer[P], rtp: Rtp, data: bytes, now: float, *, repair: bool
    ) -> None:
        """Hand on a packet that everyone may see, and what its stream's last sender report means now."""
        name = Stream(layer.publication.spec.id, layer.rid, repair)
        self._tap.take(publisher.peer, rtp.ssrc, rtp.sequence, data, name)
        if repair or self._tap.reported(publisher.peer, rtp.ssrc):
            return
        timestamp, skew = layer.timeline.timestamp(now), publisher.skew.seconds
        if timestamp is not None and skew is not None and layer.ssrc is not None:
            ntp = int((now - skew) * (1 << 32))
            self.report(publisher, SenderReport(layer.ssrc, ntp, timestamp & TIMESTAMP, 0, 0))

    def report(self, publisher: Publisher[P], report: SenderReport) -> None:
        """Hand on the sender report of a stream that everyone may see."""
        self._tap.report(publisher.peer, report)

    def weigh(self, now: float) -> None:
        """They may want what everyone may see; who has to be told that a layer is wanted again, is."""
        for publication in self._publications.values():
            if publication.spec.kind == "video" and publication.audience is Audience.EVERYONE:
                for layer in publication.layers:
                    if self._tap.wants(publication.spec, layer.rid) and layer.demand.want(now):
                        self._outbox.changed = True

    def forget(self, peer: P | None = None) -> None:
        """Nothing of a publisher, or of all, is handed on again: it left, or somebody was hidden."""
        self._tap.forget(peer)

    def drain(self) -> list[Relayed[P]]:
        """Take what was copied."""
        return self._tap.drain()
