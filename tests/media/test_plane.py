"""Any datagram, from anybody, at any time."""

import asyncio
import contextlib
import os
import struct
import time
import weakref

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pylibsrtp import Policy

from live.media.control import MediaRefused, MediaSettings, StageFacts
from live.media.plane import Plane
from live.media.srtp import Srtp, SrtpKeys
from live.sfu.rtcp import write_rr
from tests.media.offers import OBS

PEER, STRANGER = ("192.0.2.5", 5000), ("192.0.2.6", 6000)


@pytest.fixture
async def plane():
    made = Plane(MediaSettings(port=0, host="127.0.0.1"), lambda _, __: None, b"secret")
    made.open()
    yield made
    await made.close()


def _check(ufrag: str, password: str) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes |= {"USERNAME": f"{ufrag}:them", "ICE-CONTROLLING": 1, "USE-CANDIDATE": None}
    message.add_message_integrity(password.encode())
    return bytes(message)


async def test_any_datagram_is_taken_or_dropped(plane) -> None:
    answer = plane.watch("room", "bob", False, None)
    peer = plane._peers[answer.resource]
    plane._receive(_check(*peer.local), PEER)
    assert plane._by_address[PEER] is peer
    ranges = st.sampled_from([0, 1, 3, 4, 19, 20, 22, 63, 64, 127, 128, 144, 191, 192, 255])
    head = st.builds(lambda first, rest: bytes([first]) + rest, ranges, st.binary(max_size=80))
    magic = st.builds(lambda rest: b"\x00\x01\x00\x08\x21\x12\xa4\x42" + rest, st.binary(max_size=60))

    @examples(max_examples=300, deadline=None)
    @given(st.binary(min_size=1, max_size=100) | head | magic, st.sampled_from([PEER, STRANGER]))
    def holds(datagram, address) -> None:
        plane._receive(datagram, address)
        plane._pause()

    holds()
    assert plane._by_address == {PEER: peer}
    assert plane.numbers()["peers"] == 1


async def test_an_address_in_use_is_not_given_to_another_peer(plane) -> None:
    one, two = (plane._peers[plane.watch("room", p, False, None).resource] for p in ("bob", "cat"))
    plane._receive(_check(*one.local), PEER)
    one.srtp = object()
    plane._receive(_check(*two.local), PEER)
    assert plane._by_address[PEER] is one
    plane._receive(_check(*two.local), STRANGER)
    assert plane._by_address[STRANGER] is two


@examples(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from([None, "*", '"x"', ""]))
async def test_any_request_is_answered_or_refused(sdp, resource, etag) -> None:
    made = Plane(MediaSettings(port=0, host="127.0.0.1"), lambda _, __: None, b"secret")
    for ask in (
        lambda: made.publish("room", "ann", "camera", sdp),
        lambda: made.complete("room", resource, sdp),
        lambda: made.trickle("room", made.watch("room", "bob", False, None).resource, sdp, etag),
        lambda: made.delete("room", resource),
        lambda: made.watch("room", "bob", False, sdp or None),
    ):
        with contextlib.suppress(MediaRefused):
            ask()


async def test_nothing_is_left_of_a_peer_after_ice_restarts(plane) -> None:
    answer = plane.publish("room", "ann", "camera", OBS)
    peer = plane._peers[answer.resource]
    for n in range(3):
        before = peer.local
        plane.trickle("room", answer.resource, f"a=ice-ufrag:new{n}\na=ice-pwd:{n:022}", "*")
        assert plane._by_ufrag.keys() == {before.ufrag, peer.local.ufrag}
        plane._receive(_check(*before), PEER)
        assert plane._by_ufrag.keys() == {before.ufrag, peer.local.ufrag}
        plane._receive(_check(*peer.local), PEER)
        assert plane._by_ufrag == {peer.local.ufrag: peer}
    plane.delete("room", answer.resource)
    assert plane._by_ufrag == plane._by_address == plane._by_host == {}


@pytest.mark.usefixtures("no_collector")
async def test_a_peer_that_left_is_no_work_for_the_garbage_collector(plane) -> None:
    published = plane.publish("room", "ann", "camera", OBS).resource
    watched = plane.watch("room", "bob", False, None).resource
    gone = [weakref.ref(plane._peers[name]) for name in (published, watched)]
    plane._receive(_check(*plane._peers[published].local), PEER)
    await asyncio.sleep(0)  # the handshake begins
    for name in (published, watched):
        plane.delete("room", name)
    async with asyncio.timeout(5):
        while any(one() is not None for one in gone):  # noqa: ASYNC110  # the last reference is the loop's
            await asyncio.sleep(0)


async def test_a_publisher_whose_port_changed_is_heard_before_a_check_proves_it(plane) -> None:
    plane.stage("room", StageFacts(open=True, on_stage=["ann"]))
    peer = plane._peers[plane.publish("room", "ann", "camera", OBS).resource]
    plane._receive(_check(*peer.local), PEER)
    ours, theirs = os.urandom(28), os.urandom(28)
    peer.srtp = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, theirs, ours))
    client = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, ours, theirs))
    plane._connected(peer)

    def sends(sequence: int, address: tuple[str, int], srtp: Srtp = client) -> tuple[int, int]:
        header = struct.pack("!BBHII", 0x80, 111, sequence, sequence * 960, 1001)
        before = plane.numbers()
        plane._receive(bytes(srtp.protect(header + b"sound")), address)
        after = plane.numbers()
        return tuple(after.get(name, 0) - before.get(name, 0) for name in ("router_received", "strange"))

    other = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, ours, os.urandom(28)))
    moved = (PEER[0], 7777)
    assert sends(1, PEER) == (1, 0)
    assert sends(2, moved) == (1, 0)
    assert sends(2, moved) == (0, 1)  # said twice
    assert sends(3, moved, other) == (0, 1)
    assert sends(4, STRANGER) == (0, 1)
    assert sends(5, PEER) == (1, 0)
    peer.paths.spoken_at = peer.paths._heard[PEER] = time.monotonic() + 60  # the old port is not silent
    assert sends(6, moved) == (1, 0)
    assert peer.paths.chosen == PEER  # heard, but nothing goes there
    assert moved not in plane._by_address
    peer.paths.spoken_at = peer.paths._heard[PEER] = time.monotonic() - 60
    assert sends(7, (STRANGER[0], 7777)) == (0, 1)
    assert sends(8, moved) == (1, 0)
    assert peer.paths.chosen == moved
    assert plane._by_address[moved] is peer
    plane.delete("room", peer.resource)
    assert sends(9, moved) == (0, 1)
    assert not plane._by_host
    assert moved not in plane._by_address


async def test_a_viewer_whose_port_changed_is_found_by_its_reports_among_a_crowd(plane) -> None:
    """Its receiver report proves the port; of a crowd behind one NAT everybody has a turn."""
    clients = []
    for number in range(40):
        peer = plane._peers[plane.watch("room", f"p{number}", False, None).resource]
        plane._receive(_check(*peer.local), (PEER[0], 2000 + number))
        ours, theirs = os.urandom(28), os.urandom(28)
        peer.srtp = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, theirs, ours))
        peer.paths.spoken_at = peer.paths._heard[PEER[0], 2000 + number] = time.monotonic() - 5
        clients.append((peer, Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, ours, theirs))))
    peer, client = clients[-1]
    moved = (PEER[0], 7777)
    for second in (b"\xc9", b"\x60"):  # like RTCP, like RTP: viewers send none
        plane._receive(b"\x80" + second + os.urandom(40), moved)
    assert not any(other.paths.chosen == moved for other, _ in clients)
    plane._receive(bytes(client.protect_rtcp(write_rr(1, []))), (STRANGER[0], 7777))
    assert peer.paths.chosen == (PEER[0], 2039)
    reports = 0
    while peer.paths.chosen != moved and reports < 5:
        plane._receive(bytes(client.protect_rtcp(write_rr(1, []))), moved)
        reports += 1
    assert peer.paths.chosen == moved
    assert all(other.paths.chosen != moved for other, _ in clients[:-1])
