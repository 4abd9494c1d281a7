"""What publishers are asked for: packets that were lost on the way here, and keyframes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic

from live.sfu.contract import P
from live.sfu.layer import Layer
from live.sfu.numbers import SEQUENCE
from live.sfu.outbox import Outbox
from live.sfu.publication import Publication
from live.sfu.rtcp import write_nack, write_pli


class Asking(Generic[P]):
    """Asks the publishers of a room."""

    def __init__(self, publications: Mapping[str, Publication[P]], outbox: Outbox[P], ssrc: int) -> None:
        """Ask as `ssrc` for what these publications miss."""
        self._publications = publications
        self._outbox = outbox
        self._ssrc = ssrc

    def layers(self) -> list[Layer[P]]:
        """Everything that has an SSRC by which it can be asked for."""
        return [x for p in self._publications.values() for x in p.layers if x.ssrc is not None]

    def due(self, at: float) -> float:
        """When something has to be asked for, if that is before `at`."""
        for layer in self.layers():
            at = min(at, layer.losses.next_due, layer.keyframes.due)
        return at

    def for_packets(self, now: float) -> None:
        """Ask again for what is missing; what is given up leaves decoders waiting for a keyframe."""
        for layer in self.layers():
            if layer.losses.next_due > now:
                continue
            before = len(layer.losses)
            missing = layer.losses.due(now)
            if len(layer.losses) < before and layer.publication.spec.kind == "video":
                layer.keyframes.want(now, newcomer=False)
            if missing and layer.ssrc is not None:
                sequences = [number & SEQUENCE for number in missing]
                nack = write_nack(self._ssrc, layer.ssrc, sequences)
                self._outbox.rtcp.append((layer.publication.peer, nack))
                self._outbox.counts["nacks_sent"] += len(missing)

    def for_keyframes(self, now: float) -> None:
        """Ask for the keyframes that are wanted and due."""
        for layer in self.layers():
            if layer.keyframes.due <= now and layer.ssrc is not None and layer.keyframes.take(now):
                self._outbox.rtcp.append((layer.publication.peer, write_pli(self._ssrc, layer.ssrc)))
                self._outbox.counts["plis_sent"] += 1
