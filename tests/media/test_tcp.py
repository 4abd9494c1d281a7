import asyncio

import pytest
from aioice import stun

from live.media.control import MediaSettings
from live.media.plane import Plane
from live.media.tcp import Backlog


@pytest.fixture
async def plane():
    made = Plane(MediaSettings(port=0, host="127.0.0.1"), lambda _, __: None, b"secret")
    made.open()
    yield made
    await made.close()


def _framed(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


async def test_a_check_over_tcp_is_answered_in_frames_however_it_is_cut(plane) -> None:
    answer = plane.watch("room", "bob", False, None)
    assert "tcptype passive" in answer.sdp
    peer = plane._peers[answer.resource]
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    message.attributes |= {"USERNAME": f"{peer.local.ufrag}:them", "ICE-CONTROLLING": 1}
    message.add_message_integrity(peer.local.pwd.encode())
    reader, writer = await asyncio.open_connection("127.0.0.1", plane._port.number)
    for byte in _framed(bytes(message)):
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        size = int.from_bytes(await reader.readexactly(2), "big")
        reply = stun.parse_message(await reader.readexactly(size))
    here = writer.get_extra_info("sockname")
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == here
    assert peer.paths.chosen == (*here, "tcp")
    writer.close()


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", _framed(b"\x16hello"), _framed(bytes(40)), b"\xff\xff" + bytes(50)]
)
async def test_a_connection_that_is_no_peers_is_cut(plane, garbage) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", plane._port.number)
    writer.write(garbage)
    async with asyncio.timeout(5):
        try:
            assert await reader.read() == b""
        except ConnectionError:
            pass
    writer.close()
    assert not plane._port.streams.connections


@pytest.mark.parametrize("kbps", [100, 300, 3000])
def test_what_waits_for_a_slow_line_is_about_a_second_s_worth(kbps) -> None:
    """A picture of 1.5 Mbit/s over a line of so many kbit/s: how long the newest packet has to wait."""
    backlog, waiting, now, longest, refused = Backlog(), 0.0, 100.0, 0.0, 0
    for n in range(150 * 20):
        now += 1 / 150
        waiting = max(0.0, waiting - kbps * 125 / 150)
        if backlog.takes(1250, int(waiting), now):
            waiting += 1250
        else:
            refused += 1
        if n > 150 * 6:
            longest = max(longest, waiting / (kbps * 125))
    assert longest < 1.6
    assert bool(refused) is (kbps < 1500)


def test_a_line_that_gets_wide_again_is_believed_soon() -> None:
    backlog, waiting, now = Backlog(), 0.0, 100.0
    taken = {100: 0, 3000: 0}
    for kbps in taken:
        for _ in range(150 * 6):
            now += 1 / 150
            waiting = max(0.0, waiting - kbps * 125 / 150)
            if backlog.takes(1250, int(waiting), now):
                waiting += 1250
                taken[kbps] += 1
    assert taken[3000] > 0.9 * 150 * 6 > 5 * taken[100]
