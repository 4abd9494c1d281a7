"""Law 8: any bytes into any parser give a value or Malformed; and what is written is read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Malformed
from live.sfu.descriptor import Frames, Structure, move_descriptor, parse_descriptor
from live.sfu.payloads import H264, HEADS, Red, Vp8, Vp9
from live.sfu.rtcp import (
    Bye,
    KeyframeRequest,
    Nack,
    ReceiverReport,
    Remb,
    ReportBlock,
    SenderReport,
    parse_rtcp,
    write_bye,
    write_cname,
    write_fir,
    write_nack,
    write_pli,
    write_remb,
    write_rr,
    write_sr,
)
from live.sfu.rtp import Rtp, parse_extensions, parse_rtp, write_extensions, write_rtp
from live.sfu.twcc import parse_feedback
from tests.kit.streams import BitWriter, write_descriptor, write_structure

u8, u16, u32 = (st.integers(0, 2**n - 1) for n in (8, 16, 32))
rtp_like = st.builds(
    lambda first, rest: bytes((0x80 | first,)) + rest, st.integers(0, 63), st.binary(max_size=80)
)
rtcp_like = st.builds(
    lambda count, kind, words, rest: bytes((0x80 | count, kind)) + words.to_bytes(2) + rest,
    st.integers(0, 63),
    st.sampled_from([200, 201, 202, 203, 204, 205, 206, 207]),
    st.integers(0, 12),
    st.binary(max_size=60),
)
PARSERS = [
    parse_rtp,
    parse_rtcp,
    parse_feedback,
    *HEADS.values(),
    lambda data: parse_extensions(0xBEDE, data),
    lambda data: parse_extensions(0x1000, data),
    Red,
    parse_descriptor,
    lambda data: parse_descriptor(bytes((data[0] if data else 0, 0, 0, 0x80)) + data),
    lambda data: Frames().read(data.ljust(3, b"\0"), 1.0, newest=True),
    lambda data: move_descriptor(data.ljust(3, b"\0"), 77, 5),
]


@settings(max_examples=300)
@given(st.binary(max_size=100) | rtp_like | rtcp_like, st.sampled_from(PARSERS))
def test_any_bytes_give_a_value_or_malformed(data, parse):
    try:
        parse(data)
    except Malformed:
        pass


elements = st.dictionaries(st.integers(1, 255), st.binary(max_size=40), max_size=6)


@settings(max_examples=80)
@given(u16, u32, u32, st.integers(0, 127), st.booleans(), elements, st.binary(max_size=50))
def test_rtp_survives_writing_and_reading(sequence, timestamp, ssrc, pt, marker, extensions, payload):
    written = Rtp(
        marker=0x80 * marker,
        pt=pt,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=ssrc,
        extensions=extensions,
        payload=payload,
    )
    read = parse_rtp(write_rtp(written))
    assert all(getattr(read, name) == getattr(written, name) for name in Rtp.__slots__)


def test_padding_and_contributors_are_taken_off():
    data = bytes.fromhex("a1e0000100000002000000030000000a") + b"media" + b"\0\0\3"
    read = parse_rtp(data)
    assert (read.payload, read.padding, read.marker, read.pt) == (b"media", 3, 0x80, 0x60)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "40" + "00" * 11,  # version 1
        "8f" + "00" * 11,  # contributors beyond the packet
        "90" + "00" * 11,  # no extension header
        "90" + "00" * 11 + "bede0004",  # extensions beyond the packet
        "90" + "00" * 11 + "bede000113ffffff",  # element beyond its block
        "a0" + "00" * 11,  # padding of zero
        "a0" + "00" * 11 + "09",  # padding beyond the payload
    ],
)
def test_broken_headers_are_malformed(data):
    with pytest.raises(Malformed):
        parse_rtp(bytes.fromhex(data))


def test_long_elements_are_left_out_where_two_bytes_were_not_agreed():
    block = write_extensions([(1, b"a"), (2, bytes(23))], two_byte=False)
    assert parse_extensions(0xBEDE, block[4:]) == {1: b"a"}
    block = write_extensions([(1, b"a"), (2, bytes(23))], two_byte=True)
    assert block[:2] == b"\x10\x00"
    assert parse_extensions(0x1000, block[4:]) == {1: b"a", 2: bytes(23)}


def test_the_reserved_element_stops_the_one_byte_form():
    assert parse_extensions(0xBEDE, bytes.fromhex("10aaf0000020bb")) == {1: b"\xaa"}


blocks = st.builds(ReportBlock, u32, u8, st.integers(-(2**23), 2**23 - 1), u32, u32, u32, u32)


@settings(max_examples=60)
@given(
    st.lists(
        st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, st.tuples(blocks))
        | st.builds(ReceiverReport, u32, st.lists(blocks, max_size=4).map(tuple))
        | st.builds(KeyframeRequest, u32, u32)
        | st.builds(Bye, st.lists(u32, max_size=4).map(tuple))
        | st.builds(Remb, u32, st.integers(0, 2**18 - 1), st.lists(u32, max_size=3).map(tuple)),
        min_size=1,
        max_size=4,
    )
)
def test_rtcp_survives_writing_and_reading(values):
    data = b""
    for value in values:
        if isinstance(value, SenderReport):
            data += write_sr(value)
        elif isinstance(value, ReceiverReport):
            data += write_rr(value.ssrc, value.blocks)
        elif isinstance(value, KeyframeRequest):
            data += write_pli(value.sender, value.media)
        elif isinstance(value, Bye):
            data += write_bye(value.ssrcs)
        else:
            data += write_remb(value.sender, value.bitrate, value.ssrcs)
    assert parse_rtcp(data + write_cname(1, "madoi")) == values


@settings(max_examples=80)
@given(st.sets(st.integers(0, 400), min_size=1), u16)
def test_a_nack_names_each_number_once(offsets, base):
    wanted = [(base + n) & 0xFFFF for n in sorted(offsets)]
    [nack] = parse_rtcp(write_nack(1, 2, wanted))
    assert nack == Nack(1, 2, tuple(wanted))


def test_a_fir_asks_for_a_keyframe():
    assert parse_rtcp(write_fir(1, 77, 3)) == [KeyframeRequest(1, 77)]


@given(st.integers(2**18, 2**40))
def test_remb_is_right_to_18_bits(bitrate):
    [remb] = parse_rtcp(write_remb(1, bitrate, [2]))
    assert 0 <= bitrate - remb.bitrate <= bitrate / 2**17


@pytest.mark.parametrize(
    ("codec", "payload", "starts"),
    [
        ("vp8", "9080800100", True),
        ("vp8", "1000", True),
        ("vp8", "1001", False),
        ("vp8", "0000", False),  # not the first packet
        ("vp8", "1100", False),  # partition 1
        ("vp9", "0800", True),
        ("vp9", "4800", False),  # inter-predicted
        ("vp9", "8a0100", True),
        ("vp9", "280200", False),  # a higher spatial layer
        ("h264", "65", True),
        ("h264", "67", True),
        ("h264", "61", False),
        ("h264", "78000167000165", True),
        ("h264", "7800016100", False),
        ("h264", "7c85", True),
        ("h264", "7c05", False),
        ("h264", "7c81", False),
        ("av1", "08", True),
        ("av1", "88", False),
        ("av1", "00", False),
    ],
)
def test_keyframes_are_found(codec, payload, starts):
    assert HEADS[codec](bytes.fromhex(payload)).keyframe is starts


def test_vp8_counters_are_moved_in_their_own_width():
    long = Vp8(data := bytes.fromhex("90e0fffe0a20009d"))
    assert (long.picture_id, long.tl0, long.keyframe) == (0x7FFE, 10, True)
    assert long.rewrite(data, 3, 250)[:6].hex() == "90e080010420"
    short = Vp8(data := bytes.fromhex("90807f0100"))
    assert short.picture_id == 127
    assert short.rewrite(data, 2, 1)[:3].hex() == "908001"


def test_vp9_says_where_its_layers_are():
    head = Vp9(bytes.fromhex("ac81235209"))
    assert (head.picture_id, head.temporal, head.up, head.spatial, head.tl0) == (0x123, 2, True, 1, 9)
    assert (head.starts, head.ends, head.keyframe) == (True, True, False)
    flexible = Vp9(bytes.fromhex("b8052000"))
    assert (flexible.picture_id, flexible.temporal, flexible.tl0, flexible.keyframe) == (5, 1, None, True)


@pytest.mark.parametrize(
    ("payload", "temporal"),
    [
        ("41", 0),
        ("01", 1),
        ("65", 0),
        ("05", 0),  # an IDR is referred to whatever it says
        ("06", 0),  # not a slice
        ("1c81", 1),
        ("7c81", 0),
        ("18000206000002010a", 1),  # SEI and a slice nobody refers to
        ("1800020600000241ff", 0),
    ],
)
def test_h264_pictures_nobody_refers_to_are_a_layer_of_their_own(payload, temporal):
    assert H264(bytes.fromhex(payload)).temporal == temporal


templates = st.integers(1, 6).flatmap(
    lambda targets: st.tuples(
        st.just(targets),
        st.integers(0, targets).flatmap(
            lambda chains: st.tuples(
                st.just(chains),
                st.lists(
                    st.tuples(
                        st.lists(st.integers(0, 3), min_size=targets, max_size=targets),
                        st.lists(st.integers(1, 16), max_size=4),
                        st.lists(st.integers(0, 15), min_size=chains, max_size=chains),
                    ),
                    min_size=1,
                    max_size=8,
                ),
                st.lists(st.integers(0, max(0, chains - 1)), min_size=targets, max_size=targets),
            )
        ),
    )
)


@settings(max_examples=80)
@given(templates, st.integers(0, 63), st.lists(st.integers(0, 2), min_size=8, max_size=8), st.booleans(), u16)
def test_a_structure_survives_writing_reading_and_moving(given_, offset, steps, resolutions, number):
    targets, (chains, made, protected_by) = given_
    rows, spatial, temporal = [], 0, 0
    for step, (dtis, references, diffs) in zip(steps, made, strict=False):
        rows.append((spatial, temporal, dtis, references, diffs))
        if step == 2 and spatial < 3:
            spatial, temporal = spatial + 1, 0
        else:
            temporal += step == 1
    sizes = [(320 << n, 180 << n) for n in range(spatial + 1)][: rows[-1][0] + 1] if resolutions else []
    data = write_descriptor(
        number=number,
        template=offset,
        structure=lambda bits: write_structure(
            bits, offset, targets, rows, protected_by if chains else (), sizes
        ),
        references=[1, 300, 4000],
    )
    for moved, at in ((data, offset), (move_descriptor(data, 60000, 40), offset + 40 & 63)):
        read = parse_descriptor(moved)
        structure = read.structure
        assert isinstance(structure, Structure)
        assert (structure.offset, len(structure.targets)) == (at, targets)
        assert [
            (t.spatial, t.temporal, [*t.dtis], [*t.references], [*t.chains]) for t in structure.templates
        ] == [(s, t, d, r, c) for s, t, d, r, c in rows]
        assert [*structure.protected_by] == (protected_by if chains else [])
        assert [*structure.resolutions] == sizes
        assert read.template == at
        assert read.frame.references == (1, 300, 4000)
        assert read.active == (1 << targets) - 1
    assert parse_descriptor(move_descriptor(data, 60000, 40)).number == (number + 60000) & 0xFFFF
    later = parse_descriptor(write_descriptor(number=5, template=offset, starts=False), structure)
    assert (later.starts, later.ends, later.number, later.frame) == (False, True, 5, None)
    known = parse_descriptor(data).structure
    assert parse_descriptor(write_descriptor(number=5, template=offset), known).frame is known.templates[0]
    assert parse_descriptor(write_descriptor(number=5, template=offset + len(rows) & 63), known).frame is None


@pytest.mark.parametrize(
    "layers",
    ["1" * 9, "2" * 5, "0" * 70],  # ever higher temporal layers, spatial layers, templates
)
def test_a_forged_structure_is_bounded(layers):
    bits = BitWriter()
    bits.put(0xC00000, 24)
    bits.put(0b10000, 5)
    bits.put(31, 11)
    for step in layers:
        bits.put(int(step), 2)
    bits.put(0, 8 * 200)
    with pytest.raises(Malformed, match="bounds"):
        parse_descriptor(bits.done())


def test_structures_that_come_too_fast_are_not_read():
    """Reading one costs more than a packet is worth; the same again costs nothing."""
    frames = Frames()

    def structure(bits, offset):
        write_structure(bits, offset, 2, [(0, 0, (2, 2), (1,), ()), (0, 1, (0, 1), (1,), ())])

    def read(offset, now):
        data = write_descriptor(number=1, template=offset, structure=lambda bits: structure(bits, offset))
        return frames.read(data, now, newest=True)[0].structure

    for _ in range(1000):
        assert read(3, 1.0)
    with pytest.raises(Malformed, match="too fast"):
        for number in range(70):
            read(number % 60, 1.0)
    assert read(61, 2.0)


def test_red_is_unwrapped_and_renamed():
    older, newer = b"older", b"newer!"
    head = bytes((0x80 | 111, 960 >> 6, (960 & 0x3F) << 2 | len(older) >> 8, len(older), 111))
    payload = head + older + newer
    red = Red(payload)
    assert red.blocks == [111, 111]
    assert payload[red.primary :] == newer
    renamed = red.renamed(payload, 109)
    assert Red(renamed).blocks == [109, 109]
    assert renamed[5:] == older + newer
    assert Red(b"\x6fabc").primary == 1
    for broken in (b"", b"\xef\0\0", head[:-1] + b"\xef", head, b"\xef\0\0\0" * 9 + b"\x6f"):
        with pytest.raises(Malformed):
            Red(broken)
