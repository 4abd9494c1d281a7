"""What else can be on stage: a speaker at Firefox, and a shared screen."""

from playwright.async_api import expect

from tests.browser.firefox import Firefox
from tests.browser.people import FirefoxGuest, Guest
from tests.browser.test_session import sent, watches
from tests.browser.watching import frames
from tests.kit.polling import until


async def test_firefox_publishes_to_chromium(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    aoi = await Guest.at(chromium)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    sara = FirefoxGuest(await Firefox.launch())
    try:
        await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
        await watches(aoi, 1)
    finally:
        await sara.leave()


async def test_a_shared_screen_joins_the_camera_and_goes(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    await sara.see("screen").click()
    await expect(aoi.page.locator('video[data-source="screen"]')).to_be_visible(timeout=20_000)

    async def both():
        return len(frames(await aoi.rows())) == 2

    await until(both, within=30, every=0.5)
    await sara.see("screen").click()
    await expect(aoi.page.locator('video[data-source="screen"]')).to_have_count(0, timeout=20_000)
    assert sara.troubles == aoi.troubles == []
