import contextlib
import struct

import pytest
from aioice import stun
from hypothesis import given, settings
from hypothesis import strategies as st

from live.media.ice import (
    ADDRESS_LIMIT,
    Credentials,
    Passwords,
    Paths,
    StunError,
    check,
    farewell,
    is_stun,
    read_request,
    success,
)

HERE = ("192.0.2.7", 4000)


def _request(username: str, password: str, **attributes: object) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes["USERNAME"] = username
    message.attributes |= {name.replace("_", "-"): value for name, value in attributes.items()}
    message.add_message_integrity(password.encode())
    return bytes(message)


def test_a_good_check_is_answered_with_the_address_we_saw() -> None:
    ours = Passwords(b"secret").fresh()
    datagram = _request(f"{ours.ufrag}:them", ours.pwd, ICE_CONTROLLING=1, USE_CANDIDATE=None)
    assert is_stun(datagram)
    request = read_request(datagram)
    assert request.ufrag == ours.ufrag
    checked = check(request, HERE, ours.pwd)
    assert checked.proven
    assert checked.nominated
    reply = stun.parse_message(checked.reply)
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == HERE
    assert reply.check_message_integrity(ours.pwd.encode())


@given(
    transaction=st.binary(min_size=12, max_size=12),
    host=st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str),
    port=st.integers(0, 65535),
    key=st.binary(min_size=1, max_size=40),
)
def test_a_success_reads_as_the_library_would_have_written_it(transaction, host, port, key) -> None:
    answer = success(transaction, (host, port), key)
    message = stun.parse_message(answer)  # checks the fingerprint
    assert message.check_message_integrity(key)
    assert (message.message_method, message.message_class) == (stun.Method.BINDING, stun.Class.RESPONSE)
    assert message.transaction_id == transaction
    assert message.attributes["XOR-MAPPED-ADDRESS"] == (host, port)


def test_a_wrong_password_gets_no_answer() -> None:
    ours = Passwords(b"secret").fresh()
    request = read_request(_request(f"{ours.ufrag}:them", "wrong"))
    with pytest.raises(StunError):
        check(request, HERE, ours.pwd)


def test_a_controlled_peer_is_told_of_the_conflict_and_proves_nothing() -> None:
    ours = Passwords(b"secret").fresh()
    request = read_request(_request(f"{ours.ufrag}:them", ours.pwd, ICE_CONTROLLED=9))
    checked = check(request, HERE, ours.pwd)
    assert not checked.proven
    assert stun.parse_message(checked.reply).error_code == 487


def test_a_forgotten_peer_is_told_so_by_whoever_has_the_secret() -> None:
    ours = Passwords(b"secret").fresh()
    request = read_request(_request(f"{ours.ufrag}:them", ours.pwd, ICE_CONTROLLING=1))
    reply = stun.parse_message(farewell(request, Passwords(b"secret").of(request.ufrag)))
    assert reply.error_code == 400
    assert reply.check_message_integrity(ours.pwd.encode())
    with pytest.raises(StunError):
        farewell(request, Passwords(b"another").of(request.ufrag))


@pytest.mark.parametrize("username", ["", "alone"])
def test_a_username_needs_two_fragments(username: str) -> None:
    with pytest.raises(StunError):
        read_request(_request(username, "x"))


def test_media_follows_the_nomination_and_a_silent_rebinding() -> None:
    paths = Paths()
    paths.note(("a", 1), nominated=False, now=0.0)
    assert paths.chosen == ("a", 1)
    paths.note(("b", 2), nominated=False, now=0.1)
    assert paths.chosen == ("a", 1)
    paths.note(("b", 2), nominated=True, now=0.2)
    assert paths.chosen == ("b", 2)
    paths.note(("c", 3), nominated=False, now=2.0)
    assert paths.chosen == ("b", 2)
    paths.note(("c", 3), nominated=False, now=6.0)
    assert paths.chosen == ("c", 3)


def test_media_follows_what_srtp_proves_within_a_host_and_from_a_silent_port_only() -> None:
    paths = Paths()
    assert paths.moved(("a", 1), 0.0) == (False, None)
    paths.note(("a", 1), nominated=True, now=0.0)
    paths.spoken_at = 1.0
    for address, now in ((("a", 2), 1.1), (("b", 2), 5.0), (("a", 2, "tcp"), 5.0), (("a", 2, 0, 7), 5.0)):
        assert paths.moved(address, now) == (False, None)
    assert paths.chosen == ("a", 1)
    assert paths.moved(("a", 2), 5.0) == (True, None)
    assert paths.chosen == ("a", 2)
    assert paths.heard_at == 0.0  # no consent
    assert {*paths.addresses()} == {("a", 1), ("a", 2)}
    paths.note(("a", 2), nominated=False, now=6.0)
    assert paths.chosen == ("a", 2)


def test_addresses_are_bounded_and_the_chosen_one_stays() -> None:
    paths = Paths()
    paths.note(("a", 0), nominated=True, now=0.0)
    forgotten = [paths.note(("b", n), nominated=False, now=0.001 * n) for n in range(1, 20)]
    assert len(paths.addresses()) == ADDRESS_LIMIT
    assert ("a", 0) in paths.addresses()
    assert len([f for f in forgotten if f]) == 20 - ADDRESS_LIMIT


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_the_documented_error(data: bytes) -> None:
    with contextlib.suppress(StunError):
        read_request(data)
    is_stun(data)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_check_is_read_or_refused(data: st.DataObject) -> None:
    ours = Credentials("ufrag", "password")
    datagram = bytearray(_request("ufrag:them", "password", ICE_CONTROLLING=1, PRIORITY=7))
    for _ in range(data.draw(st.integers(1, 4))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(StunError):
        check(read_request(bytes(datagram)), HERE, ours.pwd)


_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "PRIORITY": st.integers(0, 2**32 - 1),
        "ICE-CONTROLLING": st.integers(0, 2**64 - 1),
        "ICE-CONTROLLED": st.integers(0, 2**64 - 1),
        "USE-CANDIDATE": st.none(),
        "SOFTWARE": st.text("abc", max_size=9),
        "USERNAME": st.text("ab:é", max_size=9),
    },
)


@settings(max_examples=300)
@given(st.data())
def test_a_request_is_read_as_the_library_reads_it(data: st.DataObject) -> None:
    """Whole: we take it if it names two fragments. Damaged: where both take it, both see the same in it."""
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes=data.draw(_ATTRIBUTES))
    if data.draw(st.booleans()):
        message.add_message_integrity(b"password")
    datagram = bytearray(bytes(message))
    whole = bytes(datagram)
    for _ in range(data.draw(st.integers(0, 2))):
        datagram[data.draw(st.integers(0, len(datagram) - 1))] = data.draw(st.integers(0, 255))
    try:
        theirs = stun.parse_message(bytes(datagram))
    except (ValueError, IndexError, struct.error):
        theirs = None
    try:
        ours = read_request(bytes(datagram))
    except StunError:
        ufrag, colon, _ = message.attributes.get("USERNAME", "").partition(":")
        assert datagram != whole or not colon or not ufrag.isascii()
        return
    if theirs is None:
        return  # an attribute that is none of our business
    assert ours.transaction == theirs.transaction_id
    assert ours.ufrag == theirs.attributes["USERNAME"].partition(":")[0]
    assert ours.is_proven(b"password") == theirs.check_message_integrity(b"password")
    assert ours.controlled == ("ICE-CONTROLLED" in theirs.attributes)
    assert ours.nominates == ("USE-CANDIDATE" in theirs.attributes)


def test_what_stands_behind_the_integrity_nominates_nobody() -> None:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": "ufrag:them"})
    message.add_message_integrity(b"password")
    del message.attributes["FINGERPRINT"]
    message.attributes |= {"USE-CANDIDATE": None, "ICE-CONTROLLED": 1}
    request = read_request(bytes(message))
    assert request.is_proven(b"password")
    assert not request.nominates
    assert not request.controlled
