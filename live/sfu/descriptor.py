"""The dependency descriptor: what of a scalable stream a packet belongs to, readable on encrypted media.

AV1 RTP specification, appendix A. A keyframe's first packet carries a *template structure*: the layers there
are, the *decode targets* (what a viewer may choose) and, per template, which target needs a frame made by it.
Later packets name a template in three bytes.
"""

from __future__ import annotations

from enum import IntEnum

from live.sfu.contract import Malformed
from live.sfu.numbers import Unwrapper

MANDATORY = 3
"""Bytes every descriptor has."""
MAX_TEMPLATES = 64
MAX_SPATIAL, MAX_TEMPORAL = 3, 7
"""Highest layer ids taken; what scalability modes there are end at 2 and 2."""
FRAMES = 256
"""Frames remembered per stream, to see whether a switch finds its references."""
STRUCTURES = 64.0
"""New structures of one stream read at a stretch, then so many per second: they cost more to read than other
packets, and a publisher needs one for a keyframe at most."""
STRUCTURES_PER_SECOND = 8.0
_TEMPLATE_IDS = 0x3F


class Dti(IntEnum):
    """Decode target indication: what a frame is to a target (A.4)."""

    ABSENT = 0
    DISCARDABLE = 1
    SWITCH = 2
    REQUIRED = 3


class Template:
    """A frame's layers and dependencies.

    Attributes:
        spatial: Spatial layer.
        temporal: Temporal layer.
        dtis: `Dti` per decode target.
        references: How many frames back its references are.
        chains: Per chain, how many frames back the chain's last frame is (0: it has none).
    """

    __slots__ = ("chains", "dtis", "references", "spatial", "temporal")

    def __init__(
        self,
        spatial: int,
        temporal: int,
        dtis: tuple[int, ...],
        references: tuple[int, ...],
        chains: tuple[int, ...],
    ) -> None:
        """Take the fields as they are."""
        self.spatial = spatial
        self.temporal = temporal
        self.dtis = dtis
        self.references = references
        self.chains = chains


class Structure:
    """The template dependency structure.

    Attributes:
        offset: Id of the first template.
        templates: In order of their ids.
        targets: Per decode target its highest (spatial, temporal) layer.
        protected_by: Per decode target its chain; empty without chains.
        resolutions: Largest (width, height) per spatial layer, if given.
    """

    __slots__ = ("offset", "protected_by", "resolutions", "targets", "templates")

    def __init__(
        self,
        offset: int,
        templates: tuple[Template, ...],
        targets: int,
        protected_by: tuple[int, ...],
        resolutions: tuple[tuple[int, int], ...],
    ) -> None:
        """Take the fields; the targets' layers are those of their highest frames (A.8.3)."""
        self.offset = offset
        self.templates = templates
        self.protected_by = protected_by
        self.resolutions = resolutions
        self.targets = tuple(
            (
                max((t.spatial for t in templates if t.dtis[n]), default=0),
                max((t.temporal for t in templates if t.dtis[n]), default=0),
            )
            for n in range(targets)
        )

    def template(self, number: int) -> Template | None:
        """The template of an id, None if there is none."""
        place = (number - self.offset) & _TEMPLATE_IDS
        return self.templates[place] if place < len(self.templates) else None


class Descriptor:
    """A parsed descriptor.

    Attributes:
        starts: First packet of its frame.
        ends: Last packet of its frame.
        template: Template id.
        number: Frame number, 16 bits.
        structure: The structure it carries, if any: a keyframe.
        active: Bitmask of decode targets that are being sent, None if it does not say.
        frame: Layers and dependencies; None when its template is not known.
    """

    __slots__ = ("active", "ends", "frame", "number", "starts", "structure", "template")

    def __init__(
        self,
        data: bytes,
        structure: Structure | None = None,
        active: int | None = None,
        frame: Template | None = None,
    ) -> None:
        """The mandatory fields of `data`, and what else is known."""
        self.starts = bool(data[0] & 0x80)
        self.ends = bool(data[0] & 0x40)
        self.template = data[0] & _TEMPLATE_IDS
        self.number = data[1] << 8 | data[2]
        self.structure = structure
        self.active = active
        self.frame = frame


class _Bits:
    """Reads numbers from the high end of some bytes."""

    __slots__ = ("_left", "_value")

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """``f(count)``."""
        self._left -= count
        if self._left < 0:
            raise Malformed("a dependency descriptor is cut short")
        return self._value >> self._left & ((1 << count) - 1)

    def below(self, limit: int) -> int:
        """``ns(limit)``: a number below `limit` (A.8.2)."""
        width = limit.bit_length()
        short = (1 << width) - limit
        value = self.take(width - 1)
        return value if value < short else (value << 1) - short + self.take(1)


def parse_descriptor(data: bytes, known: Structure | None = None) -> Descriptor:
    """Read a descriptor.

    Args:
        data: The header extension's element.
        known: The structure that holds, None before the first.

    Raises:
        Malformed: It is cut short, has layers beyond ``MAX_SPATIAL`` and ``MAX_TEMPORAL`` or too many
            templates. A template that `known` does not have is no error: the frame stays None.
    """
    if len(data) < MANDATORY:
        raise Malformed("shorter than a dependency descriptor")
    if len(data) == MANDATORY:
        return Descriptor(data, frame=known.template(data[0] & _TEMPLATE_IDS) if known else None)
    bits = _Bits(data[MANDATORY:])
    attached, activity, dtis, references, chains = (bits.take(1) for _ in range(5))
    structure = _structure(bits) if attached else None
    holds = structure or known
    active = None
    if holds is not None:
        active = (1 << len(holds.targets)) - 1 if attached else None
        if activity:
            active = bits.take(len(holds.targets))
    template = None if holds is None else holds.template(data[0] & _TEMPLATE_IDS)
    if holds is None or template is None:
        return Descriptor(data, structure, active)
    frame = template
    if dtis or references or chains:
        frame = Template(
            template.spatial,
            template.temporal,
            tuple(bits.take(2) for _ in holds.targets) if dtis else template.dtis,
            _references(bits) if references else template.references,
            tuple(bits.take(8) for _ in template.chains) if chains else template.chains,
        )
    return Descriptor(data, structure, active, frame)


def _structure(bits: _Bits) -> Structure:
    offset, targets = bits.take(6), bits.take(5) + 1
    layers = _layers(bits)
    dtis = [tuple(bits.take(2) for _ in range(targets)) for _ in layers]
    references = []
    for _ in layers:
        back = []
        while bits.take(1):
            back.append(bits.take(4) + 1)
        references.append(tuple(back))
    count = bits.below(targets + 1)
    protected_by = tuple(bits.below(count) for _ in range(targets)) if count else ()
    chains = [tuple(bits.take(4) for _ in range(count)) for _ in layers]
    resolutions: tuple[tuple[int, int], ...] = ()
    if bits.take(1):
        resolutions = tuple((bits.take(16) + 1, bits.take(16) + 1) for _ in range(layers[-1][0] + 1))
    templates = tuple(
        Template(*layer, *rest) for layer, *rest in zip(layers, dtis, references, chains, strict=True)
    )
    return Structure(offset, templates, targets, protected_by, resolutions)


def _layers(bits: _Bits) -> list[tuple[int, int]]:
    layers: list[tuple[int, int]] = []
    spatial = temporal = 0
    while True:
        layers.append((spatial, temporal))
        step = bits.take(2)
        if step == 3:  # noqa: PLR2004  no more templates
            return layers
        if step == 1:
            temporal += 1
        elif step:
            spatial, temporal = spatial + 1, 0
        if spatial > MAX_SPATIAL or temporal > MAX_TEMPORAL or len(layers) == MAX_TEMPLATES:
            raise Malformed("a dependency structure beyond all bounds")


def _references(bits: _Bits) -> tuple[int, ...]:
    back = []
    while size := bits.take(2):
        back.append(bits.take(4 * size) + 1)
    return tuple(back)


def move_descriptor(data: bytes, frames: int, templates: int) -> bytes:
    """A copy with frame number and template ids moved: a switch of source must not go back in either."""
    out = bytearray(data)
    out[0] = data[0] & 0xC0 | (data[0] + templates) & _TEMPLATE_IDS
    number = (data[1] << 8 | data[2]) + frames
    out[1], out[2] = number >> 8 & 0xFF, number & 0xFF
    if len(data) > MANDATORY + 1 and data[3] & 0x80:
        offset = ((data[3] & 7) << 3 | data[4] >> 5) + templates
        out[3] = data[3] & 0xF8 | offset >> 3 & 7
        out[4] = data[4] & 0x1F | (offset & 7) << 5
    return bytes(out)


class Frames:
    """The descriptors of one stream: its structure, and what its last frames were.

    Attributes:
        structure: The one that holds, None before the first.
        former: The one before it.
        active: Bitmask of the decode targets that are being sent.
    """

    __slots__ = (
        "_activated_by",
        "_credit",
        "_credit_at",
        "_frames",
        "_numbers",
        "_raw",
        "_read",
        "_structured_by",
        "active",
        "former",
        "structure",
    )

    def __init__(self) -> None:
        """Nothing read yet."""
        self.structure: Structure | None = None
        self.former: Structure | None = None
        self.active = 0
        self._frames: dict[int, Template] = {}
        self._numbers = Unwrapper()
        self._raw = b""
        self._read: Descriptor | None = None
        self._credit, self._credit_at = STRUCTURES, 0.0
        self._structured_by = self._activated_by = -(1 << 62)

    def read(self, data: bytes, now: float, *, newest: bool) -> tuple[Descriptor, int]:
        """Parse a packet's descriptor; gives it, and its frame's number unwrapped.

        What packets say alike is parsed once, so structures that repeat cost nothing. The newest packet's
        structure holds, even if the encoder counts its frames anew; a late one's only if it is not older.

        Raises:
            Malformed: As `parse_descriptor`, or the structure changes too often.
        """
        extended = data[MANDATORY:]
        last = self._read
        if (
            extended
            and extended == self._raw
            and last is not None
            and last.template == data[0] & _TEMPLATE_IDS
        ):
            descriptor = Descriptor(data, last.structure, last.active, last.frame)
        else:
            if extended and extended[0] & 0x80:
                self._charge(now)
            descriptor = parse_descriptor(data, self.structure)
        number = self._numbers.unwrap(descriptor.number)
        if descriptor.structure is not None and (newest or number >= self._structured_by):
            if number < self._structured_by:
                self._frames.clear()
            self.former, self.structure = self.structure, descriptor.structure
            self._structured_by = number
            self._activated_by = min(self._activated_by, number)
        if descriptor.active is not None and number >= self._activated_by:
            self.active, self._activated_by = descriptor.active, number
        if extended:
            self._raw, self._read = extended, descriptor
        if descriptor.frame is not None and number not in self._frames:
            self._frames[number] = descriptor.frame
            if len(self._frames) > FRAMES:
                del self._frames[next(iter(self._frames))]
        return descriptor, number

    def _charge(self, now: float) -> None:
        earned = (now - self._credit_at) * STRUCTURES_PER_SECOND
        self._credit, self._credit_at = min(STRUCTURES, self._credit + earned), now
        if self._credit < 1:
            raise Malformed("dependency structures come too fast")
        self._credit -= 1

    def reachable(self, number: int, target: int, since: int) -> bool:
        """Whether a decoder of a decode target, fed from frame `since` on, has all that a frame refers to."""
        frame = self._frames.get(number)
        if frame is None:
            return False
        for back in frame.references:
            reference = self._frames.get(number - back)
            if number - back < since or reference is None:
                return False
            if target >= len(reference.dtis) or not reference.dtis[target]:
                return False
        return True
