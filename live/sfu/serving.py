"""What every slot of every viewer shows: its source, and the layer its line can carry."""

from __future__ import annotations

from typing import Generic

from live.sfu.allocation import allocate
from live.sfu.contract import LOUDEST, STAGE, P
from live.sfu.downtrack import Downtrack
from live.sfu.publication import Publication
from live.sfu.stage import Stage
from live.sfu.viewer import Viewer


class Serving(Generic[P]):
    """Turns and aims the slots of viewers by the stage.

    Attributes:
        stage: Whose publications are shown.
        pauses: Times a slot was paused because a line could not carry it.
    """

    def __init__(self, stage: Stage[P]) -> None:
        """Serve from `stage`."""
        self.stage = stage
        self.pauses = 0

    def purge(self, viewer: Viewer[P]) -> None:
        """What a viewer may no longer see is shown no further and not resent either."""
        for downtrack in viewer.downtracks:
            if downtrack.layer is not None and not self.stage.may_see(viewer, downtrack.layer.publication):
                downtrack.detach()
            for publication in {segment.layer.publication for segment in downtrack.segments}:
                if not self.stage.may_see(viewer, publication):
                    downtrack.forget(publication)

    def serve(self, viewer: Viewer[P], now: float, *, moving: bool = False) -> None:
        """Aim every slot of a viewer; `moving`: only those that follow a policy."""
        for downtrack in viewer.downtracks:
            if not moving or downtrack.slot.follows in (STAGE, LOUDEST):
                source = self.stage.source(viewer, downtrack.slot)
                if source is not downtrack.source:
                    self._turn(viewer, downtrack, source)
        self.grant(viewer, now)

    def _turn(self, viewer: Viewer[P], downtrack: Downtrack[P], source: Publication[P] | None) -> None:
        """Give a slot another source; a policy slot may show the old one until the new one begins."""
        downtrack.source = source
        layer = downtrack.layer
        stays = (
            source is not None
            and layer is not None
            and downtrack.slot.follows in (STAGE, LOUDEST)
            and self.stage.may_see(viewer, layer.publication)
        )
        if not stays:
            downtrack.detach()
        downtrack.unaim()

    def grant(self, viewer: Viewer[P], now: float) -> None:
        """Choose the layer of every slot by what the viewer's line carries."""
        video: list[Downtrack[P]] = []
        for downtrack in viewer.downtracks:
            if downtrack.source is None:
                continue
            if downtrack.slot.kind == "video":
                video.append(downtrack)
            else:
                downtrack.aim(downtrack.source.layers[-1].whole, now)
        if not video:
            return
        if viewer.line.estimate is None:  # no REMB: nothing to weigh
            for downtrack in video:
                if downtrack.source is not None:
                    downtrack.aim(downtrack.source.offers(now)[-1], now)
            return
        self._grant_by_estimate(viewer, video, now)

    def _grant_by_estimate(self, viewer: Viewer[P], video: list[Downtrack[P]], now: float) -> None:
        offers = [
            (self.stage.importance(viewer, d.source), place, d, d.source.offers(now))
            for place, d in enumerate(video)
            if d.source is not None
        ]
        offers.sort(key=lambda offer: offer[:2])
        sound = sum(
            d.source.layers[0].rate
            for d in viewer.downtracks
            if d.slot.kind == "audio" and d.source is not None
        )
        wishes = [[point.rate for point in points] for _, _, _, points in offers]
        grants, spending, next_step = allocate(viewer.line.budget() - sound, wishes, viewer.line.floor(now))
        viewer.line.granted(spending + sound, None if next_step is None else next_step + sound, now)
        for grant, (_, _, downtrack, points) in zip(grants, offers, strict=True):
            if grant is not None:
                downtrack.aim(points[grant], now)
            elif downtrack.layer is not None or downtrack.target is not None:
                self.pauses += 1
                downtrack.unaim()
                downtrack.detach()

    def stop(self, downtrack: Downtrack[P]) -> None:
        """Let a slot show nothing."""
        downtrack.source = None
        downtrack.unaim()
        downtrack.detach()
