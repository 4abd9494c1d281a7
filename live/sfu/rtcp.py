"""RTCP read and written: reports (RFC 3550 §6.4), NACK and PLI (RFC 4585), FIR (RFC 5104), REMB.

`parse_rtcp` gives the values the router acts on and skips other packet types. Transport-wide feedback has
its own module, `live.sfu.twcc`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from live.sfu.contract import Malformed

SR, RR, SDES, BYE, RTPFB, PSFB = 200, 201, 202, 203, 205, 206
_NACK, _TWCC, _PLI, _FIR, _REMB = 1, 15, 1, 4, 15
MAX_BLOCKS = 31
MAX_NACKED = 256
"""Numbers read of the NACKs of one datagram; nobody misses more at a time and can still be helped by them."""
MAX_FEEDBACKS = 2
"""Transport feedback packets read of one datagram; receivers send one, or two after a pause."""

_PACKET_WEIGHT = 8
"""What a packet of a compound costs besides its numbers and statuses."""
_PACKETS = 64
"""More than any compound has."""
_FLOOD = 1 << 16

_HEAD = struct.Struct("!BBH")
_SENDER = struct.Struct("!IQIII")
_BLOCK = struct.Struct("!IIIIII")
_PAIR = struct.Struct("!II")
_REMB_HEAD = struct.Struct("!BBH")


@dataclass(slots=True)
class ReportBlock:
    """What a receiver says about one stream (RFC 3550 §6.4.1).

    ``fraction`` is of 256, ``lost`` signed, ``jitter`` in timestamp units, ``last_sr`` the middle 32 bits of
    an NTP time, ``delay`` in 1/65536 s.
    """

    ssrc: int
    fraction: int
    lost: int
    highest: int
    jitter: int
    last_sr: int
    delay: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """A sender's clock: NTP (32.32 fixed point) and RTP time of one moment, and its totals."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(slots=True)
class ReceiverReport:
    """Reports of one receiver."""

    ssrc: int
    blocks: tuple[ReportBlock, ...]


@dataclass(slots=True)
class Nack:
    """Sequence numbers somebody misses."""

    sender: int
    media: int
    sequences: tuple[int, ...]


@dataclass(slots=True)
class KeyframeRequest:
    """PLI, or one entry of a FIR: a decoder needs a keyframe."""

    sender: int
    media: int


@dataclass(slots=True)
class Remb:
    """A receiver's estimate of what its line carries, bit/s (draft-alvestrand-rmcat-remb)."""

    sender: int
    bitrate: int
    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Bye:
    """Streams that ended."""

    ssrcs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TransportWide:
    """Transport-wide feedback, unread: `live.sfu.twcc.parse_feedback` reads ``body`` for whoever needs it."""

    body: bytes


Feedback = SenderReport | ReceiverReport | Nack | KeyframeRequest | Remb | TransportWide | Bye


def parse_rtcp(data: bytes) -> list[Feedback]:
    """Read a compound or a reduced-size packet (RFC 5506).

    What is beyond `MAX_NACKED` and `MAX_FEEDBACKS` is left out.

    Raises:
        Malformed: Not version 2, or a length that does not fit.
    """
    found: list[Feedback] = []
    at, size = 0, len(data)
    nacked, feedbacks = 0, 0
    if not size:
        raise Malformed("empty RTCP")
    while at < size:
        if size - at < _HEAD.size:
            raise Malformed("shorter than an RTCP header")
        first, kind, words = _HEAD.unpack_from(data, at)
        end = at + 4 + 4 * words
        if first >> 6 != 2 or end > size:  # noqa: PLR2004  the version of RFC 3550
            raise Malformed("not RTCP version 2, or cut short")
        body = data[at + 4 : end]
        if first & 0x20:
            body = _unpadded(body)
        at = end
        try:
            if kind != RTPFB:
                found += _values(kind, first & 0x1F, body)
            elif first & 0x1F == _NACK:
                nack = _nack(body, MAX_NACKED - nacked)
                nacked += len(nack.sequences)
                found.append(nack)
            elif first & 0x1F == _TWCC and feedbacks < MAX_FEEDBACKS:
                feedbacks += 1
                found.append(TransportWide(body))
        except struct.error:
            raise Malformed("an RTCP packet is shorter than its type says") from None
    return found


def _unpadded(body: bytes) -> bytes:
    if not body or not 0 < body[-1] <= len(body):
        raise Malformed("padding reaches beyond the packet")
    return body[: -body[-1]]


def weigh_rtcp(data: bytes) -> int:
    """How many values a datagram makes us look at, told by its headers; more than anybody has for a flood."""
    at, size, weight = 0, len(data), 0
    for _ in range(_PACKETS):
        if at + _HEAD.size > size:
            return weight
        first, kind, words = _HEAD.unpack_from(data, at)
        end = at + 4 + 4 * words
        weight += _PACKET_WEIGHT
        if kind == RTPFB and first & 0x1F == _NACK:
            entries = data[at + 12 : end]
            followers = int.from_bytes(entries) & int.from_bytes(b"\0\0\xff\xff" * (len(entries) // 4))
            weight += len(entries) // 4 + followers.bit_count()
        elif kind == RTPFB and first & 0x1F == _TWCC:
            weight += int.from_bytes(data[at + 14 : at + 16])
        at = end
    return _FLOOD


def _values(kind: int, count: int, body: bytes) -> Sequence[Feedback]:
    """What a packet other than transport feedback says; raises `struct.error` too."""
    if kind == RR:
        return (ReceiverReport(int.from_bytes(_need(body, 0, 4)), _blocks(body, 4, count)),)
    if kind == SR:
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(body)
        return (SenderReport(ssrc, ntp, timestamp, packets, octets, _blocks(body, 24, count)),)
    if kind == PSFB:
        return _payload_specific(count, body)
    return (Bye(struct.unpack_from(f"!{count}I", body)),) if kind == BYE else ()


def _need(body: bytes, at: int, size: int) -> bytes:
    if len(body) < at + size:
        raise Malformed("an RTCP packet is shorter than its type says")
    return body[at : at + size]


def _blocks(body: bytes, at: int, count: int) -> tuple[ReportBlock, ...]:
    blocks = []
    for start in range(at, at + 24 * count, 24):
        ssrc, loss, highest, jitter, last_sr, delay = _BLOCK.unpack_from(body, start)
        lost = loss & 0xFFFFFF
        if lost & 0x800000:
            lost -= 0x1000000
        blocks.append(ReportBlock(ssrc, loss >> 24, lost, highest, jitter, last_sr, delay))
    return tuple(blocks)


def _nack(body: bytes, most: int) -> Nack:
    sender, media = _PAIR.unpack_from(body)
    sequences: list[int] = []
    for at in range(8, len(body) - 3, 4):
        if len(sequences) >= most:
            break
        pid, bits = struct.unpack_from("!HH", body, at)
        sequences.append(pid)
        sequences.extend((pid + 1 + i) & 0xFFFF for i in range(16) if bits >> i & 1)
    return Nack(sender, media, tuple(sequences[:most]))


def _payload_specific(count: int, body: bytes) -> Sequence[Feedback]:
    sender, media = _PAIR.unpack_from(body)
    if count == _REMB and body[8:12] == b"REMB":
        number, exponent, low = _REMB_HEAD.unpack_from(body, 12)
        mantissa = (exponent & 0x03) << 16 | low
        return (Remb(sender, mantissa << (exponent >> 2), struct.unpack_from(f"!{number}I", body, 16)),)
    if count == _PLI:
        return (KeyframeRequest(sender, media),)
    if count == _FIR:
        entries = range(8, len(body) - 7, 8)
        return [KeyframeRequest(sender, int.from_bytes(body[at : at + 4])) for at in entries]
    return ()


def packet(kind: int, count: int, body: bytes) -> bytes:
    """One RTCP packet; `body` is padded with zeros to words."""
    words = (len(body) + 3) >> 2
    return _HEAD.pack(0x80 | count, kind, words) + body.ljust(4 * words, b"\0")


def write_block(block: ReportBlock) -> bytes:
    """The 24 bytes of a report block."""
    loss = block.fraction << 24 | max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF
    jitter = min(block.jitter, 0xFFFFFFFF)
    return _BLOCK.pack(
        block.ssrc, loss, block.highest & 0xFFFFFFFF, jitter, block.last_sr, min(block.delay, 0xFFFFFFFF)
    )


def write_sr(report: SenderReport) -> bytes:
    """A sender report."""
    head = _SENDER.pack(
        report.ssrc,
        report.ntp & (1 << 64) - 1,
        report.timestamp & 0xFFFFFFFF,
        report.packets & 0xFFFFFFFF,
        report.octets & 0xFFFFFFFF,
    )
    return packet(SR, len(report.blocks), head + b"".join(map(write_block, report.blocks)))


def write_rr(ssrc: int, blocks: Sequence[ReportBlock]) -> bytes:
    """A receiver report; at most 31 blocks."""
    return packet(RR, len(blocks), ssrc.to_bytes(4) + b"".join(map(write_block, blocks)))


def write_cname(ssrc: int, cname: str) -> bytes:
    """A source description with the CNAME alone (RFC 3550 §6.5)."""
    name = cname.encode()[:255]
    return packet(SDES, 1, ssrc.to_bytes(4) + bytes((1, len(name))) + name + b"\0")


def write_nack(sender: int, media: int, sequences: Iterable[int]) -> bytes:
    """A generic NACK; the numbers should come in rising (wrapping) order."""
    entries: list[tuple[int, int]] = []
    for sequence in sequences:
        if entries:
            pid, bits = entries[-1]
            distance = (sequence - pid) & 0xFFFF
            if 1 <= distance <= 16:  # noqa: PLR2004  bits of a BLP
                entries[-1] = (pid, bits | 1 << (distance - 1))
                continue
        entries.append((sequence & 0xFFFF, 0))
    return packet(RTPFB, _NACK, _PAIR.pack(sender, media) + b"".join(struct.pack("!HH", *e) for e in entries))


def write_pli(sender: int, media: int) -> bytes:
    """A picture loss indication."""
    return packet(PSFB, _PLI, _PAIR.pack(sender, media))


def write_fir(sender: int, media: int, number: int) -> bytes:
    """A full intra request; `number` rises with every new command."""
    return packet(PSFB, _FIR, _PAIR.pack(sender, 0) + _PAIR.pack(media, (number & 0xFF) << 24))


def write_remb(sender: int, bitrate: int, ssrcs: Sequence[int]) -> bytes:
    """A receiver-estimated maximum bitrate; precise to 18 bits."""
    exponent = max(0, bitrate.bit_length() - 18)
    head = b"REMB" + bytes((len(ssrcs), exponent << 2 | bitrate >> exponent >> 16))
    low = (bitrate >> exponent & 0xFFFF).to_bytes(2)
    return packet(PSFB, _REMB, _PAIR.pack(sender, 0) + head + low + struct.pack(f"!{len(ssrcs)}I", *ssrcs))


def write_bye(ssrcs: Sequence[int]) -> bytes:
    """A goodbye of at most 31 streams."""
    return packet(BYE, len(ssrcs), struct.pack(f"!{len(ssrcs)}I", *ssrcs))
