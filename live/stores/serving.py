"""Saying in the store itself that servers are using it, so that nobody moves it under their feet."""

import asyncio
import contextlib
import secrets

from live.stores.port import Store, StoreAway

SERVERS = "~servers"
"""Stands where a room's name does; no session has it."""
HELD_SECONDS = 30.0
RENEW_SECONDS = 10.0


async def servers(store: Store) -> int:
    """How many servers use a store now, or did until `HELD_SECONDS` ago and were killed."""
    return len(await store.leases(SERVERS))


async def keep_serving(store: Store) -> None:
    """Say that a server uses the store, until cancelled; then say that it no longer does."""
    name = secrets.token_hex(8)
    try:
        while True:
            with contextlib.suppress(StoreAway):  # the next time says it again
                await store.lease(SERVERS, [name], HELD_SECONDS)
            await asyncio.sleep(RENEW_SECONDS)
    finally:
        with contextlib.suppress(StoreAway):
            await store.release(SERVERS, [name])
