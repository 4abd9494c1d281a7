"""A reader who does not read."""

import socket
import struct
import time

from tests.kit.frames import TEXT, frame, upgrade


class StuckReader:
    """A client by hand with a small receive buffer, that greets and then reads nothing until asked."""

    def __init__(self, port, session, name="stuck"):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        self._socket.settimeout(20)
        self._socket.connect(("127.0.0.1", port))
        self._port, self._session, self._name = port, session, name

    def open(self):
        """Upgrade, and read the server's limits."""
        self._socket.sendall(upgrade(self._port, f"/rooms/{self._session}/socket"))
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

    def take(self):
        """Read what lies in the kernel, at both ends of the connection."""
        data, idle = b"", 0
        self._socket.settimeout(0)
        while idle < 5:  # what the sender still holds comes as room is made
            try:
                data, idle = data + self._socket.recv(65536), 0
            except BlockingIOError:
                idle += 1
                time.sleep(0.002)
        self._socket.settimeout(20)
        return data

    def close(self):
        self._socket.close()

    def read_to_the_close(self):
        data = b""
        with self._socket:
            while b"\x88\x02" not in data[:-2]:
                chunk = self._socket.recv(65536)
                assert chunk, "the connection ended without a reason"
                data = data[-3:] + chunk
        at = data.rindex(b"\x88\x02")
        return struct.unpack("!H", data[at + 2 : at + 4])[0]
