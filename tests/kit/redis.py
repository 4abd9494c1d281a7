"""A real redis-server for tests: own port, own folder, every write on disk before its answer."""

import socket
import subprocess
import time
from pathlib import Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """Started with `start`, ended by its own process id; may be killed and started again on the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RedisServer":
        options = f"--port {self.port} --bind 127.0.0.1 --dir {self.folder} --logfile redis.log"
        options += " --appendonly yes --appendfsync always --maxmemory-policy noeviction"
        self._process = subprocess.Popen(["redis-server", *options.split(), "--save", ""])
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server did not start"
            assert self._process.poll() is None, (self.folder / "redis.log").read_text()
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it, if it runs."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
