"""Just enough of the payload formats: does a keyframe start here, which layer is it, and the counters.

VP8 RFC 7741 · VP9 RFC 9628 · H.264 RFC 6184 · AV1 and its dependency descriptor: the AV1 RTP specification ·
RED RFC 2198. Works on end-to-end encrypted media as long as the first bytes (VP8: 10 of a keyframe, 3 of
others) or the dependency descriptor stay in the clear; payload descriptors are written after the encryption.
"""

from __future__ import annotations

from live.sfu.contract import Malformed

_SLICES, _IDR, _SPS, _STAP_A, _FU_A = range(1, 5), 5, 7, 24, 28
_NRI = 0x60
MAX_BLOCKS = 8
"""Most blocks of a RED payload; browsers send two or three."""


class PayloadHead:
    """What the first bytes of a payload say; this one for formats of which we know nothing.

    Attributes:
        keyframe: The first packet of a keyframe.
        starts: The first packet of a frame.
        ends: The last packet of a frame, where the format says so.
        spatial: Spatial layer, 0 if not given.
        temporal: Temporal layer, 0 if not given.
        sync: A frame of this temporal layer that needs nothing of its own or a higher layer.
        up: From this frame on higher temporal layers need nothing of them from before it.
        picture_id: Counter or None; ``picture_bits`` is 7 or 15, ``picture_at`` its place.
        tl0: TL0PICIDX or None, at ``tl0_at``.
    """

    __slots__ = (
        "ends",
        "keyframe",
        "picture_at",
        "picture_bits",
        "picture_id",
        "spatial",
        "starts",
        "sync",
        "temporal",
        "tl0",
        "tl0_at",
        "up",
    )

    def __init__(self, payload: bytes) -> None:
        """Read the first bytes.

        Raises:
            Malformed: The format says that there are more.
        """
        self.keyframe = True
        self.starts = self.ends = self.sync = self.up = False
        self.spatial = self.temporal = 0
        self.picture_id: int | None = None
        self.tl0: int | None = None
        self.picture_at = self.picture_bits = self.tl0_at = 0
        try:
            self._read(payload)
        except IndexError:
            raise Malformed("a payload ends within its descriptor") from None

    def _read(self, payload: bytes) -> None:
        """Formats that are not known have no delta frames."""

    def _picture(self, payload: bytes, at: int) -> int:
        """Read a picture id of one or two bytes; gives the place after it."""
        self.picture_at, self.picture_bits = at, 7
        self.picture_id = payload[at]
        if not self.picture_id & 0x80:
            return at + 1
        self.picture_bits = 15
        self.picture_id = (self.picture_id & 0x7F) << 8 | payload[at + 1]
        return at + 2

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


class Vp8(PayloadHead):
    """The VP8 payload descriptor (RFC 7741 §4.2)."""

    __slots__ = ()

    def _read(self, payload: bytes) -> None:
        first = payload[0]
        at = 1
        if first & 0x80:
            flags = payload[1]
            at = 2
            if flags & 0x80:
                at = self._picture(payload, at)
            if flags & 0x40:
                self.tl0_at, self.tl0 = at, payload[at]
                at += 1
            if flags & 0x30:
                if flags & 0x20:
                    self.temporal = payload[at] >> 6
                    self.sync = bool(payload[at] & 0x20)
                at += 1
        self.starts = first & 0x17 == 0x10  # noqa: PLR2004  S = 1, PID = 0
        self.keyframe = self.starts and not payload[at] & 1


class Vp9(PayloadHead):
    """The VP9 payload descriptor (RFC 9628 §4.2)."""

    __slots__ = ()

    def _read(self, payload: bytes) -> None:
        first = payload[0]
        at = 1
        if first & 0x80:
            at = self._picture(payload, at)
        if first & 0x20:
            layers = payload[at]
            self.temporal, self.spatial = layers >> 5, layers >> 1 & 7
            self.up = bool(layers & 0x10)
            at += 1
            if not first & 0x10:
                self.tl0_at, self.tl0 = at, payload[at]
        self.starts, self.ends = bool(first & 0x08), bool(first & 0x04)
        self.keyframe = self.starts and not first & 0x40 and not self.spatial


class H264(PayloadHead):
    """The NAL units of an H.264 payload (RFC 6184 §5), alone, aggregated or fragmented.

    H.264 signals temporal layers only in the dependency descriptor, but it marks pictures that no other one
    refers to (``nal_ref_idc`` 0): they are temporal layer 1.
    """

    __slots__ = ()

    def _read(self, payload: bytes) -> None:
        first = payload[0]
        kind = first & 0x1F
        self.keyframe = False
        if kind == _FU_A:
            units = [first & _NRI | payload[1] & 0x1F]
            self.starts = bool(payload[1] & 0x80)
        else:
            units = _aggregated(payload) if kind == _STAP_A else [first]
            self.starts = True
        kinds = [unit & 0x1F for unit in units]
        self.keyframe = self.starts and (_IDR in kinds or _SPS in kinds)
        slices = [unit for unit in units if unit & 0x1F in _SLICES]
        if slices and _IDR not in kinds and not any(unit & _NRI for unit in slices):
            self.temporal, self.sync = 1, True


def _aggregated(payload: bytes) -> list[int]:
    """The header bytes of a STAP-A's units."""
    units, at = [], 1
    while at + 2 < len(payload):
        units.append(payload[at + 2])
        at += 2 + (payload[at] << 8 | payload[at + 1])
    return units


class Av1(PayloadHead):
    """The AV1 aggregation header: N marks the first packet of a coded video sequence."""

    __slots__ = ()

    def _read(self, payload: bytes) -> None:
        self.keyframe = self.starts = payload[0] & 0x88 == 0x08  # noqa: PLR2004  N = 1, Z = 0


HEADS: dict[str, type[PayloadHead]] = {"vp8": Vp8, "vp9": Vp9, "h264": H264, "av1": Av1}


class Red:
    """A RED payload (RFC 2198 §3): older blocks, then the newest, the primary.

    Attributes:
        blocks: Payload types of the blocks, the primary's last.
        primary: Where the primary block begins.
    """

    __slots__ = ("_heads", "blocks", "primary")

    def __init__(self, payload: bytes) -> None:
        """Read the block headers.

        Raises:
            Malformed: They end without a primary block, reach beyond the payload, or are too many.
        """
        self.blocks: list[int] = []
        self._heads: list[int] = []
        at = lengths = 0
        try:
            while payload[at] & 0x80:
                self._heads.append(at)
                self.blocks.append(payload[at] & 0x7F)
                lengths += (payload[at + 2] & 3) << 8 | payload[at + 3]
                at += 4
                if len(self.blocks) == MAX_BLOCKS:
                    raise Malformed("too many blocks of RED")
            self._heads.append(at)
            self.blocks.append(payload[at])
        except IndexError:
            raise Malformed("a RED payload ends within its headers") from None
        self.primary = at + 1 + lengths
        if self.primary > len(payload):
            raise Malformed("the blocks of a RED payload are longer than it")

    def renamed(self, payload: bytes, pt: int) -> bytes:
        """A copy of the payload whose blocks all have another payload type."""
        out = bytearray(payload)
        for at in self._heads:
            out[at] = out[at] & 0x80 | pt
        return bytes(out)
