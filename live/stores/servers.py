"""What the Redis servers of a store are set to, for whoever judges whether they keep what they were given."""

import time
from dataclasses import dataclass

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError

from live.stores.port import StoreAway
from live.stores.routes import BadUrl, read_url, routes_to

ASKED = ("appendonly", "appendfsync", "maxmemory", "maxmemory-policy", "min-replicas-to-write")


@dataclass(frozen=True)
class ServerFacts:
    """One server that holds keys.

    Attributes:
        version: such as `7.4.1`.
        config: the settings named in `ASKED`; None where the server does not let us see them.
        replicas: how many are connected.
        wanted: how many have to have an entry before it is acknowledged.
        used: bytes in memory.
        disk_errors: the last write to its files failed.
        ahead: seconds that its clock is ahead of ours.
    """

    version: str
    config: dict[str, str] | None = None
    replicas: int = 0
    wanted: int = 0
    used: int = 0
    disk_errors: bool = False
    ahead: float = 0.0


async def server_facts(url: str) -> list[ServerFacts]:
    """Ask every server that holds keys of a store.

    Raises:
        StoreAway: one does not answer, or the URL cannot be read.
    """
    try:
        address = read_url(url)
        routes = routes_to(address, _greet)
    except (BadUrl, ValueError) as error:
        raise StoreAway(str(error)) from error
    try:
        found = []
        for redis in await routes.clients():
            info = await redis.info()
            before = time.time()
            seconds, micros = await redis.time()
            ahead = seconds + micros / 1e6 - (before + time.time()) / 2
            config: dict[str, str] | None = {}
            try:
                for name in ASKED:
                    answer = await redis.config_get(name)
                    config |= {str(key): str(value) for key, value in answer.items()}  # type: ignore[operator]
            except RedisError:  # hosted servers often hide it
                config = None
            found.append(
                ServerFacts(
                    version=str(info.get("redis_version", "0")),
                    config=config,
                    replicas=int(info.get("connected_slaves", 0)),
                    wanted=address.replicas,
                    used=int(info.get("used_memory", 0)),
                    disk_errors="err"
                    in {info.get("aof_last_write_status"), info.get("rdb_last_bgsave_status")},
                    ahead=ahead,
                )
            )
    except (RedisError, OSError) as error:
        raise StoreAway(str(error)) from error
    else:
        return found
    finally:
        await routes.close()


async def _greet(connection: AbstractConnection) -> None:
    await connection.on_connect()
