"""Calling somebody by name in the chat."""

from playwright.async_api import expect

from tests.browser.people import Guest
from tests.browser.test_screens import complaints


async def test_an_at_suggests_who_is_inside_and_marks_the_message_for_them(chromium, server):
    session = server.make_session("交流会")
    server.move(session.id, "live")
    aoi, ben = await Guest.at(chromium), await Guest.at(chromium)
    for guest, name in ((aoi, "青木 葵"), (ben, "別所 勉")):
        await guest.enter(server.page(session.id, server.ticket(session.id, "attendee", name)), name)
    await expect(aoi.see("online")).to_contain_text("2")
    await aoi.see("composer").press_sequentially("そうですね、@別")
    await expect(aoi.see("mentions")).to_contain_text("別所 勉")
    assert "青木" not in await aoi.see("mentions").inner_text()
    assert await complaints(aoi) == []
    await aoi.see("composer").press("Enter")
    await expect(aoi.see("composer")).to_have_value("そうですね、@別所 勉 ")
    await expect(aoi.see("mentions")).to_have_count(0)
    await aoi.see("composer").press("Enter")
    await expect(ben.page.locator(".message.called")).to_contain_text("そうですね")
    await expect(aoi.see("message")).to_have_count(1)
    await expect(aoi.page.locator(".message.called")).to_have_count(0)
    assert aoi.troubles == []
