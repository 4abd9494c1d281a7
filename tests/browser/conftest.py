"""Browsers and servers for the browser tests: the system's Chromium and Firefox, the real `madoi serve`."""

import shutil
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.kit.server import MadoiServer

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in str(item.path) or item.path.name == "test_chromium.py":
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.timeout(240))
            # Real browsers on a shared machine are starved now and then. A second try is counted in pytest's
            # last line and told with its traceback, so that a test which needs it often is seen.
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest_asyncio.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def server(tmp_path) -> Iterator[MadoiServer]:
    started = MadoiServer(tmp_path / "data").start()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadoiServer]:
    """One server for all tests of a module; each makes sessions of its own."""
    started = MadoiServer(tmp_path_factory.mktemp("hall") / "data").start()
    yield started
    started.stop()
