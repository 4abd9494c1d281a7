"""A relay between pages and a node that repeats, reorders and replays what pages send."""

import asyncio
import contextlib
from typing import Self

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from live.protocol.codes import SUBPROTOCOL

HELD = 4


class Relay:
    """Passes everything on as it came, except that commands come twice, late, or in another order.

    Args:
        url: of the node's socket.
        dice: decides what happens to each command.
    """

    def __init__(self, url, dice):
        self._to, self._dice = url, dice
        self.repeated = self.reordered = self.replayed = 0

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._relay, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL], compression=None, max_size=None
        )
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"ws://127.0.0.1:{port}/{self._to.split('/', 3)[3]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _relay(self, page):
        options = {"subprotocols": [SUBPROTOCOL], "compression": None, "max_size": None}
        async with connect(self._to, **options) as node:
            back = asyncio.create_task(self._back(node, page))
            with contextlib.suppress(ConnectionClosed):
                await self._forth(page, node)
            await node.close()
            await back

    async def _back(self, node, page):
        with contextlib.suppress(ConnectionClosed):
            async for text in node:
                await page.send(text)
        await page.close(node.close_code if (node.close_code or 0) >= 4000 else 1011)

    async def _forth(self, page, node):
        held, past = [], []
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    text = await page.recv()
                if '"t":"do"' not in text:
                    await node.send(text)
                    continue
                held.append(text)
                if len(held) < HELD and self._dice.random() < 0.5:
                    continue  # wait for another one, to go in another order
            mixed = self._dice.sample(held, len(held))
            self.reordered += mixed != held
            held.clear()
            for text in mixed:
                past.append(text)
                await node.send(text)
                if self._dice.random() < 0.3:
                    self.repeated += 1
                    await node.send(text)
            if past and self._dice.random() < 0.2:
                self.replayed += 1
                await node.send(self._dice.choice(past))
