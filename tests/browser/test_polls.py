"""A poll from the moderator's draft to the results in front of the speaker, at real browsers."""

from playwright.async_api import expect

from tests.browser.people import PHONE
from tests.browser.scene import Scene

QUESTION = "次回、もっと聴きたいのはどちらですか"


async def drafts(mika, *options):
    """Prepare a poll by the form."""
    await mika.see("tab-polls").click()
    await mika.see("poll-new").click()
    await mika.see("poll-text").fill(QUESTION)
    for at, option in enumerate(options):
        if at >= 2:
            await mika.see("poll-add-option").click()
        await mika.see("poll-option-text").nth(at).fill(option)
    await mika.see("poll-save").click()
    await expect(mika.see("poll-dialog")).to_have_count(0)


def result(guest, words):
    """Locate the line of an option in the results."""
    return guest.page.locator('[data-testid="poll-result"]', has_text=words)


async def test_a_poll_is_drafted_opened_voted_on_by_two_and_shown(chromium, hall):
    scene = Scene(chromium, hall)
    mika = await scene.enters("moderator", "美香")
    aoi = await scene.enters("attendee", "葵")
    ben = await scene.enters("attendee", "勉", size=PHONE, touch=True)
    sara = await scene.enters("speaker", "沙羅")

    # A draft is nobody's but the staff's.
    await drafts(mika, "家族面接", "多職種の連携", "支援者の疲れ")
    await expect(mika.see("desk-poll")).to_have_attribute("data-state", "draft")
    await aoi.see("tab-polls").click()
    await expect(aoi.see("poll")).to_have_count(0)

    # Opened: under every stage, in the tab, and said to screen readers.
    await mika.see("poll-open").click()
    await expect(aoi.see("poll")).to_contain_text(QUESTION)
    await expect(ben.see("poll-call")).to_contain_text(QUESTION)
    await expect(sara.see("speaker-poll")).to_contain_text(QUESTION)
    await expect(ben.see("announce-polls")).to_contain_text(QUESTION, timeout=10_000)

    # By keyboard: a group of radio buttons, then the button. By touch: the call, an option, the button.
    await aoi.see("poll-option").first.focus()
    await aoi.page.keyboard.press("Space")
    await aoi.page.keyboard.press("Enter")
    await expect(aoi.see("poll-done")).to_be_visible()
    await ben.see("poll-go").tap()
    await ben.page.get_by_text("多職種の連携").tap()
    await ben.see("poll-cast").tap()
    await expect(ben.see("poll-done")).to_be_visible()

    # One thinks again. How many have voted is known to all, what they chose to nobody.
    await aoi.see("poll-option").nth(1).check()
    await aoi.see("poll-cast").click()
    for guest, place in ((mika, "desk-poll"), (sara, "speaker-poll"), (ben, "poll")):
        await expect(guest.see(place)).to_contain_text("2人が投票")
        await expect(guest.see("poll-results")).to_have_count(0)
    await aoi.page.reload()
    await aoi.see("tab-polls").click()
    await expect(aoi.see("poll-option").nth(1)).to_be_checked()

    # Closed and shown: the same numbers for everybody, the own choice marked for oneself.
    await mika.see("poll-close").click()
    for guest in (mika, aoi, ben, sara):
        await expect(result(guest, "多職種の連携")).to_have_attribute("data-votes", "2")
        await expect(result(guest, "家族面接")).to_have_attribute("data-votes", "0")
    await expect(result(aoi, "多職種の連携")).to_contain_text("あなたの選択")
    await expect(result(sara, "多職種の連携")).to_contain_text("2票（100%）")
    await mika.see("poll-show").click()
    await expect(aoi.see("poll-results")).to_have_count(0)
    await expect(mika.see("poll-results")).to_be_visible()
    for guest in (mika, aoi, ben, sara):
        assert guest.troubles == []
        await guest.leave()
