"""Viewers who report as browsers do, and of whose media the kernel keeps only a count."""

from __future__ import annotations

import asyncio
import secrets
from array import array

from benchmarks.load.publisher import STAMP, STAMPED, VIDEO_BYTES
from benchmarks.load.transport import Identity, Transport
from live.media.srtp import SrtpError
from live.sfu.rtcp import ReportBlock, SenderReport, parse_rtcp, write_remb, write_rr
from live.sfu.rtp import parse_rtp

REPORT = 1.0
"""Seconds between a viewer's receiver reports (RR with two blocks and REMB, as Chromium compounds them)."""
_BITRATE = 5_000_000
_SLICES = 50
_VIDEO_AT_LEAST = 600
"""A packet this large is no sound: the first one tells that a viewer sees something."""


class Viewer:
    """One viewer.

    Args:
        identity: see `Transport`.
        host: the address to bind.
        whole: sample every packet; else the kernel drops media after the first of video.

    Attributes:
        seen_at: when the kernel had its first packet of video, ns since 1970; 0 before.
        latencies: ns from the speaker's socket to this one's, of each packet, if `whole`.
        arrivals: when each packet of video came, ns, if `whole`.
        got: packets, if `whole`.
    """

    def __init__(self, identity: Identity, host: str, *, whole: bool = False) -> None:
        self.transport = Transport(identity, host, self._take)
        self.whole = whole
        self.seen_at = 0
        self.got = 0
        self.latencies = array("q")
        self.arrivals = array("q")
        self._ssrc = secrets.randbits(31)
        self._streams: dict[int, int] = {}
        self._video = 0

    def _take(self, datagram: bytes, at: int) -> None:
        srtp = self.transport.srtp
        if srtp is None:
            return
        if 192 <= datagram[1] < 224:
            self._take_report(datagram)
            return
        ssrc = int.from_bytes(datagram[8:12])
        self._streams.setdefault(ssrc, 0)
        if len(datagram) > _VIDEO_AT_LEAST:
            self._video = ssrc
            self.seen_at = self.seen_at or at
            if not self.whole:
                self.transport.drop_media()
        if not self.whole:
            return
        try:
            rtp = parse_rtp(bytes(srtp.unprotect(datagram)))
        except SrtpError:
            return
        self.got += 1
        (left,) = STAMP.unpack_from(rtp.payload, STAMPED)
        self.latencies.append(at - left)
        if len(datagram) > VIDEO_BYTES // 2:
            self.arrivals.append(at)

    def _take_report(self, datagram: bytes) -> None:
        assert self.transport.srtp is not None
        try:
            values = parse_rtcp(bytes(self.transport.srtp.unprotect_rtcp(datagram)))
        except SrtpError:
            return
        for value in values:
            if isinstance(value, SenderReport):
                self._streams[value.ssrc] = value.ntp >> 16 & 0xFFFFFFFF

    def report(self) -> None:
        """Says that all is well."""
        srtp = self.transport.srtp
        if srtp is None or not self._streams:
            return
        blocks = [ReportBlock(ssrc, 0, 0, 0, 90, last, 32768) for ssrc, last in self._streams.items()]
        compound = write_rr(self._ssrc, blocks[:31]) + write_remb(self._ssrc, _BITRATE, [self._video])
        self.transport.send(srtp.protect_rtcp(compound))


class Audience:
    """Some viewers and the clock of their reports, evenly spread over time.

    Attributes:
        viewers: in the order in which they joined.
    """

    def __init__(self) -> None:
        self.viewers: list[Viewer] = []
        self._loop = asyncio.get_running_loop()
        self._slice = 0
        self._timer = self._loop.call_later(REPORT / _SLICES, self._turn)

    def _turn(self) -> None:
        self._timer = self._loop.call_later(REPORT / _SLICES, self._turn)
        self._slice = (self._slice + 1) % _SLICES
        for viewer in self.viewers[self._slice :: _SLICES]:
            viewer.report()

    def close(self) -> None:
        self._timer.cancel()
        for viewer in self.viewers:
            viewer.transport.close()
