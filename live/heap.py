"""Keeping the garbage collector's pauses short, however much a process holds.

CPython's full collection looks at every container that is alive, and nothing else happens meanwhile: with
5,000 open pages, 600,000 of them, that is half a second. Here what survives two collections of the young is
set aside (`gc.freeze`) and not looked at again. It is freed as ever with its last reference; only cycles
among it stay, and are looked for when nobody is disturbed. So what comes and goes in numbers, as connections
do, has to end without.
"""

import asyncio
import gc
import time
from collections.abc import Callable
from typing import Final

MIDDLE: Final = 1
"""The generation of what has survived one collection."""
TIDY_SECONDS: Final = 600.0
FEW: Final = 100
"""So few are not many to wait for a full collection: it takes a tenth of a second at most."""
LONGEST_SECONDS: Final = 86_400.0
"""After a day without a quiet moment, a busy one has to do."""


def spare_survivors() -> None:
    """Set aside what is alive now, and from now on what survives two collections."""
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)
    gc.collect()


def _set_aside(phase: str, info: dict[str, int]) -> None:
    if phase == "stop" and info["generation"] >= MIDDLE:
        gc.freeze()


async def tidy(present: Callable[[], int]) -> None:
    """Collect among what was set aside too, now and then, while few are `present`, until cancelled."""
    looked = time.monotonic()
    while True:
        await asyncio.sleep(TIDY_SECONDS)
        if present() <= FEW or time.monotonic() - looked >= LONGEST_SECONDS:
            gc.unfreeze()
            gc.collect()
            looked = time.monotonic()
