import pytest

from tests.kit.server import MadoiServer


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    server = MadoiServer(tmp_path_factory.mktemp("web") / "data", limits_attempts="100000").start()
    yield server
    server.stop()


@pytest.fixture
def made(server):
    return server.make_session("事例検討会")
