"""Janus with its VideoRoom, from Debian's package, configured in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

ROOM = 1234
STARTS = 5
"""Tries to start it: version 1.1.2 now and then ends at once, without a word about its socket."""
_CONFIGURATIONS = {
    "janus.jcfg": """
general: {{
  configs_folder = "{folder}"
  debug_level = 2
  event_loops = 2
  session_timeout = 0
  disable_colors = true
}}
nat: {{ ice_lite = true, ice_enforce_list = "{host}" }}
media: {{ rtp_port_range = "20000-60000" }}
""",
    "janus.transport.pfunix.jcfg": """
general: {{ enabled = true, json = "compact", path = "{folder}/api", type = "SOCK_SEQPACKET" }}
admin: {{ admin_enabled = false }}
""",
    "janus.plugin.videoroom.jcfg": """
room-{room}: {{
  description = "load", publishers = 1, bitrate = 0, fir_freq = 0
  audiocodec = "opus", videocodec = "vp8", audiolevel_event = false
  transport_wide_cc_ext = true, notify_joining = false, record = false
}}
""",
}


def installed() -> bool:
    """The Debian package is there."""
    return shutil.which("janus") is not None


class Janus:
    """One Janus: two event loops, ICE-lite, nothing but VideoRoom and a unix socket."""

    name = "janus"

    def __init__(self, host: str) -> None:
        self._host = host
        self._folder = tempfile.TemporaryDirectory(prefix="janus-")
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._session = self._speaker = self._feed = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts it and returns when it answers."""
        folder = Path(self._folder.name)
        for name, text in _CONFIGURATIONS.items():
            (folder / name).write_text(text.format(folder=folder, host=self._host, room=ROOM))
        for _ in range(STARTS):
            if await self._answers(folder):
                break
        else:
            raise RuntimeError(f"Janus ended:\n{(folder / 'log').read_text()}")
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)
        self._session = (await self._ask({"janus": "create"}))["data"]["id"]
        self._speaker = await self._attach()

    async def _answers(self, folder: Path) -> bool:
        """Starts the process; False if it ended at once."""
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["janus", "-C", folder / "janus.jcfg", "-F", folder], stdout=log, stderr=log, cwd=folder
            )
        for _ in range(400):
            await asyncio.sleep(0.05)
            if self._process.poll() is not None:
                return False
            with contextlib.suppress(OSError):
                self._socket.connect(str(folder / "api"))
                return True
        raise TimeoutError(f"Janus does not answer:\n{(folder / 'log').read_text()}")

    async def publish(self, offer: str) -> str:
        """Joins as the speaker; Janus' answer."""
        said = {"request": "joinandconfigure", "ptype": "publisher", "room": ROOM}
        reply = await self._message(self._speaker, said, {"type": "offer", "sdp": offer})
        self._feed = reply["plugindata"]["data"]["id"]
        return str(reply["jsep"]["sdp"])

    async def watch(self) -> tuple[str, str]:
        """A new viewer: what to answer under, and Janus' offer."""
        handle = await self._attach()
        said = {"request": "join", "ptype": "subscriber", "room": ROOM, "streams": [{"feed": self._feed}]}
        reply = await self._message(handle, said)
        return str(handle), reply["jsep"]["sdp"]

    async def answer(self, viewer: str, sdp: str) -> None:
        await self._message(int(viewer), {"request": "start"}, {"type": "answer", "sdp": sdp})

    async def lost(self) -> int:
        """Janus does not tell."""
        return 0

    async def close(self) -> None:
        """Ends the process and forgets its folder."""
        if self._process is not None:
            if self._socket.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 3)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
        self._socket.close()
        self._folder.cleanup()

    async def _attach(self) -> int:
        said = {"janus": "attach", "session_id": self._session, "plugin": "janus.plugin.videoroom"}
        return int((await self._ask(said))["data"]["id"])

    async def _message(self, handle: int, body: dict[str, Any], jsep: Any = None) -> dict[str, Any]:
        said = {"janus": "message", "session_id": self._session, "handle_id": handle, "body": body}
        reply = await self._ask(said | ({"jsep": jsep} if jsep else {}))
        if "error" in reply.get("plugindata", {}).get("data", {}):
            raise RuntimeError(f"Janus: {reply['plugindata']['data']}")
        return reply

    async def _ask(self, said: dict[str, Any]) -> dict[str, Any]:
        transaction = secrets.token_hex(6)
        future = self._waiting[transaction] = asyncio.get_running_loop().create_future()
        self._socket.send(json.dumps(said | {"transaction": transaction}).encode())
        async with asyncio.timeout(30):
            reply = await future
        if reply["janus"] == "error":
            raise RuntimeError(f"Janus: {reply['error']}")
        return reply

    def _readable(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        if not data:  # it ended
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            return
        reply = json.loads(data)
        if reply["janus"] == "ack":
            return
        future = self._waiting.pop(reply.get("transaction", ""), None)
        if future is not None and not future.done():
            future.set_result(reply)
