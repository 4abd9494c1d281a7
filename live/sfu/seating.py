"""Which person's which source sits in which seat: one plan for the whole room."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from live.sfu.contract import Kind, Source

SCREEN = "screen"
Claim = tuple[str, Source, Kind]
"""Person, source and kind: what a seat is held for."""


class Seating:
    """Seats ``v0``…, ``screen``, ``a0``…; taken as `_free` says, the lowest first, and kept over a reload.

    A seat kept for somebody who does not publish now is given away only when no other is free. Screen and
    screen sound are given back as soon as they end.
    """

    def __init__(self, video: int, audio: int) -> None:
        """All seats are free."""
        self._rows = {
            "camera": [f"v{i}" for i in range(video)],
            "screen": [SCREEN],
            "audio": [f"a{i}" for i in range(audio)],
        }
        self.holders: dict[str, Claim] = {}

    def seat(self, welcome: Collection[str], publishing: Iterable[Claim]) -> None:
        """Take the present truth: who may sit, and what is being published, in order of arrival."""
        claims = [c for c in publishing if c[0] in welcome]
        self.holders = {
            seat: claim
            for seat, claim in self.holders.items()
            if claim[0] in welcome and (claim in claims or claim[1] != "screen")
        }
        seated = set(self.holders.values())
        for claim in claims:
            seat = None if claim in seated else self._free(claim, claims)
            if seat is not None:
                self.holders[seat] = claim

    def _free(self, claim: Claim, publishing: Collection[Claim]) -> str | None:
        """The seat beside the person's other one, else one with nobody beside it, else any.

        ``v2`` and ``a2`` are one media stream to a browser, which keeps their lips and words together.
        """
        person, source, kind = claim
        row = self._rows["audio" if kind == "audio" else "screen" if source == "screen" else "camera"]
        free = [seat for seat in row if seat not in self.holders]
        if source != "screen":
            beside = {seat: self.holders.get(("v" if kind == "audio" else "a") + seat[1:]) for seat in free}
            own = [seat for seat in free if (other := beside[seat]) is not None and other[0] == person]
            alone = [seat for seat in free if beside[seat] is None]
            free = own + alone + free
        idle = [seat for seat in row if seat in self.holders and self.holders[seat] not in publishing]
        return next(iter(free + idle), None)
