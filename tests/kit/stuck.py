"""A reader who does not read."""

import base64
import os
import socket
import struct

from live.protocol.codes import SUBPROTOCOL


class StuckReader:
    """A client by hand with a small receive buffer, that greets and then reads nothing until asked."""

    def __init__(self, port, session, name="stuck"):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self._socket.settimeout(20)
        self._socket.connect(("127.0.0.1", port))
        self._session, self._name = session, name

    def enter(self):
        key = base64.b64encode(os.urandom(16)).decode()
        request = f"GET /rooms/{self._session}/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        request += f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        self._socket.sendall(f"{request}Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode())
        data = b""
        while b'"ready"' not in data:
            data += self._socket.recv(1000)
        hello = b'{"t":"hello","v":1,"ticket":"attendee:%s"}' % self._name.encode()
        self._socket.sendall(bytes([0x81, 0x80 | len(hello)]) + bytes(4) + hello)

    def read_to_the_close(self):
        data = b""
        while b"\x88\x02" not in data:
            chunk = self._socket.recv(65536)
            assert chunk, "the connection ended without a reason"
            data = data[-3:] + chunk
        self._socket.close()
        at = data.rindex(b"\x88\x02")
        return struct.unpack("!H", data[at + 2 : at + 4])[0]
