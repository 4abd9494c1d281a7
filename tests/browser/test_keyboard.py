"""No mouse: whole journeys by keys alone, and a focus that is never lost."""

from playwright.async_api import expect

from rooms.hands import Invite
from rooms.queue import Ask
from tests.browser.scene import Scene, card, message

ONE = "面接の終わりに泣き出したとき、どう声をかけますか？"
TWO = "家族への説明と守秘義務を、どう両立させていますか？"
FOCUSED = "document.activeElement?.dataset?.testid ?? document.activeElement?.tagName"


async def tab_to(guest, testid, most=60, key="Tab"):
    """Press Tab until the focus is on `testid`."""
    for _ in range(most):
        if await guest.page.evaluate(FOCUSED) == testid:
            return
        await guest.page.keyboard.press(key)
    raise AssertionError(f"{testid} is out of the keyboard's reach")


async def kept(guest):
    """Make sure that the focus is on something."""
    assert await guest.page.evaluate("document.activeElement !== document.body")


async def test_an_attendee_without_a_mouse(chromium, hall):
    scene = Scene(chromium, hall)
    mika = await scene.enters("moderator", "美香")
    aoi = await scene.enters("attendee", "青木")
    press, write = aoi.page.keyboard.press, aoi.page.keyboard.type
    async with scene.bot("attendee", "別所") as ben:
        await tab_to(aoi, "composer")
        await write("キーボードから")
        await press("Enter")
        await expect(message(mika, "キーボードから")).to_have_count(0)
        await ben.holds(lambda room: "キーボードから" in [m.text for m in room.messages.values()])
        # Letters typed into a field are letters.
        await write("?hnqsp")
        await expect(aoi.see("composer")).to_have_value("?hnqsp")
        await expect(aoi.page.locator("dialog[open]")).to_have_count(0)

        await tab_to(aoi, "tab-chat", key="Shift+Tab")
        await press("ArrowRight")
        await expect(aoi.see("tab-questions")).to_be_focused()
        await expect(aoi.see("tab-questions")).to_have_attribute("aria-selected", "true")
        await press("q")
        await expect(aoi.see("ask-text")).to_be_focused()
        await write(ONE)
        await press("Control+Enter")
        await expect(aoi.see("own-question")).to_have_attribute("data-state", "pending")
        await expect(aoi.see("tab-questions")).to_be_focused()

        await ben.asks(Ask(text=TWO))
        await card(mika, TWO).get_by_test_id("approve").click()
        await expect(aoi.see("question")).to_be_visible()
        await tab_to(aoi, "vote")
        await press("Space")
        await expect(aoi.see("vote")).to_have_attribute("aria-pressed", "true")
        await expect(aoi.see("vote")).to_be_focused()
        await press("h")
        await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "true")
        await mika.see("tab-hands").click()
        await mika.see("invite").click()
        await expect(aoi.see("invitation-dialog")).to_be_visible()
        await tab_to(aoi, "invitation-refuse")
        await press("Enter")
        await expect(aoi.page.locator("dialog[open]")).to_have_count(0)
        await kept(aoi)
        # The vote's button goes when the question goes; the focus does not.
        await tab_to(aoi, "vote")
        await mika.see("tab-board").click()
        await card(mika, TWO).get_by_test_id("queue-next").click()
        await card(mika, TWO).get_by_test_id("take").click()
        await expect(aoi.see("vote")).to_have_count(0)
        await kept(aoi)
        await press("n")
        await expect(aoi.page.locator(".signal.sent")).to_have_count(1)
    assert aoi.troubles == []


async def test_a_moderator_without_a_mouse(chromium, hall):
    scene = Scene(chromium, hall)
    mika = await scene.enters("moderator", "美香")
    press = mika.page.keyboard.press
    async with scene.bot("attendee", "青木") as aoi, scene.bot("attendee", "別所") as ben:
        await aoi.asks(Ask(text=ONE))
        await ben.asks(Ask(text=TWO))
        await expect(mika.see("board-card")).to_have_count(2)
        await press("j")
        await expect(card(mika, ONE)).to_be_focused()
        for key, state in (("a", "open"), ("n", "next"), ("l", "live"), ("r", "answered")):
            await press(key)
            await expect(card(mika, ONE)).to_have_attribute("data-state", state)
            await kept(mika)
        await aoi.holds(lambda room: [q.state for q in room.own.values()] == ["answered"])

        # The same by buttons: Tab and Enter, no single keys.
        await press("?")
        await expect(mika.see("keys-dialog")).to_contain_text("回答済にする")
        await tab_to(mika, "single-keys")
        await press("Space")
        await press("Escape")
        await expect(mika.see("keys-dialog")).to_have_count(0)
        await press("k")
        await press("a")
        await expect(card(mika, TWO)).to_have_attribute("data-state", "pending")
        for testid, state in (
            ("approve", "open"),
            ("queue-next", "next"),
            ("take", "live"),
            ("answered", "answered"),
        ):
            await card(mika, TWO).focus()
            await tab_to(mika, testid)
            await press("Enter")
            await expect(card(mika, TWO)).to_have_attribute("data-state", state)
            await kept(mika)
            assert await mika.page.evaluate(
                "document.activeElement.closest('[data-testid=board-card]') !== null"
            )
        # Reopened, then declined with a reason: a menu and a dialog by keys.
        await card(mika, TWO).focus()
        await tab_to(mika, "reopen")
        await press("Enter")
        await expect(card(mika, TWO)).to_have_attribute("data-state", "open")
        await tab_to(mika, "card-menu")
        await press("Enter")
        await press("End")
        await press("Home")
        await press("Escape")
        await expect(mika.page.locator("[role=menu]")).to_have_count(0)
        await expect(card(mika, TWO).get_by_test_id("card-menu")).to_be_focused()
        await press("Enter")
        while await mika.page.evaluate(FOCUSED) != "decline-later":
            await press("ArrowDown")
        await press("Enter")
        await expect(mika.see("dialog-decline")).to_be_visible()
        await tab_to(mika, "reason-out_of_scope")
        await press("ArrowDown")
        await expect(mika.see("reason-duplicate")).to_be_checked()
        await tab_to(mika, "sheet-yes")
        await press("Enter")
        await expect(card(mika, TWO)).to_have_attribute("data-state", "declined")
        await kept(mika)
        await ben.holds(lambda room: [q.reason for q in room.own.values()] == ["duplicate"])
    assert mika.troubles == []


async def test_escape_closes_the_topmost_only_and_keys_can_be_switched_off(chromium, hall):
    scene = Scene(chromium, hall)
    aoi = await scene.enters("attendee", "青木")
    press = aoi.page.keyboard.press
    await aoi.see("ask-open").focus()
    await press("Enter")
    await aoi.page.keyboard.type(ONE)
    async with scene.bot("moderator", "美香") as mika:
        inside = await mika.holds(lambda room: [p for p, role in room.people.items() if role == "attendee"])
        me = inside[0]
        await mika.asks(Invite(person=me))
        await expect(aoi.page.locator("dialog[open]")).to_have_count(2)
        await press("Escape")
        await expect(aoi.see("invitation-dialog")).to_have_count(0)
        await expect(aoi.see("ask-text")).to_have_value(ONE)
        await expect(aoi.see("ask-text")).to_be_focused()
    await press("Escape")
    await expect(aoi.see("ask-dialog")).to_have_count(0)
    await expect(aoi.see("ask-open")).to_be_focused()

    await press("?")
    await expect(aoi.see("keys-dialog")).to_be_visible()
    await tab_to(aoi, "single-keys")
    await press("Space")
    await press("Escape")
    await expect(aoi.see("ask-open")).to_be_focused()
    for key in "hqn":
        await press(key)
    await expect(aoi.page.locator("dialog[open]")).to_have_count(0)
    await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "false")
    await aoi.page.reload()
    await expect(aoi.see("room")).to_be_visible()
    await press("h")
    await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "false")
    # `?` always answers, so that they can be switched on again.
    await press("?")
    await expect(aoi.see("keys-dialog")).to_be_visible()
    await tab_to(aoi, "single-keys")
    await press("Space")
    await expect(aoi.see("single-keys")).to_be_checked()
    await press("Escape")
    await expect(aoi.see("keys-dialog")).to_have_count(0)
    await press("h")
    await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "true")
    assert aoi.troubles == []
