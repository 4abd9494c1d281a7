"""Feeling a server's pulse: is its event loop late, does its store write, how much room is on its disk."""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from live.stores import Store, StoreAway
from live.telemetry import Numbers, log

BEAT_SECONDS: Final = 0.5
CHECK_SECONDS: Final = 10.0
AWAY_CHECK_SECONDS: Final = 1.0
"""How soon a store that is away is asked again."""
MEMINFO: Final = Path("/proc/meminfo")
MEMORY: Final = {
    "MemTotal": ("memory_bytes", "Memory of the machine"),
    "MemAvailable": ("memory_available_bytes", "Memory that programs could still get without swapping"),
}


async def feel(numbers: Numbers, store: Store, data: Path) -> None:
    """Measure until cancelled.

    Args:
        numbers: where it is written.
        store: asked every `CHECK_SECONDS`.
        data: the data folder, whose disk is looked at.
    """
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_beat(numbers), name="pulse loop")
        tasks.create_task(_look(numbers, store, data), name="pulse store")


async def _beat(numbers: Numbers) -> None:
    while True:
        began = time.monotonic()
        await asyncio.sleep(BEAT_SECONDS)
        numbers.lag.observe(max(0.0, time.monotonic() - began - BEAT_SECONDS))


async def _look(numbers: Numbers, store: Store, data: Path) -> None:
    well = time.monotonic()
    away = False
    while True:
        began = time.monotonic()
        try:
            await store.check()
        except StoreAway as error:
            if not away:
                log.warning("store.away", error=str(error))
            away = True
        else:
            well = time.monotonic()
            if away:
                log.info("store.back")
            away = False
            numbers.show("store_check_seconds", "Time that the store took to write a probe", well - began)
        gone = time.monotonic() - well if away else 0.0
        numbers.show("store_up", "1 when the store wrote the last probe", int(not away))
        numbers.show("store_away_seconds", "Seconds since the store wrote last, while it is away", gone)
        with contextlib.suppress(OSError):
            usage = shutil.disk_usage(data)
            numbers.show("disk_free_bytes", "Free bytes where the data folder is", usage.free)
            numbers.show("disk_bytes", "Size of that disk", usage.total)
        for name, says, size in _memory():
            numbers.show(name, says, size)
        await asyncio.sleep(AWAY_CHECK_SECONDS if away else CHECK_SECONDS)


def _memory() -> Iterator[tuple[str, str, int]]:
    """Yield what Linux says of the machine's memory, in bytes; elsewhere nothing."""
    with contextlib.suppress(OSError):
        for line in MEMINFO.read_text().splitlines():
            key, _, value = line.partition(":")
            if key in MEMORY:
                yield *MEMORY[key], 1024 * int(value.split()[0])
