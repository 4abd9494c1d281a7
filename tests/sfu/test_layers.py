"""Law 11 for every codec with layers: gap-free numbers, and only what can be decoded."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Encoding, PublicationSpec
from live.sfu.contract import DEPENDENCY_DESCRIPTOR, Audience, Slot
from live.sfu.descriptor import Frames, parse_descriptor
from live.sfu.downtrack import Downtrack
from live.sfu.payloads import Vp8
from live.sfu.publication import Publisher
from live.sfu.rtp import parse_rtp
from tests.kit.streams import DESCRIPTOR_ID, EXTENSIONS, PACKETS, Made, Stream

MODES = {
    "vp8 L1T1": {"codec": "vp8"},
    "vp8 L1T2": {"codec": "vp8", "temporal": 2},
    "vp8 L1T3": {"codec": "vp8", "temporal": 3},
    "vp8 L1T3 described": {"codec": "vp8", "temporal": 3, "descriptor": True, "synced": 1},
    "h264 with disposable pictures": {"codec": "h264", "temporal": 2},
    "h264 L1T3 described": {"codec": "h264", "temporal": 3, "descriptor": True, "synced": 1},
    "vp9 L1T3": {"codec": "vp9", "temporal": 3, "synced": 1},
    "vp9 L2T2": {"codec": "vp9", "spatial": 2, "temporal": 2, "synced": 1},
    "vp9 L3T3 described": {"codec": "vp9", "spatial": 3, "temporal": 3, "descriptor": True, "synced": 1},
    "vp9 L2T3_KEY": {
        "codec": "vp9", "spatial": 2, "temporal": 3, "descriptor": True, "keyed": True, "synced": 1,
    },
    "av1 L1T1": {"codec": "av1"},
    "av1 L1T3": {"codec": "av1", "temporal": 3, "descriptor": True},
    "av1 L3T2": {"codec": "av1", "spatial": 3, "temporal": 2, "descriptor": True, "synced": 1},
    "av1 L3T1_KEY": {"codec": "av1", "spatial": 3, "descriptor": True, "keyed": True, "synced": 1},
}  # fmt: skip


class Trial:
    """One stream, one viewer, and what reaches it."""

    def __init__(self, stream: Stream, *, rtx: bool = True, two_byte: bool = True) -> None:
        codec = stream.format
        if rtx:
            codec = type(codec)(codec.name, codec.clock, codec.pt, codec.pt + 1)
        self.stream = stream
        publisher = Publisher("ann", 1.0)
        spec = PublicationSpec(
            "p", "ann", "camera", "video", {codec.pt: codec}, (Encoding(stream.ssrc),), extensions=EXTENSIONS
        )
        self.publication = publisher.add(spec)
        self.publication.audience = Audience.EVERYONE
        self.layer = self.publication.layers[0]
        slot = Slot(
            "v0", "video", 5000, 6000 if rtx else None, (codec,), {DEPENDENCY_DESCRIPTOR: 9}, "v0", two_byte
        )
        self.viewer = Downtrack("bob", slot)
        self.now = 1.0
        self.got = {}

    def choose(self, place: int) -> None:
        """Let the viewer want one of the points there are."""
        self.viewer.aim(self.layer.points[place % len(self.layer.points)], self.now)

    def send(self, rtp) -> None:
        self.take(self.layer.receive(rtp, self.now))

    def take(self, fanouts) -> None:
        for fanout in fanouts:
            for _, header in fanout.headers:
                rtp = parse_rtp(header + fanout.body)
                if rtp.ssrc == 6000:
                    rtp.sequence, rtp.payload = int.from_bytes(rtp.payload[:2]), rtp.payload[2:]
                assert rtp.sequence not in self.got or self.got[rtp.sequence].payload == rtp.payload
                self.got[rtp.sequence] = rtp

    def missing(self):
        return [n for n in range(1, max(self.got, default=0)) if n not in self.got]

    def ask_again(self) -> None:
        for number in self.missing():
            fanout = self.viewer.resend(number, self.now)
            if fanout is not None:
                self.take([fanout])

    def shown(self) -> dict[int, int]:
        """Packets that came, by frame; each is where it belongs."""
        came: dict[int, int] = {}
        order = []
        for _, rtp in sorted(self.got.items()):
            if rtp.payload:
                frame, place = int.from_bytes(rtp.payload[-5:-1]), rtp.payload[-1]
                came[frame] = came.get(frame, 0) + 1
                order.append((frame, place))
        assert order == sorted(set(order)), "out of order, or twice"
        return came


def run(trial: Trial, plan) -> set[int]:
    """Send what the plan says; gives the frames of which a packet was lost for ever."""
    lost: set[int] = set()
    timestamp = 0
    for key, fates, choice in plan:
        trial.now += 1 / 30
        timestamp += 3000
        late = []
        if choice is not None:
            trial.choose(choice)
        for frame in trial.stream.picture(key=key or not trial.stream.frames):
            for rtp, fate in zip(trial.stream.packets(frame, timestamp), fates * 3, strict=False):
                if fate == "lose":
                    lost.add(frame.number)
                elif fate == "late":
                    late.append(rtp)
                else:
                    trial.send(rtp)
        trial.now += 0.005
        for rtp in late:
            trial.send(rtp)
        trial.ask_again()
    return lost


def decodable(trial: Trial, lost: set[int]) -> None:
    """Whatever is shown whole refers to what was shown whole, unless that was lost on its way to us."""
    shown = trial.shown()
    broken = set(lost)
    for number in sorted(shown):
        frame = trial.stream.frames[number]
        for back in frame.references:
            reference = number - back
            if reference in broken:
                broken.add(number)
            elif shown.get(reference, 0) != PACKETS:
                raise AssertionError(f"{frame} without {trial.stream.frames[reference]}")


def plans(*, loss: bool = False, late: bool = True):
    """Per picture: is it a keyframe, what becomes of its packets, where does the viewer want to go."""

    def step(word: int):
        fates = [
            ("late" if late else "ok", "lose" if loss else "ok")[n & 1] if n & 2 else "ok" for n in bits(word)
        ]
        return word % 11 == 10, fates, word >> 4 & 15 if word % 3 == 0 else None

    def bits(word: int):
        return [3 & word >> 8 & word >> 10 | (word >> 12 & 1), 3 & word >> 9 & word >> 13, 0]

    return st.lists(st.integers(0, 0xFFFF).map(step), min_size=10, max_size=40)


@pytest.mark.parametrize("mode", list(MODES))
@settings(max_examples=20, deadline=None)
@given(plan=plans(), first=st.integers(0, 0xFFFF))
def test_what_comes_late_or_is_left_out_leaves_no_gap_and_all_can_be_decoded(mode, plan, first):
    trial = Trial(Stream(first=first, **MODES[mode]))
    trial.choose(0)
    lost = run(trial, [(False, ["ok"], None), *plan])
    assert not lost
    assert not trial.missing()
    decodable(trial, lost)


@pytest.mark.parametrize("mode", list(MODES))
@settings(max_examples=20, deadline=None)
@given(plan=plans(loss=True), first=st.integers(0, 0xFFFF))
def test_only_true_loss_leaves_gaps(mode, plan, first):
    trial = Trial(Stream(first=first, **MODES[mode]))
    trial.choose(0)
    lost = run(trial, plan)
    assert len(trial.missing()) <= PACKETS * len(lost)
    decodable(trial, lost)


@settings(max_examples=40, deadline=None)
@given(plan=plans(late=False), first=st.integers(0, 0xFFFF), temporal=st.sampled_from([1, 2, 3]))
def test_vp8_pictures_are_counted_without_those_left_out(plan, first, temporal):
    trial = Trial(Stream("vp8", temporal=temporal, first=first))
    trial.choose(0)
    run(trial, plan)
    heads = [Vp8(rtp.payload) for _, rtp in sorted(trial.got.items())]
    steps = {(b.picture_id - a.picture_id) & 0x7FFF for a, b in itertools.pairwise(heads)}
    assert steps <= {0, 1}
    for a, b in itertools.pairwise(heads):
        assert (b.tl0 - a.tl0) & 0xFF == (b.temporal == 0 and b.starts)


@pytest.mark.parametrize(
    "mode", [mode for mode in MODES if "descr" in mode or "KEY" in mode or "av1 L3" in mode]
)
def test_a_viewer_gets_the_layers_it_wants_and_no_others(mode):
    stream = Stream(**MODES[mode])
    trial = Trial(stream)
    trial.choose(0)
    run(trial, [(False, ["ok"], None)] * 8)
    labels = [(p.spatial, p.temporal) for p in trial.layer.points]
    assert labels == [(s, t) for s in range(stream.spatial) for t in range(stream.temporal)]
    for place, (spatial, temporal) in enumerate(labels):
        trial.choose(place)
        run(trial, [(n == 0, ["ok"], None) for n in range(12)])
        before = max(trial.got)
        run(trial, [(False, ["ok"], None)] * 8)
        numbers = [int.from_bytes(trial.got[n].payload[-5:-1]) for n in range(before + 1, max(trial.got) + 1)]
        layers = {(stream.frames[n].spatial, stream.frames[n].temporal) for n in numbers}
        lowest = spatial if stream.keyed else 0
        assert layers == {(s, t) for s in range(lowest, spatial + 1) for t in range(temporal + 1)}
        ends = [trial.got[n].marker for n in range(before + 1, max(trial.got) + 1)]
        assert ends.count(0x80) == len(
            {trial.got[n].timestamp for n in range(before + 1, max(trial.got) + 1)}
        )


def answered(trial: Trial, pictures: int, late: int, delay: int) -> list[list[Made]]:
    """An encoder that answers a request for a keyframe `delay` pictures later; gives the pictures it made.

    Every `late`-th packet comes after its picture.
    """
    sent, asked = [], None
    for _ in range(pictures):
        trial.now += 1 / 30
        if asked is None and trial.layer.keyframes.take(trial.now):
            asked = delay
        asked = None if asked is None else asked - 1
        key = not trial.stream.frames or (asked is not None and asked < 0)
        asked = None if key else asked
        timestamp, held = round(trial.now * 90000), []
        frames = trial.stream.picture(key=key)
        for rtp in [packet for frame in frames for packet in trial.stream.packets(frame, timestamp)]:
            if late and rtp.sequence % late == 0:
                held.append(rtp)
            else:
                trial.send(rtp)
        for rtp in held:
            trial.send(rtp)
        trial.ask_again()
        sent += [frames] if frames else []
    return sent


@pytest.mark.parametrize(
    "mode", [mode for mode, how in MODES.items() if how.get("descriptor") and how.get("synced") == 1]
)
@settings(max_examples=20, deadline=None)
@given(
    plan=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=5),
    late=st.sampled_from([0, 3, 7]),
    delay=st.integers(0, 4),
)
def test_a_viewer_is_fed_while_the_encoder_leaves_layers_out_and_takes_them_up(mode, plan, late, delay):
    stream = Stream(**MODES[mode])
    trial = Trial(stream)
    trial.viewer.aim(trial.layer.whole, trial.now)
    answered(trial, 4, late, delay)
    for top in [*plan, (2, 2)]:
        stream.active = top
        answered(trial, 15, late, delay)
        sent = answered(trial, 30, 0, delay)
        best, shown = trial.layer.best, trial.shown()
        highest = (min(top[0], stream.spatial - 1), min(top[1], stream.temporal - 1))
        assert (best.spatial, best.temporal) == highest
        assert trial.viewer.point is best
        for picture in sent[-6:]:
            assert shown.get(picture[-1].number) == PACKETS, "it stands still"
    assert trial.viewer.point is trial.layer.whole
    assert not trial.missing()
    decodable(trial, set())


def test_only_layers_that_are_sent_are_on_offer_and_the_others_keep_their_rates():
    stream = Stream("vp9", spatial=2, descriptor=True, keyed=True)
    trial = Trial(stream)
    trial.layer.measure(trial.now)
    answered(trial, 30, 0, 0)
    trial.layer._measured_at = trial.now - 1
    trial.layer.measure(trial.now)
    low, high = trial.layer.points
    rate = high.rate
    assert rate > 0
    assert trial.layer.best is high
    stream.active = (0, 0)
    answered(trial, 30, 0, 0)
    trial.layer.measure(trial.now)
    assert trial.layer.offers() == [low]
    assert high.rate == rate
    stream.active = None
    answered(trial, 1, 0, 0)
    assert trial.layer.offers()[-1] is high


def test_the_way_up_is_found_without_a_keyframe_where_the_stream_allows_it():
    for codec, more in (
        ("vp8", {}),
        ("vp9", {"synced": 1}),
        ("h264", {}),
        ("av1", {"descriptor": True, "synced": 1}),
    ):
        trial = Trial(Stream(codec, temporal=2, **more))
        trial.choose(0)
        run(trial, [(False, ["ok"], None)] * 8)
        assert len(trial.layer.points) == 2
        trial.choose(0)
        run(trial, [(False, ["ok"], None)] * 2)
        assert trial.viewer.point is trial.layer.points[0]
        trial.choose(1)
        run(trial, [(False, ["ok"], None)] * 12)
        assert trial.viewer.point is trial.layer.whole


def test_descriptors_go_on_over_a_change_of_source():
    """A receiver drops keyframes whose frame numbers go back, and confuses templates that come twice."""
    first, second = (
        Stream("av1", temporal=2, descriptor=True, first=900),
        Stream("av1", temporal=2, descriptor=True, first=70, ssrc=1001),
    )
    trial = Trial(first)
    trial.choose(0)
    run(trial, [(False, ["ok"], None)] * 6)
    here = Trial(second)
    here.viewer.detach()
    trial.viewer.aim(here.layer.whole, trial.now)
    here.viewer, here.got, here.now = trial.viewer, trial.got, trial.now
    run(here, [(False, ["ok"], None)] * 6)
    frames, numbers = Frames(), []
    for _, rtp in sorted(here.got.items()):
        descriptor, number = frames.read(rtp.extensions[9], 0.0 if not numbers else 1.0, newest=True)
        assert descriptor.frame is not None
        numbers.append(number)
    assert list(dict.fromkeys(numbers)) == list(range(numbers[0], numbers[0] + 12))
    assert frames.structure.offset == (5 + 2) % 64


def test_a_viewer_of_one_byte_extensions_gets_no_descriptors():
    trial = Trial(Stream("vp9", temporal=3, descriptor=True), two_byte=False)
    trial.choose(0)
    run(trial, [(False, ["ok"], None)] * 6)
    assert trial.got
    assert not any(rtp.extensions for rtp in trial.got.values())


def test_the_descriptor_is_believed_before_an_encrypted_payload():
    """End-to-end encryption: nothing of the payload says what it is."""
    stream = Stream("av1", temporal=2, descriptor=True, synced=1)
    trial = Trial(stream)
    trial.choose(0)
    for number in range(8):
        for frame in stream.picture(key=number == 0):
            for rtp in stream.packets(frame, 3000 * number):
                rtp.payload = b"\xff" + rtp.payload[1:]
                trial.send(rtp)
    assert len(trial.got) == 8 * PACKETS
    assert parse_descriptor(trial.got[1].extensions[9]).structure is not None
    assert DESCRIPTOR_ID != 9
