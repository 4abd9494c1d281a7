"""Just enough of the payload formats: does a keyframe start here, and VP8's counters.

VP8 RFC 7741 · VP9 RFC 9628 · H.264 RFC 6184 · AV1 and its dependency descriptor: the AV1 RTP specification.
Works on end-to-end encrypted media as long as the first bytes (VP8: 10) or the descriptor stay in the clear.
"""

from __future__ import annotations

from live.sfu.contract import Malformed

_IDR, _SPS, _STAP_A, _FU_A = 5, 7, 24, 28


class Vp8:
    """The VP8 payload descriptor (RFC 7741 §4.2).

    Attributes:
        keyframe: The first packet of a keyframe.
        picture_id: Counter or None; ``picture_bits`` is 7 or 15, ``picture_at`` its place.
        tl0: TL0PICIDX or None, at ``tl0_at``.
        temporal: Temporal layer, 0 if not given.
    """

    __slots__ = ("keyframe", "picture_at", "picture_bits", "picture_id", "temporal", "tl0", "tl0_at")

    def __init__(self, payload: bytes) -> None:
        """Read the descriptor.

        Raises:
            Malformed: The descriptor reaches beyond the payload.
        """
        try:
            self._read(payload)
        except IndexError:
            raise Malformed("a VP8 descriptor reaches beyond its payload") from None

    def _read(self, payload: bytes) -> None:
        self.picture_id: int | None = None
        self.tl0: int | None = None
        self.picture_bits = self.picture_at = self.tl0_at = self.temporal = 0
        first = payload[0]
        at = 1
        if first & 0x80:
            flags = payload[1]
            at = 2
            if flags & 0x80:
                self.picture_at, self.picture_bits = at, 7
                self.picture_id = payload[at]
                at += 1
                if self.picture_id & 0x80:
                    self.picture_bits = 15
                    self.picture_id = (self.picture_id & 0x7F) << 8 | payload[at]
                    at += 1
            if flags & 0x40:
                self.tl0_at, self.tl0 = at, payload[at]
                at += 1
            if flags & 0x30:
                self.temporal = payload[at] >> 6 if flags & 0x20 else 0
                at += 1
        starts = first & 0x17 == 0x10  # noqa: PLR2004  S = 1, PID = 0
        self.keyframe = starts and not payload[at] & 1

    def rewrite(self, payload: bytes, picture_shift: int, tl0_shift: int) -> bytes:
        """A copy of the payload with both counters moved."""
        out = bytearray(payload)
        if self.picture_id is not None:
            moved = (self.picture_id + picture_shift) & ((1 << self.picture_bits) - 1)
            if self.picture_bits > 7:  # noqa: PLR2004  the long form
                out[self.picture_at] = 0x80 | moved >> 8
                out[self.picture_at + 1] = moved & 0xFF
            else:
                out[self.picture_at] = moved
        if self.tl0 is not None:
            out[self.tl0_at] = (self.tl0 + tl0_shift) & 0xFF
        return bytes(out)


def starts_keyframe(codec: str, payload: bytes, descriptor: bytes | None = None) -> bool:
    """Whether a decoder can start with this packet.

    Args:
        codec: Encoding name in lower case. Codecs not known here have no delta frames: always True.
        payload: Of one packet.
        descriptor: The dependency descriptor extension, which is believed before the payload.

    Raises:
        Malformed: The payload is shorter than its format says.
    """
    if descriptor is not None and len(descriptor) >= 3:  # noqa: PLR2004  its mandatory fields
        return _descriptor_starts(descriptor)
    read = _READERS.get(codec)
    if read is None:
        return True
    try:
        return read(payload)
    except IndexError:
        raise Malformed(f"a {codec} payload is cut short") from None


def _descriptor_starts(descriptor: bytes) -> bool:
    """start_of_frame, and a template structure is attached (AV1 RTP specification, A.8)."""
    return bool(descriptor[0] & 0x80 and len(descriptor) > 3 and descriptor[3] & 0x80)  # noqa: PLR2004  extended


def _vp8(payload: bytes) -> bool:
    return Vp8(payload).keyframe


def _vp9(payload: bytes) -> bool:
    """Start of a frame, not inter-predicted, lowest spatial layer (RFC 9628 §4.2)."""
    first = payload[0]
    if first & 0x40 or not first & 0x08:
        return False
    if not first & 0x20:
        return True
    at = 1
    if first & 0x80:
        at += 2 if payload[1] & 0x80 else 1
    return payload[at] >> 1 & 0x07 == 0


def _h264(payload: bytes) -> bool:
    """An SPS or the start of an IDR slice, alone, aggregated or fragmented."""
    kind = payload[0] & 0x1F
    if kind in (_IDR, _SPS):
        return True
    if kind == _FU_A:
        return bool(payload[1] & 0x80) and payload[1] & 0x1F in (_IDR, _SPS)
    if kind == _STAP_A:
        at = 1
        while at + 2 < len(payload):
            if payload[at + 2] & 0x1F in (_IDR, _SPS):
                return True
            at += 2 + (payload[at] << 8 | payload[at + 1])
    return False


def _av1(payload: bytes) -> bool:
    """The N bit: first packet of a coded video sequence."""
    return payload[0] & 0x88 == 0x08  # noqa: PLR2004  N = 1, Z = 0


_READERS = {"vp8": _vp8, "vp9": _vp9, "h264": _h264, "av1": _av1}
