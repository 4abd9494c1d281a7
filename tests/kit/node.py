"""A node as a process of its own: the real hub and sockets over the real store, killed and started at will.

    python -m tests.kit.node <store> <session> <port>

Tickets are words, as in `tests.kit.rooms`; the session is opened if it is not there. It says `ready` and ends
with its parent's patience: by signal.
"""

import asyncio
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.kit.redis import free_port

ROOT = Path(__file__).parents[2]


class Node:
    """Started with `start`, killed by its own process id; comes back on the same port.

    Args:
        store: folder of an embedded store, or a Redis URL.
        session: the one session that it opens.
    """

    def __init__(self, store, session):
        self.store, self.session = store, session
        self.port = free_port()
        self._process = None

    @property
    def url(self):
        return self.url_by(self.port)

    def url_by(self, port):
        """The socket's address by way of another port, a line's."""
        return f"ws://127.0.0.1:{port}/rooms/{self.session}/socket"

    async def start(self):
        await asyncio.to_thread(self._start)
        return self

    def _start(self):
        command = [sys.executable, "-m", "tests.kit.node", str(self.store), self.session, str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert self._process.stdout.readline() == b"ready\n", "the node did not start"

    @property
    def pid(self):
        return self._process.pid

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        """As a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    @property
    def megabytes(self):
        """Largest resident memory so far."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024

    async def closes(self, code):
        """How many sockets it has closed with this code."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read().decode())
        return float(re.search(rf'^madoi_closes_total{{code="{int(code)}"}} (\S+)$', text, re.MULTILINE)[1])


async def serve(where, session, port):
    """Serve one live session until killed."""
    from live.gateway.host import SERVER  # noqa: PLC0415 - the parent imports this module for `Node` alone
    from live.gateway.hub import Hub  # noqa: PLC0415
    from live.gateway.serving import UVICORN, listen  # noqa: PLC0415
    from live.gateway.socket import RoomSocket  # noqa: PLC0415
    from live.stores import open_store  # noqa: PLC0415
    from rooms import Open, SetState, State  # noqa: PLC0415
    from tests.kit.rooms import FAST, OPEN, authenticate  # noqa: PLC0415

    hub = Hub(await open_store(where))
    await hub.start()
    if not (await hub.room(session)).session.id:
        await hub.ask(session, SERVER, Open(session=session, settings=OPEN))
        await hub.ask(session, SERVER, SetState(state=State.LIVE))
    # Two thousand pages that share a core with us may need longer than a page does.
    limits = msgspec.structs.replace(FAST, hello_ms=60_000)
    socket = RoomSocket(hub, authenticate, limits=limits)
    listener = listen("127.0.0.1", port)
    metrics = Route("/metrics", lambda _request: PlainTextResponse(hub.counts.text()))
    app = Starlette(routes=[socket.route(), metrics])
    config = uvicorn.Config(app, loop="none", lifespan="off", log_level="warning", **UVICORN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:3], int(sys.argv[3])))
