"""Stores for every test that asks for one: SQLite in a folder of its own, and a real Redis."""

import contextlib

import pytest

from live.stores import open_store
from tests.kit.redis import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(tmp_path):
    """A server that a test may kill and start again."""
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


@pytest.fixture(params=["embedded", "redis"])
def where(request, tmp_path):
    if request.param == "embedded":
        return tmp_path / "data"
    return request.getfixturevalue("redis_server").url


@pytest.fixture
async def store(where):
    store = await open_store(where)
    async with contextlib.aclosing(_Closing(store)):
        yield store


class _Closing:
    def __init__(self, store):
        self.aclose = store.close
