"""What a viewer's socket is told of the stage."""

import asyncio
import contextlib
import json
from typing import Any, Self

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol


class Stages:
    """Says hello on a socket and keeps the newest `stage` frame in `last`."""

    def __init__(self, url: str, session: str, ticket: str) -> None:
        self.last: dict[str, Any] = {}
        self._address = f"ws{url.removeprefix('http')}/rooms/{session}/socket"
        self._ticket = ticket
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        async with connect(self._address, subprotocols=[Subprotocol("madoi.v1")], max_size=1 << 22) as socket:
            await socket.recv()
            await socket.send(json.dumps({"t": "hello", "v": 1, "ticket": self._ticket}))
            with contextlib.suppress(ConnectionClosed):
                async for text in socket:
                    frame = json.loads(text)
                    if frame["t"] == "stage":
                        self.last = frame
