"""A session with people at browsers and bots at bare sockets, for tests of one screen at a time."""

import contextlib
from collections.abc import Callable
from typing import Any

from playwright.async_api import Browser, Page, expect

from live.protocol.frames import Refused
from rooms import Command
from rooms.chat import Post
from tests.browser.people import Guest
from tests.kit.polling import until
from tests.kit.server import MadoiServer
from tests.kit.viewer import Viewer


class Bot(Viewer):
    """Somebody without a page; `asks` waits its turn when the server says that it is too fast."""

    async def asks(self, command: Command) -> Any:
        """Ask until the answer is not one about speed."""

        async def answered() -> Any:
            answer = await self.do(command)
            return None if isinstance(answer, Refused) and answer.why in {"rate", "too_fast"} else answer

        answer = await until(answered, within=20, every=0.3)
        assert not isinstance(answer, Refused), answer
        return answer

    async def signals_say(self, condition: Callable[[dict[str, int]], bool]) -> None:
        """Wait until the vote counts are as said."""
        await until(lambda: condition(self.signals.votes or {}), within=8)


class Scene:
    """One session on a running server."""

    def __init__(
        self, browser: Browser, server: MadoiServer, state: str | None = "live", **fields: Any
    ) -> None:
        self._browser, self.server = browser, server
        self.session = server.make_session(**fields)
        if state is not None:
            server.move(self.session.id, state)

    def link(self, role: str, name: str) -> str:
        """Make a personal link."""
        return self.server.page(self.session.id, self.server.ticket(self.session.id, role, name))

    async def enters(self, role: str, name: str, **how: Any) -> Guest:
        """Come in at a page."""
        guest = await Guest.at(self._browser, **how)
        await guest.enter(self.link(role, name), name)
        return guest

    def bot(self, role: str, name: str) -> Bot:
        """Give a viewer without a page: `async with scene.bot(...) as bot`."""
        url = f"ws://localhost:{self.server.port}/rooms/{self.session.id}/socket"
        return Bot(url, self.server.ticket(self.session.id, role, name))


async def fills(scene: Scene, count: int) -> None:
    """Fill the chat with 発言000 to so many, by as many bots as the rate of one asks for."""
    async with contextlib.AsyncExitStack() as stack:
        bots = [
            await stack.enter_async_context(scene.bot("moderator", f"声{n}")) for n in range(count // 18 + 1)
        ]
        for number in range(count):
            await bots[number % len(bots)].asks(Post(text=f"発言{number:03d}"))


async def says(guest: Guest, words: str, channel: str = "") -> None:
    """Write into the chat and send."""
    box = guest.see(f"composer-{channel}" if channel else "composer")
    await box.fill(words)
    await box.press("Enter")


async def asks(guest: Guest, words: str, *, named: bool = False) -> None:
    """Ask a question by the form."""
    await guest.see("ask-open").click()
    await guest.see("ask-text").fill(words)
    if named:
        await guest.see("ask-named").check()
    await guest.see("ask-send").click()
    await expect(guest.see("ask-dialog")).to_have_count(0)


def message(guest: Guest, words: str) -> Any:
    """Locate a chat message by its words."""
    return guest.page.locator('[data-testid="message"]', has_text=words)


def card(guest: Guest, words: str) -> Any:
    """Locate a card of the moderators' board by its words."""
    return guest.page.locator('[data-testid="board-card"]', has_text=words)


async def chooses(guest: Guest, within: Any, menu: str, entry: str) -> None:
    """Open a menu inside `within` and choose an entry."""
    await within.hover()
    await within.get_by_test_id(menu).click()
    await guest.page.get_by_test_id(entry).first.click()


async def fits(page: Page) -> bool:
    """Tell whether the page needs no sideways scrolling."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
