"""Scalable streams as encoders make them, of every codec: frames with their true references, and packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from live.sfu import Codec
from live.sfu.contract import DEPENDENCY_DESCRIPTOR
from live.sfu.rtp import Rtp

DESCRIPTOR_ID = 7
EXTENSIONS = {DEPENDENCY_DESCRIPTOR: DESCRIPTOR_ID}
PACKETS = 2
"""Packets of each frame."""


@dataclass
class Made:
    """A frame.

    Attributes:
        number: Of the stream's frames, in coding order.
        references: How many frames back is what it needs.
        sync: It needs nothing of its own temporal layer or above.
    """

    number: int
    spatial: int
    temporal: int
    references: tuple[int, ...]
    key: bool = False
    sync: bool = False
    last: bool = True
    picture: int = 0
    tl0: int = 0


class BitWriter:
    """Writes numbers one behind the other."""

    def __init__(self) -> None:
        self._bits = ""

    def put(self, value: int, width: int) -> None:
        self._bits += f"{value:0{width}b}" if width else ""

    def below(self, value: int, limit: int) -> None:
        """``ns(limit)``."""
        width = limit.bit_length()
        short = (1 << width) - limit
        if value < short:
            self.put(value, width - 1)
        else:
            self.put(value + short, width)

    def done(self) -> bytes:
        bits = self._bits + "0" * (-len(self._bits) % 8)
        return int(bits or "0", 2).to_bytes(len(bits) // 8)


def write_structure(
    bits: BitWriter,
    offset: int,
    targets: int,
    templates: Sequence[tuple[int, int, Sequence[int], Sequence[int], Sequence[int]]],
    protected_by: Sequence[int] = (),
    resolutions: Sequence[tuple[int, int]] = (),
) -> None:
    """Write a template dependency structure; templates are (spatial, temporal, dtis, references, chains)."""
    bits.put(offset, 6)
    bits.put(targets - 1, 5)
    for here, after in zip(templates, [*templates[1:], None], strict=True):
        if after is None:
            bits.put(3, 2)
        else:
            bits.put(2 if after[0] > here[0] else after[1] - here[1], 2)
    for template in templates:
        for dti in template[2]:
            bits.put(dti, 2)
    for template in templates:
        for back in template[3]:
            bits.put(1, 1)
            bits.put(back - 1, 4)
        bits.put(0, 1)
    chains = len(templates[0][4])
    bits.below(chains, targets + 1)
    for chain in protected_by:
        bits.below(chain, chains)
    for template in templates:
        for back in template[4]:
            bits.put(back, 4)
    bits.put(bool(resolutions), 1)
    for width, height in resolutions:
        bits.put(width - 1, 16)
        bits.put(height - 1, 16)


def write_descriptor(
    *,
    number: int,
    template: int,
    starts: bool = True,
    ends: bool = True,
    structure: Callable[[BitWriter], None] | None = None,
    active: tuple[int, int] | None = None,
    dtis: Sequence[int] | None = None,
    references: Sequence[int] | None = None,
    chains: Sequence[int] | None = None,
) -> bytes:
    """Write a descriptor, extended if it has to be; `active`: mask and number of the decode targets."""
    bits = BitWriter()
    bits.put(starts, 1)
    bits.put(ends, 1)
    bits.put(template, 6)
    bits.put(number & 0xFFFF, 16)
    parts = (structure, active, dtis, references, chains)
    if any(part is not None for part in parts):
        for part in parts:
            bits.put(part is not None, 1)
        if structure:
            structure(bits)
        if active:
            bits.put(*active)
        for dti in dtis or ():
            bits.put(dti, 2)
        if references is not None:
            for back in references:
                size = 1 if back <= 16 else 2 if back <= 256 else 3
                bits.put(size, 2)
                bits.put(back - 1, 4 * size)
            bits.put(0, 2)
        for back in chains or ():
            bits.put(back, 8)
    return bits.done()


@dataclass
class Stream:
    """An encoder: L `spatial` T `temporal` frames, one picture after the other.

    Attributes:
        codec: `vp8`, `vp9`, `h264` or `av1`.
        descriptor: Its packets carry dependency descriptors.
        keyed: Upper spatial layers refer to lower ones at keyframes only (L2T2_KEY).
        synced: How often, in pictures of a layer, an upper temporal layer begins without its own past.
        active: The (spatial, temporal) layer up to which it sends; None for all. A change is told with the
            next picture, which is a keyframe where a `keyed` stream takes up a spatial layer again.
    """

    codec: str
    spatial: int = 1
    temporal: int = 1
    descriptor: bool = False
    keyed: bool = False
    synced: int = 2
    first: int = 0
    ssrc: int = 1000
    active: tuple[int, int] | None = None
    frames: list[Made] = field(default_factory=list)
    _picture: int = 0
    _tl0: int = 0
    _sequence: int = 0
    _past: dict[tuple[int, int], int] = field(default_factory=dict)
    _count: int = 0
    _since_key: int = 0
    _told: int = -1
    _telling: int = -1

    def __post_init__(self) -> None:
        self._picture = self._sequence = self.first

    @property
    def format(self) -> Codec:
        """As it would be agreed."""
        return Codec(self.codec, 90000, {"vp8": 96, "vp9": 98, "h264": 102, "av1": 45}[self.codec])

    def _layer(self, key: bool) -> int:
        if key:
            self._since_key = 0
        order = {1: (0,), 2: (0, 1), 3: (0, 2, 1, 2)}[self.temporal]
        temporal = order[self._since_key % len(order)]
        self._since_key += 1
        return temporal

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(spatial, temporal) of all; each is a decode target."""
        return [(s, t) for s in range(self.spatial) for t in range(self.temporal)]

    def _sends(self, spatial: int, temporal: int) -> bool:
        return self.active is None or (spatial <= self.active[0] and temporal <= self.active[1])

    def _activate(self, key: bool) -> bool:
        """Tell which layers are sent, if that has changed; gives whether there has to be a keyframe."""
        mask = sum(self._sends(*layer) << n for n, layer in enumerate(self.layers))
        top = max(s for s, t in self.layers if self._sends(s, t))
        key = key or (self.keyed and (top, 0) not in self._past and mask != self._told)
        self._telling = self._count if key or mask != self._told else self._telling
        self._told = mask
        self._past = {layer: n for layer, n in self._past.items() if self._sends(*layer)}
        return key

    def picture(self, *, key: bool) -> list[Made]:
        """The frames of the next picture, lowest spatial layer first; none, if its layer is not sent."""
        key = self._activate(key)
        temporal = self._layer(key)
        if not self._sends(0, temporal):
            return []
        self._picture += 1
        self._tl0 += temporal == 0
        self._count += 1
        if key:
            self._past.clear()
        sync = bool(temporal) and (
            self.codec == "h264" or self._count // (2 * self.temporal) % self.synced == 0
        )
        made = []
        spatials = [s for s in range(self.spatial) if self._sends(s, temporal)]
        for spatial in spatials:
            number = len(self.frames)
            below = [made[-1].number] if made and (key or not self.keyed) else []
            levels = [0] if sync or not temporal else range(temporal + 1)
            own = [self._past[spatial, t] for t in levels if (spatial, t) in self._past]
            frame = Made(
                number,
                spatial,
                temporal,
                tuple(sorted({number - n for n in [*below, *own]})),
                key and not spatial,
                sync
                or (bool(temporal) and not any((spatial, t) in self._past for t in range(1, temporal + 1))),
                spatial == spatials[-1],
                self._picture,
                self._tl0,
            )
            made.append(frame)
            self.frames.append(frame)
        for frame in made:
            if self.codec != "h264" or not temporal:
                self._past[frame.spatial, temporal] = frame.number
        return made

    def packets(self, frame: Made, timestamp: int) -> Iterator[Rtp]:
        """The packets of a frame; each ends with the frame's number and its own place."""
        for place in range(PACKETS):
            starts, ends = place == 0, place == PACKETS - 1
            extensions = {DESCRIPTOR_ID: self._describe(frame, starts, ends)} if self.descriptor else {}
            payload = getattr(self, f"_{self.codec}")(frame, starts, ends) + bytes(8)
            yield Rtp(
                marker=0x80 * (ends and frame.last),
                pt=self.format.pt,
                sequence=self._sequence & 0xFFFF,
                timestamp=timestamp & 0xFFFFFFFF,
                ssrc=self.ssrc,
                extensions=extensions,
                payload=payload + frame.number.to_bytes(4) + bytes((place,)),
            )
            self._sequence += 1

    def _vp8(self, frame: Made, starts: bool, _: bool) -> bytes:
        picture = frame.picture & 0x7FFF
        layer = frame.temporal << 6 | frame.sync << 5
        head = (0x90 if starts else 0x80, 0xE0, 0x80 | picture >> 8, picture & 0xFF, frame.tl0 & 0xFF, layer)
        return bytes((*head, 0 if frame.key else 1))

    def _vp9(self, frame: Made, starts: bool, ends: bool) -> bytes:
        picture = frame.picture & 0x7FFF
        inter = not frame.key and frame.spatial == 0
        first = 0xA0 | inter << 6 | starts << 3 | ends << 2
        layers = frame.temporal << 5 | (frame.temporal == 0 or frame.sync) << 4 | frame.spatial << 1
        return bytes((first, 0x80 | picture >> 8, picture & 0xFF, layers, frame.tl0 & 0xFF))

    def _h264(self, frame: Made, starts: bool, ends: bool) -> bytes:
        kind, reference = 5 if frame.key else 1, 0 if frame.temporal else 0x60
        return bytes((reference | 28, starts << 7 | ends << 6 | kind))

    def _av1(self, frame: Made, starts: bool, _: bool) -> bytes:
        return bytes((0x08 if frame.key and starts else 0,))

    # One template per layer; what differs of a frame is written out with it.

    def _describe(self, frame: Made, starts: bool, ends: bool) -> bytes:
        layers = self.layers
        template = 5 + layers.index((frame.spatial, frame.temporal))
        dtis = [self._dti(frame, *target) for target in layers]

        def structure(bits: BitWriter) -> None:
            write_structure(
                bits,
                5,
                len(layers),
                [(s, t, [self._template_dti(s, t, *x) for x in layers], (), ()) for s, t in layers],
            )

        return write_descriptor(
            number=frame.number + self.first,
            template=template,
            starts=starts,
            ends=ends,
            structure=structure if frame.key and starts else None,
            active=(self._told, len(layers)) if self._count <= self._telling + 1 else None,
            dtis=dtis,
            references=frame.references,
        )

    def _template_dti(self, s: int, t: int, spatial: int, temporal: int) -> int:
        return 3 if s <= spatial and t <= temporal else 0

    def _dti(self, frame: Made, spatial: int, temporal: int) -> int:
        """What the frame is to the target of these layers."""
        if frame.spatial > spatial or frame.temporal > temporal:
            return 0
        if self.keyed and frame.spatial < spatial and not self._in_key_picture(frame):
            return 0
        if frame.spatial == spatial or self._in_key_picture(frame):
            free = (
                self.synced == 1 or not temporal
            )  # what follows of the upper layers needs none of their past
            if frame.temporal == 0 and free:
                return 2
            if frame.temporal == temporal == 1 and frame.sync and self.spatial == 1:
                return 2
        return 3

    def _in_key_picture(self, frame: Made) -> bool:
        return any(f.key and f.picture == frame.picture for f in self.frames[max(0, frame.number - 4) :])
