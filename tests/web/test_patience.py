"""ASVS 15.2.2: who sends slowly, or nothing, holds nothing up for long."""

import socket
import time

import pytest

from tests.kit.server import TOKEN, MadoiServer

HEAD = b"POST /api/sessions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory):
    server = MadoiServer(tmp_path_factory.mktemp("hasty") / "data", limits_patience="1").start()
    yield server
    server.stop()


def closed_after(server, *pieces, within=8):
    """Send pieces, each after an answer; returns what came back until the end, and after how many seconds."""
    began = time.monotonic()
    heard = b""
    with socket.create_connection(("127.0.0.1", server.port), within) as line:
        for number, piece in enumerate(pieces):
            if number:
                heard += line.recv(65536)
            line.sendall(piece)
        while data := line.recv(65536):
            heard += data
    return heard, time.monotonic() - began


@pytest.mark.parametrize("pieces", [(), (b"G",), (HEAD,), (b"GET / HTTP/1.1\r\nHost: x\r\nA",)])
def test_a_head_that_does_not_come_closes_the_line(hasty, pieces):
    heard, seconds = closed_after(hasty, *pieces)
    assert heard == b""
    assert 0.8 < seconds < 4


def test_a_second_head_on_the_same_line_has_to_come_too(hasty):
    heard, seconds = closed_after(hasty, WHOLE, WHOLE[:20])
    assert heard.count(b"200 OK") == 1
    assert seconds < 4


def test_a_body_that_does_not_come_is_answered_408(hasty):
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n"
    heard, seconds = closed_after(hasty, head + b'{"title":')
    assert heard.startswith(b"HTTP/1.1 408")
    assert b'"body_late"' in heard
    assert seconds < 4


def test_a_head_over_16_kilobytes_is_refused(hasty):
    heard, _ = closed_after(hasty, HEAD + b"X: " + b"a" * 20_000)
    assert heard.startswith(b"HTTP/1.1 400")


def test_a_socket_stays_open_although_it_says_nothing_more_by_http(hasty):
    upgrade = (
        b"GET /rooms/x/socket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Protocol: madoi.v1\r\n\r\n"
    )
    with pytest.raises(TimeoutError):
        closed_after(hasty, upgrade, within=3)
