"""Structures that remember: whatever they are told, and in whatever order, they keep to a simple model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from live.sfu import Malformed
from live.sfu.cache import Packet, PacketCache
from live.sfu.descriptor import FRAMES, Frames
from tests.kit.streams import BitWriter, write_descriptor, write_structure

TARGETS = 4
TEMPLATES = [
    (0, 0, (2, 2, 2, 2), (), ()),
    (0, 1, (0, 1, 0, 1), (1,), ()),
    (1, 0, (0, 0, 2, 2), (1,), ()),
    (1, 1, (0, 0, 0, 1), (1, 2), ()),
]


class FramesMachine(RuleBasedStateMachine):
    """A stream whose structure is known, and what a hostile or broken publisher may say of it next."""

    @initialize(offset=st.integers(0, 63), number=st.integers(0, 0xFFFF))
    def begin(self, offset: int, number: int) -> None:
        self.offset, self.now = offset, 1.0
        self.frames = Frames()
        self.keyframe(number)

    def keyframe(self, number: int) -> None:
        def structure(bits: BitWriter) -> None:
            write_structure(bits, self.offset, TARGETS, TEMPLATES)

        data = write_descriptor(number=number, template=self.offset, structure=structure)
        descriptor, extended = self.frames.read(data, self.now, newest=True)
        assert descriptor.structure is self.frames.structure
        assert extended & 0xFFFF == number
        assert self.frames.active == (1 << TARGETS) - 1

    @rule(number=st.integers(0, 0xFFFF), offset=st.integers(0, 63), seconds=st.floats(0.2, 2.0))
    def a_keyframe(self, number: int, offset: int, seconds: float) -> None:
        self.offset, self.now = offset, self.now + seconds
        self.keyframe(number)

    @rule(
        place=st.integers(0, 70),
        number=st.integers(0, 0xFFFF),
        newest=st.booleans(),
        mask=st.none() | st.integers(0, (1 << TARGETS) - 1),
        references=st.none() | st.lists(st.integers(1, 4096), max_size=5),
    )
    def a_frame(self, place, number, newest, mask, references) -> None:
        template = (self.offset + place) & 0x3F
        active = None if mask is None else (mask, TARGETS)
        data = write_descriptor(number=number, template=template, active=active, references=references)
        descriptor, extended = self.frames.read(data, self.now, newest=newest)
        assert extended & 0xFFFF == number
        known = self.frames.structure.template(template)
        assert (descriptor.frame is None) == (known is None)
        assert descriptor.active == mask
        if known is not None and references is not None:
            assert descriptor.frame.references == tuple(references)

    @rule(data=st.binary(min_size=3, max_size=60), newest=st.booleans())
    def anything(self, data: bytes, newest: bool) -> None:
        before = self.frames.structure
        self.now += 0.2
        try:
            descriptor, _ = self.frames.read(data, self.now, newest=newest)
        except Malformed:
            assert self.frames.structure is before
        else:
            if descriptor.structure is self.frames.structure:  # what it says holds from now on
                self.a_keyframe(1, self.offset, 0.2)

    @invariant()
    def it_is_bounded_and_answers(self) -> None:
        if hasattr(self, "frames"):
            assert len(self.frames._frames) <= FRAMES
            for number in list(self.frames._frames)[-3:]:
                for target in (0, TARGETS - 1, 40):
                    known = self.frames.reachable(number, target, -(1 << 40))
                    assert known or self.frames._frames[number].references
            assert not self.frames.reachable(1 << 40, 0, 0)


TestFrames = FramesMachine.TestCase
TestFrames.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)

COUNT, AGE = 8, 2.0


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "put", "put", "get", "clear"]), st.integers(0, 40), st.floats(0, 1.5)
        ),
        max_size=60,
    )
)
def test_a_packet_cache_has_the_newest_of_each_place_while_it_is_young(acts):
    cache, now = PacketCache(COUNT, AGE), 1.0
    model: dict[int, Packet] = {}
    for act, number, seconds in acts:
        if act == "put":
            packet = Packet(
                number=number, marker=0, pt=96, timestamp=0, extensions={}, payload=b"", arrived=now
            )
            newest = all(n < number for n in model if n % COUNT == number % COUNT)
            assert cache.put(packet) is newest
            if newest:
                model = {n: p for n, p in model.items() if n % COUNT != number % COUNT} | {number: packet}
        elif act == "get":
            now += seconds
        else:
            cache.clear()
            model.clear()
        for n in range(41):
            known = model.get(n)
            young = known is not None and now - known.arrived <= AGE
            assert cache.get(n, now) is (known if young else None)
