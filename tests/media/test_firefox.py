"""A real Firefox publishes and watches itself, through nothing but the link."""

import asyncio
import json

import pytest

from live.media import StageFacts
from tests.browser.firefox import Firefox
from tests.media.test_chromium import ROOM, UP, Looking, _app, _served


class Page:
    """Firefox's page as `Looking` asks it."""

    def __init__(self, firefox: Firefox) -> None:
        self.firefox = firefox

    async def evaluate(self, script: str):
        """The value of an expression or a promise; it travels as JSON."""
        text = await self.firefox.do("evaluate", script=f"Promise.resolve({script}).then(JSON.stringify)")
        return None if text is None else json.loads(text)


@pytest.mark.browser
async def test_firefox_publishes_and_watches(link) -> None:
    await link.stage(ROOM, StageFacts(open=True, on_stage=["ann"]))
    async with asyncio.timeout(110), _served(_app(link)) as url:
        firefox = await Firefox.launch()
        try:
            page = Page(firefox)
            await firefox.do("goto", url=url.replace("127.0.0.1", "localhost"))
            await page.evaluate("publish()")
            await page.evaluate("watch()")
            looking = Looking(page, link)
            first = await looking.until(lambda s: s["frames"] >= 60 and s["sound"] >= 50)
            assert first["states"] == UP
            assert await page.evaluate("restart()")
            again = await looking.until(lambda s: s["frames"] >= first["frames"] + 45 and s["states"] == UP)
            assert again["lost"] < again["frames"] / 20
        finally:
            await firefox.close()
