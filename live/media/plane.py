"""The whole media plane of one worker: one port, all rooms, and who a datagram is from."""

import asyncio
import itertools
import math
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, cast

import msgspec

from live.media.budget import Bucket
from live.media.control import Answer, LineFacts, MediaRefused, MediaSettings, Patch, StageFacts
from live.media.dtls import Certificate
from live.media.fanout import fanout_body
from live.media.ice import Address, Passwords, StunError, farewell, is_stun, read_request
from live.media.negotiation import (
    ONE_OF_EACH,
    WHOLE_STAGE,
    Local,
    Offered,
    Taken,
    candidates,
    remote_of,
    slots_for,
    take_answer,
    take_publication,
    take_watch,
    write_fragment,
    write_pool_offer,
    write_publication_answer,
    write_watch_answer,
)
from live.media.peer import Peer
from live.media.relaying import Inlet, Stand
from live.media.room import MediaRoom, Notify
from live.media.sdp import Description, SdpError, by_quality, read_description, read_fragment
from live.media.srtp import SrtpError
from live.media.udp import Port, advertised, own_addresses
from live.sfu import COUNTERS, GAUGES, PublicationSpec, Router, Source, Tier
from live.sfu.contract import MID

#: A server-made offer is answered within so long or forgotten, seconds.
_ANSWER_SECONDS = 30.0

#: How often silent peers are looked for, seconds.
_TICK = 1.0

#: Ticks between looks at the machine's addresses.
_ADDRESS_TICKS = 10

#: Peers at one host, as behind one NAT, that a packet from an unknown port of it is tried for, and tries a
#: second in all: one costs a few microseconds.
_MOVED_TRIES, _MOVED_RATE = 16, 4000.0

#: An address is not given to another peer while its holder was heard so recently, seconds.
_HELD = 5.0


class Plane:
    """Takes requests about peers, and datagrams; must be used on one event loop.

    Args:
        settings: see `MediaSettings`.
        notify: told each room's notices.
        secret: keys our ICE passwords; the same after a restart, so that former peers can be told.
        life: begins every resource's name, so that its worker can be found by it.

    Raises:
        MediaRefused: `fanout_not_built`: the settings insist on a body that is not there.
    """

    def __init__(self, settings: MediaSettings, notify: Notify, secret: bytes, life: str = "") -> None:
        self._passwords = Passwords(secret)
        self._life = life
        self._settings = settings
        self._notify = notify
        self._certificate = Certificate()
        self._rooms: dict[str, MediaRoom] = {}
        self._peers: dict[str, Peer] = {}
        self._by_host: dict[str, dict[Peer, None]] = {}
        self._tries = Bucket(_MOVED_RATE)
        self._by_ufrag: dict[str, Peer] = {}
        self._by_address: dict[Address, Peer] = {}
        self._dirty: set[MediaRoom] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._tick: asyncio.TimerHandle | None = None
        self._relays: asyncio.Task[None] | None = None
        self._inlets: set[asyncio.Task[None]] = set()
        self._strange = self._ticks = self._forwarded = self._relayed = 0
        self._routed: Counter[str] = Counter()
        self._port = Port(self._receive, self._drained)
        self._fanout = fanout_body(settings.fanout, self._port)
        self._candidates: tuple[str, ...] = ()

    def open(self) -> int:
        """Binds the port and gives its number; raises `OSError` when it cannot."""
        settings = self._settings
        self._port.open(settings.host, settings.port, own_addresses())
        self._advertise()
        self._tick = asyncio.get_running_loop().call_later(_TICK, self._look)
        return self._port.number

    def _advertise(self) -> None:
        addresses = advertised(self._settings.host, self._settings.public_addresses)
        self._candidates = candidates(addresses, self._port.number, tcp=self._port.takes_tcp)

    def listen(self, path: str) -> None:
        """Takes relays of rooms' homes on a unix socket; raises `OSError` when it cannot be made."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(path)
        Path(path).chmod(0o600)

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is not None:
                self._inlets.add(task)
                task.add_done_callback(self._inlets.discard)
            await Inlet(self._sibling, writer).run(reader)

        async def serve() -> None:
            async with await asyncio.start_unix_server(take, sock=listener) as server:
                await server.serve_forever()

        self._relays = asyncio.get_running_loop().create_task(serve())

    def _sibling(self, name: str) -> MediaRoom | None:
        room = self._rooms.get(name)
        return room if room is not None and not room.home else None

    # — requests —

    def publish(self, room: str, person: str, source: str, sdp: str) -> Answer:
        """Takes a WHIP offer (RFC 9725); raises `MediaRefused`."""
        if source not in ("camera", "screen"):
            raise MediaRefused("source_invalid", 422)
        offer = _described(sdp)
        taken = take_publication(offer)
        accepted = [t for t in taken if t.codecs]
        remote = remote_of(offer, [t.line for t in accepted])
        peer = self._admit(room, person, source=cast("Literal['camera', 'screen']", source), behind=False)
        peer.mid = accepted[0].line.mid
        peer.publications = tuple(_publication(peer, t) for t in accepted)
        peer.connect(remote, self._settings.handshake_seconds, self._connected, self._gone)
        return Answer(peer.resource, self._publication_answer(offer, taken, peer), peer.etag)

    def _publication_answer(self, offer: Description, taken: list[Taken], peer: Peer) -> str:
        return write_publication_answer(offer, taken, self._local(peer), self._settings.publisher_kbps)

    def watch(self, room: str, person: str, behind: bool, sdp: str | None, tier: Tier = "video") -> Answer:
        """Takes a WHEP offer; makes one of the whole stage, or one in place of an offer that does not fit."""
        if not sdp:
            return self._offer(room, person, behind, tier, WHOLE_STAGE)
        offer = _described(sdp)
        try:
            taken = take_watch(offer)
            accepted = [t.line for t in taken if t.codecs]
            remote = remote_of(offer, accepted)
        except MediaRefused:
            counter = self._offer(room, person, behind, tier, ONE_OF_EACH)
            return msgspec.structs.replace(counter, counter=True)
        peer = self._admit(room, person, source="", behind=behind)
        peer.tier = tier
        peer.mid = accepted[0].mid
        peer.slots = slots_for(offer, taken)
        peer.connect(remote, self._settings.handshake_seconds, self._connected, self._gone)
        sdp = write_watch_answer(offer, taken, peer.slots, self._local(peer))
        return Answer(peer.resource, sdp, peer.etag)

    def _offer(
        self, room: str, person: str, behind: bool, tier: Tier, offered: tuple[Offered, ...]
    ) -> Answer:
        peer = self._admit(room, person, source="", behind=behind)
        peer.tier = tier
        peer.mid, peer.offered = offered[0].place.mid, offered
        return Answer(peer.resource, write_pool_offer(self._local(peer), offered), peer.etag)

    def complete(self, room: str, resource: str, sdp: str) -> None:
        """Takes the client's answer to our offer; raises `MediaRefused`."""
        peer = self._find(room, resource)
        if peer.publishes or peer.remote is not None:
            raise MediaRefused("not_offered", 409)
        answer = _described(sdp)
        slots = take_answer(answer, peer.offered)
        wanted = {slot.mid for slot in slots}
        remote = remote_of(answer, [line for line in answer.lines if line.mid in wanted])
        peer.slots = slots
        peer.connect(remote, self._settings.handshake_seconds, self._connected, self._gone)

    def trickle(self, room: str, resource: str, fragment: str, etag: str | None) -> Patch:
        """Takes a fragment; new credentials restart ICE (RFC 9725 §4.3); raises `MediaRefused`."""
        peer = self._find(room, resource)
        if etag is None:
            raise MediaRefused("etag_required", 428)
        if not peer.budget.patch(time.monotonic()):
            raise MediaRefused("too_many_patches", 429)
        try:
            read = read_fragment(fragment)
        except SdpError as error:
            raise MediaRefused("sdpfrag_invalid", 400) from error
        fresh = read.credentials
        restarts = fresh is not None and (peer.remote is None or fresh != peer.remote.credentials)
        if not _matches(etag, peer.etag):
            raise MediaRefused("etag_mismatch", 412)
        if not restarts or fresh is None or peer.remote is None:
            return Patch(None, peer.etag)
        for ufrag in peer.ufrags():
            self._by_ufrag.pop(ufrag, None)
        peer.restart(fresh, self._passwords.fresh())
        for ufrag in peer.ufrags():
            self._by_ufrag[ufrag] = peer
        return Patch(write_fragment(self._local(peer), peer.mid), peer.etag)

    def choose(self, room: str, resource: str, tier: Tier) -> None:
        """Changes what a watch receives; raises `MediaRefused`."""
        peer = self._find(room, resource)
        if peer.publishes:
            raise MediaRefused("not_watching", 409)
        peer.tier = tier
        hall = self._room(room)
        hall.choose(peer)
        self._dirty.add(hall)
        self._pause()

    def delete(self, room: str, resource: str) -> None:
        """Ends a resource on its owner's wish; raises `MediaRefused`."""
        self._end(self._find(room, resource), on_purpose=True)
        self._pause()

    def stage(self, room: str, facts: StageFacts, *, home: bool = True, revision: int = 0) -> None:
        """Takes a room's stage, whole; see `control.Stage`."""
        hall = self._room(room)
        hall.set_home(home)
        for peer in hall.set_stage(facts, revision):
            self._end(peer, on_purpose=True)
        self._dirty.add(hall)
        self._pause()

    def relay(self, room: str, siblings: Iterable[str]) -> None:
        """Relays a room to these siblings and to no others."""
        hall = self._room(room)
        hall.set_siblings(siblings)
        self._dirty.add(hall)
        self._pause()

    def expel(self, room: str, person: str | None) -> None:
        """Ends everything a person, or for None anybody, has in a room."""
        hall = self._rooms.get(room)
        for peer in list(hall.peers.values()) if hall else []:
            if person is None or peer.person == person:
                self._end(peer, on_purpose=True)
        self._pause()

    def peers_by_room(self) -> dict[str, int]:
        """How many peers each room has here, those still connecting included."""
        return {name: len(hall.peers) for name, hall in self._rooms.items() if hall.peers}

    def numbers(self) -> dict[str, int | float | str]:
        """Counters since the start and gauges of now."""
        totals: dict[str, int | float | str] = {
            "port": self._port.number,
            "fanout": self._fanout.name,
            "fanout_native": int(self._fanout.name == "native"),
            "rooms": len(self._rooms),
            "peers": len(self._peers),
            "publishers": sum(p.publishes for p in self._peers.values()),
            "connected": sum(p.srtp is not None for p in self._peers.values()),
            "forwarded": self._forwarded + sum(room.forwarded for room in self._rooms.values()),
            "relayed": self._relayed + sum(room.relayed for room in self._rooms.values()),
            "relay_dropped": sum(o.dropped for r in self._rooms.values() for o in r.outlets.values()),
            "relays": sum(len(room.outlets) for room in self._rooms.values()),
            "paced_out": sum(room.pacing.dropped for room in self._rooms.values()),
            "strange": self._strange,
            "over_budget": sum(p.budget.refused for p in self._peers.values()),
            "segments": int(self._port.segments),
            "tcp_connections": len(self._port.streams.connections),
            **{f"datagrams_{name}": value for name, value in self._port.counts.items()},
        }
        routed = Counter(self._routed)
        for room in self._rooms.values():
            routed.update(room.router.stats())
        return totals | {f"router_{name}": routed[name] for name in (*COUNTERS, *GAUGES)}

    def lines(self, room: str) -> list[LineFacts]:
        """How the lines of a room's publishers are doing; nothing of a room that is not here."""
        hall = self._rooms.get(room)
        return hall.lines() if hall is not None else []

    # — peers —

    def _room(self, name: str) -> MediaRoom:
        room = self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = MediaRoom(name, self._fanout, self._notify, self._router())
        return room

    def _router(self) -> Router[Peer | Stand]:
        settings = self._settings
        return Router(
            viewer_most=1000.0 * settings.viewer_kbps or math.inf,
            publisher_most=1000.0 * settings.publisher_kbps or math.inf,
            transport_wide=settings.transport_wide,
        )

    def _admit(
        self, room: str, person: str, *, source: Literal["camera", "screen", ""], behind: bool
    ) -> Peer:
        hall = self._room(room)
        if len(self._peers) >= self._settings.peers:
            raise MediaRefused("media_full", 503)
        self._make_room(hall, person)
        resource = f"{self._life}.{secrets.token_urlsafe(12)}"
        peer = Peer(
            resource,
            room,
            person,
            self._passwords.fresh(),
            source=source,
            behind=behind,
            now=time.monotonic(),
        )
        peer.open(self._certificate, self._port.send, self._gone)
        hall.peers[resource] = self._peers[resource] = self._by_ufrag[peer.local.ufrag] = peer
        return peer

    def _make_room(self, hall: MediaRoom, person: str) -> None:
        """A person at the limit gives up a peer that is no longer heard, as after reloads, or is refused."""
        theirs = [p for p in hall.peers.values() if p.person == person]
        if len(theirs) < self._settings.peers_per_person:
            return
        now = time.monotonic()
        silent = [p for p in theirs if p.paths.heard_at is not None and now - p.paths.heard_at > _HELD]
        if not silent:
            raise MediaRefused("too_many_peers", 429)
        self._end(min(silent, key=lambda p: p.paths.heard_at or 0.0), on_purpose=False)

    def _find(self, room: str, resource: str) -> Peer:
        peer = self._peers.get(resource)
        if peer is None or peer.room != room:
            raise MediaRefused("unknown_resource", 404)
        return peer

    def _local(self, peer: Peer) -> Local:
        return Local(peer.local, self._certificate.fingerprint, self._candidates)

    def _connected(self, peer: Peer) -> None:
        if peer.resource not in self._peers:
            return
        room = self._room(peer.room)
        for replaced in room.connected(peer):
            self._end(replaced, on_purpose=False)
        self._dirty.add(room)
        self._pause()

    def _gone(self, peer: Peer) -> None:
        self._end(peer, on_purpose=False)
        self._pause()

    def _end(self, peer: Peer, *, on_purpose: bool) -> None:
        if self._peers.pop(peer.resource, None) is None:
            return
        for ufrag in peer.ufrags():
            self._by_ufrag.pop(ufrag, None)
        for address in peer.paths.addresses():
            if self._by_address.get(address) is peer:
                del self._by_address[address]
            self._leave_host(peer, address)
        self._port.forget(to=peer.paths.addresses())
        peer.srtp = None  # what waits is sealed for it no more
        room = self._room(peer.room)
        room.leave(peer, on_purpose=on_purpose)
        self._dirty.add(room)
        task = asyncio.get_running_loop().create_task(peer.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # — datagrams and time —

    def _receive(self, datagram: bytes, address: Address) -> None:
        first = datagram[0]
        peer = self._by_address.get(address)
        if 128 <= first < 192:  # noqa: PLR2004  # RFC 7983's range of RTP
            heard = (
                self._receive_moved(datagram, address)
                if peer is None
                else self._hear(peer, datagram, address)
            )
            self._strange += not heard
        elif 20 <= first < 64 and peer is not None:  # noqa: PLR2004  # RFC 7983's range of DTLS
            peer.take_dtls(datagram)
        elif is_stun(datagram):
            self._receive_check(datagram, address)
        else:
            self._strange += 1

    def _receive_moved(self, datagram: bytes, address: Address) -> bool:
        """Hears a peer whose NAT has just given it another port, before a check proves the address.

        SRTP proves whose the packet is; `Paths.moved` says when we answer there. Checks come only every few
        seconds, too late for those who watch. Who was tried in vain goes to the end of the row, so that of a
        crowd behind one NAT everybody has a turn.
        """
        row = self._by_host.get(address[0], {})
        now = time.monotonic()
        for peer in list(itertools.islice(row, _MOVED_TRIES)):
            if not self._tries.take(now):
                return False
            if self._hear(peer, datagram, address):
                moved, forgotten = peer.paths.moved(address, now)
                if moved:
                    self._by_address[address] = peer
                self._forget(peer, forgotten)
                return True
            del row[peer]
            row[peer] = None
        return False

    def _forget(self, peer: Peer, address: Address | None) -> None:
        if address is None:
            return
        if self._by_address.get(address) is peer:
            del self._by_address[address]
        if all(known[0] != address[0] for known in peer.paths.addresses()):
            self._leave_host(peer, address)

    def _leave_host(self, peer: Peer, address: Address) -> None:
        row = self._by_host.get(address[0], {})
        row.pop(peer, None)
        if not row:
            self._by_host.pop(address[0], None)

    def _hear(self, peer: Peer, datagram: bytes, address: Address) -> bool:
        """Takes RTP or RTCP; False when it is not the peer's."""
        srtp = peer.srtp
        if srtp is None or len(datagram) < 8:  # noqa: PLR2004  # the shortest RTCP
            return False
        room = self._rooms[peer.room]
        now = time.monotonic()
        try:
            if 192 <= datagram[1] < 224:  # noqa: PLR2004  # RFC 5761 §4: the packet types of RTCP
                packet = bytes(srtp.unprotect_rtcp(datagram))
                if not peer.budget.rtcp(packet, now) or not room.router.receive_rtcp(peer, packet, now):
                    return self._spoken(peer, address, now)
            elif peer.publishes:
                packet = bytes(srtp.unprotect(datagram))
                if peer.budget.rtp(len(packet), now):
                    room.router.receive_rtp(peer, packet, now)
            else:
                return False
        except SrtpError:
            return False
        self._dirty.add(room)
        return self._spoken(peer, address, now)

    def _spoken(self, peer: Peer, address: Address, now: float) -> bool:
        if address == peer.paths.chosen:
            peer.paths.spoken_at = now
        return True

    def _receive_check(self, datagram: bytes, address: Address) -> None:
        now = time.monotonic()
        try:
            request = read_request(datagram)
            peer = self._by_ufrag.get(request.ufrag)
            holder = self._by_address.get(address)
            if peer is None:
                self._port.send(farewell(request, self._passwords.of(request.ufrag)), address)
                return
            if holder not in (None, peer) and _holds(holder, now):
                self._strange += 1
                return
            former = peer.former
            proven, forgotten = peer.take_check(request, address, now)
        except StunError:
            self._strange += 1
            return
        if former is not None and peer.former is None:
            self._by_ufrag.pop(former.ufrag, None)
        if proven:
            self._by_address[address] = peer
            self._by_host.setdefault(address[0], {})[peer] = None
        self._forget(peer, forgotten)

    def _drained(self) -> None:
        """The socket is empty, or others have their turn."""
        while self._dirty:
            self._dirty.pop().flush_picture()

    def _pause(self) -> None:
        while self._dirty:
            self._dirty.pop().flush()

    def _look(self) -> None:
        now = time.monotonic()
        for peer in list(self._peers.values()):
            waited = peer.remote is None and now - peer.made_at > _ANSWER_SECONDS
            heard = peer.paths.heard_at
            silent = heard is not None and now - heard > self._settings.consent_seconds
            if waited or (peer.srtp is not None and silent):
                self._end(peer, on_purpose=False)
        self._pause()
        for name in [name for name, room in self._rooms.items() if room.idle]:
            room = self._rooms.pop(name)
            self._forwarded += room.forwarded
            self._relayed += room.relayed
            self._routed.update({name: room.router.stats().get(name, 0) for name in COUNTERS})
            room.close()
        self._ticks += 1
        if self._ticks % _ADDRESS_TICKS == 0:  # one that floats may have come to us
            self._port.answer_from(own_addresses())
            self._advertise()
        self._tick = asyncio.get_running_loop().call_later(_TICK, self._look)

    async def close(self) -> None:
        """Says goodbye to everybody and frees the port."""
        if self._relays is not None:
            self._relays.cancel()
        for inlet in self._inlets:
            inlet.cancel()
        if self._tick is not None:
            self._tick.cancel()
        for peer in list(self._peers.values()):
            self._end(peer, on_purpose=False)
        for room in self._rooms.values():
            room.close()
        if self._closing:
            await asyncio.wait(self._closing, timeout=2)
        self._port.close()


def _described(sdp: str) -> Description:
    try:
        return read_description(sdp)
    except SdpError as error:
        raise MediaRefused("sdp_invalid", 400) from error


def _matches(condition: str, etag: str) -> bool:
    """If-Match by strong comparison (RFC 9110 §13.1.1); RFC 9725 §4.3.3 writes its asterisk in quotes too."""
    return any(tag.strip() in ("*", '"*"', etag) for tag in condition.split(","))


def _holds(peer: Peer | None, now: float) -> bool:
    if peer is None or peer.srtp is None or peer.paths.heard_at is None:
        return False
    return now - peer.paths.heard_at < _HELD


def _publication(peer: Peer, taken: Taken) -> PublicationSpec:
    line = taken.line
    source: Source = "screen"
    if peer.source == "camera":
        source = "camera" if line.kind == "video" else "microphone"
    extensions = dict(taken.extensions or {})
    return PublicationSpec(
        id=f"{peer.resource}/{line.mid}",
        owner=peer.person,
        source=source,
        kind=cast("Literal['audio', 'video']", line.kind),
        codecs={codec.pt: codec for codec in taken.codecs},
        encodings=line.encodings if not line.rids else (),
        mid=line.mid if MID in extensions else None,
        rids=by_quality(line.rids),
        extensions=extensions,
    )
