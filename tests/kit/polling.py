"""Waiting for something to become true, with a deadline instead of a guess."""

import asyncio
import inspect


async def until(condition, within=10.0, every=0.01):
    """Return the first truthy answer of `condition` (plain or async); TimeoutError after `within` seconds."""
    async with asyncio.timeout(within):
        while True:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            await asyncio.sleep(every)
