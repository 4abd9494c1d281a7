"""One room in the worker: its router, its peers, its timer."""

import asyncio
import time
from collections.abc import Callable

from live.media.control import SlotFacts, StageFacts, StageNotice
from live.media.fanout import FanoutBody
from live.media.peer import Peer
from live.sfu import Router, Source
from live.sfu import StageNotice as Seen

_SOURCES: tuple[Source, ...] = ("camera", "microphone", "screen")

Notify = Callable[[str, StageNotice], None]


class MediaRoom:
    """Joins a router to its peers: mutate, then `flush`.

    Attributes:
        peers: by resource.
        forwarded: RTP packets sent to viewers since the start.
    """

    def __init__(self, name: str, fanout: FanoutBody, notify: Notify) -> None:
        self.name = name
        self.router: Router[Peer] = Router()
        self.peers: dict[str, Peer] = {}
        self.facts: StageFacts | None = None
        self.forwarded = 0
        self._fanout = fanout
        self._notify = notify
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._told: dict[bool, StageNotice] = {}

    @property
    def idle(self) -> bool:
        """Nobody is connected and nobody is expected: forgetting the room changes nothing."""
        return not self.peers and (self.facts is None or self.facts == StageFacts())

    def set_stage(self, facts: StageFacts) -> list[Peer]:
        """Takes the stage's facts; gives the peers of persons who have just lost their place.

        A publication ends with the place, and so does a view behind the curtain: the person may watch again
        as what they are now.
        """
        before = _placed(self.facts)
        self.facts = facts
        self.router.set_stage(
            open=facts.open,
            on_stage=facts.on_stage,
            backstage=facts.backstage,
            muted={person: _sources(names) for person, names in facts.muted.items()},
            veiled=facts.veiled,
            now=time.monotonic(),
        )
        lost = before - _placed(facts)
        return [p for p in self.peers.values() if p.person in lost and (p.publishes or p.behind)]

    def connected(self, peer: Peer) -> list[Peer]:
        """Starts what a peer was made for; gives the peers that are now of no use.

        Of a person's publications of one source the latest offered one counts, whichever connects first.
        """
        now = time.monotonic()
        if not peer.publishes:
            self.router.watch(peer, peer.person, peer.behind, peer.slots, now, tier=peer.tier)
            return []
        others = [
            other
            for other in self.peers.values()
            if other is not peer and other.person == peer.person and other.source == peer.source
        ]
        if any(other.srtp is not None and other.made_at > peer.made_at for other in others):
            return [peer]
        older = [other for other in others if other.made_at <= peer.made_at]
        for other in older:
            self.router.leave(other, now)
        for publication in peer.publications:
            self.router.publish(peer, publication, now)
        return older

    def choose(self, peer: Peer) -> None:
        """Takes what a viewer wants to receive now; one that is not connected yet has it from its start."""
        self.router.choose(peer, peer.tier, time.monotonic())

    def leave(self, peer: Peer, *, on_purpose: bool) -> None:
        """Forgets a peer; when its owner ended it on purpose, nobody waits for it to come back."""
        now = time.monotonic()
        if on_purpose:
            for publication in peer.publications:
                self.router.unpublish(publication.id, now)
        self.router.leave(peer, now)
        self.peers.pop(peer.resource, None)

    def flush(self) -> None:
        """Sends what the router has to say, tells the notice, and sets the timer anew."""
        outputs = self.router.drain()
        if outputs.fanouts:
            self.forwarded += self._fanout.send(outputs.fanouts)
        for peer, packet in outputs.rtcp:
            peer.send_rtcp(packet)
        if outputs.notice is not None:
            self._tell(outputs.notice)
        self._arm()

    def _arm(self) -> None:
        now = time.monotonic()
        due = self.router.next_timer(now)
        if due == self._due and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due, self._timer = due, None
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, due - now), self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.router.handle_timer(time.monotonic())
        self.flush()

    def _tell(self, seen: Seen) -> None:
        facts = self.facts or StageFacts()
        for behind in (False, True):
            seats = {mid: seat for mid, seat in seen.slots.items() if behind or not seat.behind}
            shown = {seat.person for seat in seats.values()}
            away = seen.away if behind else seen.away & set(facts.on_stage if facts.open else [])
            notice = StageNotice(
                slots={mid: SlotFacts(seat.person, seat.source) for mid, seat in seats.items()},
                speaking=seen.speaking_behind if behind else seen.speaking,
                lines={p: q for p, q in seen.lines.items() if behind or p in shown},
                away=sorted(away),
                behind=behind,
            )
            if self._told.get(behind) != notice:
                self._told[behind] = notice
                self._notify(self.name, notice)

    def close(self) -> None:
        """Ends the timer."""
        if self._timer is not None:
            self._timer.cancel()


def _placed(facts: StageFacts | None) -> set[str]:
    return set() if facts is None else {*facts.on_stage, *facts.backstage}


def _sources(names: list[str]) -> list[Source]:
    return [name for name in _SOURCES if name in names]
