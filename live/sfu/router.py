"""One room's stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Generic

from live.sfu.answering import Answering
from live.sfu.asking import Asking
from live.sfu.contract import (
    Audience,
    Malformed,
    Outputs,
    P,
    PublicationSpec,
    Slot,
    Source,
    StageNotice,
    Stream,
    Tier,
)
from live.sfu.intake import Intake
from live.sfu.layer import Layer
from live.sfu.measures import LineMeasure, StreamMeasure, measure
from live.sfu.outbox import Outbox
from live.sfu.publication import ACTIVE, Publication, Publisher
from live.sfu.quality import GOOD, LOST
from live.sfu.relay import Siblings
from live.sfu.reporting import Reporting
from live.sfu.rtcp import SenderReport, parse_rtcp
from live.sfu.seating import Claim
from live.sfu.serving import Serving
from live.sfu.stage import Facts, Stage
from live.sfu.turns import Turns
from live.sfu.viewer import Viewer

TICK: Final = 0.1
"""Seconds between transport feedback, speaker decisions and sender reports."""
_SECOND: Final = 10
"""Ticks between receiver reports, measurements and allocations."""


class Router(Generic[P]):
    """Publications, viewers and who may see whom; see the package for how to drive it.

    Attributes:
        siblings: The other routers of a room that is too large for this one.
    """

    def __init__(
        self,
        video_seats: int = 6,
        audio_seats: int = 6,
        ssrc: int = 1,
        cname: str = "madoi",
        *,
        viewer_most: float = float("inf"),
        publisher_most: float = float("inf"),
        transport_wide: bool = False,
    ) -> None:
        """An empty stage with closed curtain.

        Args:
            video_seats: Number of camera seats, ``v0`` upwards.
            audio_seats: Number of sound seats, ``a0`` upwards.
            ssrc: Our own SSRC as an RTCP sender; no stream may use it.
            cname: CNAME in the reports to viewers.
            viewer_most: Bits per second that one viewer is sent at most.
            publisher_most: Bits per second taken from one publisher at most.
            transport_wide: Number every viewer's packets, not only those of viewers whose line is limited.
        """
        self._viewer_most = viewer_most
        self._publisher_most = publisher_most
        self._cname = cname
        self._revision = 0
        self._publishers: dict[P, Publisher[P]] = {}
        self._publications: dict[str, Publication[P]] = {}
        self._viewers: dict[P, Viewer[P]] = {}
        self._vanished: set[str] = set()
        self._active: dict[Layer[P], tuple[bool, int]] = {}
        self._ticks = 0
        self._tick_at: float | None = None
        self._notice = StageNotice({}, None, None, {}, frozenset())
        self._outbox: Outbox[P] = Outbox()
        self._stage: Stage[P] = Stage(video_seats, audio_seats)
        self._serving = Serving(self._stage, transport_wide=transport_wide)
        self._asking = Asking(self._publications, self._outbox, ssrc)
        self._answering = Answering(self._serving, self._asking, self._outbox)
        self._turns = Turns(self._viewers, self._serving, self._outbox)
        self._reporting = Reporting(self._publishers, self._publications, self._outbox, ssrc)
        self.siblings = Siblings(self._publishers, self._publications, self._asking, self._outbox)
        self._intake = Intake(self._viewers, self._serving, self._turns, self.siblings, self._outbox)

    @property
    def midframe(self) -> bool:
        """The newest packet of a picture was not its last: the next one should follow at once."""
        return self._intake.midframe

    # -- the owner's calls ---------------------------------------------------------------------------------

    def publish(self, peer: P, spec: PublicationSpec, now: float) -> None:
        """Take a publication; the owner's older one of the same source and kind ends.

        Raises:
            ValueError: The id is in use, or there is no codec.
        """
        if spec.id in self._publications:
            raise ValueError("the publication id is in use")
        older = self._stage.publications.get((spec.owner, spec.source, spec.kind))
        if older is not None:
            self._forget(older)
        publisher = self._publishers.get(peer)
        if publisher is None:
            publisher = self._publishers[peer] = Publisher(peer, now, self._publisher_most)
        publication = publisher.add(spec)
        self._publications[spec.id] = publication
        self._stage.publications[spec.owner, spec.source, spec.kind] = publication
        self._vanished.discard(spec.owner)
        self._settle(now)

    def unpublish(self, publication: str, now: float) -> None:
        """End a publication on purpose; an unknown id is no mistake."""
        found = self._publications.get(publication)
        if found is not None:
            self._forget(found)
            self._settle(now)

    def watch(
        self, peer: P, person: str, behind: bool, slots: Sequence[Slot], now: float, *, tier: Tier = "video"
    ) -> None:
        """Let a peer receive; asked again, it replaces the slots, keeping the numbering of equal ones.

        Raises:
            ValueError: Two slots share an SSRC.
        """
        viewer = self._viewers.get(peer)
        if viewer is None:
            viewer = Viewer(peer, person, now, self._cname, self._viewer_most)
        gone = viewer.take(slots)
        if peer not in self._viewers:
            self._viewers[peer] = viewer
            self._turns.join(viewer)
        viewer.person, viewer.behind, viewer.tier = person, behind, tier
        for downtrack in gone:
            self._serving.stop(downtrack)
        self._serving.serve(viewer, now)
        self._serving.purge(viewer)
        self._wake(now)
        self._asking.for_keyframes(now)

    def choose(self, peer: P, tier: Tier, now: float) -> None:
        """Let a viewer receive so much and no more; what it leaves out stops with this call."""
        viewer = self._viewers.get(peer)
        if viewer is None or viewer.tier == tier:
            return
        viewer.tier = tier
        self._serving.serve(viewer, now)
        self._serving.purge(viewer)
        self._outbox.hidden += [
            (name, peer) for name, p in self._publications.items() if not self._stage.may_see(viewer, p)
        ]
        self._asking.for_keyframes(now)

    def leave(self, peer: P, now: float) -> None:
        """Forget a peer and all it published and watched.

        Its person counts as away while placed, unless a camera or microphone of theirs is still here.
        """
        viewer = self._viewers.pop(peer, None)
        if viewer is not None:
            for downtrack in viewer.downtracks:
                self._serving.stop(downtrack)
            self._serving.busy.pop(peer, None)
            self._turns.leave(viewer)
        publisher = self._publishers.pop(peer, None)
        self.siblings.forget(peer)
        if publisher is not None:
            for publication in list(publisher.publications.values()):
                publisher.remove(publication)
                self._publications.pop(publication.spec.id)
                self._withdraw(publication)
                if not self._stage.shows(publication.spec.owner):
                    self._vanished.add(publication.spec.owner)
            self._settle(now)

    def set_stage(
        self,
        *,
        open: bool,  # noqa: A002  the curtain's word
        on_stage: Iterable[str],
        backstage: Iterable[str],
        muted: Mapping[str, Iterable[Source]],
        veiled: bool,
        now: float,
        revision: int = 0,
    ) -> bool:
        """Take the whole truth about the stage; what must not leave stops with this call.

        Facts of an older revision than those known are ignored: they took a longer way. Tells whether these
        hold now.
        """
        if revision < self._revision:
            return False
        self._revision = revision
        silenced = {person: frozenset(sources) for person, sources in muted.items()}
        self._stage.facts = Facts(open, frozenset(on_stage), frozenset(backstage), silenced, veiled)
        self._settle(now)
        return True

    def seats(self) -> dict[str, Claim]:
        """Who sits where: what siblings take by `take_seats`."""
        return self._stage.seats()

    def take_seats(self, holders: Mapping[str, Claim] | None, now: float) -> None:
        """Let everybody sit as the room's home says; None: this router decides from now on."""
        self._stage.take_seats(holders)
        self._settle(now)

    def receive_rtp(self, peer: P, data: bytes, now: float, named: Stream | None = None) -> None:
        """Take one unprotected RTP packet of a publisher; `named`: a home says which stream it belongs to."""
        publisher = self._publishers.get(peer)
        if publisher is None:
            self._outbox.counts["unknown_peer"] += 1
            return
        self._intake.packet(publisher, data, now, named)

    def receive_rtcp(self, peer: P, data: bytes, now: float) -> bool:
        """Take one unprotected RTCP compound of a publisher or viewer.

        Tells whether anything may have come of it: outputs, or an earlier timer. Of most reports none does.
        """
        publisher = self._publishers.get(peer)
        viewer = self._viewers.get(peer)
        try:
            values = parse_rtcp(data)
        except Malformed:
            self._outbox.counts["malformed"] += 1
            return False
        if publisher is not None:
            publisher.seen = now
        matters = False
        for value in values:
            if isinstance(value, SenderReport):
                if publisher is not None:
                    self._intake.report(publisher, value, now)
                    matters = True
            elif viewer is not None:
                matters |= self._answering.answer(viewer, value, now)
        return matters

    def next_timer(self, now: float) -> float | None:
        """When `handle_timer` should be called next (seconds on the same clock), None if never."""
        if self._tick_at is None:
            return None
        return max(now, self._asking.due(self._turns.due(self._tick_at)))

    def handle_timer(self, now: float) -> None:
        """Do what is due: feedback, reports, active speaker, layers, away; early calls do no harm."""
        self._asking.for_packets(now)
        self._asking.for_keyframes(now)
        self._turns.pad(now)
        if self._tick_at is not None and now >= self._tick_at:
            self._tick_at = now + TICK
            self._tick(now)
            if not self._publishers and not self._viewers:
                self._tick_at = None

    def drain(self) -> Outputs[P]:
        """Take the outputs since the last call."""
        if self._serving.woken:
            self._serving.woken, self._outbox.changed = False, True
        box = self._outbox
        notice = self._news() if box.changed else None
        out = Outputs(box.fanouts, box.rtcp, notice, self.siblings.drain(), box.hidden)
        box.empty()
        return out

    def lines(self, now: float) -> list[LineMeasure]:
        """How every publishing person's line is doing."""
        trips = {v.person: v.round_trip for v in self._viewers.values() if v.round_trip is not None}
        found: dict[str, list[StreamMeasure]] = {}
        for publication in self._publications.values():
            streams = found.setdefault(publication.spec.owner, [])
            streams += [measure(layer) for layer in publication.layers if now - layer.seen < ACTIVE]
        quality = self._reporting.lines.quality
        return [
            LineMeasure(person, quality.get(person, GOOD), trips.get(person), tuple(streams))
            for person, streams in found.items()
        ]

    def stats(self) -> dict[str, int]:
        """Counters since the start (``malformed``, ``unknown_ssrc``, ``nacks_answered`` …) and gauges."""
        gauges = {
            "publications": len(self._publications),
            "viewers": len(self._viewers),
            "layers": sum(len(p.layers) for p in self._publications.values()),
            "pauses": self._serving.pauses,
            "bitrate_in": int(sum(layer.rate for layer in self._asking.layers())),
        }
        return {**self._outbox.counts, **gauges}

    # -- who sees what -------------------------------------------------------------------------------------

    def _forget(self, publication: Publication[P]) -> None:
        """End a publication; a peer that publishes nothing more is no publisher."""
        self._publications.pop(publication.spec.id, None)
        publisher = self._publishers.get(publication.peer)
        if publisher is not None:
            publisher.remove(publication)
            if not publisher.publications:
                del self._publishers[publication.peer]
        self._withdraw(publication)

    def _withdraw(self, publication: Publication[P]) -> None:
        spec = publication.spec
        publication.hide(Audience.NOBODY)
        self._outbox.hidden.append((spec.id, None))
        if self._stage.publications.get((spec.owner, spec.source, spec.kind)) is publication:
            del self._stage.publications[spec.owner, spec.source, spec.kind]
        if spec.source == "microphone":
            self._stage.voices.forget(spec.owner)

    def _settle(self, now: float) -> None:
        """Seats, audiences and every viewer's slots, after anything about the stage has changed."""
        seats, hidden = self._stage.settle()
        self._outbox.hidden += [(publication.spec.id, None) for publication in hidden]
        if hidden:
            self.siblings.forget()
        self._stage.decide(now)
        self._vanished &= self._stage.facts.on_stage | self._stage.facts.backstage
        for viewer in self._viewers.values():
            self._serving.serve(viewer, now, seats)
            if hidden:
                self._serving.purge(viewer, hidden)
        self._turns.soon(limited=True)
        self._wake(now)
        self._asking.for_keyframes(now)
        self._outbox.changed = True

    # -- by the clock --------------------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        if self._tick_at is None:
            self._tick_at = now + TICK

    def _tick(self, now: float) -> None:
        self._ticks += 1
        self._reporting.arrivals()
        moved = self._stage.listen(now)
        self._note_activity(now)
        if moved:
            self._outbox.changed = True
            for viewer in self._viewers.values():
                self._serving.serve(viewer, now, ())
            self._turns.soon(limited=True)
        for viewer in list(self._serving.busy.values()):
            self._serving.grant(viewer, now)
        self._turns.report(now)
        if self._ticks % _SECOND == 0:
            self._each_second(now)
        self._turns.grant(now)
        self._asking.for_keyframes(now)

    def _note_activity(self, now: float) -> None:
        """Who is fed from a layer that fell silent gets another one at once; what has come back has time."""
        active = {
            x: (now - x.seen < p.patience, x.frames.active)
            for p in self._publications.values()
            for x in p.layers
        }
        if active == self._active:
            return
        silent = [x for x, (sent, _) in active.items() if not sent and self._active.get(x, (False, 0))[0]]
        self._active = active
        peers = {d.peer for layer in silent for d in [*layer.downtracks(), *layer.waiting]}
        for peer in peers & self._viewers.keys():
            self._serving.grant(self._viewers[peer], now)
        self._turns.soon()

    def _each_second(self, now: float) -> None:
        self._reporting.each_second(now)
        self._turns.soon()
        self._weigh_demand(now)
        self._outbox.changed = True

    def _weigh_demand(self, now: float) -> None:
        """Find layers that nobody wants, here or at a sibling."""
        self.siblings.weigh(now)
        for publication in self._publications.values():
            if publication.spec.kind == "video":
                for layer in publication.layers:
                    layer.demand.settle(now)

    def _news(self) -> StageNotice | None:
        stage = self._stage
        placed = stage.facts.on_stage | stage.facts.backstage
        lines = {person: value for person, value in self._reporting.lines.quality.items() if person in placed}
        away = frozenset(person for person, value in lines.items() if value == LOST) | self._vanished
        idle: dict[str, dict[Source, tuple[str, ...]]] = {}
        for publication in self._publications.values():
            if publication.spec.kind == "video" and publication.idle:
                idle.setdefault(publication.spec.owner, {})[publication.spec.source] = publication.idle
        notice = StageNotice(stage.slot_map(), stage.front.speaking, stage.rear.speaking, lines, away, idle)
        if notice == self._notice:
            return None
        self._notice = notice
        return notice
