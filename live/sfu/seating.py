"""Which person's which source sits in which seat: one plan for the whole room."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from live.sfu.contract import Kind, Source

SCREEN = "screen"
Claim = tuple[str, Source, Kind]
"""Person, source and kind: what a seat is held for."""


class Seating:
    """Seats ``v0``…, ``screen``, ``a0``…; taken as `_place` says, and kept over a reload.

    Who is on stage comes before who is backstage, and takes a seat from them when no other is free; among
    those on stage, face and voice come before the sound of a screen. So with as many seats as people on
    stage, each of them who publishes is seated, and keeps the seat whoever comes and goes. Screen and screen
    sound are given back as soon as they end.
    """

    def __init__(self, video: int, audio: int) -> None:
        """All seats are free."""
        self._rows = {
            "camera": [f"v{i}" for i in range(video)],
            "screen": [SCREEN],
            "audio": [f"a{i}" for i in range(audio)],
        }
        self._on_stage: Collection[str] = ()
        self.holders: dict[str, Claim] = {}

    def seat(
        self, on_stage: Collection[str], backstage: Collection[str], publishing: Iterable[Claim]
    ) -> None:
        """Take the present truth: who may sit, and what is being published, in order of arrival."""
        self._on_stage = on_stage
        claims = [c for c in publishing if c[0] in on_stage or c[0] in backstage]
        self.holders = {
            seat: claim
            for seat, claim in self.holders.items()
            if claim in claims or (claim[1] != "screen" and (claim[0] in on_stage or claim[0] in backstage))
        }
        for claim in sorted(claims, key=self._rank):
            seat = None if claim in self.holders.values() else self._place(claim, claims)
            if seat is not None:
                self.holders[seat] = claim

    def _rank(self, claim: Claim) -> int:
        """What comes first: face, voice and screen on stage 0, sound of a screen there 1, backstage 2."""
        person, source, kind = claim
        if person not in self._on_stage:
            return 2
        return int(source == "screen" and kind == "audio")

    def _place(self, claim: Claim, publishing: Collection[Claim]) -> str | None:
        """A free seat: beside the person's other one, else one with nobody beside it, else the lowest.

        Without one, the seat of who comes last, or of an equal who does not publish now.
        ``v2`` and ``a2`` are one media stream to a browser, which keeps their lips and words together.
        """
        person, source, kind = claim
        row = self._rows["audio" if kind == "audio" else "screen" if source == "screen" else "camera"]
        rank = self._rank(claim)

        def apart(seat: str) -> int:
            beside = self.holders.get(("v" if kind == "audio" else "a") + seat[1:])
            return 1 if beside is None or source == "screen" else 2 * (beside[0] != person)

        def standing(seat: str) -> tuple[int, bool, int]:
            holder = self.holders[seat]
            return -self._rank(holder), holder in publishing, apart(seat)

        def yields(seat: str) -> bool:
            holder = self.holders[seat]
            return self._rank(holder) > rank or (self._rank(holder) == rank and holder not in publishing)

        free = sorted((seat for seat in row if seat not in self.holders), key=apart)
        held = sorted((seat for seat in row if seat in self.holders), key=standing)
        return next(iter([*free, *filter(yields, held)]), None)
