"""Law 8: any bytes into any parser give a value or Malformed; and what is written is read back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.sfu import Malformed
from live.sfu.payloads import Vp8, starts_keyframe
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
    Vp8,
    lambda data: parse_extensions(0xBEDE, data),
    lambda data: parse_extensions(0x1000, data),
    *(
        lambda data, c=codec: starts_keyframe(c, data, None)
        for codec in ("vp8", "vp9", "h264", "av1", "opus")
    ),
    lambda data: starts_keyframe("vp8", b"", data + b"abc"),
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
    ("codec", "payload", "descriptor", "starts"),
    [
        ("vp8", "9080800100", None, True),
        ("vp8", "1000", None, True),
        ("vp8", "1001", None, False),
        ("vp8", "0000", None, False),  # not the first packet
        ("vp8", "1100", None, False),  # partition 1
        ("vp9", "0800", None, True),
        ("vp9", "4800", None, False),  # inter-predicted
        ("vp9", "8a0100", None, True),
        ("vp9", "2802", None, False),  # a higher spatial layer
        ("h264", "65", None, True),
        ("h264", "67", None, True),
        ("h264", "61", None, False),
        ("h264", "78000167000165", None, True),
        ("h264", "7800016100", None, False),
        ("h264", "7c85", None, True),
        ("h264", "7c05", None, False),
        ("h264", "7c81", None, False),
        ("av1", "08", None, True),
        ("av1", "88", None, False),
        ("av1", "00", None, False),
        ("av1", "00", "80000080", True),
        ("av1", "08", "800000", False),
        ("opus", "", None, True),
    ],
)
def test_keyframes_are_found(codec, payload, descriptor, starts):
    tail = bytes.fromhex(descriptor) if descriptor else None
    assert starts_keyframe(codec, bytes.fromhex(payload), tail) is starts


def test_vp8_counters_are_moved_in_their_own_width():
    long = Vp8(data := bytes.fromhex("90e0fffe0a20009d"))
    assert (long.picture_id, long.tl0, long.keyframe) == (0x7FFE, 10, True)
    assert long.rewrite(data, 3, 250)[:6].hex() == "90e080010420"
    short = Vp8(data := bytes.fromhex("90807f0100"))
    assert short.picture_id == 127
    assert short.rewrite(data, 2, 1)[:3].hex() == "908001"
