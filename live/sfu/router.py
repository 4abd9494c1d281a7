"""One room's stage."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Generic

from live.sfu.contract import (
    AUDIO_LEVEL,
    TRANSPORT_CC,
    Audience,
    Fanout,
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
from live.sfu.downtrack import Downtrack
from live.sfu.layer import Layer
from live.sfu.measures import LineMeasure, StreamMeasure, measure
from live.sfu.numbers import SEQUENCE, TIMESTAMP
from live.sfu.publication import ACTIVE, Publication, Publisher
from live.sfu.quality import AWAY, GOOD, LOST, Lines, grade
from live.sfu.relay import Resting, Tap
from live.sfu.rtcp import (
    Feedback,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    Remb,
    ReportBlock,
    SenderReport,
    TransportWide,
    parse_rtcp,
    write_nack,
    write_pli,
    write_rr,
)
from live.sfu.rtp import Rtp, parse_rtp
from live.sfu.seating import Claim
from live.sfu.serving import Serving
from live.sfu.speakers import UNKNOWN
from live.sfu.stage import Facts, Stage
from live.sfu.timeline import round_trip
from live.sfu.twcc import parse_feedback
from live.sfu.viewer import REPORT, Viewer

TICK = 0.1
"""Seconds between transport feedback, speaker decisions and sender reports."""
AGAIN = 0.02
"""Seconds, if not a round trip, before the same packet is resent again: the first may still be on its way."""
MISS = 40
"""Bytes of the allowance for resends that a packet costs which is gone: looking for it is not free."""
PAD = 0.02
"""Seconds between padding packets of a probe: small enough not to be a burst."""
_SECOND = 10
"""Ticks between receiver reports, measurements and allocations."""
AT_ONCE = 50
"""Viewers whose lines are allocated anew in one tick; a tenth of all, where that is more."""
_SPEECH_BYTES = 20
"""Sound without a level extension counts as speech from this payload size on."""


class Router(Generic[P]):
    """Publications, viewers and who may see whom; see the package for how to drive it.

    Attributes:
        midframe: The newest packet of a picture was not its last: the next one should follow at once.
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
        self.midframe = False
        self._ssrc = ssrc
        self._cname = cname
        self._stage: Stage[P] = Stage(video_seats, audio_seats)
        self._serving: Serving[P] = Serving(self._stage, transport_wide=transport_wide)
        self._viewer_most = viewer_most
        self._publisher_most = publisher_most
        self._tap: Tap[P] = Tap()
        self._revision = 0
        self._publishers: dict[P, Publisher[P]] = {}
        self._publications: dict[str, Publication[P]] = {}
        self._viewers: dict[P, Viewer[P]] = {}
        self._reports: deque[Viewer[P]] = deque()
        self._hasty: set[P] = set()
        self._due: dict[Viewer[P], None] = {}
        self._vanished: set[str] = set()
        self._lines = Lines()
        self._counts: Counter[str] = Counter()
        self._ticks = 0
        self._tick_at: float | None = None
        self._pad_at = 0.0
        self._fanouts: list[Fanout[P]] = []
        self._rtcp: list[tuple[P, bytes]] = []
        self._hidden: list[tuple[str, P | None]] = []
        self._notice = StageNotice({}, None, None, {}, frozenset())
        self._changed = False
        self._active: dict[Layer[P], tuple[bool, int]] = {}

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
            self._reports.append(viewer)
        viewer.person, viewer.behind, viewer.tier = person, behind, tier
        for downtrack in gone:
            self._serving.stop(downtrack)
        self._serving.serve(viewer, now)
        self._serving.purge(viewer)
        self._wake(now)
        self._ask_keyframes(now)

    def choose(self, peer: P, tier: Tier, now: float) -> None:
        """Let a viewer receive so much and no more; what it leaves out stops with this call."""
        viewer = self._viewers.get(peer)
        if viewer is None or viewer.tier == tier:
            return
        viewer.tier = tier
        self._serving.serve(viewer, now)
        self._serving.purge(viewer)
        self._hidden += [
            (name, peer) for name, p in self._publications.items() if not self._stage.may_see(viewer, p)
        ]
        self._ask_keyframes(now)

    def leave(self, peer: P, now: float) -> None:
        """Forget a peer and all it published and watched.

        Its person counts as away while placed, unless a camera or microphone of theirs is still here.
        """
        viewer = self._viewers.pop(peer, None)
        if viewer is not None:
            for downtrack in viewer.downtracks:
                self._serving.stop(downtrack)
            self._serving.busy.pop(peer, None)
            self._reports.remove(viewer)
            self._due.pop(viewer, None)
            self._hasty.discard(peer)
        publisher = self._publishers.pop(peer, None)
        self._tap.forget(peer)
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

    def relay(self, siblings: Iterable[str]) -> None:
        """Copy what everyone may see into ``Outputs.relayed`` for these siblings; for none: no longer."""
        self._tap.name(siblings)

    def welcome_sibling(self) -> None:
        """A sibling joined: it gets every stream's sender report as soon as it knows the stream."""
        self._tap.welcome()

    def rest_at_sibling(self, sibling: str, resting: Resting, now: float) -> None:
        """Take what rests at a sibling: its ``StageNotice.idle``, whole each time."""
        self._tap.rest(sibling, resting)
        self._weigh_siblings(now)

    def receive_from_sibling(self, peer: P, data: bytes, now: float) -> None:
        """Take what a sibling asks of a publisher: keyframes, and packets that it lost on the way."""
        publisher = self._publishers.get(peer)
        if publisher is None:
            return
        try:
            values = parse_rtcp(data)
        except Malformed:
            self._counts["malformed"] += 1
            return
        for value in values:
            if isinstance(value, KeyframeRequest) and value.media in publisher.streams:
                layer = publisher.streams[value.media][0]
                if layer.publication.audience is Audience.EVERYONE:
                    layer.keyframes.want(now, newcomer=True)
            elif isinstance(value, Nack):
                for sequence in value.sequences:
                    self._counts["relayed_again"] += self._tap.again(peer, value.media, sequence)
        self._ask_keyframes(now)

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
            self._counts["unknown_peer"] += 1
            return
        if not publisher.may_send(len(data), now):
            self._counts["over_cap"] += 1
            return
        try:
            rtp = parse_rtp(data)
            stream = publisher.streams.get(rtp.ssrc) or self._learn(publisher, rtp, now, named)
            publisher.seen = now
            if stream is None:
                self._counts["unknown_ssrc"] += 1
                return
            layer, repair = stream
            self._note_arrival(publisher, layer.publication, rtp, now)
            if repair:
                self._repair(layer, rtp, now)
            else:
                self._fanouts += layer.receive(rtp, now)
                if layer.publication.spec.kind == "video":
                    self.midframe = not rtp.marker
            if self._tap.on and layer.publication.audience is Audience.EVERYONE:
                name = Stream(layer.publication.spec.id, layer.rid, repair)
                self._tap.take(peer, rtp.ssrc, rtp.sequence, data, name)
                if not repair and not self._tap.reported(peer, rtp.ssrc):
                    self._report_to_siblings(publisher, layer, now)
        except Malformed:
            self._counts["malformed"] += 1
            return
        self._counts["received"] += 1
        if layer.begun:
            self._hasty.update(d.peer for d in layer.begun)
            self._count_switches(layer.begun)
            layer.begun = []

    def _count_switches(self, begun: Sequence[Downtrack[P]]) -> None:
        waits = [d.waited for d in begun if d.waited is not None and d.slot.kind == "video"]
        self._counts["switches"] += len(waits)
        self._counts["switch_ms"] += round(1000 * sum(waits))

    def receive_rtcp(self, peer: P, data: bytes, now: float) -> bool:
        """Take one unprotected RTCP compound of a publisher or viewer.

        Tells whether anything may have come of it: outputs, or an earlier timer. Of most reports none does.
        """
        publisher = self._publishers.get(peer)
        viewer = self._viewers.get(peer)
        try:
            values = parse_rtcp(data)
        except Malformed:
            self._counts["malformed"] += 1
            return False
        if publisher is not None:
            publisher.seen = now
        matters = False
        for value in values:
            if isinstance(value, SenderReport):
                if publisher is not None:
                    self._sender_report(publisher, value, now)
                    matters = True
            elif viewer is not None:
                matters |= self._feedback(viewer, value, now)
        return matters

    def next_timer(self, now: float) -> float | None:
        """When `handle_timer` should be called next (seconds on the same clock), None if never."""
        if self._tick_at is None:
            return None
        due = self._tick_at if not self._serving.busy else min(self._tick_at, self._pad_at + PAD)
        for layer in self._layers():
            due = min(due, layer.losses.next_due, layer.keyframes.due)
        return max(due, now)

    def handle_timer(self, now: float) -> None:
        """Do what is due: feedback, reports, active speaker, layers, away; early calls do no harm."""
        for layer in self._layers():
            if layer.losses.next_due <= now:
                self._ask_again(layer, now)
        self._ask_keyframes(now)
        if self._serving.busy and now >= self._pad_at + PAD:
            self._pad(now)
        if self._tick_at is not None and now >= self._tick_at:
            self._tick_at = now + TICK
            self._tick(now)
            if not self._publishers and not self._viewers:
                self._tick_at = None

    def drain(self) -> Outputs[P]:
        """Take the outputs since the last call."""
        if self._serving.woken:
            self._serving.woken, self._changed = False, True
        notice = self._news() if self._changed else None
        out = Outputs(self._fanouts, self._rtcp, notice, self._tap.drain(), self._hidden)
        self._fanouts, self._rtcp, self._hidden, self._changed = [], [], [], False
        return out

    def lines(self, now: float) -> list[LineMeasure]:
        """How every publishing person's line is doing."""
        trips = {v.person: v.round_trip for v in self._viewers.values() if v.round_trip is not None}
        found: dict[str, list[StreamMeasure]] = {}
        for publication in self._publications.values():
            streams = found.setdefault(publication.spec.owner, [])
            streams += [measure(layer) for layer in publication.layers if now - layer.seen < ACTIVE]
        return [
            LineMeasure(person, self._lines.quality.get(person, GOOD), trips.get(person), tuple(streams))
            for person, streams in found.items()
        ]

    def stats(self) -> dict[str, int]:
        """Counters since the start (``malformed``, ``unknown_ssrc``, ``nacks_answered`` …) and gauges."""
        gauges = {
            "publications": len(self._publications),
            "viewers": len(self._viewers),
            "layers": sum(len(p.layers) for p in self._publications.values()),
            "pauses": self._serving.pauses,
            "bitrate_in": int(sum(layer.rate for layer in self._layers())),
        }
        return {**self._counts, **gauges}

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
        self._hidden.append((spec.id, None))
        if self._stage.publications.get((spec.owner, spec.source, spec.kind)) is publication:
            del self._stage.publications[spec.owner, spec.source, spec.kind]
        if spec.source == "microphone":
            self._stage.voices.forget(spec.owner)

    def _settle(self, now: float) -> None:
        """Seats, audiences and every viewer's slots, after anything about the stage has changed."""
        seats, hidden = self._stage.settle()
        self._hidden += [(publication.spec.id, None) for publication in hidden]
        if hidden:
            self._tap.forget()
        self._stage.decide(now)
        self._vanished &= self._stage.facts.on_stage | self._stage.facts.backstage
        for viewer in self._viewers.values():
            self._serving.serve(viewer, now, seats)
            if hidden:
                self._serving.purge(viewer, hidden)
        self._soon(limited=True)
        self._wake(now)
        self._ask_keyframes(now)
        self._changed = True

    # -- from publishers -----------------------------------------------------------------------------------

    def _layers(self) -> list[Layer[P]]:
        return [x for p in self._publications.values() for x in p.layers if x.ssrc is not None]

    def _learn(
        self, publisher: Publisher[P], rtp: Rtp, now: float, named: Stream | None
    ) -> tuple[Layer[P], bool] | None:
        stream = publisher.learn(rtp, now) if named is None else publisher.adopt(rtp.ssrc, named)
        if stream is not None:
            for viewer in self._viewers.values():
                self._serving.begin(viewer, stream[0].publication, now)
        return stream

    def _note_arrival(self, publisher: Publisher[P], source: Publication[P], rtp: Rtp, now: float) -> None:
        """Transport-wide number and audio level."""
        if not rtp.extensions:
            number = level = None
        else:
            ids = source.spec.extensions
            number = rtp.extensions.get(ids.get(TRANSPORT_CC, -1))
            level = rtp.extensions.get(ids.get(AUDIO_LEVEL, -1))
        if number is not None and len(number) >= 2:  # noqa: PLR2004  16 bits
            publisher.arrivals.note(int.from_bytes(number[:2]), now)
        if source.spec.source == "microphone" and source.audience is not Audience.NOBODY:
            if level:
                self._stage.voices.heard(source.spec.owner, level[0] & 0x7F)
            elif len(rtp.payload) >= _SPEECH_BYTES:
                self._stage.voices.heard(source.spec.owner, UNKNOWN)

    def _repair(self, layer: Layer[P], rtp: Rtp, now: float) -> None:
        """Unwrap RTX (RFC 4588 §4); padding probes carry nothing."""
        codec = layer.publication.repairs.get(rtp.pt)
        if codec is None or len(rtp.payload) < 2:  # noqa: PLR2004  the original sequence number
            return
        sequence = int.from_bytes(rtp.payload[:2])
        rtp.payload = rtp.payload[2:]
        rtp.pt = codec.pt
        self._counts["repaired"] += 1
        self._fanouts += layer.repair(rtp, sequence, now)

    def _sender_report(self, publisher: Publisher[P], report: SenderReport, now: float) -> None:
        stream = publisher.streams.get(report.ssrc)
        if stream is None or stream[1] or not report.ntp:
            return
        layer = stream[0]
        first = layer.timeline.timestamp(now) is None
        layer.reception.sender_report(report, now)
        layer.timeline.report(report)
        publisher.skew.report(report.ntp, now)
        if self._tap.on and layer.publication.audience is Audience.EVERYONE:
            self._tap.report(publisher.peer, report)
        if first:
            self._hasty.update(d.peer for d in layer.downtracks())

    def _report_to_siblings(self, publisher: Publisher[P], layer: Layer[P], now: float) -> None:
        """Hand on what the last sender report means now, to who joined after it or was not to have it."""
        timestamp, skew = layer.timeline.timestamp(now), publisher.skew.seconds
        if timestamp is not None and skew is not None and layer.ssrc is not None:
            ntp = int((now - skew) * (1 << 32))
            self._tap.report(publisher.peer, SenderReport(layer.ssrc, ntp, timestamp & TIMESTAMP, 0, 0))

    def _ask_again(self, layer: Layer[P], now: float) -> None:
        before = len(layer.losses)
        missing = layer.losses.due(now)
        if (
            len(layer.losses) < before and layer.publication.spec.kind == "video"
        ):  # given up: decoders stand still
            layer.keyframes.want(now, newcomer=False)
        if missing and layer.ssrc is not None:
            sequences = [number & SEQUENCE for number in missing]
            self._rtcp.append((layer.publication.peer, write_nack(self._ssrc, layer.ssrc, sequences)))
            self._counts["nacks_sent"] += len(missing)

    def _ask_keyframes(self, now: float) -> None:
        for layer in self._layers():
            if layer.keyframes.due <= now and layer.ssrc is not None and layer.keyframes.take(now):
                self._rtcp.append((layer.publication.peer, write_pli(self._ssrc, layer.ssrc)))
                self._counts["plis_sent"] += 1

    # -- from viewers --------------------------------------------------------------------------------------

    def _feedback(self, viewer: Viewer[P], value: Feedback, now: float) -> bool:
        """Do as a viewer says; tells whether anything may have come of it."""
        if isinstance(value, ReceiverReport):
            return self._receiver_report(viewer, value, now)
        if isinstance(value, Remb):
            self._counts["rembs"] += 1
            viewer.line.bandwidth.remb(value.bitrate, now)
            return self._judge(viewer, now)
        if isinstance(value, TransportWide):
            return self._transport_feedback(viewer, value, now)
        if isinstance(value, Nack):
            downtrack = viewer.tracks.get(value.media)
            if downtrack is not None:
                self._resend(viewer, downtrack, value.sequences, now)
        elif isinstance(value, KeyframeRequest):
            self._want_keyframe(viewer, viewer.tracks.get(value.media), now)
        return True

    def _receiver_report(self, viewer: Viewer[P], report: ReceiverReport, now: float) -> bool:
        sources = {}
        for block in report.blocks:
            downtrack = viewer.tracks.get(block.ssrc)
            if downtrack is not None:
                sources[block.ssrc] = downtrack.point
                seconds = round_trip(block.last_sr, block.delay, now)
                viewer.round_trip = viewer.round_trip if seconds is None else seconds
        line = viewer.line
        counted = viewer.counts.count(report.blocks, sources)
        measured = line.bandwidth.measured(now)
        lost = not measured and line.bandwidth.counted(*counted, line.spending, now)
        return lost and self._judge(viewer, now)

    def _transport_feedback(self, viewer: Viewer[P], value: TransportWide, now: float) -> bool:
        """Read only what was asked for: a viewer whose packets are not numbered has nothing to say here."""
        departures, line = viewer.departures, viewer.line
        if departures is None:
            return False
        self._counts["transport_feedbacks"] += 1
        try:
            arrived, lost = departures.told(parse_feedback(value.body))
        except Malformed:
            self._counts["malformed"] += 1
            return False
        if not arrived and not lost:
            return False
        line.bandwidth.counted(len(arrived), lost, line.spending, now)
        line.bandwidth.feedback(arrived, now)
        return self._judge(viewer, now)

    def _judge(self, viewer: Viewer[P], now: float) -> bool:
        """Weigh a viewer's line anew; tells whether that changed what it is granted."""
        if not viewer.line.judge(now, measured=viewer.line.bandwidth.measured(now)):
            return False
        self._serving.grant(viewer, now)
        self._ask_keyframes(now)
        return True

    def _resend(
        self, viewer: Viewer[P], downtrack: Downtrack[P], sequences: Sequence[int], now: float
    ) -> None:
        gone = False
        again = max(AGAIN, 0.9 * (viewer.round_trip or 0.0))
        for sequence in sequences:
            if not viewer.may_resend(now):
                self._counts["nacks_refused"] += 1
                break
            if not downtrack.due(sequence, again, now):
                self._counts["nacks_repeated"] += 1
                continue
            fanout = downtrack.resend(sequence, now)
            if fanout is None:
                viewer.resent(MISS)
                self._counts["nacks_missed"] += 1
                gone = True
            else:
                viewer.resent(len(fanout.body))
                self._counts["nacks_answered"] += 1
                self._fanouts.append(fanout)
        if gone and downtrack.layer is not None and not downtrack.layer.losses:
            self._want_keyframe(
                viewer, downtrack, now
            )  # older than the cache, as after an outage: only that helps

    def _want_keyframe(self, viewer: Viewer[P], downtrack: Downtrack[P] | None, now: float) -> None:
        """A decoder stands still; whoever asks too often joins the requests of others and makes none."""
        layer = None if downtrack is None else downtrack.layer
        if layer is None or layer.publication.spec.kind != "video" or layer.keyframes.asked:
            return
        if not viewer.may_ask_keyframe(now):
            self._counts["keyframes_refused"] += 1
            return
        layer.keyframes.want(now, newcomer=False)
        self._ask_keyframes(now)

    # -- by the clock --------------------------------------------------------------------------------------

    def _wake(self, now: float) -> None:
        if self._tick_at is None:
            self._tick_at = now + TICK

    def _tick(self, now: float) -> None:
        self._ticks += 1
        for publisher in self._publishers.values():
            own = next((x.ssrc for x, repair in publisher.streams.values() if not repair), None)
            if own is not None:
                packets = publisher.arrivals.feedback(self._ssrc, own)
                self._rtcp += [(publisher.peer, packet) for packet in packets]
        moved = self._stage.listen(now)
        self._note_activity(now)
        if moved:
            self._changed = True
            for viewer in self._viewers.values():
                self._serving.serve(viewer, now, ())
            self._soon(limited=True)
        for viewer in list(self._serving.busy.values()):
            self._serving.grant(viewer, now)
        self._report_to_viewers(now)
        if self._ticks % _SECOND == 0:
            self._each_second(now)
        self._grant_in_turn(now)
        self._ask_keyframes(now)

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
        self._soon()

    def _soon(self, *, limited: bool = False) -> None:
        """Allocate every line anew, a few in each tick; `limited`: those that cannot carry all, first."""
        if not limited:
            self._due |= dict.fromkeys(self._viewers.values())
        elif narrow := [viewer for viewer in self._viewers.values() if viewer.line.limited]:
            self._due = dict.fromkeys(narrow) | self._due

    def _grant_in_turn(self, now: float) -> None:
        """Everybody has a turn each second; a tenth a tick spreads them."""
        for viewer in list(islice(self._due, max(AT_ONCE, len(self._viewers) // _SECOND + 1))):
            del self._due[viewer]
            self._serving.grant(viewer, now)

    def _pad(self, now: float) -> None:
        """Send the padding of this moment's probes."""
        passed = min(2 * PAD, now - self._pad_at)
        self._pad_at = now
        for viewer in self._serving.busy.values():
            if not viewer.line.padding:
                continue
            shown = next((d for d in viewer.downtracks if d.pads and d.layer is not None), None)
            if shown is not None:
                packets = shown.padding(int(viewer.line.padding * passed / 8), now)
                self._counts["padding_sent"] += len(packets)
                self._fanouts += packets

    def _report_to_viewers(self, now: float) -> None:
        """The queue is in order of ``report_at``, as all wait equally long; a tenth a tick spreads them."""
        for peer in self._hasty:
            if (viewer := self._viewers.get(peer)) is not None and (report := viewer.reports(now)):
                self._rtcp.append((peer, report))
        self._hasty.clear()
        for _ in range(len(self._reports) // 10 + 1 if self._reports else 0):
            viewer = self._reports[0]
            if viewer.report_at > now:
                break
            self._reports.rotate(-1)
            report = viewer.reports(now)
            viewer.report_at = now + REPORT
            if report:
                self._rtcp.append((viewer.peer, report))

    def _each_second(self, now: float) -> None:
        grades: dict[str, int] = {}
        for publisher in self._publishers.values():
            blocks = self._report_to(publisher, now, grades)
            if blocks:
                self._rtcp.append((publisher.peer, write_rr(self._ssrc, blocks[:31])))
        for publication in self._publications.values():
            grades.setdefault(publication.spec.owner, LOST)
        for person, value in grades.items():
            self._lines.note(person, value)
        self._lines.keep(grades)
        self._soon()
        self._weigh_demand(now)
        self._changed = True

    def _weigh_demand(self, now: float) -> None:
        """Find layers that nobody wants, here or at a sibling."""
        self._weigh_siblings(now)
        for publication in self._publications.values():
            if publication.spec.kind == "video":
                for layer in publication.layers:
                    layer.demand.settle(now)

    def _weigh_siblings(self, now: float) -> None:
        """Siblings may want what everyone may see; who has to be told that a layer is wanted again, is."""
        for publication in self._publications.values():
            if publication.spec.kind == "video" and publication.audience is Audience.EVERYONE:
                for layer in publication.layers:
                    if self._tap.wants(publication.spec, layer.rid) and layer.demand.want(now):
                        self._changed = True

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
                grades.setdefault(owner, self._lines.quality.get(owner) or GOOD)
        return blocks

    def _news(self) -> StageNotice | None:
        stage = self._stage
        placed = stage.facts.on_stage | stage.facts.backstage
        lines = {person: value for person, value in self._lines.quality.items() if person in placed}
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
