"""The way to Redis: which server holds a key, for one server, for Sentinel and for a cluster.

    redis://…  rediss://…  unix://…                     one server
    redis+sentinel://host:26379,host:26379/service[/db] the master that the sentinels name
    redis+cluster://host:6379,host:6379                 the node of the key's slot

`rediss+sentinel` and `rediss+cluster` speak TLS. `user:password@` before the hosts is for the servers;
`?sentinel_password=` for the sentinels. A way that proved wrong is found anew: at once where Redis says so
(`MOVED`), else before the next question.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

CONNECTIONS: Final = 16
ANSWER_SECONDS: Final = 5.0
SENTINEL_SECONDS: Final = 1.0
SENTINEL_PORT: Final = 26379
REDIS_PORT: Final = 6379

Greet = Callable[[AbstractConnection], Awaitable[None]]


class BadUrl(ValueError):  # noqa: N818 - what it says is enough
    """The store's URL cannot be read; the message says why."""


@dataclass(frozen=True)
class Address:
    """A store's URL, taken apart.

    Attributes:
        kind: `one`, `sentinel` or `cluster`.
        url: for `one`: as redis-py reads it.
        hosts: for the others: where to ask first.
        service: for `sentinel`: the name of the monitored master.
        options: keyword arguments for connections.
        replicas: how many replicas have to have an entry before it is acknowledged.
        sentinel_password: what the sentinels want to hear.
    """

    kind: str
    url: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    service: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    replicas: int = 0
    sentinel_password: str | None = None


def read_url(url: str) -> Address:
    """Take a store's URL apart.

    Raises:
        BadUrl: something in it cannot be understood.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    try:
        replicas = int(query.pop("replicas", "0"))
        scheme, _, kind = parts.scheme.partition("+")
        if not kind:
            return Address("one", urlunsplit(parts._replace(query=urlencode(query))), replicas=replicas)
        sentinel_password = query.pop("sentinel_password", None)
        if query:
            raise BadUrl(f"unknown option {', '.join(query)}")
        default = SENTINEL_PORT if kind == "sentinel" else REDIS_PORT
        service, _, db = parts.path.strip("/").partition("/")
        if kind == "sentinel" and not service:
            raise BadUrl("a sentinel URL names its service: redis+sentinel://host:26379/service")
        options: dict[str, Any] = {"db": int(db)} if db else {}
        user, at, hosts = parts.netloc.rpartition("@")
        if at:
            name, _, password = user.partition(":")
            options |= {"username": unquote(name) or None, "password": unquote(password) or None}
        found = tuple(_host(one, default) for one in hosts.split(",") if one)
    except ValueError as error:
        raise BadUrl(str(error)) from error
    if not found:
        raise BadUrl("the URL names no host")
    options["tls"] = scheme == "rediss"
    return Address(kind, "", found, service, options, replicas, sentinel_password)


def _host(text: str, default: int) -> tuple[str, int]:
    split = urlsplit(f"//{text}")
    return split.hostname or "", split.port or default


class Routes(Protocol):
    """Finds the server that holds a key."""

    async def client(self, key: str) -> Redis:
        """The server for a key."""

    async def listener(self) -> Redis:
        """A server that hears every announcement."""

    async def renew(self) -> None:
        """Find the way anew: the server said that it is another one."""

    async def clients(self) -> list[Redis]:
        """Every server that holds keys."""

    def doubt(self) -> None:
        """Something went wrong on the way; look again before the next question."""

    async def close(self) -> None:
        """Let go of all connections."""


def routes_to(address: Address, greet: Greet) -> Routes:
    """Make the way for an address; `greet` is awaited with every new connection."""
    if address.kind == "cluster":
        return Cluster(address, greet)
    if address.kind == "sentinel":
        sentinel, doubts = _sentinel(address), Doubts()
        return OneServer(_master_pool(address, sentinel, doubts, greet), sentinel.sentinels, doubts)
    return OneServer(_url_pool(address.url, greet))


def _pool_options(greet: Greet) -> dict[str, Any]:
    return {
        "max_connections": CONNECTIONS,
        "timeout": ANSWER_SECONDS,
        # Not bounded by redis-py's `socket_timeout`: that uses `asyncio.wait_for`, which loses cancellations
        # in 3.11. Callers bound their questions.
        "socket_timeout": None,
        "socket_connect_timeout": ANSWER_SECONDS,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "redis_connect_func": greet,
    }


def _url_pool(url: str, greet: Greet) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(url, **_pool_options(greet))


def _sentinel(address: Address) -> Sentinel:
    return Sentinel(  # type: ignore[no-untyped-call] # redis-py
        address.hosts,
        sentinel_kwargs={
            "password": address.sentinel_password,
            "socket_connect_timeout": SENTINEL_SECONDS,
            "socket_timeout": SENTINEL_SECONDS,
            "retry": Retry(NoBackoff(), 0),
        },
    )


def _master_pool(
    address: Address, sentinel: Sentinel, doubts: "Doubts", greet: Greet
) -> BlockingConnectionPool:
    options = {name: value for name, value in address.options.items() if name != "tls"}
    kind = _MasterOverTls if address.options["tls"] else _Master
    return BlockingConnectionPool(
        connection_class=kind,
        sentinel=sentinel,
        service=address.service,
        doubts=doubts,
        **options,
        **_pool_options(_is_master(greet)),
    )


def _is_master(greet: Greet) -> Greet:
    async def check(connection: AbstractConnection) -> None:
        await greet(connection)
        await connection.send_command("ROLE")
        role, *_ = await connection.read_response()
        if role not in {b"master", "master"}:
            raise RedisConnectionError("the sentinels name a server that is no master yet")

    return check


class Doubts:
    """How often a master was doubted; a connection from before that is made anew when it is taken."""

    count = 0


class _Master(Connection):
    """A connection that asks the sentinels whom to connect to, each time anew."""

    def __init__(self, *, sentinel: Sentinel, service: str, doubts: Doubts, **rest: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**rest)
        self._sentinel, self._service = sentinel, service
        self._doubts, self._made_after = doubts, doubts.count

    async def connect(self) -> None:
        if self.is_connected and self._made_after != self._doubts.count:
            await self.disconnect()  # by who takes it: nobody else can have it in hand
        self._made_after = self._doubts.count
        await super().connect()  # type: ignore[no-untyped-call] # redis-py

    async def _connect(self) -> None:
        self.host, self.port = await self._sentinel.discover_master(self._service)
        await super()._connect()  # type: ignore[no-untyped-call] # redis-py


class _MasterOverTls(_Master, SSLConnection):
    pass


class OneServer:
    """Every key is at the end of one pool: a server's, or the one of the master that the sentinels name."""

    def __init__(
        self, pool: BlockingConnectionPool, sentinels: Sequence[Redis] = (), doubts: "Doubts | None" = None
    ) -> None:
        self._pool = pool
        self._redis = Redis(connection_pool=pool)
        self._sentinels = sentinels
        self._doubts = doubts or Doubts()

    async def client(self, key: str) -> Redis:  # noqa: ARG002 - the port's shape
        """The server."""
        return self._redis

    async def listener(self) -> Redis:
        """The server."""
        return self._redis

    async def clients(self) -> list[Redis]:
        """The server."""
        return [self._redis]

    async def renew(self) -> None:
        """Let connections be made anew."""
        await self._pool.disconnect(inuse_connections=False)

    def doubt(self) -> None:
        """Trust no connection that lies idle: the master may be another one by now, and the old one alive."""
        self._doubts.count += 1

    async def close(self) -> None:
        """Let go of all connections."""
        await self._redis.aclose()
        await self._pool.disconnect()
        for sentinel in self._sentinels:
            await sentinel.aclose()


class Cluster:
    """Keys by slot; a room's keys share the hash tag `{room}`, and so a slot."""

    def __init__(self, address: Address, greet: Greet) -> None:
        self._address, self._greet = address, greet
        self._nodes: dict[tuple[str, int], Redis] = {}
        self._slots: list[tuple[int, int, tuple[str, int]]] = []
        self._stale = True
        self._finding = asyncio.Lock()

    async def client(self, key: str) -> Redis:
        """The node of the key's slot."""
        if self._stale:
            await self.renew()
        slot = key_slot(key.encode())
        for first, last, node in self._slots:
            if first <= slot <= last:
                return self._node(node)
        self._stale = True
        raise RedisConnectionError(f"no node of the cluster serves slot {slot}")

    async def listener(self) -> Redis:
        """Any node hears everything that is published in the cluster."""
        return (await self.clients())[0]

    async def clients(self) -> list[Redis]:
        """Every master."""
        if self._stale:
            await self.renew()
        return [self._node(node) for node in dict.fromkeys(node for _, _, node in self._slots)]

    async def renew(self) -> None:
        """Ask who serves which slots: the nodes that are known, then those of the URL."""
        async with self._finding:
            error: Exception = RedisConnectionError("no node of the cluster answers")
            for node in dict.fromkeys([*(node for _, _, node in self._slots), *self._address.hosts]):
                try:
                    self._slots = await self._ask_slots(node)
                except (RedisError, OSError) as failed:
                    error = failed
                    continue
                self._stale = False
                return
            raise error

    async def _ask_slots(self, node: tuple[str, int]) -> list[tuple[int, int, tuple[str, int]]]:
        pool = self._node(node).connection_pool
        async with asyncio.timeout(SENTINEL_SECONDS):
            connection = await pool.get_connection()  # type: ignore[no-untyped-call] # redis-py
            try:
                await connection.send_command("CLUSTER", "SLOTS")
                found = await connection.read_response()
            finally:
                await pool.release(connection)
        if not found:
            raise RedisConnectionError("this node serves no slots")
        # An empty address means the one that was asked (cluster-preferred-endpoint-type unknown-endpoint).
        return [
            (int(a), int(b), (master[0].decode() or node[0], int(master[1]))) for a, b, master, *_ in found
        ]

    def _node(self, node: tuple[str, int]) -> Redis:
        if node not in self._nodes:
            options = {
                name: value for name, value in self._address.options.items() if name not in {"tls", "db"}
            }
            pool = BlockingConnectionPool(
                connection_class=SSLConnection if self._address.options["tls"] else Connection,
                host=node[0],
                port=node[1],
                **options,
                **_pool_options(self._greet),
            )
            self._nodes[node] = Redis(connection_pool=pool)
        return self._nodes[node]

    def doubt(self) -> None:
        """Ask again who serves what."""
        self._stale = True

    async def close(self) -> None:
        """Let go of all connections."""
        for node in self._nodes.values():
            await node.aclose()
            await node.connection_pool.disconnect()
