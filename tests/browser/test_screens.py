"""Every screen, in both languages, on a desk and on a phone: axe has nothing to say, nothing overflows.

Pictures go to `screenshots/` (or `MADOI_SCREENSHOTS`), to be looked at by people.
"""

import os
from pathlib import Path

import pytest
from playwright.async_api import expect

from rooms.door import Remove
from tests.browser.people import DESKTOP, PHONE, Guest
from tests.browser.scene import Scene
from tests.browser.test_session import sent, watches

ROOT = Path(__file__).parents[2]
PICTURES = Path(os.environ.get("MADOI_SCREENSHOTS", ROOT / "screenshots"))
PICTURES.mkdir(exist_ok=True)
AXE = (ROOT / "static" / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CHATTER = [
    "はじめまして。児童相談所で心理職をしています。",
    "職場に同じ職種がいないので、こういう場がありがたいです",
    "「巻き込まれ」と「共感」の違い、いつも迷います",
    "前回のお話、翌日の面接でさっそく助けられました。ありがとうございました。",
]
QUESTIONS = [
    "面接の終わりに泣き出したとき、時間をどう扱っていますか？",
    "家族への説明と守秘義務を、どう両立させていますか？",
    "一人職場で、スーパーヴィジョンの代わりになるものはありますか？",
]


async def complaints(guest):
    """Ask axe what it finds on the page; what it does not find is not worked out."""
    if not await guest.page.evaluate("'axe' in window"):
        await guest.page.evaluate(AXE)
    return await guest.page.evaluate(
        "async (options) => (await axe.run(document, options)).violations"
        ".map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 140))}`)",
        {"runOnly": TAGS, "resultTypes": ["violations"], "selectors": False},
    )


async def looked_at(guest, name):
    """Take the picture, and ask axe and the page's width what they think of it."""
    await guest.page.wait_for_load_state("networkidle")
    await guest.page.screenshot(path=PICTURES / f"{name}.png")
    found = await complaints(guest)
    assert found == [], name
    assert await guest.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (
        f"{name} overflows"
    )
    assert guest.troubles == []


def words(lang, ja, en):
    return ja if lang == "ja" else en


async def converse(aoi, ben, desk):
    """Fill the room with talk and questions."""
    for guest, line in zip((aoi, ben, aoi, ben), CHATTER, strict=True):
        await guest.see("composer").fill(line)
        await guest.see("composer").press("Enter")
        await expect(guest.page.get_by_text(line).first).to_be_visible()
    for guest in (aoi, ben):
        await guest.see("tab-questions").click()
        await guest.see("ask-open-panel" if desk else "ask-open").click()
        await guest.see("ask-text").fill(QUESTIONS[0 if guest is aoi else 1])
        await guest.see("ask-send").click()
        await expect(guest.see("own-question").first).to_be_visible()


@pytest.mark.parametrize(("size", "desk"), [(DESKTOP, True), (PHONE, False)], ids=["desk", "phone"])
@pytest.mark.parametrize("lang", ["ja", "en"])
async def test_every_screen(chromium, server, lang, size, desk):
    where = f"{lang}-{'desk' if desk else 'phone'}"

    async def guest():
        return await Guest.at(chromium, size=size, lang=lang, touch=not desk)

    # The organiser: start page, list, a session made in a minute, its page.
    olga = await guest()
    await olga.page.goto(server.url)
    await looked_at(olga, f"{where}-01-start")
    await olga.page.goto(server.organise)
    await expect(olga.see("session-new")).to_be_visible()
    await looked_at(olga, f"{where}-02-list-empty")
    await olga.see("session-new").click()
    await olga.see("title").fill(
        words(lang, "境界線と共感 ── 精神科医 × 臨床心理士", "Boundaries and empathy")
    )
    await looked_at(olga, f"{where}-03-create")
    await olga.see("session-create").click()
    await expect(olga.see("session-title")).to_be_visible()
    await looked_at(olga, f"{where}-04-session")
    await olga.see("qr-attendee").click()
    await looked_at(olga, f"{where}-05-qr")
    session = olga.page.url.rsplit("/", 1)[1].partition("#")[0].partition("?")[0]

    def link(role, name):
        return server.page(session, server.ticket(session, role, name))

    # The door, and waiting behind it.
    chie = await guest()
    links = server.ask("GET", f"/api/sessions/{session}").json()["links"]
    await chie.page.goto(links["attendee"])
    await expect(chie.see("name")).to_be_visible()
    await looked_at(chie, f"{where}-06-door")
    await chie.see("check-devices").click()
    await expect(chie.see("level")).to_be_visible()
    await looked_at(chie, f"{where}-07-device-check")
    await chie.see("name").fill(words(lang, "千絵", "Chie"))
    await chie.see("enter").click()
    await expect(chie.see("waiting")).to_be_visible()
    await chie.see("door-composer").fill(words(lang, "少し早く着きました", "I am a little early"))
    await chie.see("door-composer").press("Enter")
    await looked_at(chie, f"{where}-08-waiting")

    # Backstage, the board and the room, live.
    server.move(session, "doors")
    sara, taro = await guest(), await guest()
    for speaker, name in ((sara, "佐藤 沙羅"), (taro, "田中 太郎")):
        await speaker.enter(link("speaker", name), name)
        await sent(speaker)
    await looked_at(sara, f"{where}-09-backstage")
    mika = await guest()
    await mika.enter(link("moderator", "美香"), "美香")
    await mika.see("tab-door").click()
    await looked_at(mika, f"{where}-10-moderator-door")
    server.move(session, "live")
    aoi, ben = await guest(), await guest()
    await aoi.enter(link("attendee", "青木 葵"), "青木 葵")
    await ben.enter(link("attendee", "別所 勉"), "別所 勉")
    await watches(aoi, 2)
    await converse(aoi, ben, desk)
    await mika.see("tab-board").click()
    await expect(mika.page.locator('[data-testid="board-card"]')).to_have_count(2)
    await looked_at(mika, f"{where}-11-board")
    for step in ("approve", "queue-next", "take"):
        if not desk:
            await mika.see(
                {"approve": "column-tab-pending", "queue-next": "column-tab-open", "take": "column-tab-next"}[
                    step
                ]
            ).click()
        await mika.see(step).first.click()
    if not desk:
        await mika.see("column-tab-pending").click()
    await mika.see("approve").first.click()
    await expect(aoi.see("now-answering")).to_be_visible()
    await aoi.see("hand").click()
    await looked_at(aoi, f"{where}-12-room-questions")
    if not desk:
        await aoi.see("signals-more").click()
        await looked_at(aoi, f"{where}-12-room-signals")
        await aoi.see("tab-chat").click()
        await expect(aoi.see("signal-empathy")).to_be_hidden()
    await aoi.see("tab-chat").click()
    await looked_at(aoi, f"{where}-13-room-chat")
    await aoi.see("tab-people").click()
    await looked_at(aoi, f"{where}-14-room-people")
    await aoi.see("ask-open").click()
    await aoi.see("ask-text").fill("〇〇病院の山田さんのことなのですが")
    await looked_at(aoi, f"{where}-15-ask")
    await aoi.page.keyboard.press("Escape")
    await expect(sara.see("current-question")).to_contain_text("？")
    await looked_at(sara, f"{where}-16-speaker-live")
    for tab in ("hands", "safety", "people", "stage"):
        if await mika.see(f"tab-{tab}").count():
            await mika.see(f"tab-{tab}").click()
            await looked_at(mika, f"{where}-17-moderator-{tab}")

    # A poll: the form, the call under the stage, the ballot, the results for all and large for who speaks.
    await mika.see("tab-polls").click()
    await mika.see("poll-new").click()
    await mika.see("poll-text").fill(words(lang, "次回に聴きたいのは", "What would you like next?"))
    for at, option in enumerate(words(lang, ("家族面接", "多職種の連携"), ("Families", "Working in teams"))):
        await mika.see("poll-option-text").nth(at).fill(option)
    await looked_at(mika, f"{where}-20-poll-form")
    await mika.see("poll-save").click()
    await mika.see("poll-open").click()
    await expect(aoi.see("poll-call")).to_be_visible()
    await looked_at(aoi, f"{where}-21-poll-call")
    await aoi.see("poll-go").click()
    await aoi.see("poll-option").first.check()
    await aoi.see("poll-cast").click()
    await expect(aoi.see("poll-done")).to_be_visible()
    await looked_at(aoi, f"{where}-22-poll-voted")
    await looked_at(mika, f"{where}-23-poll-desk")
    await mika.see("poll-close").click()
    for person, screen in ((aoi, "24-poll-results"), (sara, "25-poll-speaker")):
        await expect(person.see("poll-results")).to_be_visible()
        await looked_at(person, f"{where}-{screen}")

    # A lost line says so; the end thanks.
    server.kill()
    await expect(ben.see("reconnecting")).to_be_visible()
    await looked_at(ben, f"{where}-18-reconnecting")
    server.start()
    for person in (ben, aoi):
        await expect(person.see("reconnecting")).to_have_count(0, timeout=20_000)
    server.move(session, "after")
    await expect(aoi.see("after")).to_be_visible()
    await looked_at(aoi, f"{where}-19-after")


@pytest.mark.parametrize(("lang", "size"), [("ja", PHONE), ("en", DESKTOP)], ids=["ja-phone", "en-desk"])
async def test_doors_that_stay_closed_say_why(chromium, hall, lang, size):
    where = f"{lang}-{'phone' if size is PHONE else 'desk'}"
    scene = Scene(chromium, hall, state="doors", door="open")
    made = scene.session
    guest = await Guest.at(chromium, lang=lang, size=size, touch=size is PHONE)

    async def opened(address, testid):
        await guest.page.goto("about:blank")
        await guest.page.goto(address)
        await expect(guest.see(testid)).to_be_visible()

    await opened(hall.page("nowhere", "x"), "missing")
    await looked_at(guest, f"{where}-30-missing")
    await opened(f"{hall.url}/s/{made.id}", "keeps")
    await looked_at(guest, f"{where}-31-no-link")
    await opened(hall.page(made.id, made.ticket("attendee")[:-4] + "AAAA"), "refused")
    await expect(guest.see("enter")).to_have_count(0)
    await looked_at(guest, f"{where}-32-bad-link")
    async with scene.bot("moderator", "美香") as mika, scene.bot("attendee", "別所") as ben:
        await mika.asks(Remove(person=ben.welcome.you.id, block=True))
    await opened(hall.page(made.id, ben.ticket), "refused")
    await looked_at(guest, f"{where}-33-blocked")

    # Without a name nobody enters; what can be mended is said beside its field.
    await opened(hall.page(made.id, made.ticket("attendee")), "name")
    await guest.see("enter").click()
    await expect(guest.page.get_by_role("alert")).to_be_visible()
    await looked_at(guest, f"{where}-34-nameless")
    await guest.see("name").fill(words(lang, "青木", "Aoki"))
    await guest.see("enter").click()
    await guest.see("room-menu").click()
    await guest.see("menu-data").click()
    await guest.see("tier-audio").check()
    await looked_at(guest, f"{where}-35-data-tier")
    await guest.page.keyboard.press("Escape")
    await guest.see("room-menu").click()
    await looked_at(guest, f"{where}-36-room-menu")
    await guest.see("menu-delete").click()
    await looked_at(guest, f"{where}-37-delete")
    await guest.see("delete-dialog-yes").click()
    await expect(guest.see("deleted")).to_be_visible()
    await looked_at(guest, f"{where}-38-deleted")


async def test_axe_would_say_so(chromium, server):
    """Negative control: a page with a nameless button and faint text has findings."""
    guest = await Guest.at(chromium)
    await guest.page.goto(server.url)
    await guest.page.evaluate(
        "document.querySelector('main').append(document.createElement('button'));"
        "document.querySelector('main h1').style.color = '#eee'"
    )
    assert {finding.partition(":")[0] for finding in await complaints(guest)} >= {
        "button-name",
        "color-contrast",
    }
