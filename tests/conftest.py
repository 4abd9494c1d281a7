"""Stores for every test that asks for one (SQLite in a folder of its own, a real Redis), and two lanes."""

import contextlib
import gc

import pytest
from xdist.scheduler import LoadScopeScheduling

from live.stores import open_store
from tests.kit.redis import RedisServer, Replicated

REAL = {"faults", "gateway", "media", "stores", "web"}


class Lanes(LoadScopeScheduling):
    """Browsers in one lane, file by file in the other: two stages at once would starve each other.

    Only the pictures of a phone's screens are taken in the other lane, so that both are about as long.
    """

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        if "test_screens.py" in file and "phone" in nodeid:
            return "phones"
        return "browsers" if "tests/browser/" in file or "chromium" in file else file


def pytest_xdist_make_scheduler(config, log):
    return Lanes(config, log)


def pytest_collection_modifyitems(items):
    """Give tests of real processes, sockets and clocks a second try, for machines that do much else.

    Each rerun is counted in pytest's last line and told with its traceback. Rules, properties and the model
    of law 6 have none: what fails there once is wrong.
    """
    for item in items:
        folder, name = item.path.parent.name, item.path.name
        if folder in REAL and name != "test_model.py":
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def own_redis(tmp_path):
    """A server that a test may kill and start again."""
    server = RedisServer(tmp_path / "redis").start()
    yield server
    server.stop()


@pytest.fixture
def replicated(tmp_path):
    """A master, its replica and a sentinel, for one test to ruin."""
    replicated = Replicated(tmp_path)
    try:
        yield replicated.start()
    finally:
        replicated.stop()


@pytest.fixture
def no_collector():
    """Nothing is freed but by its last reference."""
    gc.disable()
    yield
    gc.enable()


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
