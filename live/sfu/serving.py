"""What every slot of every viewer shows: its source, and the layer its line can carry."""

from __future__ import annotations

from collections.abc import Container
from typing import Generic

from live.sfu.allocation import allocate
from live.sfu.contract import LOUDEST, STAGE, P
from live.sfu.downtrack import Downtrack
from live.sfu.points import OperatingPoint
from live.sfu.publication import Publication
from live.sfu.stage import Stage
from live.sfu.viewer import Viewer


class Serving(Generic[P]):
    """Turns and aims the slots of viewers by the stage.

    Attributes:
        stage: Whose publications are shown.
        busy: Viewers whose line is just being tried for more.
        grants: Times a line was allocated.
        pauses: Times a slot was paused because a line could not carry it.
        transport_wide: Number everybody's packets, not only those of viewers whose line is limited.
        woken: A layer that was idle is wanted: its publisher has to be told.
    """

    def __init__(self, stage: Stage[P], *, transport_wide: bool = False) -> None:
        """Serve from `stage`."""
        self.stage = stage
        self.transport_wide = transport_wide
        self.pauses = self.grants = 0
        self.busy: dict[P, Viewer[P]] = {}
        self.woken = False

    def purge(self, viewer: Viewer[P], hidden: Container[Publication[P]] | None = None) -> None:
        """What a viewer may no longer see is shown and resent no further; `hidden`: only that can be it."""
        for downtrack in viewer.downtracks:
            shown = {segment.layer.publication for segment in downtrack.segments}
            for publication in shown:
                if (hidden is None or publication in hidden) and not self.stage.may_see(viewer, publication):
                    if downtrack.layer is not None and downtrack.layer.publication is publication:
                        downtrack.detach()
                    downtrack.forget(publication)

    def serve(self, viewer: Viewer[P], now: float, seats: Container[str] | None = None) -> None:
        """Aim the slots of a viewer that follow a policy or one of `seats`; None: all of them."""
        turned = False
        for downtrack in viewer.downtracks:
            follows = downtrack.slot.follows
            if seats is None or follows in seats or follows in (STAGE, LOUDEST):
                source = self.stage.source(viewer, downtrack.slot)
                if source is not downtrack.source:
                    self._turn(viewer, downtrack, source)
                    turned = turned or (source is not None and source.spec.kind == "video")
                    if source is not None and source.spec.kind == "audio":
                        downtrack.aim(source.layers[-1].whole, now)
        if turned or seats is None:
            self.grant(viewer, now)

    def begin(self, viewer: Viewer[P], publication: Publication[P], now: float) -> None:
        """Aim the slots of a viewer that show a publication of which a stream has just become known."""
        shown = [d for d in viewer.downtracks if d.source is publication]
        if publication.spec.kind == "video" and shown:
            self.grant(viewer, now)
            return
        for downtrack in shown:
            downtrack.aim(publication.layers[-1].whole, now)

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
        self.grants += 1
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
        again = self._spend(viewer, video, now)
        if again:
            self._spend(viewer, video, now)
        if viewer.line.busy:
            self.busy[viewer.peer] = viewer
        else:
            self.busy.pop(viewer.peer, None)
        viewer.number(self.transport_wide or viewer.line.limited, now)

    def _spend(self, viewer: Viewer[P], video: list[Downtrack[P]], now: float) -> bool:
        """Grant by what the line carries; True if a step up has just been allowed."""
        line = viewer.line
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
        shown = sum(x.rate for _, _, d, _ in offers if (x := d.target or d.point) is not None)
        firm = sum(importance == 0 for importance, _, _, _ in offers)
        grants, spending, next_step = allocate(
            line.budget(shown + sound) - sound, wishes, line.floor(now), firm
        )
        again = line.granted(spending + sound, None if next_step is None else next_step + sound, now)
        for grant, (_, _, downtrack, points) in zip(grants, offers, strict=True):
            if grant is not None and downtrack.source is not None:
                self._show(downtrack, downtrack.source, points, grant, now)
            elif downtrack.layer is not None or downtrack.target is not None:
                self.pauses += 1
                downtrack.unaim()
                downtrack.detach()
        return again

    def _show(
        self,
        downtrack: Downtrack[P],
        source: Publication[P],
        points: list[OperatingPoint[P]],
        choice: int,
        now: float,
    ) -> None:
        """Aim at what was chosen, or next to it while it is not sent: nobody waits for a layer to wake."""
        layer = points[choice].layer
        self.woken = source.want(layer, now, best=choice == len(points) - 1) or self.woken
        sent = [n for n, point in enumerate(points) if source.sent(point.layer, now)]
        if sent and choice not in sent:
            choice = max((n for n in sent if n < choice), default=sent[0])
        downtrack.aim(points[choice], now)

    def stop(self, downtrack: Downtrack[P]) -> None:
        """Let a slot show nothing."""
        downtrack.source = None
        downtrack.unaim()
        downtrack.detach()
