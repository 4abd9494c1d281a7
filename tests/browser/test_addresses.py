"""No address our pages ask for, and no Referer, holds a ticket or token; OWASP ASVS 5.0 14.2.1, 3.4.5."""

from playwright.async_api import expect

from tests.browser.people import Guest
from tests.kit.line import Line
from tests.kit.polling import until
from tests.kit.server import TOKEN


async def test_asvs_14_2_1_an_access_log_between_us_and_the_browsers_learns_no_secret(chromium, server):
    made = server.make_session("住所", door="open")
    server.move(made.id, "live")
    personal = server.ticket(made.id, "speaker", "佐藤")
    secrets = {TOKEN, personal, *(made.ticket(role) for role in ("attendee", "speaker", "moderator"))}
    olga, sato, aoi = [await Guest.at(chromium) for _ in range(3)]
    async with Line(server.port, keep=True) as line:
        await olga.page.goto(f"{line.url}/organise#token={TOKEN}")
        await expect(olga.see("session-new")).to_be_visible(timeout=20_000)
        await sato.enter(f"{line.url}/s/{made.id}#t={personal}", "佐藤")
        await aoi.enter(f"{line.url}/s/{made.id}#t={made.ticket('attendee')}", "青木")
        await aoi.see("composer").fill("こんばんは")
        await aoi.see("send").click()
        await expect(sato.page.get_by_text("こんばんは")).to_be_visible()
        await aoi.page.reload()
        await expect(aoi.see("room")).to_be_visible(timeout=20_000)
        for way in ("whip", "whep"):
            await until(lambda way=way: any(f"/{way}/{made.id}" in one for one, _ in line.requests()), 20)
        for guest in (olga, sato, aoi):
            secrets |= {cookie["value"] for cookie in await guest.page.context.cookies()}
            assert not any(secret in guest.page.url for secret in secrets), "the fragment is gone at once"
            await guest.leave()
        requests = line.requests()
    assert len(secrets) > 7
    asked = [target for target, _ in requests]
    for part in ("/assets/", "/enter", "/socket-ticket", f"/rooms/{made.id}/socket"):
        assert any(part in target for target in asked), part
    for target, referer in requests:
        assert not any(secret in target for secret in secrets), target
        assert referer is None, target
