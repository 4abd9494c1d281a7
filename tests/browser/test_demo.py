"""`madoi demo` as somebody with one minute would see it; the README's picture is taken here."""

import asyncio
import os
import re
import signal
import sys

from playwright.async_api import expect

from tests.browser.people import Guest
from tests.browser.test_screens import PICTURES, ROOT
from tests.browser.test_session import watches
from tests.kit.polling import until
from tests.kit.server import free_port


async def test_the_demo_is_full_of_life(chromium, tmp_path):
    said = tmp_path / "said.log"
    with said.open("wb") as log:
        demo = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "live.cli", "demo", "--port", "0", "--data", str(tmp_path / "demo")],
            cwd=ROOT,
            env={**os.environ, "MADOI_MEDIA_PORT": str(free_port())},
            stdout=log,
            stderr=log,
        )
    try:
        links = await until(
            lambda: dict(re.findall(r"^\s+(\w+)\s+(http\S+)$", said.read_text(), re.MULTILINE)),
            within=40,
            every=0.2,
        )
        assert set(links) == {"attendee", "speaker", "moderator", "organiser"}
        guest = await Guest.at(chromium)
        await guest.enter(links["attendee"], "見学のかた")
        await watches(guest, 2)
        await until(lambda: talked(guest), within=60, every=0.5)
        await expect(guest.see("now-answering")).to_be_visible(timeout=60_000)
        await guest.see("tab-chat").click()
        await guest.page.screenshot(path=PICTURES / "demo-room.png")
        assert guest.troubles == []
    finally:
        demo.send_signal(signal.SIGTERM)
        await asyncio.wait_for(demo.wait(), 20)


async def talked(guest):
    return await guest.see("message").count() >= 5
