import asyncio

import pytest
from aioice import stun

from live.media.control import MediaSettings
from live.media.plane import Plane


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
