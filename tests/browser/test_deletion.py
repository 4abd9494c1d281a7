"""Who wants to be forgotten can do so from the page: in the room, and after the end."""

from playwright.async_api import expect

from tests.browser.people import Guest


async def test_people_delete_what_they_wrote_in_the_room_and_after_it(chromium, server):
    session = server.make_session("会", door="open")
    server.move(session.id, "live")
    aoi, ben = await Guest.at(chromium), await Guest.at(chromium, lang="en")
    for guest, name in ((aoi, "青木カナリア"), (ben, "Ben Canary")):
        await guest.enter(server.page(session.id, server.ticket(session.id, "attendee", name)), name)
        await guest.see("composer").fill(f"これは{name}です")
        await guest.see("send").click()
    await expect(ben.page.get_by_text("これは青木カナリアです")).to_be_visible()

    # A refusal of the server changes nothing.
    await aoi.page.route("**/me", lambda route: route.abort())
    await aoi.see("room-menu").click()
    await aoi.see("menu-delete").click()
    await aoi.see("delete-dialog-yes").click()
    await expect(aoi.see("toasts")).to_contain_text("つながりません")
    await expect(aoi.see("composer")).to_be_visible()
    await aoi.page.unroute("**/me")

    await aoi.see("room-menu").click()
    await aoi.see("menu-delete").click()
    await aoi.see("delete-dialog-yes").click()
    await expect(aoi.see("deleted")).to_be_visible()
    await expect(ben.page.get_by_text("これは青木カナリアです")).to_have_count(0)

    server.move(session.id, "after")
    await ben.see("delete-mine").click()
    await expect(ben.see("delete-dialog")).to_contain_text("This cannot be undone")
    await ben.see("delete-dialog-yes").click()
    await expect(ben.see("deleted")).to_be_visible()
    export = server.ask("GET", f"/api/sessions/{session.id}/export?format=json").text
    assert "会" in export
    assert "カナリア" not in export
    assert "Canary" not in export
