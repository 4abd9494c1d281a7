"""Who may be seen by whom, who sits where, and what each slot should show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic

from live.sfu.contract import LOUDEST, STAGE, Audience, P, PublicationSpec, Seat, Slot, Source
from live.sfu.publication import Publication
from live.sfu.seating import SCREEN, Claim, Seating
from live.sfu.speakers import ActiveSpeaker, Voices
from live.sfu.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Facts:
    """The owner's truth about the stage; nothing is shown before the first."""

    open: bool = False
    on_stage: frozenset[str] = frozenset()
    backstage: frozenset[str] = frozenset()
    muted: Mapping[str, frozenset[Source]] = field(default_factory=dict)
    veiled: bool = False

    def audience(self, spec: PublicationSpec) -> Audience:
        """Whom a publication may reach. Somebody both on stage and backstage is backstage."""
        if self.veiled or spec.source in self.muted.get(spec.owner, ()):
            return Audience.NOBODY
        return self.place(spec.owner)

    def place(self, person: str) -> Audience:
        """Whom a person's unmuted media may reach."""
        if person in self.backstage:
            return Audience.BEHIND
        if person in self.on_stage:
            return Audience.EVERYONE if self.open else Audience.BEHIND
        return Audience.NOBODY


class Stage(Generic[P]):
    """The publications of a room in their seats.

    Attributes:
        facts: The owner's truth.
        publications: By (owner, source, kind), in order of arrival.
        voices: How loud everybody is.
        front: The active speaker among those everyone sees.
        rear: The active speaker among all.
        decides_seats: False while another router does (`take_seats`).
    """

    def __init__(self, video_seats: int, audio_seats: int) -> None:
        """Empty, the curtain closed."""
        self.facts = Facts()
        self.publications: dict[Claim, Publication[P]] = {}
        self.voices = Voices()
        self.front = ActiveSpeaker()
        self.rear = ActiveSpeaker()
        self.decides_seats = True
        self._seating = Seating(video_seats, audio_seats)
        self._seated: dict[str, Publication[P]] = {}

    def settle(self) -> tuple[set[str], set[Publication[P]]]:
        """Give every publication its audience and seat.

        Returns:
            The seats that show something else now, or to others; and the publications whose audience shrank.
        """
        before = self._seated
        changed: set[Publication[P]] = set()
        shrank: set[Publication[P]] = set()
        for publication in self.publications.values():
            audience = self.facts.audience(publication.spec)
            if audience is not publication.audience:
                changed.add(publication)
                if audience < publication.audience:
                    shrank.add(publication)
                publication.hide(audience)
                if audience is Audience.NOBODY and publication.spec.source == "microphone":
                    self.voices.forget(publication.spec.owner)
        if self.decides_seats:
            backstage = self.facts.backstage
            self._seating.seat(self.facts.on_stage - backstage, backstage, self.publications)
        self._seated = {
            seat: self.publications[claim]
            for seat, claim in self._seating.holders.items()
            if claim in self.publications
        }
        seats = {
            seat
            for seat in before.keys() | self._seated.keys()
            if before.get(seat) is not self._seated.get(seat) or self._seated[seat] in changed
        }
        return seats, shrank

    def shows(self, person: str) -> bool:
        """Whether a person publishes a camera or a microphone: a screen alone is nobody."""
        return any(owner == person and source != "screen" for owner, source, _ in self.publications)

    def may_see(self, viewer: Viewer[P], publication: Publication[P]) -> bool:
        """The curtain, the mute, the veil, and the viewer's own tier; and nobody sees their own."""
        audience = publication.audience
        allowed = audience is Audience.EVERYONE or (audience is Audience.BEHIND and viewer.behind)
        mine = publication.spec.owner == viewer.person
        return allowed and not mine and viewer.wants(publication.spec) and self._present(publication)

    def _present(self, publication: Publication[P]) -> bool:
        spec = publication.spec
        return self.publications.get((spec.owner, spec.source, spec.kind)) is publication

    def source(self, viewer: Viewer[P], slot: Slot) -> Publication[P] | None:
        """What a viewer's slot should show now."""
        if slot.follows not in (STAGE, LOUDEST):
            seated = self._seated.get(slot.follows)
            fits = seated is not None and seated.spec.kind == slot.kind and self.may_see(viewer, seated)
            return seated if fits else None
        speaker = (self.rear if viewer.behind else self.front).current
        wanted = "v" if slot.kind == "video" else "a"
        seats = [SCREEN] if slot.follows == STAGE and slot.kind == "video" else []
        rest = sorted(s for s in self._seated if s != SCREEN and s.startswith(wanted))
        seats += [s for s in rest if self._seated[s].spec.owner == speaker] + rest
        seen = (self._seated[s] for s in seats if s in self._seated)
        return next((p for p in seen if self.may_see(viewer, p)), None)

    def importance(self, viewer: Viewer[P], publication: Publication[P]) -> int:
        """Order in which a viewer's line is spent: screen 0, active speaker 1, others 2."""
        if publication.spec.source == "screen":
            return 0
        speaker = (self.rear if viewer.behind else self.front).current
        return 1 if publication.spec.owner == speaker else 2

    def listen(self, now: float) -> bool:
        """Weigh what was heard since the last call and decide who speaks; True if any answer changed."""
        self.voices.tick(now)
        return self.decide(now)

    def decide(self, now: float) -> bool:
        """Decide who speaks among those present; True if any answer changed."""
        before = (self.front.current, self.rear.current, self.front.speaking, self.rear.speaking)
        heard = {
            p.spec.owner: p.audience for p in self.publications.values() if p.spec.source == "microphone"
        }
        front = [person for person, audience in heard.items() if audience is Audience.EVERYONE]
        rear = [person for person, audience in heard.items() if audience is not Audience.NOBODY]
        self.front.decide(self.voices, front, now)
        self.rear.decide(self.voices, rear, now)
        return before != (self.front.current, self.rear.current, self.front.speaking, self.rear.speaking)

    def take_seats(self, holders: Mapping[str, Claim] | None) -> None:
        """Let everybody sit as another router says; None: decide again here, from where they sit."""
        self.decides_seats = holders is None
        if holders is not None:
            self._seating.holders = dict(holders)

    def seats(self) -> dict[str, Claim]:
        """Who sits where, for `take_seats` elsewhere."""
        return dict(self._seating.holders)

    def slot_map(self) -> dict[str, Seat]:
        """Who sits where, those who are reloading included."""
        return {
            seat: Seat(person, source, self.facts.place(person) is not Audience.EVERYONE)
            for seat, (person, source, _) in sorted(self._seating.holders.items())
        }
