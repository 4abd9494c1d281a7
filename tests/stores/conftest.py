"""The store's contract holds on a cluster too; and where each body keeps its files."""

import pytest

from tests.kit.redis import RedisCluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    cluster = RedisCluster(tmp_path_factory.mktemp("cluster"))
    try:
        yield cluster.start()
    finally:
        cluster.stop()


@pytest.fixture(params=["embedded", "redis", "cluster"])
def where(request, tmp_path):
    if request.param == "embedded":
        return tmp_path / "data"
    return request.getfixturevalue("redis_server" if request.param == "redis" else "cluster").url


@pytest.fixture
def folder(where, request):
    """Where the bytes lie."""
    if not isinstance(where, str):
        return where
    return request.getfixturevalue("cluster" if "cluster" in where else "redis_server").folder
