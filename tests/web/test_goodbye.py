"""After the whole server was killed, media peers of its former life are told at once to come back."""

import re
import socket
import time

import httpx
import pytest
from aioice import stun

from live.demo.pictures import Picture
from live.demo.whip import Peer
from tests.kit.server import MadoiServer

GONE = 400


@pytest.fixture
def mortal(tmp_path):
    server = MadoiServer(tmp_path / "data").start()
    yield server
    server.stop()


async def test_a_check_of_a_killed_servers_peer_is_answered_with_a_signed_goodbye(mortal):
    made = mortal.make_session("会")
    async with httpx.AsyncClient(base_url=mortal.url, timeout=20) as client:
        peer = Peer(client, mortal.ticket(made.id, "speaker", "佐藤"))
        await peer.publish(made.id, Picture(0))
        answer = peer.connection.remoteDescription.sdp
        mortal.restart()
        await peer.connection.close()
    ufrag = re.search(r"a=ice-ufrag:(\S+)", answer).group(1)
    key = re.search(r"a=ice-pwd:(\S+)", answer).group(1).encode()
    reply = _check(mortal.media_port, f"{ufrag}:them", key)
    assert reply.error_code == GONE
    assert reply.check_message_integrity(key)


def _check(port: int, username: str, key: bytes) -> stun.Message:
    """Ask as a peer's ICE agent does, until there is a reply."""
    request = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": username})
    request.attributes |= {"PRIORITY": 1, "ICE-CONTROLLING": 7}
    request.add_message_integrity(key)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(0.5)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            line.sendto(bytes(request), ("127.0.0.1", port))
            try:
                return stun.parse_message(line.recv(1500))
            except TimeoutError:
                continue
    raise AssertionError("no answer to a former peer's check")
