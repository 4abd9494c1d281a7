"""People at real browsers: what they do, said in their words; every selector of the page is here."""

import asyncio
import json
import time
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser.firefox import Firefox
from tests.browser.watching import READ, RECORD
from tests.kit.polling import until

SMALL_PICTURES = """
(() => {
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const real = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (wanted) => {
    if (wanted.video) {
      const video = wanted.video === true ? {} : { ...wanted.video };
      wanted = { ...wanted, video: { ...video, width: 320, height: 180, frameRate: 10 } };
    }
    return real(wanted);
  };
})();
"""
"""Two cores encode and decode everything in these tests: cameras are small."""

LANGUAGE = """
try {
  localStorage.getItem("madoi.lang") ?? localStorage.setItem("madoi.lang", "%s");
} catch {}
"""

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}


def of(testid: str) -> str:
    """The selector of a test id."""
    return f'[data-testid="{testid}"]'


class Guest:
    """Somebody at a Chromium page of their own."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.on("pageerror", lambda error: self.troubles.append(str(error)))

    @classmethod
    async def at(
        cls, browser: Browser, *, size: dict[str, int] = DESKTOP, lang: str = "ja", touch: bool = False
    ) -> "Guest":
        """Open an empty page in a fresh profile."""
        context = await browser.new_context(
            viewport=size,  # type: ignore[arg-type]
            locale="ja-JP" if lang == "ja" else "en-GB",
            timezone_id="Asia/Tokyo",
            permissions=["camera", "microphone"],
            has_touch=touch,
            reduced_motion="reduce",
        )
        await context.add_init_script(RECORD + SMALL_PICTURES)
        await context.add_init_script(LANGUAGE % lang)
        return cls(await context.new_page())

    def see(self, testid: str) -> Any:
        """Locate an element by its test id."""
        return self.page.get_by_test_id(testid)

    async def knock(self, link: str, name: str) -> None:
        """Open the link and come through the door page; a personal ticket brings its name along."""
        await self.page.goto(link)
        await self.see("name").wait_for()
        if await self.see("name").is_editable():
            await self.see("name").fill(name)
        await self.see("enter").click()

    async def enter(self, link: str, name: str) -> None:
        """Come in and see the room."""
        await self.knock(link, name)
        await expect(self.see("room")).to_be_visible(timeout=20_000)

    async def rows(self) -> list[dict[str, Any]]:
        """Read the page's media statistics."""
        found: list[dict[str, Any]] = await self.page.evaluate(READ)
        return found

    async def leave(self) -> None:
        """Close the page."""
        await self.page.context.close()


class FirefoxGuest:
    """Somebody at Firefox."""

    def __init__(self, firefox: Firefox) -> None:
        self._firefox = firefox

    async def enter(self, link: str, name: str) -> None:
        """Come in and see the room."""
        await self._firefox.do("init", script=RECORD)
        await self._firefox.do("goto", url=link)
        await self._firefox.do("wait", selector=of("name"))
        await self._firefox.do("fill", selector=of("name"), text=name)
        await self._firefox.do("click", selector=of("enter"))
        await self._firefox.do("wait", selector=of("room"))

    async def rows(self) -> list[dict[str, Any]]:
        """Read the page's media statistics."""
        found: list[dict[str, Any]] = await self._firefox.do("evaluate", script=READ)
        return found

    async def opens(self, testid: str) -> None:
        """Press a button or a tab."""
        await self._firefox.do("click", selector=of(testid))

    async def sees(self, words: str) -> None:
        """Wait until the page says `words`."""

        async def said() -> bool:
            return bool(
                await self._firefox.do(
                    "evaluate", script=f"document.body.innerText.includes({json.dumps(words)})"
                )
            )

        await until(said, within=20)

    async def leave(self) -> None:
        """Close the browser."""
        await self._firefox.close()


async def press_at_once(guests, testid):
    """Press the same button on several pages at one moment of the clock, each as its page shows it now."""
    script = """([testid, at]) => {
        const button = document.querySelector(`[data-testid=${testid}]`);
        return new Promise((done) => setTimeout(() => done(button.click()), at - Date.now()));
    }"""
    at = time.time() * 1000 + 500
    await asyncio.gather(*(guest.page.evaluate(script, [testid, at]) for guest in guests))
