"""Messages made once for everybody, read back by another implementation of RFC 6455 and RFC 7692."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from live.gateway.message import WORTH_DEFLATING, Message


def read(data, extensions=()):
    stream = StreamReader()
    stream.feed_data(data)
    parsing = Frame.parse(stream.read_exact, mask=False, max_size=None, extensions=extensions)
    try:
        next(parsing)
    except StopIteration as end:
        return end.value
    raise AssertionError("the frame is longer than its bytes")


@given(st.binary(max_size=70_000))
def test_any_payload_comes_back_plain_and_deflated(payload):
    message = Message(payload)
    plain = read(message.plain)
    assert (plain.opcode, plain.data, plain.fin) == (Opcode.TEXT, payload, True)
    # One inflater without context: each message stands alone.
    inflater = PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=15,
        local_max_window_bits=15,
    )
    assert read(message.deflated, [inflater]).data == payload
    assert message.payload == payload


@pytest.mark.parametrize("length", [0, 125, 126, 65_535, 65_536])
def test_each_form_of_length(length):
    assert read(Message(b"x" * length).plain).data == b"x" * length


def test_small_messages_stay_as_they_are_and_large_ones_shrink():
    small, large = Message(b"x" * (WORTH_DEFLATING - 10)), Message(b"x" * 10_000)
    assert small.deflated is small.plain
    assert len(large.deflated) < 100
    assert large.deflated is large.deflated, "made once"
