"""The speaker of every benchmark: 150 packets of video and 50 of sound a second, each saying when it left."""

from __future__ import annotations

import asyncio
import struct
import time

from benchmarks.load.descriptions import AUDIO_SSRC, EXTENSIONS, OPUS, VIDEO_SSRC, VP8
from benchmarks.load.transport import Identity, Transport
from live.sfu.contract import AUDIO_LEVEL, MID, TRANSPORT_CC
from live.sfu.rtcp import KeyframeRequest, Nack, SenderReport, parse_rtcp, write_cname, write_sr
from live.sfu.rtp import Rtp, write_rtp

FRAMES, PACKETS, SOUNDS = 30, 5, 50
"""Frames and packets of sound a second, and packets of a frame."""
PER_SECOND = FRAMES * PACKETS + SOUNDS
VIDEO_BYTES, AUDIO_BYTES = 1200, 100
"""Bytes of an RTP packet before protection."""
STAMP = struct.Struct("!q")
"""When a packet left, ns since 1970; behind the first `STAMPED` bytes of the payload."""
STAMPED = 16
_NTP = 2208988800


class Publisher:
    """Connect it with `transport.connect`; `play` and `pause` as often as wanted, the numbers go on.

    Args:
        identity: see `Transport`.
        host: the address to bind.
        spread: a frame's packets leave evenly over its time, as a slow line would bring them, not at once.

    Attributes:
        sent: packets so far.
        asked: keyframes that were asked for.
        missed: packets that the server said it misses.
    """

    def __init__(self, identity: Identity, host: str, *, spread: bool = False) -> None:
        self.transport = Transport(identity, host, self._control)
        self.sent = self.asked = self.missed = 0
        self._loop = asyncio.get_running_loop()
        self._spread = spread
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._wants_key = True
        self._frame = self._number = self._sound = self._transport_wide = self._in_frame = 0
        self._octets = [0, 0]
        self._filler = bytes(range(256)) * 5

    def play(self) -> None:
        """Begins, or goes on, with a keyframe."""
        self._wants_key = True
        now = self._loop.time()
        step = 1 / (FRAMES * PACKETS) if self._spread else 1 / FRAMES
        self._every("video", step, self._video_packet if self._spread else self._video_frame, now)
        self._every("sound", 1 / SOUNDS, self._sound_packet, now + 0.003)
        self._every("report", 1.0, self._report, now + 0.01)

    def pause(self) -> None:
        for timer in self._timers.values():
            timer.cancel()
        if self._spread:
            while self._in_frame:
                self._video_packet()

    def close(self) -> None:
        self.pause()
        self.transport.close()

    def _every(self, name: str, step: float, do, at: float) -> None:
        def fire(at: float) -> None:
            do()
            self._timers[name] = self._loop.call_at(at + step, fire, at + step)

        self._timers[name] = self._loop.call_at(at, fire, at)

    def _video_frame(self) -> None:
        for _ in range(PACKETS):
            self._video_packet()

    def _video_packet(self) -> None:
        first, last = self._in_frame == 0, self._in_frame == PACKETS - 1
        if first:
            self._frame += 1
            self._delta = 0 if self._wants_key else 1
            self._wants_key = False
        self._in_frame = 0 if last else self._in_frame + 1
        picture = self._frame & 0x7FFF
        descriptor = bytes(
            (0x90 if first else 0x80, 0xE0, 0x80 | picture >> 8, picture & 0xFF, 0, 0, self._delta)
        )
        extensions = {EXTENSIONS[MID]: b"1", EXTENSIONS[TRANSPORT_CC]: self._count()}
        self._number += 1
        self._send(
            Rtp(
                marker=0x80 if last else 0,
                pt=VP8,
                sequence=self._number & 0xFFFF,
                timestamp=self._frame * 90000 // FRAMES & 0xFFFFFFFF,
                ssrc=VIDEO_SSRC,
                extensions=extensions,
                payload=descriptor,
            ),
            VIDEO_BYTES,
        )

    def _sound_packet(self) -> None:
        self._sound += 1
        extensions = {
            EXTENSIONS[MID]: b"0",
            EXTENSIONS[AUDIO_LEVEL]: b"\x99",
            EXTENSIONS[TRANSPORT_CC]: self._count(),
        }
        self._send(
            Rtp(
                marker=0,
                pt=OPUS,
                sequence=self._sound & 0xFFFF,
                timestamp=self._sound * 48000 // SOUNDS & 0xFFFFFFFF,
                ssrc=AUDIO_SSRC,
                extensions=extensions,
                payload=b"\x78",
            ),
            AUDIO_BYTES,
        )

    def _count(self) -> bytes:
        self._transport_wide = self._transport_wide + 1 & 0xFFFF
        return self._transport_wide.to_bytes(2)

    def _send(self, rtp: Rtp, size: int) -> None:
        rtp.payload = rtp.payload.ljust(STAMPED, b"\0") + STAMP.pack(time.time_ns())
        packet = write_rtp(rtp)
        rtp_bytes = packet + self._filler[: size - len(packet)]
        assert self.transport.srtp is not None
        self.transport.send(self.transport.srtp.protect(rtp_bytes))
        self.sent += 1
        self._octets[rtp.ssrc == VIDEO_SSRC] += len(rtp_bytes) - 12

    def _report(self) -> None:
        now = time.time()
        ntp = int((now + _NTP) * (1 << 32))
        video = SenderReport(
            VIDEO_SSRC, ntp, self._frame * 90000 // FRAMES & 0xFFFFFFFF, self._number, self._octets[1]
        )
        sound = SenderReport(
            AUDIO_SSRC, ntp, self._sound * 48000 // SOUNDS & 0xFFFFFFFF, self._sound, self._octets[0]
        )
        assert self.transport.srtp is not None
        for report in (video, sound):
            compound = write_sr(report) + write_cname(report.ssrc, "load")
            self.transport.send(self.transport.srtp.protect_rtcp(compound))

    def _control(self, datagram: bytes, _: int) -> None:
        if self.transport.srtp is None:
            return
        for value in parse_rtcp(bytes(self.transport.srtp.unprotect_rtcp(datagram))):
            if isinstance(value, KeyframeRequest):
                self._wants_key = True
                self.asked += 1
            elif isinstance(value, Nack):
                self.missed += len(value.sequences)
