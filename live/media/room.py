"""One room in the worker: its router, its peers, its timer."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, cast

from live.media.control import LineFacts, SlotFacts, StageFacts, StageNotice, StreamFacts
from live.media.fanout import FanoutBody
from live.media.peer import Peer
from live.media.relaying import Carried, Facts, Forth, Inlet, Left, Outlet, Published, Stand, framed, seats
from live.media.tcp import TCP
from live.sfu import Fanout, Relayed, Router, Source
from live.sfu import StageNotice as Seen
from live.sfu.pacing import Pacing
from live.sfu.relay import Resting

_SOURCES: tuple[Source, ...] = ("camera", "microphone", "screen")

#: Viewers from which on a picture's packets leave together.
CROWD = 32

#: Bytes sent before it is looked whether the kernel still takes more, and when it is looked again, seconds.
#: A picture for some hundred viewers fits: cut up, its packets would leave in shorter runs, which cost more.
CHUNK, AGAIN = 4_000_000, 0.002

#: How long a picture's first packets may wait for its last one, seconds.
HOLD = 0.001

Hidden = tuple[str, Peer | None]
Notify = Callable[[str, StageNotice], None]


class MediaRoom:
    """Joins a router to its peers, and to its siblings in other workers: mutate, then `flush`.

    Attributes:
        peers: by resource.
        home: publishers come to this worker, and it tells notices; else it is a sibling, and its publishers
            are stand-ins for the home's.
        inlet: what a sibling is fed by, while it is.
        outlets: by path, the siblings that a home feeds.
        forwarded: RTP packets sent to viewers since the start.
        pacing: what waits for the kernel.
        relayed: packets handed to siblings since the start, each counted once.
    """

    def __init__(
        self, name: str, fanout: FanoutBody, notify: Notify, router: Router[Peer | Stand] | None = None
    ) -> None:
        self.name = name
        self.router: Router[Peer | Stand] = router or Router()
        self.peers: dict[str, Peer] = {}
        self.facts: StageFacts | None = None
        self.home = True
        self.inlet: Inlet | None = None
        self.outlets: dict[str, Outlet] = {}
        self.forwarded = self.relayed = 0
        self._revision = 0
        self._seen: Seen | None = None
        self.pacing: Pacing[Peer] = Pacing()
        self._sending: asyncio.TimerHandle | None = None
        self._fanout = fanout
        self._notify = notify
        self._timer: asyncio.TimerHandle | None = None
        self._held: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._told: dict[bool, StageNotice] = {}

    @property
    def idle(self) -> bool:
        """Nobody is connected and nobody is expected: forgetting the room changes nothing."""
        return not self.peers and (self.facts is None or self.facts == StageFacts())

    def set_home(self, home: bool) -> None:
        """Makes this worker the room's home, or its sibling; a new home tells what it sees at once."""
        if home is self.home:
            return
        self.home = home
        self._told.clear()
        if not home:
            self.set_siblings([])
            return
        if self.inlet is not None:
            self.inlet.close()
        self.router.take_seats(None, time.monotonic())
        if self._seen is not None:
            self._tell(self._seen)

    def set_siblings(self, paths: Iterable[str]) -> None:
        """Relays to exactly these siblings from now on."""
        wanted = set(paths) if self.home else set()
        for path in self.outlets.keys() - wanted:
            self.outlets.pop(path).close()
        self.router.siblings.name(wanted)
        for path in wanted - self.outlets.keys():
            self.outlets[path] = Outlet(path, self.name, self._present, self._wanted, self._rests)

    def _present(self) -> list[Forth]:
        self.router.siblings.welcome()
        publishers = [p for p in self.peers.values() if p.publishes and p.srtp is not None]
        return [
            Facts(self.facts or StageFacts(), self._revision),
            *(Published(p.resource, list(p.publications)) for p in publishers),
            seats(self.router.seats()),
        ]

    def _wanted(self, publisher: str, packet: bytes) -> None:
        peer = self.peers.get(publisher)
        if peer is not None:
            self.router.siblings.receive(peer, packet, time.monotonic())
            self.flush()

    def _rests(self, sibling: str, resting: Resting) -> None:
        self.router.siblings.rest(sibling, resting, time.monotonic())
        self.flush()

    def _say(self, said: Forth) -> None:
        if self.outlets:
            message = framed(said)
            for outlet in self.outlets.values():
                outlet.say(message)

    def _carry(self, relayed: list[Relayed[Peer | Stand]]) -> None:
        """Every packet once to every sibling, all of them by one write."""
        packets = [
            framed(Carried(r.peer.resource, r.packet, r.stream)) for r in relayed if isinstance(r.peer, Peer)
        ]
        message = b"".join(packets)
        for outlet in self.outlets.values():
            outlet.say(message, len(packets))
        self.relayed += len(packets)

    def set_stage(self, facts: StageFacts, revision: int = 0) -> list[Peer]:
        """Takes the stage's facts; gives the peers of persons who have just lost their place.

        A publication ends with the place, and so does a view behind the curtain: the person may watch again
        as what they are now. Facts come from the server and, in order with the packets, from the room's home:
        the newest hold, so that no packet is shown by older facts than those that let it through.
        """
        self.flush()  # what was let through by the facts before
        before = _placed(self.facts)
        hold = self.router.set_stage(
            open=facts.open,
            on_stage=facts.on_stage,
            backstage=facts.backstage,
            muted={person: _sources(names) for person, names in facts.muted.items()},
            veiled=facts.veiled,
            now=time.monotonic(),
            revision=revision,
        )
        if not hold:
            return []
        self.facts, self._revision = facts, revision
        self._say(Facts(facts, revision))
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
        self._say(Published(peer.resource, list(peer.publications)))
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
        if peer.publishes:
            self._say(Left(peer.resource))

    def flush_picture(self) -> None:
        """Flushes, at once or, in a crowd and amid a picture, when the picture is whole or `HOLD` is over.

        The packets of one picture that leave together go by one message of the kernel to each viewer, which
        costs about half of what two messages cost.
        """
        if not self.router.midframe or len(self.peers) < CROWD:
            self.flush()
        elif self._held is None:
            self._held = asyncio.get_running_loop().call_later(HOLD, self.flush)

    def lines(self) -> list[LineFacts]:
        """How the publishers' lines are doing."""
        publishers = {peer.person: peer for peer in self.peers.values() if peer.publishes and peer.srtp}
        return [
            LineFacts(
                line.person,
                line.quality,
                _transport(publishers.get(line.person)),
                line.round_trip,
                [StreamFacts(s.source, s.rid, s.bitrate, s.loss, s.jitter) for s in line.streams],
            )
            for line in self.router.lines(time.monotonic())
        ]

    def flush(self) -> None:
        """Sends what the router has to say, tells the notice, and sets the timer anew."""
        if self._held is not None:
            self._held.cancel()
            self._held = None
        outputs = self.router.drain()
        # Only peers watch.
        self._queue(cast("list[Fanout[Peer]]", outputs.fanouts), cast("list[Hidden]", outputs.hidden))
        for peer, packet in outputs.rtcp:
            peer.send_rtcp(packet)
        if outputs.notice is not None:
            self._seen = outputs.notice
            self._say(seats(self.router.seats()))
            if self.home:
                self._tell(outputs.notice)
            elif self.inlet is not None:
                self.inlet.rests(outputs.notice.idle)
        if outputs.relayed:
            self._carry(outputs.relayed)
        self._arm()

    def _queue(self, fanouts: list[Fanout[Peer]], hidden: list[Hidden]) -> None:
        """Sends, or lets wait; what could not leave by now, and lost its audience, may no longer do so."""
        self.pacing.put(fanouts, time.monotonic())
        for source, viewer in hidden:
            self.pacing.forget(source, viewer)
            if viewer is None:
                self._fanout.forget(source)
        if fanouts:
            self._send()

    def _send(self) -> None:
        """Sends what waits as far as the kernel takes it, a chunk at a time; looks again soon for the rest.

        The kernel's buffers hold less than a keyframe for a thousand viewers, and what is sealed must be sent
        in order: so packets wait before they are sealed, once for all viewers.
        """
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None
        while self.pacing and (room := self._fanout.room):
            fanouts = self.pacing.take(min(room, CHUNK), time.monotonic())
            if fanouts:
                self.forwarded += self._fanout.send(fanouts)
        if self.pacing:
            self._sending = asyncio.get_running_loop().call_later(AGAIN, self._send)

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
                idle={p: {s: [*rids] for s, rids in x.items()} for p, x in seen.idle.items()}
                if behind
                else {},
            )
            if self._told.get(behind) != notice:
                self._told[behind] = notice
                self._notify(self.name, notice)

    def close(self) -> None:
        """Ends the timers and the relays."""
        for outlet in self.outlets.values():
            outlet.close()
        if self.inlet is not None:
            self.inlet.close()
        for timer in (self._timer, self._held, self._sending):
            if timer is not None:
                timer.cancel()


def _transport(peer: Peer | None) -> Literal["udp", "tcp"] | None:
    if peer is None or peer.paths.chosen is None:
        return None
    return "tcp" if TCP in peer.paths.chosen else "udp"


def _placed(facts: StageFacts | None) -> set[str]:
    return set() if facts is None else {*facts.on_stage, *facts.backstage}


def _lists(idle: Mapping[str, Mapping[Source, tuple[str, ...]]]) -> dict[str, dict[str, list[str]]]:
    return {
        person: {str(source): list(rids) for source, rids in sources.items()}
        for person, sources in idle.items()
    }


def _sources(names: list[str]) -> list[Source]:
    return [name for name in _SOURCES if name in names]
