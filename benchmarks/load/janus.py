"""Janus with its VideoRoom, from Debian's package, configured in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

ROOM = 1234
STARTS = 5
"""Tries to start it: version 1.1.2 now and then ends at once, without a word about its socket."""
_CONFIGURATIONS = {
    "janus.jcfg": """
general: {{
  configs_folder = "{folder}"
  plugins_folder = "{folder}/plugins"
  transports_folder = "{folder}/transports"
  debug_level = 2
  event_loops = 2
  session_timeout = 0
  disable_colors = true
}}
nat: {{ ice_lite = true, ice_enforce_list = "{host}" }}
media: {{ rtp_port_range = "20000-60000" }}
""",
    "janus.transport.websockets.jcfg": """
general: {{ ws = true, ws_ip = "127.0.0.1", ws_port = {port}, json = "compact" }}
admin: {{ admin_ws = false }}
""",
    "janus.plugin.videoroom.jcfg": """
room-{room}: {{
  description = "load", publishers = 1, bitrate = 0, fir_freq = 0
  audiocodec = "opus", videocodec = "vp8", audiolevel_event = false
  transport_wide_cc_ext = true, notify_joining = false, record = false
}}
""",
}


_LIBRARY = Path("/usr/lib/x86_64-linux-gnu/janus")
_PARTS = ("plugins/libjanus_videoroom.so", "transports/libjanus_websockets.so")


def installed() -> bool:
    """The Debian package is there."""
    return shutil.which("janus") is not None and _LIBRARY.is_dir()


class Janus:
    """One Janus: two event loops, ICE-lite, nothing but VideoRoom and a WebSocket."""

    name = "janus"

    def __init__(self, host: str) -> None:
        self._host = host
        self._folder = tempfile.TemporaryDirectory(prefix="janus-")
        self._process: asyncio.subprocess.Process | None = None
        self._port = _free_port()
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._session = self._speaker = self._feed = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Starts it and returns when it answers."""
        folder = Path(self._folder.name)
        for name in _PARTS:  # the others warn, and some of them fall, without their configuration
            (folder / name).parent.mkdir()
            (folder / name).symlink_to(_LIBRARY / name)
        for name, text in _CONFIGURATIONS.items():
            (folder / name).write_text(
                text.format(folder=folder, host=self._host, room=ROOM, port=self._port)
            )
        for _ in range(STARTS):
            with contextlib.suppress(OSError, TimeoutError, WebSocketException):
                await self._begin(folder)
                return
            await self._end()
        raise RuntimeError(f"Janus does not start:\n{(folder / 'log').read_text()}")

    async def _begin(self, folder: Path) -> None:
        with (folder / "log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                "janus", "-C", folder / "janus.jcfg", "-F", folder, stdout=log, stderr=log, cwd=folder
            )
        async with asyncio.timeout(10):
            while self._socket is None:
                if self._process.returncode is not None:
                    raise ConnectionRefusedError
                await asyncio.sleep(0.05)
                with contextlib.suppress(OSError):
                    self._socket = await connect(
                        f"ws://127.0.0.1:{self._port}", subprotocols=[Subprotocol("janus-protocol")]
                    )
            self._reading = asyncio.create_task(self._read(self._socket))
            self._session = (await self._ask({"janus": "create"}))["data"]["id"]
            self._speaker = await self._attach()

    async def _end(self) -> None:
        if self._socket is not None and self._reading is not None:
            self._reading.cancel()
            self._socket.transport.abort()
            self._socket = None
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), 3)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

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
        await self._end()
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
        assert self._socket is not None
        await self._socket.send(json.dumps(said | {"transaction": transaction}))
        async with asyncio.timeout(30):
            reply = await future
        if reply["janus"] == "error":
            raise RuntimeError(f"Janus: {reply['error']}")
        return reply

    async def _read(self, connection: ClientConnection) -> None:
        async for text in connection:
            reply = json.loads(text)
            if reply["janus"] == "ack":
                continue
            future = self._waiting.pop(reply.get("transaction", ""), None)
            if future is not None and not future.done():
                future.set_result(reply)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
