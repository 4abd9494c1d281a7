"""The log's port and its two bodies: embedded SQLite (the default) and Redis.

Theory of operation: a room's log is a row of opaque entries numbered from 1. Whoever wants to write says
which position it has seen; the store appends if that is still the tail and answers `Taken` if not. That one
rule is lock, order and durability at once, so no rule of the domain lives in here.
"""

from live.stores.opening import REDIS_SCHEMES, open_store
from live.stores.port import EDITIONS, Batch, Position, Row, Saved, Store, StoreAway, Taken

__all__ = [
    "EDITIONS",
    "REDIS_SCHEMES",
    "Batch",
    "Position",
    "Row",
    "Saved",
    "Store",
    "StoreAway",
    "Taken",
    "open_store",
]
