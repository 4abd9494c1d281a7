"""Cameras, microphones and seats in the audience, joined to a real Router by an emulated network."""

from __future__ import annotations

from dataclasses import dataclass, field

from live.sfu import Codec, Encoding, PublicationSpec, Router, Slot, StageNotice
from live.sfu.contract import AUDIO_LEVEL, MID, RID, TRANSPORT_CC
from live.sfu.payloads import Vp8
from live.sfu.rtcp import (
    KeyframeRequest,
    Nack,
    SenderReport,
    parse_rtcp,
    write_nack,
    write_pli,
    write_sr,
)
from live.sfu.rtp import Rtp, parse_rtp, write_rtp
from tests.kit.network import Clock, Link
from tests.kit.receiver import Receiver

VP8 = Codec("vp8", 90000, 96, 97)
OPUS = Codec("opus", 48000, 111)
EXTENSIONS = {MID: 1, AUDIO_LEVEL: 2, TRANSPORT_CC: 3, RID: 4}
VIEWER_EXTENSIONS = {MID: 4, AUDIO_LEVEL: 5, TRANSPORT_CC: 6}


def vp8_payload(picture: int, *, key: bool, start: bool = True, tl0: int = 0, size: int = 40) -> bytes:
    """A VP8 packet with a 15-bit picture id and TL0PICIDX."""
    descriptor = bytes(
        (0x80 | (0x10 if start else 0), 0xE0, 0x80 | picture >> 8 & 0x7F, picture & 0xFF, tl0 & 0xFF, 0)
    )
    return descriptor + bytes((0 if key else 1,)) + bytes(size)


def camera_slot(index: int, *, rtx: bool = True, follows: str | None = None, codecs=(VP8,)) -> Slot:
    return Slot(
        mid=f"v{index}",
        kind="video",
        ssrc=5000 + index,
        rtx_ssrc=6000 + index if rtx else None,
        codecs=codecs,
        extensions=VIEWER_EXTENSIONS,
        follows=follows or f"v{index}",
    )


def sound_slot(index: int, follows: str | None = None) -> Slot:
    return Slot(f"a{index}", "audio", 7000 + index, None, (OPUS,), VIEWER_EXTENSIONS, follows or f"a{index}")


SCREEN_SLOT = Slot("screen", "video", 5900, 6900, (VP8,), VIEWER_EXTENSIONS, "screen")
POOL = (*(camera_slot(i) for i in range(6)), SCREEN_SLOT, *(sound_slot(i) for i in range(6)))


def camera_spec(owner: str, ssrc: int, *, id: str | None = None, source="camera") -> PublicationSpec:  # noqa: A002
    return PublicationSpec(
        id=id or f"{owner}-{source}",
        owner=owner,
        source=source,
        kind="video",
        codecs={96: VP8},
        encodings=(Encoding(ssrc, ssrc + 1),),
        extensions=EXTENSIONS,
    )


def sound_spec(owner: str, ssrc: int) -> PublicationSpec:
    return PublicationSpec(
        f"{owner}-sound", owner, "microphone", "audio", {111: OPUS}, (Encoding(ssrc),), None, (), EXTENSIONS
    )


@dataclass
class Camera:
    """A VP8 sender: 30 frames a second of `packets` packets, answers NACK by RTX and PLI by a keyframe."""

    ssrc: int
    sequence: int = 60000
    timestamp: int = 4_000_000_000
    picture: int = 32000
    packets: int = 3
    size: int = 40
    ntp_ahead: float = 5000.0
    rid: str | None = None
    want_key: bool = True
    asked: int = 0
    sent: dict[int, Rtp] = field(default_factory=dict)
    rtx: int = 0
    wide: int = 0
    began: tuple[float, int] = (0.0, 0)

    def frame(self) -> list[bytes]:
        out = []
        key, self.want_key = self.want_key, False
        self.picture = self.picture + 1 & 0x7FFF
        for place in range(self.packets):
            extensions = {3: (self.wide & 0xFFFF).to_bytes(2)}
            if self.rid is not None:
                extensions[4] = self.rid.encode()
            self.wide += 1
            rtp = Rtp(
                marker=0x80 if place == self.packets - 1 else 0,
                pt=96,
                sequence=self.sequence,
                timestamp=self.timestamp & 0xFFFFFFFF,
                ssrc=self.ssrc,
                extensions=extensions,
                payload=vp8_payload(self.picture, key=key, start=place == 0, size=self.size),
            )
            self.sent[self.sequence] = rtp
            out.append(write_rtp(rtp))
            self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp += 3000
        return out

    def report(self, now: float) -> bytes:
        began, timestamp = self.began
        captured = timestamp + round((now - began) * 90000)
        return write_sr(SenderReport(self.ssrc, int((now + self.ntp_ahead) * 2**32), captured, 0, 0))

    def control(self, data: bytes) -> list[bytes]:
        """Answer RTCP; gives RTX packets."""
        out = []
        for value in parse_rtcp(data):
            if isinstance(value, KeyframeRequest) and value.media == self.ssrc:
                self.want_key = True
                self.asked += 1
            elif isinstance(value, Nack) and value.media == self.ssrc:
                out += [self._again(s) for s in value.sequences if s in self.sent]
        return out

    def _again(self, sequence: int) -> bytes:
        rtp = self.sent[sequence]
        self.rtx += 1
        return write_rtp(
            Rtp(
                marker=rtp.marker,
                pt=97,
                sequence=self.rtx & 0xFFFF,
                timestamp=rtp.timestamp,
                ssrc=self.ssrc + 1,
                extensions={},
                payload=sequence.to_bytes(2) + rtp.payload,
            )
        )


@dataclass
class Microphone:
    """An Opus sender of 50 packets a second at a settable level."""

    ssrc: int
    level: int = 127
    sequence: int = 65530
    timestamp: int = 100

    def frame(self) -> bytes:
        rtp = Rtp(
            marker=0,
            pt=111,
            sequence=self.sequence,
            timestamp=self.timestamp & 0xFFFFFFFF,
            ssrc=self.ssrc,
            extensions={2: bytes((0x80 | self.level,))},
            payload=self.ssrc.to_bytes(4) + bytes(60),
        )
        self.sequence = self.sequence + 1 & 0xFFFF
        self.timestamp += 960
        return write_rtp(rtp)


class Indices:
    """What went to each peer under each index of SRTP: always one packet, or its key is given away."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, int, int], bytes] = {}
        self._high: dict[tuple[str, int], int] = {}
        self.repeated = 0

    def note(self, peer: str, data: bytes) -> None:
        ssrc, sequence = int.from_bytes(data[8:12]), int.from_bytes(data[2:4])
        high = self._high.setdefault((peer, ssrc), sequence)
        index = high + ((sequence - high + 0x8000 & 0xFFFF) - 0x8000)
        self._high[peer, ssrc] = max(high, index)
        self.repeated += (peer, ssrc, index) in self._sent
        assert self._sent.setdefault((peer, ssrc, index), data) == data, f"two packets are {index} of {ssrc}"

    def connected(self, peer: str) -> None:
        """A peer with keys of its own: nothing went to it yet."""
        self._sent = {key: data for key, data in self._sent.items() if key[0] != peer}
        self._high = {key: high for key, high in self._high.items() if key[0] != peer}


class Spectator:
    """Keeps everything that reaches one viewer, and asks again for what it misses."""

    def __init__(self, name: str, slots=POOL) -> None:
        self.name = name
        self.slots = {s.ssrc: s for s in slots}
        self.by_rtx = {s.rtx_ssrc: s for s in slots if s.rtx_ssrc is not None}
        self.packets: dict[int, dict[int, Rtp]] = {s.ssrc: {} for s in slots}
        self.order: dict[int, list[Rtp]] = {s.ssrc: [] for s in slots}
        self.reports: list[SenderReport] = []
        self.repaired = 0
        self.padded = 0
        self.clock: Clock | None = None
        self.arrived: dict[int, dict[int, float]] = {s.ssrc: {} for s in slots}
        self._tries: dict[tuple[int, int], float] = {}
        self._high: dict[int, int] = {}

    def receive(self, data: bytes) -> None:
        rtp = parse_rtp(data)
        if rtp.ssrc in self.by_rtx:
            slot = self.by_rtx[rtp.ssrc]
            if len(rtp.payload) < 2:
                self.padded += rtp.padding
                return
            self.repaired += 1
            rtp.sequence, rtp.payload, rtp.ssrc = int.from_bytes(rtp.payload[:2]), rtp.payload[2:], slot.ssrc
            rtp.pt = slot.codecs[0].pt
        high = self._high.setdefault(rtp.ssrc, rtp.sequence)
        number = high + ((rtp.sequence - high + 0x8000 & 0xFFFF) - 0x8000)
        self._high[rtp.ssrc] = max(high, number)
        known = self.packets[rtp.ssrc].get(number)
        if known is not None:
            assert (known.payload, known.timestamp) == (rtp.payload, rtp.timestamp)
            return
        self.packets[rtp.ssrc][number] = rtp
        if self.clock is not None:
            self.arrived[rtp.ssrc][number] = self.clock.now
        self.order[rtp.ssrc].append(rtp)

    def control(self, data: bytes) -> None:
        self.reports += [v for v in parse_rtcp(data) if isinstance(v, SenderReport)]

    def missing(self, ssrc: int) -> list[int]:
        have = self.packets[ssrc]
        return [n for n in range(min(have), max(have)) if n not in have] if have else []

    def complaints(self, now: float) -> list[bytes]:
        """NACKs, each number at most every 60 ms."""
        out = []
        for ssrc in self.slots:
            due = [n for n in self.missing(ssrc)[-200:] if now - self._tries.get((ssrc, n), 0) > 0.06]
            if due:
                self._tries.update({(ssrc, n): now for n in due})
                out.append(write_nack(99, ssrc, [n & 0xFFFF for n in due]))
        return out

    def longest_freeze(self, ssrc: int) -> float:
        """Seconds between two frames that could be shown in order, at worst."""
        shown, ready, longest = None, 0.0, 0.0
        for number, rtp in sorted(self.packets[ssrc].items()):
            ready = max(ready, self.arrived[ssrc][number])
            if rtp.marker:
                longest = max(longest, ready - (shown or ready))
                shown = ready
        return longest

    def frames(self, ssrc: int) -> list[tuple[int, bool]]:
        """(timestamp, is a keyframe) of each first packet of a frame, in output order."""
        have = self.packets[ssrc]
        firsts = [have[n] for n in sorted(have) if have[n].payload and have[n].payload[0] & 0x10]
        return [(p.timestamp, Vp8(p.payload).keyframe) for p in firsts]


class Theatre:
    """A router, its publishers and viewers, and the lines between them."""

    def __init__(
        self,
        *,
        loss: float = 0.0,
        delay: float = 0.01,
        jitter: float = 0.0,
        seed: int = 7,
        router: Router[str] | None = None,
    ) -> None:
        self.clock = Clock()
        self.router = router or Router()
        self.senders: dict[str, Camera] = {}
        self.spectators: dict[str, Spectator] = {}
        self.notices: list[StageNotice] = []
        self.control: list[tuple[str, bytes]] = []
        self.receivers: dict[str, Receiver] = {}
        self.indices = Indices()
        self.idle_reports = 0
        self._up = Link(self.clock, loss=loss, delay=delay, jitter=jitter, seed=seed)
        self._down = Link(self.clock, loss=loss, delay=delay, jitter=jitter, seed=seed + 1)
        self.clock.every(0.005, self._timer)

    def stage(self, on_stage=(), backstage=(), *, open=True, muted=None, veiled=False) -> None:  # noqa: A002
        self.router.set_stage(
            open=open,
            on_stage=on_stage,
            backstage=backstage,
            muted=muted or {},
            veiled=veiled,
            now=self.clock.now,
        )
        self.flush()

    def camera(self, peer: str, camera: Camera, spec: PublicationSpec, *, report: float = 0.5) -> None:
        self.router.publish(peer, spec, self.clock.now)
        self.film(peer, camera, report=report)

    def film(self, peer: str, camera: Camera, *, report: float = 0.5) -> None:
        self.senders[f"{peer}/{camera.ssrc}"] = camera
        camera.began = (self.clock.now, camera.timestamp)

        def frame() -> None:
            for data in camera.frame():
                self.up(peer, data)

        self.clock.every(1 / 30, frame)
        self.clock.every(report, lambda: self.up_control(peer, camera.report(self.clock.now)), first=0.1)
        self.flush()

    def sound(self, peer: str, microphone: Microphone, spec: PublicationSpec) -> None:
        self.router.publish(peer, spec, self.clock.now)
        self.clock.every(0.02, lambda: self.up(peer, microphone.frame()))
        self.flush()

    def watch(
        self, peer: str, *, behind: bool = False, slots=POOL, nacks: bool = True, person: str | None = None
    ) -> Spectator:
        spectator = self.spectators[peer] = Spectator(peer, slots)
        spectator.clock = self.clock
        if peer not in self.router._viewers:
            self.indices.connected(peer)
        self.router.watch(peer, person or peer, behind, slots, self.clock.now)
        self.flush()
        if nacks:
            self.clock.every(0.02, lambda: self._complain(peer, spectator))
        return spectator

    def connect(self, peer: str, line: Link, *, remb: bool = True) -> Receiver:
        """Put a viewer behind a line of its own and let it report as a browser does."""
        receiver = self.receivers[peer] = Receiver(line, lambda data: self.up_control(peer, data), remb=remb)
        return receiver

    def ask_keyframe(self, peer: str, ssrc: int) -> None:
        self.up_control(peer, write_pli(99, ssrc))

    def up(self, peer: str, data: bytes) -> None:
        self._up.send(data, lambda d: self._into(self.router.receive_rtp, peer, d))

    def up_control(self, peer: str, data: bytes) -> None:
        self._up.send(data, lambda d: self._into(self.router.receive_rtcp, peer, d))

    def _complain(self, peer: str, spectator: Spectator) -> None:
        for data in spectator.complaints(self.clock.now):
            self.up_control(peer, data)

    def _into(self, call, peer: str, data: bytes) -> None:
        due = self.router.next_timer(self.clock.now)
        if call(peer, data, self.clock.now) is not False:
            self.flush()
            return
        self.idle_reports += 1
        out, then = self.router.drain(), self.router.next_timer(self.clock.now)
        assert not any((out.fanouts, out.rtcp, out.notice, out.relayed)), "something came of it after all"
        assert due == then or (due is not None and (then is None or then > due)), "a timer is due earlier"

    def _timer(self) -> None:
        due = self.router.next_timer(self.clock.now)
        if due is not None and due <= self.clock.now:
            self.router.handle_timer(self.clock.now)
            self.flush()

    def flush(self) -> None:
        out = self.router.drain()
        for fanout in out.fanouts:
            for peer, header in fanout.headers:
                self.indices.note(peer, header + fanout.body)
                receiver = self.receivers.get(peer)
                if receiver is None:
                    self._down.send(header + fanout.body, self.spectators[peer].receive)
                else:
                    receiver.send(header + fanout.body, self.spectators[peer].receive)
        for peer, data in out.rtcp:
            self.control.append((peer, data))
            if peer in self.spectators:
                self._down.send(data, self.spectators[peer].control)
            for key, camera in self.senders.items():
                if key.split("/")[0] == peer:
                    self._down.send(data, lambda d, c=camera, p=peer: self._answer(p, c, d))
        if out.notice is not None:
            self.notices.append(out.notice)

    def _answer(self, peer: str, camera: Camera, data: bytes) -> None:
        for rtx in camera.control(data):
            self.up(peer, rtx)
