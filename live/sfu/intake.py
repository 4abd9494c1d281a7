"""What publishers send: every packet finds its layer, and from there its viewers and the siblings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Generic

from live.sfu.contract import AUDIO_LEVEL, TRANSPORT_CC, Audience, Malformed, P, Stream
from live.sfu.layer import Layer
from live.sfu.outbox import Outbox
from live.sfu.publication import Publication, Publisher
from live.sfu.relay import Siblings
from live.sfu.rtcp import SenderReport
from live.sfu.rtp import Rtp, parse_rtp
from live.sfu.serving import Serving
from live.sfu.speakers import UNKNOWN
from live.sfu.turns import Turns
from live.sfu.viewer import Viewer

_SPEECH_BYTES: Final = 20
"""Sound without a level extension counts as speech from this payload size on."""


class Intake(Generic[P]):
    """Takes packets and reports of publishers.

    Attributes:
        midframe: The newest packet of a picture was not its last: the next one should follow at once.
    """

    def __init__(
        self,
        viewers: Mapping[P, Viewer[P]],
        serving: Serving[P],
        turns: Turns[P],
        siblings: Siblings[P],
        outbox: Outbox[P],
    ) -> None:
        """Feed these viewers."""
        self.midframe = False
        self._viewers = viewers
        self._serving = serving
        self._voices = serving.stage.voices
        self._turns = turns
        self._siblings = siblings
        self._outbox = outbox

    def packet(self, publisher: Publisher[P], data: bytes, now: float, named: Stream | None) -> None:
        """Take one unprotected RTP packet; `named`: a home says which stream it belongs to."""
        counts = self._outbox.counts
        if not publisher.may_send(len(data), now):
            counts["over_cap"] += 1
            return
        try:
            rtp = parse_rtp(data)
            stream = publisher.streams.get(rtp.ssrc) or self._learn(publisher, rtp, now, named)
            publisher.seen = now
            if stream is None:
                counts["unknown_ssrc"] += 1
                return
            layer, repair = stream
            self._note_arrival(publisher, layer.publication, rtp, now)
            if repair:
                self._repair(layer, rtp, now)
            else:
                self._outbox.fanouts += layer.receive(rtp, now)
                if layer.publication.spec.kind == "video":
                    self.midframe = not rtp.marker
            if self._siblings.present and layer.publication.audience is Audience.EVERYONE:
                self._siblings.copy(publisher, layer, rtp, data, now, repair=repair)
        except Malformed:
            counts["malformed"] += 1
            return
        counts["received"] += 1
        if layer.begun:
            self._begin(layer)

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
                self._voices.heard(source.spec.owner, level[0] & 0x7F)
            elif len(rtp.payload) >= _SPEECH_BYTES:
                self._voices.heard(source.spec.owner, UNKNOWN)

    def _repair(self, layer: Layer[P], rtp: Rtp, now: float) -> None:
        """Unwrap RTX (RFC 4588 §4); padding probes carry nothing."""
        codec = layer.publication.repairs.get(rtp.pt)
        if codec is None or len(rtp.payload) < 2:  # noqa: PLR2004  the original sequence number
            return
        sequence = int.from_bytes(rtp.payload[:2])
        rtp.payload = rtp.payload[2:]
        rtp.pt = codec.pt
        self._outbox.counts["repaired"] += 1
        self._outbox.fanouts += layer.repair(rtp, sequence, now)

    def _begin(self, layer: Layer[P]) -> None:
        """Slots have begun to show a layer: they need its report at once, and have waited so long."""
        begun, layer.begun = layer.begun, []
        self._turns.hasten(d.peer for d in begun)
        waits = [d.waited for d in begun if d.waited is not None and d.slot.kind == "video"]
        self._outbox.counts["switches"] += len(waits)
        self._outbox.counts["switch_ms"] += round(1000 * sum(waits))

    def report(self, publisher: Publisher[P], report: SenderReport, now: float) -> None:
        """Take a sender report: by it viewers' timestamps are mapped."""
        stream = publisher.streams.get(report.ssrc)
        if stream is None or stream[1] or not report.ntp:
            return
        layer = stream[0]
        first = layer.timeline.timestamp(now) is None
        layer.reception.sender_report(report, now)
        layer.timeline.report(report)
        publisher.skew.report(report.ntp, now)
        if self._siblings.present and layer.publication.audience is Audience.EVERYONE:
            self._siblings.report(publisher, report)
        if first:
            self._turns.hasten(d.peer for d in layer.downtracks())
