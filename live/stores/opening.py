"""From a setting to a store."""

from pathlib import Path

from live.stores.embedded import EmbeddedStore
from live.stores.port import Store
from live.stores.redis import RedisStore

REDIS_SCHEMES = (
    "redis://",
    "rediss://",
    "unix://",
    "redis+sentinel://",
    "rediss+sentinel://",
    "redis+cluster://",
    "rediss+cluster://",
)


async def open_store(where: str | Path) -> Store:
    """Open the store that `MADOI_STORE` names.

    Args:
        where: A Redis URL (see `live.stores.routes`), or a folder for the embedded store.

    Raises:
        StoreAway: Redis does not answer, or the folder cannot be written.
    """
    if str(where).startswith(REDIS_SCHEMES):
        return await RedisStore.connect(str(where))
    return await EmbeddedStore.open(Path(where))
