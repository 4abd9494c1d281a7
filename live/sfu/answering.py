"""What viewers' feedback brings: a line weighed anew, packets once more, a keyframe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Generic

from live.sfu.asking import Asking
from live.sfu.contract import Malformed, P
from live.sfu.downtrack import Downtrack
from live.sfu.outbox import Outbox
from live.sfu.rtcp import Feedback, KeyframeRequest, Nack, ReceiverReport, Remb, TransportWide
from live.sfu.serving import Serving
from live.sfu.timeline import round_trip
from live.sfu.twcc import parse_feedback
from live.sfu.viewer import Viewer

AGAIN: Final = 0.02
"""Seconds, if not a round trip, before the same packet is resent again: the first may still be on its way."""
MISS: Final = 40
"""Bytes of the allowance for resends that a packet costs which is gone: looking for it is not free."""


class Answering(Generic[P]):
    """Answers viewers within what each may ask for: who asks too much loses only their own."""

    def __init__(self, serving: Serving[P], asking: Asking[P], outbox: Outbox[P]) -> None:
        """Turn slots by `serving`, hand keyframe requests to `asking`, resend into `outbox`."""
        self._serving = serving
        self._asking = asking
        self._outbox = outbox

    def answer(self, viewer: Viewer[P], value: Feedback, now: float) -> bool:
        """Do as a viewer says; tells whether anything may have come of it."""
        if isinstance(value, ReceiverReport):
            return self._receiver_report(viewer, value, now)
        if isinstance(value, Remb):
            self._outbox.counts["rembs"] += 1
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
        self._outbox.counts["transport_feedbacks"] += 1
        try:
            arrived, lost = departures.told(parse_feedback(value.body))
        except Malformed:
            self._outbox.counts["malformed"] += 1
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
        self._asking.for_keyframes(now)
        return True

    def _resend(
        self, viewer: Viewer[P], downtrack: Downtrack[P], sequences: Sequence[int], now: float
    ) -> None:
        counts = self._outbox.counts
        gone = False
        again = max(AGAIN, 0.9 * (viewer.round_trip or 0.0))
        for sequence in sequences:
            if not viewer.may_resend(now):
                counts["nacks_refused"] += 1
                break
            if not downtrack.due(sequence, again, now):
                counts["nacks_repeated"] += 1
                continue
            fanout = downtrack.resend(sequence, now)
            if fanout is None:
                viewer.resent(MISS)
                counts["nacks_missed"] += 1
                gone = True
            else:
                viewer.resent(len(fanout.body))
                counts["nacks_answered"] += 1
                self._outbox.fanouts.append(fanout)
        if gone and downtrack.layer is not None and not downtrack.layer.losses:
            # It is older than the cache, as after an outage: only a keyframe helps.
            self._want_keyframe(viewer, downtrack, now)

    def _want_keyframe(self, viewer: Viewer[P], downtrack: Downtrack[P] | None, now: float) -> None:
        """A decoder stands still; whoever asks too often joins the requests of others and makes none."""
        layer = None if downtrack is None else downtrack.layer
        if layer is None or layer.publication.spec.kind != "video" or layer.keyframes.asked:
            return
        if not viewer.may_ask_keyframe(now):
            self._outbox.counts["keyframes_refused"] += 1
            return
        layer.keyframes.want(now, newcomer=False)
        self._asking.for_keyframes(now)
