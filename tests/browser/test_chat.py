"""The chat, as people at browsers use it."""

from playwright.async_api import expect

from rooms.chat import Pin, Post, SetChatRules
from tests.browser.people import PHONE, Guest
from tests.browser.scene import Scene, chooses, fills, fits, message, says
from tests.kit.line import Line
from tests.kit.polling import until

FIND = """const one = (w) => [...document.querySelectorAll('[data-testid=message]')]
  .find((m) => m.innerText.includes(w));"""
TOP = f"(words) => {{ {FIND} return one(words).getBoundingClientRect().top; }}"
FIRST = """() => {
  const box = document.querySelector('[data-testid=messages-main]').getBoundingClientRect();
  const all = [...document.querySelectorAll('[data-testid=message]')];
  return all.find((m) => m.getBoundingClientRect().top >= box.top).innerText.match(/発言\\d+/)[0];
}"""


async def test_who_comes_late_reads_back_and_nothing_moves_under_the_eyes(chromium, hall):
    scene = Scene(chromium, hall)
    await fills(scene, 150)
    async with scene.bot("moderator", "美香") as mika:
        aoi = await scene.enters("attendee", "青木")
        await expect(message(aoi, "発言149")).to_be_in_viewport()
        await expect(message(aoi, "発言070")).to_have_count(1)
        await expect(message(aoi, "発言069")).to_have_count(0)
        box = aoi.see("messages-main")
        await box.evaluate("(box) => { box.scrollTop = 30; }")
        at = await aoi.page.evaluate(TOP, "発言071")
        await expect(message(aoi, "発言020")).to_have_count(1)
        assert abs(await aoi.page.evaluate(TOP, "発言071") - at) < 40, "a page of history moved the reader"
        await box.evaluate("(box) => { box.scrollTop = 0; }")
        await expect(message(aoi, "発言000")).to_have_count(1)
        await expect(aoi.see("message")).to_have_count(150)

        # News while reading back: announced by a button, and nothing moves.
        await box.evaluate("(box) => { box.scrollTop = 300; }")
        words = await aoi.page.evaluate(FIRST)
        at = await aoi.page.evaluate(TOP, words)
        await mika.asks(Post(text="新しい知らせ"))
        more = aoi.page.get_by_text("新着 1件")
        await expect(more).to_be_visible()
        assert abs(await aoi.page.evaluate(TOP, words) - at) < 2
        await more.click()
        await expect(message(aoi, "新しい知らせ")).to_be_in_viewport()
        assert aoi.troubles == []


async def test_reply_react_edit_pin_delete(chromium, hall):
    scene = Scene(chromium, hall)
    mika, aoi = await scene.enters("moderator", "美香"), await scene.enters("attendee", "青木")
    await mika.see("tab-chat").click()
    await says(aoi, "はじめまして")
    await expect(message(mika, "はじめまして")).to_be_visible()

    await chooses(mika, message(mika, "はじめまして"), "message-menu", "reply")
    await expect(mika.see("composer")).to_be_focused()
    await mika.page.keyboard.press("Escape")
    await expect(mika.page.locator(".composer-about")).to_have_count(0)
    await chooses(mika, message(mika, "はじめまして"), "message-menu", "reply")
    await says(mika, "ようこそ")
    await expect(message(aoi, "ようこそ").locator(".quote")).to_contain_text("はじめまして")

    await chooses(mika, message(mika, "はじめまして").first, "message-menu", "react-heart")
    heart = message(aoi, "はじめまして").first.locator(".reaction")
    await expect(heart).to_contain_text("1")
    await heart.click()
    await expect(message(mika, "はじめまして").first.locator(".reaction")).to_contain_text("2")
    await heart.click()
    await expect(heart).to_contain_text("1")

    await chooses(aoi, message(aoi, "はじめまして").first, "message-menu", "edit")
    await expect(aoi.see("composer")).to_have_value("はじめまして")
    await says(aoi, "はじめまして、青木です")
    await expect(message(mika, "青木です").first).to_contain_text("編集済み")

    await chooses(mika, message(mika, "青木です").first, "message-menu", "pin")
    await expect(aoi.page.locator(".pins")).to_contain_text("青木です")
    await aoi.see("message-menu").first.evaluate("(menu) => menu.click()")
    await expect(aoi.see("pin")).to_have_count(0)
    await expect(aoi.see("to-question")).to_have_count(0)
    await aoi.page.keyboard.press("Escape")

    await chooses(mika, message(mika, "青木です").first, "message-menu", "delete")
    await expect(aoi.page.get_by_text("司会が削除しました").first).to_be_visible()
    await expect(aoi.page.locator(".pins")).to_have_count(0)
    assert "青木です" not in await aoi.page.content()
    await says(aoi, "自分で消します")
    await chooses(aoi, message(aoi, "自分で消します"), "message-menu", "delete")
    await expect(mika.page.get_by_text("本人が削除しました").first).to_be_visible()
    # The menu that had the focus is gone; the focus is not.
    assert await aoi.page.evaluate("document.activeElement !== document.body")
    assert aoi.troubles == mika.troubles == []


async def test_slow_mode_counts_down_for_all_but_the_staff(chromium, hall):
    scene = Scene(chromium, hall)
    mika, aoi = await scene.enters("moderator", "美香"), await scene.enters("attendee", "青木")
    await mika.see("tab-safety").click()
    await mika.see("slow").select_option("5")
    await expect(aoi.page.get_by_text("5秒に1回")).to_be_visible()
    await says(aoi, "ひとつめ")
    await expect(aoi.page.get_by_text("あと4秒")).to_be_visible()
    await says(aoi, "ふたつめ")
    await expect(aoi.see("send")).to_have_attribute("aria-disabled", "true")
    await expect(aoi.see("composer")).to_have_value("ふたつめ")
    await mika.see("tab-chat").click()
    for words in ("司会は", "待ちません"):
        await says(mika, words)
        await expect(message(aoi, words)).to_be_visible()
    await expect(aoi.see("send")).not_to_have_attribute("aria-disabled", "true")
    await aoi.see("composer").press("Enter")
    await expect(message(mika, "ふたつめ")).to_be_visible()


async def test_held_messages_wait_for_a_moderator_and_go_both_ways(chromium, hall):
    scene = Scene(chromium, hall)
    mika, aoi = await scene.enters("moderator", "美香"), await scene.enters("attendee", "青木")
    async with scene.bot("attendee", "別所") as ben:
        await mika.see("tab-safety").click()
        await mika.see("hold").check()
        await expect(aoi.page.get_by_text("司会が読んでから表示されます")).to_be_visible()
        await says(aoi, "これはよい")
        await expect(aoi.page.get_by_text("司会の確認を待っています")).to_be_visible()
        await says(aoi, "これはだめ")
        await expect(mika.see("held")).to_have_count(2)
        assert "これは" not in ben.said()
        await mika.see("held-post").first.click()
        await ben.holds(lambda room: [m.text for m in room.messages.values()] == ["これはよい"])
        await mika.see("held-drop").first.click()
        await expect(mika.see("held")).to_have_count(0)
        await expect(message(aoi, "これはよい")).to_have_count(1)
        await expect(aoi.see("message-dropped")).to_contain_text("これはだめ")
        assert "これはだめ" not in ben.said()
        await mika.see("hold").uncheck()
        await says(aoi, "そのまま")
        await ben.holds(lambda room: "そのまま" in [m.text for m in room.messages.values()])


async def test_staff_and_backstage_channels_reach_nobody_else(chromium, hall):
    scene = Scene(chromium, hall)
    mika, sara = await scene.enters("moderator", "美香"), await scene.enters("speaker", "佐藤")
    async with scene.bot("attendee", "別所") as ben, scene.bot("speaker", "田中") as taro:
        await mika.see("tab-staff").click()
        await says(mika, "スタッフだけの話", "staff")
        await expect(message(mika, "スタッフだけの話")).to_be_visible()
        await says(sara, "楽屋だけの話", "backstage")
        await taro.holds(lambda room: "楽屋だけの話" in [m.text for m in room.messages.values()])
        # Unread dots, where it was not looked at.
        await expect(mika.see("tab-backstage").locator(".dot")).to_have_count(1)
        await mika.see("tab-backstage").click()
        await expect(message(mika, "楽屋だけの話")).to_be_visible()
        await expect(mika.see("tab-backstage").locator(".dot")).to_have_count(0)
        await ben.asks(Post(text="会場の声"))
        await expect(sara.see("tab-chat").locator(".dot")).to_have_count(1)
        await expect(mika.see("tab-chat").locator(".dot")).to_have_count(1)
        assert "スタッフだけ" not in taro.said() + ben.said() + await sara.page.content()
        assert "楽屋だけ" not in ben.said()
        await expect(sara.see("tab-staff")).to_have_count(0)


async def test_a_message_is_shown_at_once_and_a_refused_one_can_be_sent_again(chromium, hall):
    scene = Scene(chromium, hall)
    async with Line(hall.port) as line, scene.bot("moderator", "美香") as mika:
        aoi = await Guest.at(chromium)
        ticket = hall.ticket(scene.session.id, "attendee", "青木")
        await aoi.enter(f"{line.url}/s/{scene.session.id}#t={ticket}", "青木")
        await expect(aoi.see("line")).to_have_attribute("data-state", "connected")
        line.cut()
        await expect(aoi.see("reconnecting")).to_be_visible()
        await says(aoi, "線が切れたあと")
        pending = aoi.see("message-pending")
        await expect(pending).to_have_attribute("data-state", "queued")
        await expect(pending).to_contain_text("つながったら送ります")
        await expect(aoi.see("hand")).to_have_attribute("aria-disabled", "true")
        await aoi.see("hand").click(force=True)
        await expect(aoi.see("toasts")).to_contain_text("つながると、また使えます")
        await mika.asks(SetChatRules(closed=True))
        await mika.asks(Post(text="ひとつ"))
        await mika.asks(Post(text="ふたつ"))
        line.mend()
        await expect(pending).to_have_attribute("data-state", "failed", timeout=15_000)
        await expect(aoi.see("announce-line")).to_have_text("つながりました。未読 2件")
        await expect(pending).to_contain_text("チャットを閉じています")
        await mika.asks(SetChatRules(closed=False))
        await aoi.see("resend").click()
        await expect(message(aoi, "線が切れたあと").locator("time")).to_be_visible()
        await expect(pending).to_have_count(0)
        await mika.holds(lambda room: [m.text for m in room.messages.values()].count("線が切れたあと") == 1)
        await aoi.leave()


async def test_language_theme_and_reload_keep_everything(chromium, hall):
    scene = Scene(chromium, hall)
    aoi = await scene.enters("attendee", "青木", size=PHONE, touch=True)
    async with scene.bot("moderator", "美香") as mika:
        await mika.asks(Post(text="長い" + "ながい" * 80 + "https://example.com/" + "a" * 200))
        long = await mika.holds(lambda room: list(room.messages))
        await mika.asks(Pin(id=long[0]))
        await aoi.see("composer").fill("書きかけ")
        await aoi.see("hand").click()
        await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "true")
        for entry in ("menu-language", "menu-theme"):
            await aoi.see("room-menu").click()
            await aoi.see(entry).click()
            await expect(aoi.see("composer")).to_have_value("書きかけ")
            await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "true")
            assert await fits(aoi.page)
        await expect(aoi.see("tab-chat")).to_have_text("Chat")
        await aoi.page.reload()
        await expect(aoi.see("room")).to_be_visible()
        await expect(aoi.see("composer")).to_have_value("書きかけ")
        await expect(aoi.see("hand")).to_have_attribute("aria-pressed", "true")
        await expect(aoi.see("tab-chat")).to_have_text("Chat")
        assert len([one for one in mika.mirror.people.values() if one == "attendee"]) == 1
        for tab in ("questions", "people", "chat"):
            await aoi.see(f"tab-{tab}").click()
            assert await fits(aoi.page), tab
    assert aoi.troubles == []


async def test_a_screen_reader_hears_what_is_new_in_batches(chromium, hall):
    scene = Scene(chromium, hall)
    await fills(scene, 90)
    async with scene.bot("moderator", "美香") as mika:
        aoi = await scene.enters("attendee", "青木")
        said = aoi.see("announce-chat")
        await aoi.see("messages-main").evaluate("(box) => { box.scrollTop = 0; }")
        await expect(message(aoi, "発言000")).to_have_count(1)
        await expect(said).to_have_text("")
        for words in ("いち", "に", "さん"):
            await mika.asks(Post(text=words))
        await expect(said).to_have_text("チャット: 新着 3件. 美香: さん", timeout=8000)
        assert await aoi.page.locator("[aria-live=polite] [data-testid=message]").count() == 0

        async def quiet():
            return await said.inner_text()

        assert "新着 3件" in await until(quiet)
    assert aoi.troubles == []
