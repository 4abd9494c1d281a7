"""A real coturn for tests: the shipped configuration, on a port and in a folder of its own."""

import shutil
import socket
import struct
import subprocess
import time
from pathlib import Path

from live.media.udp import advertised
from tests.kit.authority import Issued
from tests.kit.server import free_port

CONFIG = Path(__file__).parents[2] / "deploy" / "turnserver.conf"
SECRET = "coturn-secret"
OURS = ("listening-port", "tls-listening-port", "cert", "pkey", "pidfile", "userdb", "log-file")


class Coturn:
    """Started with `start`, ended by its own process id.

    Args:
        folder: for its log and files.
        more: lines that go before those of the shipped configuration.
        without: lines that begin so are left out.
        certificate: to speak TLS with; without one there is no TLS.
        through: the command that starts it, before its own options.
    """

    def __init__(
        self,
        folder: Path,
        *more: str,
        without: tuple[str, ...] = (),
        certificate: Issued | None = None,
        through: tuple[str, ...] = (),
    ) -> None:
        self.address = next(a for a in advertised("", ()) if ":" not in a)
        self._folder, self._more = folder, more
        self._certificate = certificate
        self._through = through or (shutil.which("turnserver") or "turnserver",)
        self._without = without
        self._process: subprocess.Popen[bytes] | None = None
        self.port = self.tls_port = 0

    @property
    def secure_url(self) -> str:
        return f"turns:{self.address}:{self.tls_port}"

    def url(self, query: str = "?transport=udp") -> str:
        return f"turn:{self.address}:{self.port}{query}"

    @property
    def settings(self) -> dict[str, str]:
        """What a server or doctor that uses it is told, as `MADOI_*` variables without the prefix."""
        urls = [self.url(f"?transport={kind}") for kind in ("udp", "tcp")]
        urls += [self.secure_url] if self._certificate else []
        return {"turn_urls": ",".join(urls), "turn_secret": SECRET}

    def start(self) -> "Coturn":
        self._folder.mkdir(parents=True, exist_ok=True)
        with socket.create_server((self.address, 0)) as probe:
            self.port = probe.getsockname()[1]
        shipped = [line for line in CONFIG.read_text().splitlines() if not line.startswith(OURS)]
        own = (
            f"listening-port={self.port}",
            f"listening-ip={self.address}",
            f"relay-ip={self.address}",
            f"pidfile={self._folder / 'pid'}",
            f"userdb={self._folder / 'db'}",
            f"log-file={self._folder / 'log'}",
            "realm=madoi.test",
            f"static-auth-secret={SECRET}",
        )
        if self._certificate:
            self.tls_port = free_port()
            tls = (f"cert={self._certificate.chain}", f"pkey={self._certificate.key}")
            own = (*own, f"tls-listening-port={self.tls_port}", *tls)
        config = self._folder / "turnserver.conf"
        kept = (line for line in (*own, *shipped) if not line.startswith(self._without or "\0"))
        config.write_text("\n".join((*self._more, *kept, "")))
        with (self._folder / "out").open("wb") as out:
            self._process = subprocess.Popen([*self._through, "-c", str(config)], stdout=out, stderr=out)
        deadline = time.monotonic() + 20
        while not self._answers():
            said = (self._folder / "out").read_text("utf-8", "replace")[-2000:]
            assert time.monotonic() < deadline, f"coturn did not start:\n{said}"
            assert self._process.poll() is None, f"coturn ended:\n{said}"
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        """Whether all doors are open: coturn opens TCP before UDP."""
        binding = struct.pack("!HHI12s", 0x0001, 0, 0x2112A442, b"are you up?.")
        try:
            for port in (self.port, self.tls_port) if self._certificate else (self.port,):
                socket.create_connection((self.address, port), 0.2).close()
            with socket.socket(type=socket.SOCK_DGRAM) as probe:
                probe.settimeout(0.2)
                probe.connect((self.address, self.port))
                probe.send(binding)
                return bool(probe.recv(1500))
        except OSError:
            return False

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
