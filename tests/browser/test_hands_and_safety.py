"""The door, hands, and a moderator's acts for everybody's safety, from the screens of both sides."""

import asyncio
import contextlib
import re

from playwright.async_api import expect

from live.protocol.frames import Signal
from rooms.hands import RaiseHand
from tests.browser.people import PHONE, Guest
from tests.browser.scene import Scene, asks, fits, message, says
from tests.browser.test_session import sent, watches
from tests.browser.watching import energy, frames
from tests.kit.polling import until


async def person(guest, name, entry):
    """Open the menu of a person among those inside, and choose."""
    await guest.see("tab-people").click()
    await guest.page.locator('[data-testid="person"]', has_text=name).get_by_test_id("person-menu").click()
    await guest.see(entry).click()


async def stays(read, seconds=1.5):
    """Tell whether what `read` gives stands still; that nothing happens has nothing to wait for but time."""
    before = await read()
    await asyncio.sleep(seconds)
    return await read() == before


async def test_the_door_knock_talk_admit_send_back_and_knock_again(chromium, hall):
    scene = Scene(chromium, hall, state="doors", kind="reading", door="knock")
    shared = hall.page(scene.session.id, scene.session.ticket("attendee"))
    mika = await scene.enters("moderator", "美香")
    guests = [await Guest.at(chromium, size=PHONE, touch=True) for _ in range(3)]
    for guest, name in zip(guests, ("青木", "別所", "千絵"), strict=True):
        await guest.knock(shared, name)
        await expect(guest.see("waiting")).to_be_visible()
    aoi, ben, chie = guests
    await expect(mika.see("toasts")).to_contain_text("青木さんが入口にいます")
    await mika.see("tab-door").click()
    await expect(mika.see("visitor")).to_have_count(3)
    await expect(mika.see("visitor").first).to_contain_text("青木")
    assert await fits(aoi.page)

    # A word through the door, both ways; a reload keeps what is being written.
    await aoi.see("door-composer").fill("はじめてです")
    await aoi.page.reload()
    await expect(aoi.see("door-composer")).to_have_value("はじめてです")
    await aoi.see("door-composer").press("Enter")
    first = mika.see("visitor").first
    await expect(first).to_contain_text("はじめてです")
    await first.get_by_test_id("door-talk").click()
    await first.get_by_test_id("door-reply").fill("ようこそ、少しお待ちください")
    await first.get_by_test_id("door-reply").press("Enter")
    await expect(aoi.page.get_by_text("ようこそ、少しお待ちください")).to_be_visible()
    assert "ようこそ" not in await ben.page.content()

    # Sent back with a word, and back at the end of the line.
    await first.get_by_test_id("send-back").click()
    await mika.page.locator("dialog input").fill("10分後にもう一度")
    await mika.see("send-back-yes").click()
    await expect(aoi.see("waiting")).to_contain_text("10分後にもう一度")
    await expect(mika.see("visitor")).to_have_count(2)
    await aoi.see("knock").click()
    await expect(mika.see("visitor").nth(2)).to_contain_text("青木")

    # One, then all.
    await mika.see("visitor").first.get_by_test_id("admit").click()
    await expect(ben.see("room")).to_be_visible()
    await mika.see("admit-all").click()
    for guest in (aoi, chie):
        await expect(guest.see("room")).to_be_visible()
    await expect(mika.see("door-list")).to_contain_text("待っている方はいません")
    for guest in (mika, aoi, ben, chie):
        assert guest.troubles == []


async def test_hands_in_order_invited_refused_accepted_and_taken_down(chromium, hall):
    scene = Scene(chromium, hall)
    mika, aoi = await scene.enters("moderator", "美香"), await scene.enters("attendee", "青木")
    async with scene.bot("attendee", "別所") as ben:
        await ben.asks(RaiseHand())
        await expect(mika.see("toasts")).to_contain_text("別所さんが手を挙げています")
        await aoi.see("hand").click()
        await expect(aoi.see("hand")).to_have_text("挙手中・2番目")
        await mika.see("tab-hands").click()
        await expect(mika.see("hand-card").nth(1)).to_contain_text("青木")
        await mika.see("lower").first.click()
        await expect(aoi.see("hand")).to_have_text("挙手中・1番目")
        await aoi.see("hand").click()
        await expect(mika.see("hand-card")).to_have_count(0)

        # Refused: only the staff learn it.
        await aoi.see("hand").click()
        await mika.see("invite").click()
        await expect(aoi.see("invitation-dialog")).to_contain_text(re.compile("あと5[0-9]秒|あと60秒"))
        await aoi.see("invitation-refuse").click()
        await expect(mika.see("toasts")).to_contain_text("辞退されました")
        assert '"refused"' not in ben.said()

        # Raised again after the refusal, closed by the staff, open again.
        await aoi.see("hand").click()
        await expect(mika.see("hand-card")).to_have_attribute("data-state", "raised")
        await mika.see("hands-open").uncheck()
        await expect(mika.see("hand-card")).to_have_count(0)
        await expect(aoi.see("hand")).to_have_attribute("aria-disabled", "true")
        await aoi.see("hand").click(force=True)
        await expect(aoi.see("toasts")).to_contain_text("いまは挙手を受けていません")
        await mika.see("hands-open").check()
        await aoi.see("hand").click()
        await mika.see("invite").click()
        await aoi.see("invitation-accept").click()
        await expect(aoi.see("guest")).to_have_attribute("data-state", "checking")
        await mika.see("bring-on").click()
        await expect(aoi.see("guest")).to_have_attribute("data-state", "on_stage")
        await expect(aoi.see("announce-stage")).to_contain_text("青木さんが舞台に上がりました")
        await aoi.see("step-down").click()
        await expect(aoi.see("guest")).to_have_count(0)
        await expect(mika.see("hand-card")).to_have_count(0)
        assert await aoi.page.evaluate("document.activeElement !== document.body")
    assert mika.troubles == aoi.troubles == []


async def test_a_muted_microphone_is_silent_and_a_stopped_stage_dark_for_everybody_else(chromium, hall):
    scene = Scene(chromium, hall)
    sara, mika = await scene.enters("speaker", "佐藤"), await scene.enters("moderator", "美香")
    aoi = await scene.enters("attendee", "青木")
    await sent(sara)
    await watches(aoi, 1)

    async def heard():
        return round(energy(await aoi.rows()), 9)

    async def drawn():
        return frames(await aoi.rows())

    await person(mika, "佐藤", "menu-mute-mic")
    await expect(sara.see("publish-bar")).to_contain_text("司会がマイクを止めています")
    await until(lambda: stays(heard), within=8)
    assert not await stays(drawn), "the picture goes on"
    await person(mika, "佐藤", "menu-mute-mic")

    async def louder():
        return not await stays(heard, 0.5)

    await until(louder, within=8)

    await person(mika, "佐藤", "menu-mute-camera")
    await expect(sara.see("server-muted")).to_have_text("司会がカメラを隠しています。")
    await until(lambda: stays(drawn), within=8)
    await person(mika, "佐藤", "menu-mute-camera")
    await expect(sara.see("server-muted")).to_have_count(0)

    await mika.see("tab-safety").click()
    await mika.see("stop-all").click()
    await mika.see("stop-all-dialog-yes").click()
    await expect(aoi.see("stage")).to_contain_text("舞台を少し止めています")
    await expect(aoi.see("send")).to_have_attribute("aria-disabled", "true")
    await until(lambda: stays(heard), within=8)
    await until(lambda: stays(drawn), within=8)
    await expect(mika.see("acts")).to_contain_text("全部止めました")
    await mika.see("lift-veil").click()
    await expect(aoi.see("stage")).not_to_contain_text("舞台を少し止めています")
    await expect(mika.see("acts").locator("li").first).to_contain_text("美香 舞台をもう一度映しました")
    await watches(aoi, 1)
    for guest in (mika, sara, aoi):
        assert guest.troubles == []


async def test_a_shared_screen_is_stopped_and_its_owner_told(chromium, hall):
    scene = Scene(chromium, hall)
    sara, mika = await scene.enters("speaker", "佐藤"), await scene.enters("moderator", "美香")
    aoi = await scene.enters("attendee", "青木")
    await sent(sara)
    await sara.see("screen").click()
    picture = aoi.page.locator('video[data-source="screen"]')
    await expect(picture).to_be_visible(timeout=20_000)
    await person(mika, "佐藤", "menu-mute-screen")
    await expect(picture).to_have_count(0, timeout=20_000)
    await expect(sara.see("server-muted")).to_have_text("司会が画面の共有を止めています。")
    await expect(sara.see("screen")).to_have_attribute("aria-pressed", "false")
    await expect(sara.page.locator("figure.screen")).to_have_count(0)
    await sara.see("screen").click(force=True)
    await expect(sara.see("toasts")).to_contain_text("司会が画面の共有を止めています")
    await person(mika, "佐藤", "menu-mute-screen")
    await expect(sara.see("server-muted")).to_have_count(0)
    await expect(picture).to_have_count(0)
    await sara.see("screen").click()
    await expect(picture).to_be_visible(timeout=20_000)
    for guest in (mika, sara, aoi):
        assert guest.troubles == []


async def test_who_is_muted_is_told_and_who_is_removed_is_out_within_a_second(chromium, hall):
    scene = Scene(chromium, hall)
    mika, aoi = await scene.enters("moderator", "美香"), await scene.enters("attendee", "青木")
    link = scene.link("attendee", "別所")
    ben = await Guest.at(chromium)
    await ben.enter(link, "別所")
    await person(mika, "別所", "menu-mute")
    await expect(ben.page.get_by_text("いまは発言と質問が止められています").first).to_be_visible()
    await expect(ben.see("ask-open")).to_have_attribute("aria-disabled", "true")
    assert "止められています" not in await aoi.page.content()
    await person(mika, "別所", "menu-mute")
    await says(ben, "戻りました")
    await expect(message(aoi, "戻りました")).to_be_visible()

    await person(mika, "別所", "menu-remove")
    await mika.see("remove-block").check()
    await mika.see("remove-yes").click()
    await expect(ben.see("gone")).to_have_attribute("data-code", "4503", timeout=1000)
    await expect(ben.see("gone")).to_contain_text("参加していません")
    await ben.page.reload()
    await expect(ben.see("room")).to_have_count(0)
    await expect(ben.page.get_by_text(re.compile("参加していません|入れません"))).to_be_visible()
    await ben.leave()
    again = await Guest.at(chromium)
    await again.page.goto(link)
    await expect(again.page.get_by_role("alert").get_by_text("この会には入れません")).to_be_visible()
    await expect(again.see("enter")).to_have_count(0)
    await expect(aoi.see("room")).not_to_contain_text("退出")
    await mika.see("tab-door").click()
    await expect(mika.see("door-list")).to_contain_text("別所")
    await mika.see("tab-safety").click()
    await expect(mika.see("acts")).to_contain_text("美香 退出してもらいました： 別所")
    assert mika.troubles == aoi.troubles == []


async def test_a_second_tab_takes_over_and_gives_back(chromium, hall):
    scene = Scene(chromium, hall)
    link = scene.link("attendee", "青木")
    first = await Guest.at(chromium)
    await first.enter(link, "青木")
    await first.see("composer").fill("一枚目の書きかけ")
    second = Guest(await first.page.context.new_page())
    await second.enter(link, "青木")
    await expect(first.see("gone")).to_have_attribute("data-code", "4509")
    await expect(first.see("gone")).to_contain_text("別の画面で参加中です")
    await first.see("use-this-tab").click()
    await expect(first.see("composer")).to_have_value("一枚目の書きかけ")
    await expect(second.see("gone")).to_have_attribute("data-code", "4509")
    await asks(first, "どちらの画面からでも一人ですか？")
    await first.see("tab-questions").click()
    await expect(first.see("own-question")).to_have_count(1)
    assert first.troubles == second.troubles == []


async def test_leaving_on_purpose_and_coming_back(chromium, hall):
    scene = Scene(chromium, hall)
    async with scene.bot("moderator", "美香") as mika:
        aoi = await scene.enters("attendee", "青木")
        inside = await mika.holds(lambda room: [p for p, role in room.people.items() if role == "attendee"])
        me = inside[0]
        await aoi.see("room-menu").click()
        await aoi.see("menu-leave").click()
        await aoi.page.keyboard.press("Escape")
        await expect(aoi.see("room")).to_be_visible()
        await aoi.see("room-menu").click()
        await aoi.see("menu-leave").click()
        await aoi.see("leave-dialog-yes").click()
        await expect(aoi.see("enter")).to_be_visible()
        await mika.holds(lambda room: me not in room.people)
        await aoi.see("enter").click()
        await expect(aoi.see("room")).to_be_visible()
        await mika.holds(lambda room: me in room.people)
    assert aoi.troubles == []


async def test_nods_are_shown_from_five_people_on_and_only_as_a_number(chromium, hall):
    scene = Scene(chromium, hall)
    sara, aoi = await scene.enters("speaker", "佐藤"), await scene.enters("attendee", "青木")
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(scene.bot("attendee", f"客{n}")) for n in range(5)]
        await aoi.see("nod").click()
        for bot in crowd[:3]:
            await bot.send(Signal(kind="nod"))
            await bot.send(Signal(kind="nod"))
        await crowd[4].send(Signal(kind="empathy"))
        await asyncio.sleep(1.2)  # two ticks in which a number from four people would have come
        await expect(aoi.page.locator(".signal-count")).to_have_count(0)
        await crowd[3].send(Signal(kind="nod"))
        await expect(aoi.see("nod").locator(".signal-count")).to_have_text("5")
        await expect(sara.see("waves")).to_contain_text("うなずき 5")
        await expect(aoi.see("signal-empathy").locator(".signal-count")).to_have_count(0)
        # The wave goes by, and the number with it.
        await expect(aoi.page.locator(".signal-count")).to_have_count(0, timeout=20_000)
        assert crowd[0].welcome.you.id not in "".join(f for f in crowd[1].frames if '"signals"' in f)
