"""Saying in the store itself that servers are using it, so that nobody moves it under their feet."""

import asyncio
import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from live.stores.port import Store, StoreAway

SERVERS = "~servers"
"""Stands where a room's name does; no session has it."""
HELD_SECONDS = 30.0
RENEW_SECONDS = 10.0
LOCK = "madoi.lock"


class FolderTaken(StoreAway):
    """Another server serves the embedded store of this folder; the message says which."""


@contextlib.contextmanager
def sole_server(folder: Path) -> Iterator[None]:
    """Hold a data folder for one server, also against servers in other containers on this machine.

    The lock goes with the process, however it ends (`flock`); where a file system has no locks, nobody is
    refused.

    Raises:
        FolderTaken: another server holds it.
        StoreAway: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreAway(f"{folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = os.read(held, 20).decode(errors="replace").strip() or "unknown"
            raise FolderTaken(
                f"another server (process {other}) serves the data folder {folder.absolute()}. "
                "Stop it, give this one another folder (MADOI_DATA), or give both a Redis store (MADOI_STORE)"
            ) from error
        except OSError:
            pass
        os.ftruncate(held, 0)
        os.pwrite(held, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(held)


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
