"""Law 11 while a slot's source changes, for every codec and whatever is lost or late on the way."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Codec, Encoding, PublicationSpec, Slot
from live.sfu.contract import Audience
from live.sfu.descriptor import Frames
from live.sfu.downtrack import Downtrack
from live.sfu.numbers import TIMESTAMP, ahead
from live.sfu.payloads import HEADS, Red
from live.sfu.publication import Publisher
from live.sfu.rtp import Rtp, parse_rtp
from tests.kit.streams import PACKETS, Stream
from tests.sfu.test_layers import MODES, Trial
from tests.sfu.test_sound import red

SOURCES = 2
fates = st.lists(st.sampled_from(["ok"] * 6 + ["lose", "late"]), min_size=1, max_size=6)
steps = st.lists(
    st.tuples(
        st.integers(0, SOURCES - 1),  # who sends
        st.sampled_from([True, False, False]),  # a keyframe
        fates,
        st.sampled_from([None, None, *range(SOURCES)]),  # whom the slot should show
    ),
    min_size=20,
    max_size=70,
)


class Switched:
    """One viewer's slot before several streams of one codec."""

    def __init__(self, mode: dict, first: int) -> None:
        self.streams = [
            Stream(**mode, first=first + 9000 * n & 0x7FFF, ssrc=1000 + n) for n in range(SOURCES)
        ]
        self.trials = [Trial(stream) for stream in self.streams]
        self.viewer, self.got = self.trials[0].viewer, self.trials[0].got
        for trial in self.trials:
            trial.viewer, trial.got = self.viewer, self.got
        self.now = 1.0
        self.lost: set[tuple[int, int]] = set()
        self.lost_packets = 0

    def show(self, who: int) -> None:
        self.viewer.aim(self.trials[who].layer.whole, self.now)

    def send(self, who: int, key: bool, fates: list[str]) -> None:
        """One picture; what is late comes after it, and the viewer asks again for what it misses."""
        self.now += 0.02
        stream, trial = self.streams[who], self.trials[who]
        trial.now, late, fate = self.now, [], itertools.cycle(fates)
        for frame in stream.picture(key=key or not stream.frames):
            for rtp in stream.packets(frame, round(self.now * 90000)):
                rtp.payload = rtp.payload[:-6] + bytes((who,)) + rtp.payload[-5:]
                match next(fate):
                    case "lose":
                        self.lost.add((who, frame.number))
                        self.lost_packets += 1
                    case "late":
                        late.append(rtp)
                    case _:
                        trial.send(rtp)
        for rtp in late:
            trial.send(rtp)
        trial.ask_again()

    def stints(self) -> list[tuple[int, list[Rtp]]]:
        """What came of which source, in order of the numbers."""
        media = [rtp for _, rtp in sorted(self.got.items()) if rtp.payload]
        return [(who, list(some)) for who, some in itertools.groupby(media, key=lambda p: p.payload[-6])]


def check(switched: Switched, *, described: bool) -> None:
    assert len(switched.trials[0].missing()) <= switched.lost_packets
    counters = Counters(switched.streams[0].codec, described=described)
    shown: dict[tuple[int, int], int] = {}
    for who, packets in switched.stints():
        places = [(int.from_bytes(rtp.payload[-5:-1]), rtp.payload[-1]) for rtp in packets]
        assert places == sorted(set(places)), "out of order, or twice"
        frames = switched.streams[who].frames
        begins = places[0][0]
        assert frames[begins].key, "a delta frame before a keyframe"
        assert places[0][1] == 0
        for number, _ in places:
            shown[who, number] = shown.get((who, number), 0) + 1
        broken = {number for whose, number in switched.lost if whose == who}
        for number in sorted({number for number, _ in places}):
            for reference in (number - back for back in frames[number].references):
                if reference in broken:
                    broken.add(number)
                elif reference < begins or shown.get((who, reference), 0) != PACKETS:
                    raise AssertionError(f"{frames[number]} without {frames[reference]}")
        for rtp in packets:
            counters.take(rtp)
        counters.switch()


class Counters:
    """What a decoder sees of time, pictures and frames: none of them goes back."""

    def __init__(self, codec: str, *, described: bool) -> None:
        self.read = HEADS[codec]
        self.described = described
        self.last: tuple[int, int | None, int | None] | None = None
        self.frames, self.frame = Frames(), -1
        self.fresh = True

    def switch(self) -> None:
        """The next packet is another source's."""
        self.fresh = True

    def take(self, rtp: Rtp) -> None:
        head = self.read(rtp.payload)
        if self.last is not None:
            timestamp, picture, tl0 = self.last
            least = 1 if self.fresh else 0
            assert ahead(rtp.timestamp, timestamp, TIMESTAMP) >= least
            if picture is not None:
                assert ahead(head.picture_id, picture, 0x7FFF) >= least
                assert ahead(head.tl0 or 0, tl0 or 0, 0xFF) >= 0
        if self.described:
            descriptor, frame = self.frames.read(rtp.extensions[9], 9e9, newest=True)
            assert descriptor.frame is not None
            assert frame >= self.frame + (1 if self.fresh else 0)
            self.frame = frame
        self.last, self.fresh = (rtp.timestamp, head.picture_id, head.tl0), False


@pytest.mark.parametrize("mode", list(MODES))
@settings(max_examples=15, deadline=None)
@given(plan=steps, first=st.integers(0, 0x7FFF))
def test_speakers_change_only_at_keyframes_and_nothing_goes_back(mode, plan, first):
    switched = Switched(MODES[mode], first)
    switched.show(0)
    for who, key, how, shows in plan:
        if shows is not None:
            switched.show(shows)
        switched.send(who, key, how)
    check(switched, described=bool(MODES[mode].get("descriptor")))


OPUS, RED = Codec("opus", 48000, 109), Codec("red", 48000, 63, None, {"109/109": ""})


class Voices:
    """One viewer's sound slot before several microphones, each of whose packets says the words before too."""

    def __init__(self, *, takes_red: bool, first: int) -> None:
        codecs = (Codec("opus", 48000, 111), Codec("red", 48000, 64, None, {"111/111": ""}))
        slot = Slot("a0", "audio", 7000, None, codecs if takes_red else codecs[:1], {}, "a0")
        self.viewer = Downtrack("bob", slot)
        self.layers = []
        for n in range(SOURCES):
            spec = PublicationSpec(
                f"p{n}", f"s{n}", "microphone", "audio", {63: RED, 109: OPUS}, (Encoding(1000 + n),)
            )
            publication = Publisher(f"s{n}", 1.0).add(spec)
            publication.audience = Audience.EVERYONE
            self.layers += publication.layers
        self.sequence = [first + 9 * n for n in range(SOURCES)]
        self.now, self.lost, self.late = 1.0, 0, []
        self.got: dict[int, Rtp] = {}

    def send(self, who: int, plain: bool, fate: str) -> None:
        """One packet; a late one comes after the next of its source."""
        self.now += 0.02
        number = self.sequence[who] = self.sequence[who] + 1
        word = bytes((who,)) + number.to_bytes(4)
        rtp = Rtp(
            marker=0,
            pt=109 if plain else 63,
            sequence=number & 0xFFFF,
            timestamp=round(self.now * 48000) & TIMESTAMP,
            ssrc=1000 + who,
            extensions={},
            payload=word if plain else red(bytes(5), word),
        )
        due = [rtp] if fate == "ok" else []
        if fate != "late":
            due += [packet for whose, packet in self.late if whose == who]
            self.late = [(whose, packet) for whose, packet in self.late if whose != who]
        else:
            self.late.append((who, rtp))
        self.lost += fate == "lose"
        for packet in due:
            self.take(self.layers[who].receive(packet, self.now))

    def take(self, fanouts) -> None:
        for fanout in fanouts:
            for _, header in fanout.headers:
                rtp = parse_rtp(header + fanout.body)
                assert rtp.sequence not in self.got
                self.got[rtp.sequence] = rtp


@pytest.mark.parametrize("takes_red", [True, False])
@settings(max_examples=60, deadline=None)
@given(plan=steps, first=st.integers(0, 0xFFFF))
def test_voices_change_without_a_gap_and_time_goes_on(takes_red, plan, first):
    voices = Voices(takes_red=takes_red, first=first)
    voices.viewer.aim(voices.layers[0].whole, voices.now)
    for who, plain, (fate, *_), shows in plan:
        if shows is not None:
            voices.viewer.aim(voices.layers[shows].whole, voices.now)
        voices.send(who, plain, fate)
    numbers = sorted(voices.got)
    unheard = len(voices.late) + voices.lost
    assert not numbers or numbers[-1] - numbers[0] + 1 - len(numbers) <= unheard
    words = []
    for number in numbers:
        rtp = voices.got[number]
        assert rtp.pt in ((64, 111) if takes_red else (111,))
        block = rtp.payload[Red(rtp.payload).primary :] if rtp.pt == 64 else rtp.payload
        words.append((block[0], int.from_bytes(block[1:5])))
    for who in range(SOURCES):
        said = [number for whose, number in words if whose == who]
        assert said == sorted(set(said))
    for a, b in itertools.pairwise(numbers):
        step = ahead(voices.got[b].timestamp, voices.got[a].timestamp, TIMESTAMP)
        assert step > 0
