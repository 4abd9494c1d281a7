import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.media import StageFacts
from live.media.control import MESSAGE_LIMIT, Delete, Stage, Unframer, frame, read_request


def test_messages_survive_any_cut_of_the_stream() -> None:
    messages = [
        Stage(ref=1, room="r", facts=StageFacts(open=True, on_stage=["a"], muted={"a": ["microphone"]})),
        Delete(ref=2, room="r", resource="x"),
    ]
    stream = b"".join(frame(message) for message in messages)
    for cut in range(len(stream)):
        unframer = Unframer()
        bodies = unframer.feed(stream[:cut]) + unframer.feed(stream[cut:])
        assert [read_request(body) for body in bodies] == messages


def test_a_message_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        Unframer().feed((MESSAGE_LIMIT + 1).to_bytes(4, "big"))


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_body_is_a_request_or_a_decode_error(body: bytes) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        read_request(body)
