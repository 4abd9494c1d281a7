"""Is the store there? Asked by anybody, as often as they like."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from live.stores import StoreAway

PROBE_SECONDS: Final = 1.0
"""How long an answer of the store is good."""


class Probe:
    """Whether the store writes, asked once a second at most: each time costs a write that is synced.

    Args:
        check: asks the store.
    """

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._asking: asyncio.Task[bool] | None = None
        self._at = 0.0

    async def writes(self) -> bool:
        """Tell it; many who ask at once wait for one answer."""
        now = asyncio.get_running_loop().time()
        if self._asking is None or (self._asking.done() and now - self._at >= PROBE_SECONDS):
            self._asking, self._at = asyncio.create_task(self._ask(), name="probe"), now
        return await asyncio.shield(self._asking)

    async def _ask(self) -> bool:
        try:
            await self._check()
        except StoreAway:
            return False
        return True
