"""What a room's host needs from the world."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from live.gateway.broadcast import Broadcast
from live.gateway.viewing import Blinding
from live.stores import Store
from live.telemetry import Numbers
from rooms import Room

PAGING: Final = 16
"""How many viewers of this node are paged in at the same time."""
TELLING: Final = 16
"""How many viewers of this node are told a whole room at the same time."""
TELLING_SECONDS: Final = 0.5
"""How long the next one waits until this one has read it: who reads slowly holds up nobody for longer."""

Change = Callable[[str, Room], None]


class Setting(msgspec.Struct, frozen=True):
    """Shared by all hosts of a node.

    Attributes:
        store: Where logs lie.
        blinding: The site's blinded names.
        clock: Milliseconds since 1970.
        fresh: Makes an identifier that nobody can guess.
        changed: Called with the session and its room after every change.
        paging: Who may read old entries from the store at the same time.
        telling: Who may be sent a whole room of their own at the same time.
        staged: Called with the session and what another node whispers about its stage.
        counts: Where it is counted what happens.
        waiting: How many may wait at one door.
        broadcast: Sends a message to many lines.
    """

    store: Store
    blinding: Blinding
    clock: Callable[[], int]
    fresh: Callable[[], str]
    changed: Change
    paging: asyncio.Semaphore
    telling: asyncio.Semaphore
    staged: Callable[[str, bytes], None]
    counts: Numbers
    waiting: int
    broadcast: Broadcast
