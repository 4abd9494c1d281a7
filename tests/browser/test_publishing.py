"""What else can be on stage: a speaker at Firefox, and a shared screen."""

from playwright.async_api import expect

from tests.browser.firefox import Firefox
from tests.browser.people import FirefoxGuest, Guest
from tests.browser.test_session import sent, watches
from tests.browser.watching import frames, received
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


async def test_a_viewer_chooses_to_receive_no_pictures_and_takes_them_back(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)

    async def arrived():
        rows = await aoi.rows()
        return tuple(sum(row["packets"] for row in received(rows, kind)) for kind in ("video", "audio"))

    async def only_sound(seen):
        await expect(aoi.see("data-note")).to_have_attribute("data-tier", "audio")
        seen.append(await arrived())
        return len(seen) > 1 and seen[-1][0] == seen[-2][0] and seen[-1][1] > seen[-2][1] + 20

    await aoi.see("room-menu").click()
    await aoi.see("menu-data").click()
    await aoi.see("tier-audio").check()
    await aoi.page.keyboard.press("Escape")
    seen: list[tuple[int, int]] = []
    await until(lambda: only_sound(seen), within=20, every=1.0)
    await aoi.page.reload()
    await expect(aoi.see("data-note")).to_be_visible(timeout=20_000)
    seen.clear()
    await until(lambda: only_sound(seen), within=20, every=1.0)
    assert seen[-1][0] == 0
    await aoi.see("tier-back").click()
    await watches(aoi, 1)
    await expect(aoi.see("data-note")).to_have_count(0)
    assert sara.troubles == aoi.troubles == []


def pictures_sent(rows):
    return sum(row["packets"] for row in rows if row["type"] == "outbound-rtp" and row["kind"] == "video")


async def test_a_camera_that_nobody_watches_is_not_sent_and_wakes_for_the_first_who_does(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    before = {"packets": 0}

    async def at_rest():
        now, was = pictures_sent(await sara.rows()), before["packets"]
        before["packets"] = now
        return now == was

    await until(at_rest, within=60, every=1.5)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    assert not await at_rest()
    assert sara.troubles == aoi.troubles == []
