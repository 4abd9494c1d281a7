"""The connection machine, by tables and properties; no socket, no clock."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from live.gateway.connection import IN_VAIN, OUTBOX_BYTES, Bucket, Connection, Phase
from live.gateway.message import Message
from live.protocol.codes import Close
from live.protocol.examples import CLIENT_EXAMPLES
from live.protocol.frames import (
    AskPage,
    Do,
    Done,
    Limits,
    Ping,
    Pong,
    Rate,
    Ready,
    Refused,
    ServerFrame,
    Signal,
)
from rooms.chat import Post

HELLO = '{"t":"hello","v":1,"ticket":"x"}'
PING = '{"t":"ping","at":5}'


def drained(connection):
    frames = []
    while (message := connection.drain()) is not None:
        frames.append(msgspec.json.decode(message.payload, type=ServerFrame))
    return frames


def opened(**limits):
    connection = Connection(0, Limits(**limits))
    connection.receive(HELLO, 0, 0)
    connection.greeted()
    drained(connection)
    return connection


def text(frame):
    return msgspec.json.encode(frame).decode()


def do(ref):
    return text(Do(ref=ref, nonce=f"nonce-{ref:04d}", cmd=Post(text="hi")))


def test_the_server_speaks_first_with_its_limits():
    assert drained(Connection(0)) == [Ready(v=1, limits=Limits())]


@pytest.mark.parametrize(
    ("inputs", "closing"),
    [
        ([PING], Close.BAD_MESSAGE),
        (['{"t":"do","ref":1,"nonce":"12345678","cmd":{"t":"nope"}}'], Close.BAD_MESSAGE),
        ([HELLO, HELLO], Close.BAD_MESSAGE),
        ([HELLO.encode()], Close.BAD_MESSAGE),
        (["{"], Close.BAD_MESSAGE),
        (['{"t":"hello","v":99,"ticket":"x"}'], Close.TOO_OLD),
        ([HELLO, PING], None),
    ],
)
def test_what_may_come_when(inputs, closing):
    connection = Connection(0)
    for data in inputs:
        connection.receive(data, 1, 1)
    assert connection.closing is closing
    assert (connection.phase is Phase.CLOSED) is (closing is not None)


@pytest.mark.parametrize(
    ("hello_at", "asked_at", "closing"),
    [(None, 4_999, None), (None, 5_000, Close.NO_HELLO), (10, 90_009, None), (10, 90_010, Close.NO_PONG)],
)
def test_deadlines(hello_at, asked_at, closing):
    connection = Connection(0)
    if hello_at is not None:
        connection.receive(HELLO, hello_at, 0)
    connection.expire(asked_at)
    assert connection.closing is closing


def test_any_frame_is_a_sign_of_life():
    connection = opened()
    connection.receive(PING, 60_000, 7)
    connection.expire(149_999)
    assert connection.closing is None
    assert drained(connection) == [Pong(at=5, now=7)]


def test_the_window_holds_eight_until_one_is_answered():
    connection = opened()
    assert [connection.receive(do(ref), 0, 0).ref for ref in range(8)] == list(range(8))
    assert connection.receive(do(8), 0, 0) is None
    connection.answer(Done(ref=3, seq=1))
    assert connection.receive(do(8), 0, 0).ref == 8
    assert connection.receive(do(8), 0, 0) is None, "a number under way cannot be used again"
    assert drained(connection) == [Refused(8, "window"), Done(3, 1), Refused(8, "window")]


def test_above_the_rate_the_answer_says_how_long_to_wait():
    connection = opened(commands=Rate(2, 3))
    for ref in range(4):
        connection.receive(do(ref), 1000, 0)
        connection.answer(Done(ref, 1)) if ref < 3 else None
    *_, refused = drained(connection)
    assert refused == Refused(3, "rate", wait=501)
    assert connection.receive(do(4), 1000 + refused.wait, 0).ref == 4


def test_pages_and_signals_have_rates_of_their_own():
    connection = opened(pages=Rate(1, 1), signals=Rate(1, 1))
    page, signal = text(AskPage(ref=1, channel="main")), text(Signal("nod"))
    assert connection.receive(page, 0, 0) == AskPage(ref=1, channel="main")
    assert connection.receive(signal, 0, 0) == Signal("nod")
    assert connection.receive(page, 0, 0) is None
    assert connection.receive(signal, 0, 0) is None
    assert drained(connection) == [Refused(1, "rate", wait=1001)], "a signal too many is dropped silently"


def test_an_unreadable_command_is_refused():
    connection = opened()
    connection.receive('{"t":"do","ref":9,"nonce":"12345678","cmd":{"t":"nope"}}', 0, 0)
    assert drained(connection) == [Refused(9, "bad_command")]
    assert connection.closing is None


def test_a_reader_who_lets_too_much_wait_is_closed():
    connection = opened()
    for _ in range(OUTBOX_BYTES // 1000 + 2):
        connection.send_ready(Message(b"x" * 1000))
    assert connection.closing is Close.TOO_SLOW
    assert connection.waiting == 0
    connection.send_ready(Message(b"late"))
    assert connection.drain() is None


def test_one_large_frame_is_no_sign_of_slowness():
    connection = opened()
    connection.send_ready(Message(b"welcome"))
    connection.send_ready(Message(b"x" * OUTBOX_BYTES * 2))
    assert connection.closing is None


def test_lossy_frames_replace_each_other_and_are_dropped_first():
    connection = opened()
    connection.send_ready(Message(b"old"), "signals")
    connection.send_ready(Message(b"event"))
    connection.send_ready(Message(b"new"), "signals")
    assert [connection.drain().payload for _ in range(2)] == [b"event", b"new"]
    assert connection.drain() is None
    connection.send_ready(Message(b"x" * (OUTBOX_BYTES + 1)))
    connection.send_ready(Message(b"lost"), "signals")
    assert connection.closing is None
    assert len(connection.drain().payload) == OUTBOX_BYTES + 1
    assert connection.drain() is None


def test_the_first_reason_to_close_stands_and_what_waits_is_still_written():
    connection = opened()
    connection.send(Done(1, 2))
    connection.close(Close.REMOVED)
    connection.close(Close.TOO_SLOW)
    assert connection.closing is Close.REMOVED
    assert drained(connection) == [Done(1, 2)]
    assert connection.receive(PING, 1, 1) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 400), min_size=1, max_size=80), st.integers(1, 9), st.integers(1, 9))
def test_a_bucket_never_gives_more_than_its_rate(gaps, per_second, burst):
    bucket, now, taken = Bucket(Rate(per_second, burst)), 0, 0
    for gap in gaps:
        now += gap
        wait = bucket.take(now)
        taken += not wait
        assert taken <= burst + now * per_second / 1000
        if wait:
            assert 0 < wait <= 1001
    assert bucket.take(now + 1001) == 0


inputs = st.one_of(
    st.sampled_from(CLIENT_EXAMPLES).map(text),
    st.binary(max_size=40),
    st.text(max_size=40),
    st.sampled_from(["greeted", "answer", "send", "signals", "expire", "drain"]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(inputs, st.integers(0, 30_000)), max_size=40))
def test_any_order_of_inputs_keeps_the_promises(steps):
    connection, now = Connection(0), 0
    for step, gap in steps:
        now += gap
        before = connection.closing
        match step:
            case "greeted":
                connection.greeted()
            case "answer":
                connection.answer(Done(3, 1))
            case "send":
                connection.send_ready(Message(b"x" * 50_000))
            case "signals":
                connection.send_ready(Message(b"s" * 1000), "signals")
            case "expire":
                connection.expire(now)
            case "drain":
                connection.drain()
            case _:
                frame = connection.receive(step, now, now)
                assert frame is None or connection.phase is not Phase.CLOSED
                assert not isinstance(frame, Ping)
        assert connection.waiting <= OUTBOX_BYTES + 50_000
        assert before is None or connection.closing is before
        assert (connection.phase is Phase.CLOSED) == (connection.closing is not None)


@pytest.mark.parametrize(
    "data",
    [PING, '{"t":"do","ref":1,"nonce":"12345678","cmd":{"t":"nope"}}', do(1), '{"t":"typing"}'],
    ids=["pings", "bad commands", "commands too fast", "signals too fast"],
)
def test_asvs_15_2_2_who_goes_on_in_vain_is_closed_and_who_goes_slowly_is_not(data):
    limits = {"commands": Rate(0.001, 1), "signals": Rate(0.001, 1)}
    flood, patient = opened(**limits), opened(**limits)
    for _ in range(IN_VAIN.burst + 2):
        flood.receive(data, 0, 0)
    assert flood.closing is Close.TOO_MANY
    assert len(drained(flood)) <= IN_VAIN.burst
    for second in range(IN_VAIN.burst + 2):
        patient.receive(data, second * 1000, 0)
        drained(patient)
    assert patient.closing is None
