"""The moderated questions, every step of them from the screens of those who take it."""

from playwright.async_api import expect

from rooms.chat import Post
from rooms.queue import Ask, Revise, Vote
from rooms.session import ChangeSettings
from tests.browser.people import PHONE, Guest, press_at_once
from tests.browser.scene import Scene, asks, card, chooses, fits, message
from tests.kit.line import Line
from tests.kit.polling import until

ONE = "面接の終わりに泣き出したとき、どう声をかけますか？"
TWO = "家族への説明と守秘義務を、どう両立させていますか？"
THREE = "一人職場で、見立てをどう確かめていますか？"


async def own(guest, state):
    await expect(guest.see("own-question").first).to_have_attribute("data-state", state)


async def sheet(guest, words=""):
    if words:
        await guest.see("sheet-text").fill(words)
    await guest.see("sheet-yes").click()


async def test_pending_returned_revised_declined_reopened(chromium, hall):
    scene = Scene(chromium, hall, qa={"moderated": True, "anonymity": "anonymous"})
    mika, ken, aoi = [
        await scene.enters(role, name)
        for role, name in (("moderator", "美香"), ("moderator", "健"), ("attendee", "青木"))
    ]
    async with scene.bot("attendee", "別所") as ben:
        await aoi.see("tab-questions").click()
        await asks(aoi, ONE)
        await own(aoi, "pending")

        # A mark tells the other moderator who looks at it.
        await chooses(mika, card(mika, ONE), "card-menu", "claim-mark")
        await expect(card(ken, ONE).get_by_test_id("claim")).to_have_text("美香さんが確認中")

        await chooses(mika, card(mika, ONE), "card-menu", "return")
        await mika.see("reason-identifies_a_person").check()
        await sheet(mika, "地名を外してください")
        await own(aoi, "returned")
        await expect(aoi.see("own-question")).to_contain_text("地名を外してください")
        await aoi.see("revise").click()
        await expect(aoi.see("revise-text")).to_be_focused()
        await aoi.see("revise-text").fill("短い")
        await expect(aoi.see("revise-send")).to_have_attribute("aria-disabled", "true")
        await aoi.see("revise-text").fill(TWO)
        await aoi.see("revise-send").click()
        await own(aoi, "pending")
        await expect(card(mika, TWO)).to_have_attribute("data-state", "pending")

        # The reason for a decline is the asker's and the staff's only.
        await card(mika, TWO).get_by_test_id("decline").click()
        await mika.see("reason-out_of_scope").check()
        await sheet(mika, "次の会でぜひ")
        await own(aoi, "declined")
        await expect(aoi.see("own-question")).to_contain_text("今日のテーマから外れるため：次の会でぜひ")
        assert "次の会でぜひ" not in ben.said()
        assert TWO not in ben.said()

        await card(mika, TWO).get_by_test_id("reopen").click()
        await own(aoi, "open")
        await ben.holds(lambda room: [q.text for q in room.listed.values()] == [TWO])
        assert "青木" not in ben.said().partition("question_listed")[2]
    assert mika.troubles == ken.troubles == aoi.troubles == []


async def test_next_live_answered_passed_and_put_back(chromium, hall):
    scene = Scene(chromium, hall, qa={"moderated": True, "anonymity": "anonymous"})
    mika, sara, aoi = [
        await scene.enters(role, name)
        for role, name in (("moderator", "美香"), ("speaker", "佐藤"), ("attendee", "青木"))
    ]
    async with scene.bot("attendee", "別所") as ben, scene.bot("speaker", "田中") as taro:
        await aoi.see("tab-questions").click()
        await asks(aoi, ONE)
        await ben.asks(Ask(text=TWO))
        await chooses(mika, card(mika, ONE), "card-menu", "approve-edit")
        await expect(mika.see("sheet-text")).to_have_value(ONE)
        edited = ONE.replace("泣き出した", "涙を見せた")
        await sheet(mika, edited)
        await expect(aoi.see("own-question")).to_contain_text(edited)
        await card(mika, TWO).get_by_test_id("approve").click()
        for words in (edited, TWO):
            await card(mika, words).get_by_test_id("queue-next").click()
        order = mika.see("column-next").get_by_test_id("board-card")
        await expect(order.first).to_contain_text(edited)
        await card(mika, TWO).get_by_test_id("move-up").click()
        await expect(order.first).to_contain_text(TWO)
        await expect(sara.see("next-question").first).to_contain_text(TWO)
        await chooses(mika, card(mika, edited), "card-menu", "address")
        await expect(sara.see("next-question").nth(1)).to_contain_text("あなたへ")

        await sara.see("next-question").nth(1).get_by_test_id("take").click()
        await expect(aoi.see("now-answering")).to_contain_text(edited)
        await expect(sara.see("next-question")).to_have_count(1)
        await expect(sara.see("next-question").get_by_test_id("take")).to_have_attribute(
            "aria-disabled", "true"
        )
        await sara.see("pass").click()
        await sara.page.get_by_role("menuitem", name="田中").click()
        await expect(sara.see("current-question")).to_contain_text("田中さん")
        await taro.holds(lambda room: any(q.addressee == taro.welcome.you.id for q in room.listed.values()))
        await chooses(mika, card(mika, edited), "card-menu", "put-back")
        await expect(order.first).to_contain_text(edited)
        await expect(aoi.see("now-answering")).to_have_count(0)

        # Answered privately: the words are the asker's alone.
        await chooses(mika, card(mika, edited), "card-menu", "answer-private")
        await sheet(mika, "あとで個別に")
        await own(aoi, "answered")
        await expect(aoi.see("own-question")).to_contain_text("あとで個別に")
        assert "あとで個別に" not in ben.said() + taro.said() + await sara.page.content()

        # Taken, answered later in text, then in words for all; opened again.
        await card(mika, TWO).get_by_test_id("take").click()
        await sara.see("mark-text").click()
        await expect(card(mika, TWO)).to_have_attribute("data-state", "answered")
        await chooses(mika, card(mika, TWO), "card-menu", "answer-text")
        await sheet(mika, "同意書の書き方から始めます")
        listed = aoi.page.locator("[data-testid=question]", has_text=TWO)
        await expect(listed).to_contain_text("同意書の書き方")
        await card(mika, TWO).get_by_test_id("reopen").click()
        await expect(card(mika, TWO)).to_have_attribute("data-state", "open")
        await expect(listed).not_to_contain_text("同意書")
    for guest in (mika, sara, aoi):
        assert guest.troubles == []


async def test_who_acts_on_what_has_changed_is_told_and_overwrites_nothing(chromium, hall):
    scene = Scene(chromium, hall)
    mika, ken = await scene.enters("moderator", "美香"), await scene.enters("moderator", "健")
    async with scene.bot("attendee", "青木") as aoi:
        await aoi.asks(Ask(text=ONE))
        await chooses(mika, card(mika, ONE), "card-menu", "approve-edit")
        await mika.see("sheet-text").fill("前の文への手直しです")
        mine = await aoi.holds(lambda room: list(room.own))
        await aoi.asks(Revise(id=mine[0], text=TWO))
        await expect(mika.see("dialog-edit")).to_contain_text("いまの状態を表示しています")
        await expect(mika.see("dialog-edit")).to_contain_text(TWO)
        await sheet(mika)
        await expect(mika.see("toasts")).to_contain_text("先に動かしました")
        await expect(card(ken, TWO)).to_have_attribute("data-state", "pending")

        # Two at once: one wins, the other learns who.
        await press_at_once((mika, ken), "approve")
        await expect(card(ken, TWO)).to_have_attribute("data-state", "open")

        async def told():
            words = [await one.see("toasts").inner_text() for one in (mika, ken)]
            return ("健さんが先に動かしました" in words[0]) != ("美香さんが先に動かしました" in words[1])

        await until(told, within=5)


async def test_votes_move_for_all_and_the_order_waits_for_the_reader(chromium, hall):
    scene = Scene(chromium, hall)
    async with scene.bot("moderator", "美香") as mika, scene.bot("attendee", "別所") as ben:
        await mika.asks(ChangeSettings(moderated=False))
        for words in (ONE, TWO):
            await mika.asks(Ask(text=words))
        aoi = await scene.enters("attendee", "青木")
        await aoi.see("tab-questions").click()
        listed = await mika.holds(lambda room: len(room.listed) == 2 and room.listed)
        ids = {q.text: q.id for q in listed.values()}
        shown = aoi.see("question")
        await expect(shown.first).to_contain_text(TWO)
        await aoi.page.mouse.move(5, 5)
        await ben.asks(Vote(id=ids[ONE]))
        await expect(shown.first).to_contain_text(ONE)
        await expect(shown.first).to_contain_text("1人が知りたい")

        # While pointer or focus is inside, nothing moves; a button says how much would.
        await shown.nth(1).get_by_test_id("vote").click()
        await mika.signals_say(lambda votes: votes == {ids[ONE]: 1, ids[TWO]: 1})
        await ben.asks(Vote(id=ids[TWO]))
        await expect(shown.nth(1)).to_contain_text("2人が知りたい")
        await expect(aoi.see("apply-order")).to_have_text("並べ替える（2件）")
        await expect(shown.first).to_contain_text(ONE)
        await aoi.page.mouse.move(5, 5)
        await expect(shown.first).to_contain_text(ONE)
        await aoi.see("apply-order").click()
        await expect(shown.first).to_contain_text(TWO)
        await expect(aoi.see("apply-order")).to_have_count(0)

        # A vote can be taken back; one's own question cannot be voted for.
        await shown.first.get_by_test_id("vote").click()
        await mika.signals_say(lambda votes: votes == {ids[ONE]: 1, ids[TWO]: 1})
        await asks(aoi, THREE)
        mine = aoi.page.locator("[data-testid=question]", has_text=THREE)
        await expect(mine).to_be_visible()
        await expect(mine.get_by_test_id("vote")).to_have_count(0)
        # Choosing another order is obeyed at once, though the focus is inside.
        await aoi.page.locator(".questions-head select").select_option("new")
        await expect(shown.first).to_contain_text(THREE)
        assert aoi.troubles == []


async def test_merging_counts_each_voter_once_and_chat_becomes_a_question(chromium, hall):
    scene = Scene(chromium, hall)
    mika = await scene.enters("moderator", "美香")
    async with scene.bot("attendee", "青木") as aoi, scene.bot("attendee", "別所") as ben:
        await aoi.asks(Ask(text=ONE))
        await ben.asks(Ask(text=TWO))
        for words in (ONE, TWO):
            await card(mika, words).get_by_test_id("approve").click()
        ids = {
            q.text: q.id
            for q in (await aoi.holds(lambda room: len(room.listed) == 2 and room.listed)).values()
        }
        await aoi.asks(Vote(id=ids[TWO]))
        await ben.asks(Vote(id=ids[ONE]))
        await chooses(mika, card(mika, TWO), "card-menu", "merge")
        await expect(mika.see("merge-into")).to_contain_text(ONE)
        await sheet(mika)
        await expect(card(mika, TWO)).to_have_attribute("data-state", "merged")
        await expect(card(mika, ONE)).to_contain_text("1人が知りたい")
        await ben.holds(lambda room: room.own[ids[TWO]].into == ids[ONE])

        await aoi.asks(Post(text=THREE))
        await mika.see("tab-chat").click()
        await chooses(mika, message(mika, THREE), "message-menu", "to-question")
        await mika.see("tab-board").click()
        await expect(card(mika, THREE)).to_have_attribute("data-state", "open")
        await aoi.holds(lambda room: THREE in [q.text for q in room.own.values()])
    assert mika.troubles == []


async def test_the_form_says_what_it_does_before_it_is_done(chromium, hall):
    scene = Scene(chromium, hall, qa={"moderated": False, "anonymity": "anonymous"})
    aoi = await scene.enters("attendee", "青木", size=PHONE, touch=True)
    async with scene.bot("moderator", "美香") as mika, scene.bot("attendee", "別所") as ben:
        await ben.asks(Ask(text=ONE))
        await aoi.see("ask-open").click()
        box, send = aoi.see("ask-text"), aoi.see("ask-send")
        await expect(aoi.see("ask-who")).to_contain_text("参加者には見えません。司会には見えます")
        await aoi.see("ask-named").check()
        await expect(aoi.see("ask-who")).to_contain_text("全員に表示されます")
        await box.fill("短い")
        await expect(send).to_have_attribute("aria-disabled", "true")
        await box.fill("あ" * 301)
        await expect(send).to_have_attribute("aria-disabled", "true")
        await expect(aoi.see("ask-dialog")).to_contain_text("1字多いです")
        await box.fill("田中太郎さんが中央病院で、1980年4月1日生まれ、090-1234-5678です")
        await expect(aoi.see("privacy-warning").locator("li")).to_have_count(4)
        await box.fill("面接の終わりに泣き出したときは、どう声をかけるのですか")
        await expect(aoi.see("similar")).to_contain_text(ONE)
        await aoi.see("similar").get_by_role("button").click()
        await mika.signals_say(lambda votes: list(votes.values()) == [1])
        assert await fits(aoi.page)
        # Reloading keeps the words.
        await aoi.page.reload()
        await aoi.see("ask-open").click()
        await expect(box).to_have_value("面接の終わりに泣き出したときは、どう声をかけるのですか")
        await send.click()
        await ben.holds(lambda room: len(room.listed) == 2)
    assert aoi.troubles == []


async def test_who_can_see_the_name_is_said_in_each_session(chromium, hall):
    for anonymity, sentence in (
        ("named", "お名前は、全員に表示されます"),
        ("full", "だれにも見えません。主催者にも"),
    ):
        scene = Scene(chromium, hall, qa={"moderated": True, "anonymity": anonymity})
        aoi = await scene.enters("attendee", "青木")
        async with scene.bot("moderator", "美香") as mika:
            await aoi.see("tab-questions").click()
            await aoi.see("ask-open").click()
            await expect(aoi.see("ask-who")).to_contain_text(sentence)
            await expect(aoi.see("ask-named")).to_have_count(0)
            await aoi.see("ask-text").fill(ONE)
            await aoi.see("ask-send").click()
            # Also who is fully anonymous sees the own question, and keeps it over a reload.
            await own(aoi, "pending")
            await aoi.page.reload()
            await aoi.see("tab-questions").click()
            await own(aoi, "pending")
            asked = (await mika.holds(lambda room: list(room.board.values())))[0]
            assert (asked.author == "") is (anonymity == "full")
            await aoi.see("withdraw").click()
            await own(aoi, "withdrawn")


async def test_closing_stops_questions_and_freezing_stops_all(chromium, hall):
    scene = Scene(chromium, hall, qa={"moderated": False, "anonymity": "named"})
    mika, aoi = await scene.enters("moderator", "美香"), await scene.enters("attendee", "青木")
    async with scene.bot("attendee", "別所") as ben:
        await ben.asks(Ask(text=ONE))
        await aoi.see("tab-questions").click()
        await expect(aoi.see("question")).to_contain_text("別所")
        await mika.see("tab-safety").click()
        await mika.see("questions-closed").check()
        await expect(aoi.see("ask-open")).to_have_attribute("aria-disabled", "true")
        await aoi.see("ask-open").click(force=True)
        await expect(aoi.see("toasts")).to_contain_text("新しい質問を受けていません")
        await aoi.see("vote").click()
        await expect(aoi.see("question")).to_contain_text("1人が知りたい")
        await mika.see("questions-frozen").check()
        await expect(aoi.see("vote")).to_have_attribute("aria-disabled", "true")
        await mika.see("questions-frozen").uncheck()
        await mika.see("questions-closed").uncheck()
        await mika.see("moderated").check()
        await asks(aoi, TWO)
        await own(aoi, "pending")
        await expect(aoi.see("question")).to_have_count(1)


async def test_a_moderator_with_a_phone_runs_the_queue(chromium, hall):
    scene = Scene(chromium, hall)
    mika = await scene.enters("moderator", "美香", size=PHONE, touch=True)
    async with scene.bot("attendee", "青木") as aoi:
        await aoi.asks(Ask(text=ONE))
        await mika.see("column-tab-pending").click()
        for act, column in (
            ("approve", "open"),
            ("queue-next", "next"),
            ("take", "live"),
            ("answered", "done"),
        ):
            await mika.page.locator(".board-column.shown").get_by_test_id(act).click()
            assert await fits(mika.page)
            await mika.see(f"column-tab-{column}").click()
        await aoi.holds(lambda room: [q.state for q in room.own.values()] == ["answered"])
    assert mika.troubles == []


async def test_a_question_that_waited_for_the_line_is_not_published_with_a_name_it_was_not_told(
    chromium, hall
):
    scene = Scene(chromium, hall, qa={"moderated": False, "anonymity": "full"})
    async with (
        scene.bot("moderator", "美香") as mika,
        scene.bot("attendee", "別所") as ben,
        Line(hall.port) as line,
    ):
        aoi = await Guest.at(chromium)
        await aoi.enter(scene.link("attendee", "青木").replace(hall.url, line.url), "青木")
        await aoi.see("tab-questions").click()
        line.cut()
        await expect(aoi.see("reconnecting")).to_be_visible(timeout=30_000)
        await asks(aoi, ONE)
        await mika.asks(ChangeSettings(anonymity="named"))
        line.mend()
        waits = aoi.see("question-sending")
        await expect(waits).to_have_attribute("data-state", "failed", timeout=20_000)
        await expect(waits).to_contain_text(ONE)
        await expect(aoi.see("sending-who")).to_have_text("お名前は、全員に表示されます。")
        assert ONE not in mika.said() + ben.said()
        await aoi.see("sending-again").click()
        await ben.holds(lambda room: [q.text for q in room.listed.values() if q.author] == [ONE])
        await expect(waits).to_have_count(0)
    assert aoi.troubles == []
