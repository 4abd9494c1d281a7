import contextlib
import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.protocol.codec import BadCommand, BadMessage, decode, encode
from live.protocol.examples import CLIENT_EXAMPLES, SERVER_EXAMPLES
from live.protocol.frames import FRAME_BYTES, Do, Ping, ServerFrame
from rooms.chat import Post

BAD = {
    "empty": b"",
    "not UTF-8": b"\xff\xfe",
    "lone surrogate": '{"t":"ping","at":"\ud800"}',
    "not JSON": b"{'t':'ping'}",
    "cut off": b'{"t":"ping","at":1',
    "two values": b'{"t":"ping","at":1}{"t":"ping","at":1}',
    "not an object": b"[1,2]",
    "null": b"null",
    "no tag": b'{"at":1}',
    "unknown frame": b'{"t":"pang","at":1}',
    "a server's frame": b'{"t":"done","ref":1,"seq":1}',
    "missing field": b'{"t":"ping"}',
    "unknown field": b'{"t":"ping","at":1,"role":"organiser"}',
    "wrong type": b'{"t":"ping","at":"1"}',
    "not a number": b'{"t":"ping","at":NaN}',
    "negative": b'{"t":"ping","at":-1}',
    "beyond a double's integers": b'{"t":"ping","at":9007199254740993}',
    "huge number": b'{"t":"ping","at":1' + b"0" * 5000 + b"}",
    "deep arrays": b"[" * 16000,
    "deep objects in a command": b'{"t":"do","ref":1,"nonce":"12345678","cmd":'
    + b'{"a":' * 3000
    + b"}" * 3001,
    "too large": b'{"t":"typing"' + b" " * FRAME_BYTES + b"}",
    "short nonce": b'{"t":"do","ref":1,"nonce":"1","cmd":{"t":"post","text":"hi"}}',
    "no command": b'{"t":"do","ref":1,"nonce":"12345678"}',
    "unknown signal": b'{"t":"signal","kind":"boo"}',
    "page of nowhere": b'{"t":"page","ref":1,"channel":"attic"}',
    "hello without ticket": b'{"t":"hello","v":1,"ticket":""}',
    "byte order mark": b'\xef\xbb\xbf{"t":"typing"}',
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_what_is_no_frame_is_refused_by_name(data):
    with pytest.raises(BadMessage):
        decode(data)


@pytest.mark.parametrize(
    "command",
    [
        '{"t":"nope"}',
        '{"t":"post"}',
        '{"t":"post","text":1}',
        '{"t":"post","text":"a","role":"organiser"}',
        "[]",
        "7",
        '{"t":"open","session":"s","settings":{"title":"x"}}',
        '{"t":"arrive"}',
        '{"t":"expire_hands"}',
    ],
)
def test_an_unreadable_command_is_refused_and_the_connection_goes_on(command):
    with pytest.raises(BadCommand) as refused:
        decode(f'{{"t":"do","ref":7,"nonce":"12345678","cmd":{command}}}')
    assert refused.value.ref == 7


def test_of_a_doubled_key_one_value_counts_and_nothing_is_passed_on_unread():
    assert decode(b'{"t":"ping","at":1,"at":2}') == Ping(at=2)


def test_a_command_is_read_in_one_go():
    frame = decode('{"t":"do","ref":1,"nonce":"12345678","cmd":{"t":"post","text":"こんばんは"}}')
    assert frame == Do(ref=1, nonce="12345678", cmd=Post(text="こんばんは"))


@pytest.mark.parametrize("example", CLIENT_EXAMPLES, ids=lambda one: type(one).__name__)
def test_examples_of_the_client_are_read_back(example):
    assert decode(msgspec.json.encode(example)) == example


@pytest.mark.parametrize("example", SERVER_EXAMPLES, ids=lambda one: type(one).__name__)
def test_examples_of_the_server_are_read_back(example):
    assert msgspec.json.decode(encode(example), type=ServerFrame) == example


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_lowercase, max_size=6), inner)
    ),
    max_leaves=12,
)
tags = st.sampled_from(["hello", "do", "page", "signal", "typing", "ping", "welcome", ""])
keys = st.sampled_from(
    ["v", "ticket", "epoch", "seq", "ref", "nonce", "cmd", "kind", "at", "limit", "channel"]
)


def _answers_or_blames(data):
    with contextlib.suppress(BadMessage, BadCommand):
        decode(data)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300))
def test_any_bytes_give_a_frame_or_the_documented_error(data):
    _answers_or_blames(data)


@settings(max_examples=200, deadline=None)
@given(tags, st.dictionaries(keys, json_values, max_size=6))
def test_any_json_gives_a_frame_or_the_documented_error(tag, rest):
    _answers_or_blames(msgspec.json.encode({"t": tag, **rest}))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CLIENT_EXAMPLES), st.data())
def test_a_damaged_frame_gives_a_frame_or_the_documented_error(example, data):
    damaged = bytearray(msgspec.json.encode(example))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    _answers_or_blames(bytes(damaged))
