"""The contract of every fan-out body: each viewer gets all packets, whole and in order."""

import asyncio
import contextlib
import gc
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from pylibsrtp import Policy

from live.media import fanout as bodies
from live.media.control import MediaRefused
from live.media.fanout import FanoutBody, NativeFanout, PythonFanout, fanout_body
from live.media.ice import Credentials
from live.media.peer import Peer
from live.media.srtp import DATAGRAM_LIMIT, Srtp, SrtpKeys
from live.media.udp import QUEUE_LIMIT, Port
from live.sfu import Fanout
from live.sfu.contract import Cast, Head, Malformed
from live.sfu.rtp import parse_rtp

PROFILES = [Policy.SRTP_PROFILE_AEAD_AES_128_GCM, Policy.SRTP_PROFILE_AES128_CM_SHA1_80]
OURS = Credentials("ufrag", "password")
GCM = PROFILES[0]


def _native(port: Port) -> NativeFanout:
    assert bodies.native is not None
    return NativeFanout(port, bodies.native)


BODIES = [
    pytest.param(PythonFanout, id="python"),
    pytest.param(
        _native,
        id="native",
        marks=pytest.mark.skipif(bodies.native is None, reason=f"not built: {bodies.native_problem}"),
    ),
]
NATIVE = BODIES[1:]


class Viewer:
    made: ClassVar[list["Viewer"]] = []

    def __init__(self, profile: int, host: str = "127.0.0.1") -> None:
        self.made.append(self)
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind((host, 0))
        self.socket.settimeout(5)
        one, two = os.urandom(30), os.urandom(30)
        self.srtp = Srtp(SrtpKeys(profile, one, two))
        self.peer = Peer("x", "room", "x", OURS, source="", behind=False, now=0.0)
        self.peer.srtp = Srtp(SrtpKeys(profile, two, one))
        self.peer.paths.chosen = self.socket.getsockname()

    def read(self, count: int) -> list[bytes]:
        return [bytes(self.srtp.unprotect(self.socket.recv(3000))) for _ in range(count)]


@pytest.fixture(autouse=True)
def _viewers_leave():
    yield
    for viewer in Viewer.made:
        viewer.socket.close()
    Viewer.made.clear()


@pytest.fixture
async def port():
    made = Port(lambda _, __: None, lambda: None)
    made.open("127.0.0.1", 0)
    yield made
    made.close()


def _header(sequence: int, ssrc: int = 1, first: int = 0x80) -> bytes:
    return struct.pack("!BBHII", first, 96, sequence & 0xFFFF, 0, ssrc)


def _cast(viewers: list[Viewer]) -> Cast[Peer]:
    return Cast([(viewer.peer, 96, 0, 0, n) for n, viewer in enumerate(viewers, 1)])


def _send(
    body: FanoutBody, viewers: list[Viewer], sizes: list[int], first: int = 0
) -> dict[int, list[bytes]]:
    """Every third packet goes to a cast, the others under given headers."""
    expected: dict[int, list[bytes]] = {n: [] for n in range(len(viewers))}
    fanouts = []
    cast = _cast(viewers)
    for at, size in enumerate(sizes, first):
        payload = os.urandom(size)
        if at % 3 == 0:
            fanouts.append(Fanout.cast_to(cast, Head(0x80, 0, -1, at & 0xFFFF, 0), payload))
            for n in range(len(viewers)):
                expected[n].append(_header(at, n + 1) + payload)
            continue
        headers = []
        for n, viewer in enumerate(viewers):
            header = _header(at, n + 1)
            headers.append((viewer.peer, header))
            expected[n].append(header + payload)
        fanouts.append(Fanout(payload, headers))
    assert body.send(fanouts) == len(sizes) * len(viewers)
    return expected


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("make", BODIES)
async def test_every_viewer_gets_every_packet_in_order(make, segments) -> None:
    port = Port(lambda _, __: None, lambda: None)
    port.open("127.0.0.1", 0)
    port.segments = port.segments and segments

    @examples(max_examples=40, deadline=None)
    @given(st.lists(st.sampled_from([1, 20, 900, 901, 1200, 1210]), min_size=1, max_size=90))
    def holds(sizes) -> None:
        viewers = [Viewer(profile) for profile in PROFILES]
        expected = _send(make(port), viewers, sizes)
        for n, viewer in enumerate(viewers):
            assert viewer.read(len(sizes)) == expected[n]
            viewer.socket.close()

    holds()
    port.close()


@pytest.mark.parametrize("make", BODIES)
async def test_who_is_not_connected_is_passed_over(make) -> None:
    port = Port(lambda _, __: None, lambda: None)
    port.open("127.0.0.1", 0)
    idle = Peer("y", "room", "y", OURS, source="", behind=False, now=0.0)
    header = bytes([0x80, 96]) + bytes(10)
    assert make(port).send([Fanout(b"x", [(idle, header)])]) == 0
    assert make(port).send([Fanout(b"x", [(idle, header)]), Fanout(b"y", [(idle, header)])]) == 0
    port.close()


@pytest.mark.parametrize("make", BODIES)
@examples(max_examples=30, deadline=None)
@given(
    st.tuples(st.sampled_from([0x80, 0x81]), st.sampled_from([0, 0x80]), st.sampled_from([-1, 0, 111])),
    st.tuples(st.integers(0, 0xFFFF), st.integers(0, 2**32 - 1)),
    st.lists(
        st.tuples(
            st.integers(0, 127),
            st.integers(-(2**40), 2**40),
            st.integers(-(2**40), 2**40),
            st.integers(0, 2**32 - 1),
        ),
        min_size=1,
        max_size=5,
    ),
)
def test_a_cast_is_sent_under_the_headers_that_it_stands_for(make, first, numbers, rows) -> None:
    async def holds() -> None:
        port = Port(lambda _, __: None, lambda: None)
        port.open("127.0.0.1", 0)
        viewers = [Viewer(PROFILES[n % 2]) for n in range(len(rows))]
        cast = Cast([(viewer.peer, *row) for viewer, row in zip(viewers, rows, strict=True)])
        fanout = Fanout.cast_to(cast, Head(*first, *numbers), bytes(20))
        assert make(port).send([fanout]) == len(fanout) == len(rows)
        for viewer, (_, header), (pt, shift, later, ssrc) in zip(viewers, fanout.headers, rows, strict=True):
            sent = viewer.read(1)[0]
            assert sent[:12] == header
            second = first[1] | (pt if first[2] < 0 else first[2])
            number, timestamp = numbers[0] + shift & 0xFFFF, numbers[1] + later & 0xFFFFFFFF
            assert header == struct.pack("!BBHII", first[0], second, number, timestamp, ssrc)
            viewer.socket.close()
        port.close()

    asyncio.run(holds())


@pytest.mark.parametrize("make", BODIES)
async def test_a_cast_s_viewers_may_connect_late_move_and_leave(make, port) -> None:
    one, two, elsewhere = Viewer(GCM), Viewer(GCM), Viewer(GCM)
    body, cast = make(port), _cast([one, two])
    keys, two.peer.srtp = two.peer.srtp, None

    def send(number: int) -> int:
        return body.send([Fanout.cast_to(cast, Head(0x80, 0, -1, number, 0), b"x")])

    assert send(1) == 1
    two.peer.srtp = keys
    assert send(2) == 2
    assert two.read(1) == [_header(2, 2) + b"x"]
    one.peer.paths.chosen = elsewhere.socket.getsockname()
    assert send(3) == 2
    moved = bytes(one.srtp.unprotect(elsewhere.socket.recv(3000)))
    assert moved == _header(3, 1) + b"x"
    two.peer.srtp = None
    one.peer.paths.chosen = None
    assert send(4) == 0
    again = Viewer(GCM)
    two.srtp, two.peer.srtp = again.srtp, again.peer.srtp
    two.socket.recv(3000)  # the third packet, under the keys before
    assert send(5) == 1
    assert two.read(1) == [_header(5, 2) + b"x"]


@pytest.mark.parametrize("make", BODIES)
async def test_the_wrap_of_sequence_numbers_counts_and_late_packets_belong_before_it(make, port) -> None:
    viewer = Viewer(GCM)
    body = make(port)
    order = [65000, 65534, 65535, 0, 1, 65533, 2, 65535, 30000, 60000, 3, 65535, 0]
    sent = []
    for at, sequence in enumerate(order):
        packet = _header(sequence), b"resent" if sequence == 65535 and at < 9 else bytes([at]) * 50
        sent.append(packet)
        assert body.send([Fanout(packet[1], [(viewer.peer, packet[0])])]) == 1
    # The window takes no packet twice, nor what is 1,024 older: those that arrive show the counter is right.
    fresh = [n for n in range(len(order)) if n not in {7, 10, 11, 12}]
    opened = {}
    for n in range(len(order)):
        datagram = viewer.socket.recv(3000)
        if n in fresh:
            opened[n] = bytes(viewer.srtp.unprotect(datagram))
    assert opened == {n: b"".join(sent[n]) for n in fresh}


@pytest.mark.parametrize("make", NATIVE)
async def test_both_bodies_seal_alike_byte_for_byte(make, port) -> None:
    """Law: whatever the order, the extensions and the sizes, what libsrtp would have sent is sent."""

    @examples(max_examples=80, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from([0, 1, 400, 32767, 32768, 33000, 65000, 65535]),
                st.sampled_from([7, 8]),
                st.integers(0, 0x1F).map(lambda bits: 0x80 | bits),
                st.binary(max_size=40) | st.integers(0, DATAGRAM_LIMIT).map(bytes),
            ),
            max_size=12,
        )
    )
    def holds(packets) -> None:
        keys = SrtpKeys(GCM, os.urandom(28), os.urandom(28))
        one, two = Viewer(GCM), Viewer(GCM)
        one.peer.srtp, two.peer.srtp = Srtp(keys), Srtp(keys)
        for sequence, ssrc, first, payload in packets:
            header = _header(sequence, ssrc, first)
            went = make(port).send([Fanout(payload, [(one.peer, header)])])
            reference = PythonFanout(port).send([Fanout(payload, [(two.peer, header)])])
            datagram = one.socket.recv(3000) if went else b""
            if reference:  # libsrtp refuses what its window has forgotten
                assert two.socket.recv(3000) == datagram
            elif _whole(header + payload):
                assert len(datagram) == len(header + payload) + 16
            else:
                assert not went
        for viewer in (one, two):
            viewer.socket.close()

    holds()


def _whole(packet: bytes) -> bool:
    try:
        parse_rtp(bytes([packet[0] & 0xDF]) + packet[1:])
    except Malformed:
        return False
    return len(packet) <= DATAGRAM_LIMIT - 20


@pytest.mark.parametrize("make", BODIES)
async def test_thousands_of_packets_for_many_viewers(make, port) -> None:
    viewers = [Viewer(GCM) for _ in range(20)]
    body = make(port)
    for turn in range(5):
        expected = _send(body, viewers, [1200] * 30 + [1201, 90] * 5, turn * 40)
        for n, viewer in enumerate(viewers):
            assert viewer.read(40) == expected[n]
    assert port.counts["sent"] == 5 * 40 * 20


@pytest.mark.parametrize("make", BODIES)
async def test_ipv6_and_ipv4_in_one_batch(make) -> None:
    port = Port(lambda _, __: None, lambda: None)
    port.open("", 0)
    try:
        six = Viewer(GCM, "::1")
    except OSError:
        port.close()
        pytest.skip("no IPv6 here")
    viewers = [Viewer(GCM), six, Viewer(GCM)]
    expected = _send(make(port), viewers, [1200, 1200, 1200, 30])
    for n, viewer in enumerate(viewers):
        assert viewer.read(4) == expected[n]
    port.close()


class Narrow:
    """A socket that the kernel soon finds full, which UDP on the loopback never is: TCP that nobody reads.

    It takes datagrams for bytes and ignores their addresses, so what went through is only counted.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)  # else the kernel lets it grow
            self.near = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
            self.near.connect(server.getsockname())
            self.far, _ = server.accept()
        for end in (self.near, self.far):
            end.setblocking(False)

    def fill(self) -> None:
        """Until it stays full: what was sent may still be moving to the far end's buffer.

        `select` is no judge of that: it calls a buffer writable only when a third of it is free.
        """
        refused = 0
        while refused < 20:
            try:
                self.near.send(bytes(4096))
                refused = 0
            except BlockingIOError:
                refused += 1
                time.sleep(0.01)

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.far.recv(1 << 20):
                pass


@pytest.fixture
def narrow():
    made = Narrow()
    yield made
    made.near.close()
    made.far.close()


@pytest.mark.parametrize("make", BODIES)
@pytest.mark.parametrize("segments", [True, False])
async def test_what_a_full_kernel_buffer_refuses_waits_and_arrives(
    make, segments, port, narrow, wait
) -> None:
    port.segments = port.segments and segments
    udp, port._four = port._four, narrow.near
    narrow.fill()
    viewer, body = Viewer(GCM), make(port)
    sizes = [1200] * 300 + [40, 1100] * 50
    expected = _send(body, [viewer], sizes)
    assert (port.counts["sent"], port.counts["queued"]) == (0, len(sizes))
    port._four = udp
    while port.counts["sent"] < len(sizes):
        narrow.drain()
        await wait(lambda: port.counts["sent"])
    asyncio.get_running_loop().remove_writer(narrow.near.fileno())
    assert viewer.read(len(sizes)) == expected[0]
    assert port.counts["dropped"] == port.counts["unsendable"] == 0


@pytest.mark.parametrize("make", BODIES)
async def test_a_buffer_that_fills_midway_splits_a_batch_in_order(make, port, narrow) -> None:
    udp, port._four = port._four, narrow.near
    port.segments = False
    viewers = [Viewer(GCM), Viewer(GCM)]
    expected = _send(make(port), viewers, [1200] * 3000)
    sent, queued = port.counts["sent"], port.counts["queued"]
    assert sent > 0
    assert queued > 0
    assert sent + queued + port.counts["dropped"] == 6000
    assert port.counts["dropped"] < 6000 - QUEUE_LIMIT // 1300
    whole = [packet for viewer in expected.values() for packet in viewer]
    for (datagram, address, _), packet in zip(port._queue, whole[sent:], strict=False):
        viewer = next(v for v in viewers if v.peer.paths.chosen == address)
        assert bytes(viewer.srtp.unprotect(datagram)) == packet
    loop = asyncio.get_running_loop()
    loop.remove_writer(narrow.near.fileno())
    port._queue.clear()
    port._four = udp


@pytest.mark.parametrize("segments", [True, False])
@pytest.mark.parametrize("make", BODIES)
async def test_what_waits_sealed_of_a_hidden_publication_is_forgotten(make, segments, port, narrow) -> None:
    """By both ways into the queue, of casts and given headers, for viewers of both profiles."""
    port.segments = port.segments and segments
    udp, port._four = port._four, narrow.near
    narrow.fill()
    viewers, body = [Viewer(profile) for profile in PROFILES], make(port)
    cast, sent = _cast(viewers), []
    for at in range(40):
        source, payload = ("ann", "ben")[at // 3 % 2], os.urandom(1100 if at % 5 else 30)
        sent.append((source, payload))
        if at % 2:
            sent_to = Fanout(payload, [(v.peer, _header(at, n)) for n, v in enumerate(viewers, 1)], source)
        else:
            sent_to = Fanout.cast_to(cast, Head(0x80, 0, -1, at, 0), payload, source)
        assert body.send([sent_to]) == 2
    batch = [Fanout.cast_to(cast, Head(0x80, 0, -1, 40 + n, 0), bytes(900), "ab"[n % 2]) for n in range(20)]
    assert body.send(batch) == 40
    body.forget("ann")
    body.forget("a")
    assert port.counts["dropped"] == 2 * (sum(source == "ann" for source, _ in sent) + 10)
    assert port.room == QUEUE_LIMIT - sum(len(datagram) for datagram, _, _ in port._queue)
    left: dict[int, list[bytes]] = {0: [], 1: []}
    for datagram, address, _ in port._queue:
        n = next(n for n, v in enumerate(viewers) if v.peer.paths.chosen == address)
        left[n].append(bytes(viewers[n].srtp.unprotect(datagram))[12:])
    expected = [payload for source, payload in sent if source == "ben"] + [bytes(900)] * 10
    assert left == {0: expected, 1: expected}
    port.forget(to=[viewers[0].peer.paths.chosen])
    assert {address for _, address, _ in port._queue} == {viewers[1].peer.paths.chosen}
    asyncio.get_running_loop().remove_writer(narrow.near.fileno())
    port._queue.clear()
    port._four = udp


@pytest.mark.parametrize("make", BODIES)
async def test_runs_that_the_kernel_refuses_go_singly(make, port) -> None:
    no_checksum = 11  # SO_NO_CHECK: with it, segmentation is refused
    port._four.setsockopt(socket.SOL_SOCKET, no_checksum, 1)
    viewer = Viewer(GCM)
    expected = _send(make(port), [viewer], [1200] * 10 + [70])
    assert viewer.read(11) == expected[0]
    assert port.counts["sent"] == 11


@pytest.mark.parametrize("make", BODIES)
async def test_what_the_network_refuses_is_counted_and_harms_nobody_else(make, port) -> None:
    lost, well = Viewer(GCM), Viewer(GCM)
    lost.peer.paths.chosen = ("255.255.255.255", 9)  # broadcast, which nobody has permitted
    expected = _send(make(port), [lost, well], [100])
    assert well.read(1) == expected[1]
    assert port.counts["unsendable"] == 1


@pytest.mark.parametrize("make", BODIES)
async def test_packets_behind_waiting_ones_wait_too_up_to_the_limit(make, port, wait) -> None:
    viewer = Viewer(GCM)
    port._wait(b"first", viewer.peer.paths.chosen)
    expected = _send(make(port), [viewer], [1200, 1200, 20])
    assert port.counts["sent"] == 0
    await wait(lambda: port.counts["sent"] == 4)
    assert viewer.socket.recv(3000) == b"first"
    assert viewer.read(3) == expected[0]
    port._wait(b"x" * port.room, viewer.peer.paths.chosen)
    _send(make(port), [viewer], [1200, 20], 3)
    assert port.counts["dropped"] == 2


@pytest.mark.parametrize("make", BODIES)
async def test_a_viewer_may_move_between_tcp_and_udp(make, port) -> None:
    viewer = Viewer(GCM)
    here = viewer.peer.paths.chosen
    body = make(port)
    wire: list[bytes] = []
    port.streams.send = lambda datagram, _: wire.append(bytes(datagram)) or True
    first = _send(body, [viewer], [50, 50], 65534)
    assert viewer.read(2) == first[0]
    viewer.peer.paths.chosen = ("127.0.0.1", 9, "tcp")
    second = _send(body, [viewer], [50, 60], 65536)
    assert [bytes(viewer.srtp.unprotect(datagram)) for datagram in wire] == second[0]
    viewer.peer.paths.chosen = here
    assert viewer.read(0) == []
    third = _send(body, [viewer], [70], 65538)
    assert viewer.read(1) == third[0]


@pytest.mark.parametrize("make", BODIES)
async def test_peers_that_left_leave_no_memory_behind(make, port) -> None:
    def come_and_go(count: int) -> int:
        for _ in range(count):
            keys = SrtpKeys(GCM, bytes(28), os.urandom(28))
            peer = Peer("x", "room", "x", OURS, source="", behind=False, now=0.0)
            peer.srtp, peer.paths.chosen = Srtp(keys), nowhere.socket.getsockname()
            body.send([Fanout(b"x", [(peer, _header(n, n)) for n in range(8)])])
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    nowhere, body = Viewer(GCM), make(port)
    before = come_and_go(500)
    assert come_and_go(2000) - before < 2000 * 300


async def test_the_body_is_chosen_by_name(port, monkeypatch) -> None:
    assert fanout_body("python", port).name == "python"
    monkeypatch.setattr(bodies, "native", None)
    assert fanout_body("auto", port).name == "python"
    with pytest.raises(MediaRefused, match="fanout_not_built"):
        fanout_body("native", port)


@pytest.mark.skipif(bodies.native is None, reason="not built")
def test_an_extension_of_older_source_is_not_used() -> None:
    """Python's body serves then, and what doctor says tells why."""
    program = "import sys, types; old = types.ModuleType('old'); old.INTERFACE = 1; "
    program += "sys.modules['live.media._fanout'] = old; from live.media import fanout; "
    program += "print(fanout.native, fanout.native_problem)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith("None it was compiled for another version")


def test_the_extension_refuses_what_it_cannot_take() -> None:
    native = bodies.native
    for arguments in ((b"short", bytes(12)), (bytes(16), b"short")):
        with pytest.raises(ValueError, match="16 bytes"):
            native.Sealer(*arguments)
    sealer = native.Sealer(bytes(16), bytes(12))
    for header, body in ((b"", b""), (bytes(12), bytes(DATAGRAM_LIMIT)), (b"\x9f" + bytes(11), b"abc")):
        with pytest.raises(ValueError, match="impossible"):
            sealer.seal(header, body)
    short = Cast([(1, 0, 0, 0, 0)])
    short.rows = b"short"
    for wrong in (
        [object()],
        [Fanout(b"", [None])],
        [Fanout(None, [(1, b"")])],
        [Fanout(b"", [(1, b"")])],
        [Fanout.cast_to(Cast([(1, 0, 0, 0, 0)]), Head(0x80, 0, 0, 0, 0), b"x")],
        [Fanout.cast_to(Cast([(1, 0, 0, 0, 0)]), Head(0x80, 0, 0, 0, 0), None)],
        [Fanout.cast_to(Cast([]), Head(999, 0, 0, 0, 0), b"x")],
        [Fanout.cast_to(Cast([]), (1, 2), b"x")],
        [Fanout.cast_to(short, Head(0x80, 0, 0, 0, 0), b"x")],
        [Fanout.cast_to(object(), Head(0x80, 0, 0, 0, 0), b"x")],
        None,
    ):
        with pytest.raises((TypeError, AttributeError, SystemError, ValueError, OverflowError)):
            native.send(wrong, -1, -1, False, False, 0, 0)
    assert native.send([], -1, -1, False, False, 0, 0) == (0, 0, 0, 0, 0, [], [])


@pytest.mark.parametrize("make", BODIES)
async def test_who_came_to_one_of_several_addresses_is_sent_to_from_it(make) -> None:
    port = Port(lambda _, __: None, lambda: None)
    port.open("", 0, ["127.0.0.1", "127.0.0.2"])
    viewers = [Viewer(profile) for profile in PROFILES]
    own = next(number for number, sock in port._own.items() if sock.getsockname()[0] == "127.0.0.2")
    for viewer in viewers:
        viewer.socket.connect(("127.0.0.2", port.number))
        viewer.peer.paths.chosen = (*viewer.socket.getsockname(), own)
    expected = _send(make(port), viewers, [100, 1200, 1200, 1200, 30])
    for n, viewer in enumerate(viewers):
        assert viewer.read(5) == expected[n]
    port.close()
