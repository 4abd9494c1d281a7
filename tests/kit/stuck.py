"""A reader who does not read."""

import base64
import os
import socket
import struct

from live.protocol.codes import SUBPROTOCOL
from tests.kit.frames import TEXT, frame


class StuckReader:
    """A client by hand with a small receive buffer, that greets and then reads nothing until asked."""

    def __init__(self, port, session, name="stuck"):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self._socket.settimeout(20)
        self._socket.connect(("127.0.0.1", port))
        self._session, self._name = session, name

    def open(self):
        """Upgrade, and read the server's limits."""
        key = base64.b64encode(os.urandom(16)).decode()
        request = f"GET /rooms/{self._session}/socket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        request += f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        self._socket.sendall(f"{request}Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode())
        data = b""
        while b'"ready"' not in data:
            data += self._socket.recv(1000)

    def enter(self):
        """Open, and say hello."""
        self.open()
        hello = b'{"t":"hello","v":1,"ticket":"attendee:%s"}' % self._name.encode()
        self._socket.sendall(frame(TEXT, hello))

    def pour(self, chunk, most):
        """Send the same bytes until the line is gone, `most` at most; returns how many went."""
        sent = 0
        try:
            while sent < most:
                self._socket.sendall(chunk)
                sent += len(chunk)
        except OSError:  # reset, broken, or nobody reads any more
            pass
        return sent

    def close(self):
        self._socket.close()

    def read_to_the_close(self):
        data = b""
        while b"\x88\x02" not in data:
            chunk = self._socket.recv(65536)
            assert chunk, "the connection ended without a reason"
            data = data[-3:] + chunk
        self._socket.close()
        at = data.rindex(b"\x88\x02")
        return struct.unpack("!H", data[at + 2 : at + 4])[0]
