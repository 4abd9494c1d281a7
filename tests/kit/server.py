"""The real `madoi serve` as a process of its own: ephemeral ports, own data, killed and restarted at will."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
TOKEN = "test-organiser-token"
READY_SECONDS = 90


@dataclass(frozen=True)
class MadeSession:
    """A session made for a test: its id, and the ticket inside each of its links."""

    id: str
    links: dict[str, str]

    def ticket(self, role: str) -> str:
        return self.links[role].partition("#t=")[2]


class MadoiServer:
    """Start with `start`; `kill` is SIGKILL, `stop` SIGTERM, `restart` comes back on the same port and data.

    Args:
        data: folder of the embedded store.
        store: `embedded`, or a Redis URL.
        settings: further `MADOI_*` variables, without the prefix. Several `media_workers` take free ports.
    """

    def __init__(self, data: Path, store: str = "embedded", **settings: str) -> None:
        self.data, self.store = data, store
        self.port = free_port()
        several = settings.get("media_workers", "1") != "1"
        self.media_port = 0 if several else free_media_port()
        self.url = f"http://localhost:{self.port}"
        self.log = data.parent / f"{data.name}.log"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "MadoiServer":
        """Start, and return when the server is ready."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("MADOI_")}
        environ |= {
            "MADOI_ORGANISER_TOKEN": TOKEN,
            "MADOI_PORT": str(self.port),
            "MADOI_DATA": str(self.data),
            "MADOI_STORE": self.store,
            "MADOI_MEDIA_PORT": str(self.media_port),
            "MADOI_MEDIA_WORKERS": "1",
            "PYTHONPATH": str(ROOT),
            **{f"MADOI_{name.upper()}": value for name, value in self._settings.items()},
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "live.cli", "serve"], cwd=ROOT, env=environ, stdout=log, stderr=log
            )
        try:
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def _wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.said()[-4000:]}")
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)
        raise AssertionError(f"the server is not ready after {READY_SECONDS} s:\n{self.said()[-4000:]}")

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def kill_media(self) -> None:
        """End the media workers as a power cut would; the server starts others."""
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)

    def stop(self) -> int:
        """End it as an operator would; returns the exit code."""
        return self._end(signal.SIGTERM)

    def restart(self) -> "MadoiServer":
        """Kill and start again."""
        self.kill()
        return self.start()

    def _end(self, how: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(how)
        try:
            return self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def said(self) -> str:
        """Everything that it has written so far, logs and greeting."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    @property
    def organise(self) -> str:
        """The organiser's link."""
        return f"{self.url}/organise#token={TOKEN}"

    def ask(
        self, method: str, path: str, body: Any = None, ticket: str | None = TOKEN, **headers: str
    ) -> httpx.Response:
        """One request; `ticket` is the bearer, None for nobody; `X_Forwarded_For` is `X-Forwarded-For`."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers |= {"Authorization": f"Bearer {ticket}"} if ticket else {}
        return httpx.request(method, self.url + path, json=body, headers=headers, timeout=20)

    def make_session(self, title: str = "勉強会", **fields: Any) -> MadeSession:
        """Make a session as the organiser."""
        answer = self.ask("POST", "/api/sessions", {"title": title, **fields})
        assert answer.status_code == 201, answer.text
        return MadeSession(**json.loads(answer.text))

    def ticket(self, session: str, role: str, name: str) -> str:
        """Make a personal ticket; the link is `page(session, ticket)`."""
        answer = self.ask("POST", f"/api/sessions/{session}/tickets", {"role": role, "name": name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket"])

    def page(self, session: str, ticket: str) -> str:
        """The room's page for a ticket."""
        return f"{self.url}/s/{session}#t={ticket}"

    def socket(self, session: str) -> str:
        """The address of a room's socket."""
        return f"ws{self.url.removeprefix('http')}/rooms/{session}/socket"

    def media(self, name: str) -> dict[str, float]:
        """One of the media workers' numbers, by worker."""
        text = self.ask("GET", "/metrics", ticket=None).text
        pattern = rf'^madoi_media_{name}{{worker="(\d+)"}} (\S+)$'
        return {worker: float(value) for worker, value in re.findall(pattern, text, re.MULTILINE)}

    def move(self, session: str, state: str) -> None:
        """Move a session as the organiser."""
        answer = self.ask("POST", f"/api/sessions/{session}/state", {"state": state})
        assert answer.status_code == 200, answer.text


def free_media_port() -> int:
    """A port that was free a moment ago for UDP and for TCP: media takes both."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return int(udp.getsockname()[1])


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
