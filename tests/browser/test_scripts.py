"""What people type is text, in every field that a page shows: OWASP ASVS 5.0 1.2.1, 3.2.2 and 3.4.3.

Whatever runs, draws or reaches out instead of standing there as it was typed is a finding.
"""

import contextlib
import re

import pytest
from playwright.async_api import expect

from rooms import SetState, State
from rooms.chat import Pin, Post
from rooms.door import SayAtDoor, SendBack
from rooms.polling import ClosePoll, DraftPoll, OpenPoll, PollForm
from rooms.queue import Answer, Approve, Ask, LabelQuestion, ReturnQuestion
from rooms.session import ChangeSettings
from rooms.stage import SetTimer
from rooms.text import clean, clean_name
from tests.browser.firefox import Firefox
from tests.browser.people import FirefoxGuest, Guest
from tests.browser.scene import Bot, Scene
from tests.kit.polling import until
from tests.kit.server import MadoiServer

POISON = [
    "<script>pwned=1</script>",
    "<ScRiPt >pwned=1</sCrIpT\t>",
    "</title><script>pwned=1</script>",
    "</textarea><script>pwned=1</script>",
    "--><script>pwned=1</script><!--",
    "]]><script>pwned=1</script>",
    "<img src=x onerror=pwned=1>",
    "<img/src='x'/onerror='alert(1)'>",
    '"><img src=x onerror=pwned=1>',
    "' autofocus onfocus=pwned=1 x='",
    "<input autofocus onfocus=pwned=1>",
    "<details open ontoggle=pwned=1>x",
    "<body onload=pwned=1>",
    "<video><source onerror=pwned=1></video>",
    "<svg onload=pwned=1>",
    "<svg><script>pwned=1</script></svg>",
    "<svg><animate onbegin=pwned=1 attributeName=x>",
    "<math><a xlink:href=javascript:pwned=1>x</a>",
    "<iframe srcdoc='<script>parent.pwned=1</script>'>",
    "<object data=javascript:pwned=1></object>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>*{background:url(//evil.example/x)}</style>",
    "<p style=position:fixed;inset:0>cover</p>",
    "javascript:pwned=1",
    "javascript://x.example/%0apwned=1",
    "JaVa\tScRiPt:pwned=1",
    "data:text/html,<script>pwned=1</script>",
    "[x](javascript:pwned=1)",
    'https://evil.example/"onmouseover="pwned=1',
    "https://x.example/'><img src=x onerror=pwned=1>",
    "https://madoi.example@evil.example/",
    "{{constructor.constructor('pwned=1')()}}",
    "${pwned=1}#{pwned=1}<%=pwned=1%>",
    "&lt;script&gt;pwned=1&lt;/script&gt;&#x3c;b>",
    "\\u003cscript\\u003epwned=1\\x3c/script\\x3e",
    "__proto__",
    "constructor",
    "\u202egnp.exe\u202c \u2066<b>\u2069",
    "<b>\u0301\u0301<\u0338script>pwned=1",
    "<script>pwned=1</script>",
]
"""Our own spelling: tags, attributes, addresses, SVG, MathML, styles, templates, encodings, directions."""
SHORT = [words for words in POISON if len(words) <= 20]
ATTACKS = [
    "(() => { try { document.body.innerHTML = '<b>'; } catch (e) { return e instanceof TypeError; } })()",
    "fetch('https://evil.example/').then(() => false, () => true)",
    """(() => { const s = document.createElement('img'); s.src = 'https://evil.example/x.png';
      document.body.append(s); return true; })()""",
]
"""What the page's policy forbids: markup made from text, and reaching other sites."""
WATCH = """
addEventListener('securitypolicyviolation', (e) => (window.__csp ??= []).push(e.violatedDirective));
for (const name of ['alert', 'confirm', 'prompt']) window[name] = () => { window.pwned = name; };
"""
VERDICT = """({
  pwned: window.pwned ?? null, csp: window.__csp ?? [], here: location.origin,
  strange: [...document.querySelectorAll(
    'main script, main img, iframe, object, embed, base, main style, main link, main [style*=fixed]'
  )].map((one) => one.outerHTML),
  listening: [...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())
    .filter((name) => name.startsWith('on')),
  links: [...document.querySelectorAll('a[href]')].map((a) => a.protocol),
})"""
SAID = """document.title + ' ' + document.body.innerText + ' '
  + [...document.querySelectorAll('input, textarea')].map((one) => one.value).join(' ')"""


def joined(most):
    """As many of them as fit in one text, and which."""
    chosen, length = [], 0
    for words in POISON:
        if length + len(words) + 1 <= most:
            chosen.append(words)
            length += len(words) + 1
    return "\n".join(chosen), chosen


def squeezed(text):
    return re.sub(r"\s+", "", text)


def missing(said, texts):
    """Those texts that a page does not show as they were typed, but for what the server takes out."""
    said = squeezed(said)
    return [text for text in texts if squeezed(text) not in said]


def fair(verdict, url):
    assert verdict["pwned"] is None
    assert verdict["csp"] == []
    assert verdict["strange"] == verdict["listening"] == []
    assert set(verdict["links"]) <= {"http:", "https:"}
    assert verdict["here"] == url


class Reader(Guest):
    """Somebody at a page that is watched, who looks behind every tab."""

    @classmethod
    async def watching(cls, browser):
        guest = await cls.at(browser)
        await guest.page.context.add_init_script(WATCH)
        guest.page.on("dialog", lambda dialog: guest.troubles.append(f"dialog: {dialog.message}"))
        guest.page.on("request", guest._asked)
        return guest

    def _asked(self, request):
        if "evil" in request.url or request.url.startswith(("http://x", "https://x")):
            self.troubles.append(request.url)

    async def reads(self):
        """Everything behind every tab."""
        said = [await self.page.evaluate(SAID)]
        tabs = self.page.locator("[data-testid^=tab-]:visible")
        for number in range(await tabs.count()):
            await tabs.nth(number).click()
            said.append(await self.page.evaluate(SAID))
        return " ".join(said)

    async def shows(self, texts):
        """Wait until everything is there as it was typed."""
        left = list(texts)

        async def all_there():
            left[:] = missing(await self.reads(), left)
            return not left

        try:
            await until(all_there, within=20, every=0.3)
        except TimeoutError:
            raise AssertionError(f"not shown as typed: {left}") from None

    async def is_fair(self, url):
        fair(await self.page.evaluate(VERDICT), url)
        assert self.troubles == []


@pytest.fixture(scope="module")
def patient(tmp_path_factory):
    """A server that lets one bot fill a whole room."""
    fast = {"limits_commands": "1000", "limits_commands_burst": "1000", "limits_attempts": "1000"}
    server = MadoiServer(tmp_path_factory.mktemp("scripts") / "data", **fast).start()
    yield server
    server.stop()


def seat(scene, role, name, **who):
    """A personal ticket; with `person`, a further one for somebody who is there."""
    body = {"role": role, "name": name, **who}
    answer = scene.server.ask("POST", f"/api/sessions/{scene.session.id}/tickets", body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def bot(scene, stack, ticket):
    url = f"ws://localhost:{scene.server.port}/rooms/{scene.session.id}/socket"
    return await stack.enter_async_context(Bot(url, ticket))


async def crowd(scene, stack):
    """One person for each poison, named, working and chatting so; returns what everybody sees of them."""
    for words in POISON:
        made = seat(scene, "attendee", words[:40], profession=words[-40:])
        await (await bot(scene, stack, made["ticket"])).asks(Post(text=words))
    names = [clean_name(words[:40]) for words in POISON]
    return names + [clean_name(words[-40:]) for words in POISON] + [clean(w, most=1000) for w in POISON]


async def questions(mika):
    """Ask every poison; the first half is answered in writing with itself, the others wait with a label."""
    for words in POISON:
        await mika.asks(Ask(text=words))
    filed = await mika.holds(lambda room: len(room.board) == len(POISON) and list(room.board.values()))
    for number, question in enumerate(filed):
        if number < len(filed) // 2:
            await mika.asks(Approve(id=question.id, version=question.version))
            answer = f"{question.text} = {question.text}"
            await mika.asks(Answer(id=question.id, version=question.version + 1, how="text", text=answer))
        else:
            label = SHORT[number % len(SHORT)]
            await mika.asks(LabelQuestion(id=question.id, version=question.version, labels=[label]))
    return [question.text for question in filed[: len(filed) // 2]], [question.text for question in filed]


async def polls(mika):
    """Polls with every poison that fits among their options and in their question; the last stays open."""
    options = [words for words in POISON if len(clean(words, most=200)) <= 80]
    for start in range(0, len(options), 10):
        form = PollForm(text=joined(200)[0].replace("\n", " "), options=options[start : start + 10])
        if start:
            await mika.asks(ClosePoll(id=poll.id, version=poll.version))  # noqa: F821 - the one before
        await mika.asks(DraftPoll(poll=form))
        poll = await mika.holds(
            lambda room: next((p for p in room.polls.values() if p.state == "draft"), None)
        )
        await mika.asks(OpenPoll(id=poll.id, version=poll.version))
        poll = await mika.holds(
            lambda room, one=poll: room.polls[one.id].state == "open" and room.polls[one.id]
        )
    return [clean(words, most=80) for words in options]


async def test_asvs_1_2_1_what_people_type_is_text_wherever_it_stands(chromium, patient):
    scene, url = Scene(chromium, patient, door="knock"), patient.url
    async with contextlib.AsyncExitStack() as stack:
        mika = await bot(scene, stack, seat(scene, "moderator", "美香")["ticket"])
        everybody = await crowd(scene, stack)
        for words in POISON:
            for channel in ("staff", "backstage"):
                await mika.asks(Post(text=words, channel=channel))
        for message in list(mika.mirror.messages)[:5]:
            await mika.asks(Pin(id=message))
        listed, filed = await questions(mika)
        options = await polls(mika)
        note = joined(300)[0]
        asker = seat(scene, "attendee", "青木")
        aoi = await bot(scene, stack, asker["ticket"])
        await aoi.asks(Ask(text="どうしたらいいでしょうか"))
        (own,) = await aoi.holds(lambda room: list(room.own.values()))
        await mika.asks(ReturnQuestion(id=own.id, version=own.version, reason="other", note=note))

        staff, guest, speaker = [await Reader.watching(chromium) for _ in range(3)]
        again = seat(scene, "attendee", "青木", person=asker["person"])["ticket"]
        await guest.enter(patient.page(scene.session.id, again), "青木")
        await staff.enter(scene.link("moderator", POISON[6][:40]), "")
        await speaker.enter(scene.link("speaker", POISON[14][:40]), "")
        visitor = await Reader.watching(chromium)
        await visitor.page.goto(patient.page(scene.session.id, scene.session.ticket("attendee")))
        await visitor.see("name").fill(POISON[0][:40])
        await visitor.see("enter").click()
        await expect(visitor.see("waiting")).to_be_visible()
        who = await mika.holds(
            lambda room: next((p.id for p in room.filed.values() if p.standing == "waiting"), None)
        )
        for words in POISON:
            await mika.asks(SayAtDoor(text=words, visitor=who))
            await mika.asks(SetTimer(seconds=600, label=words[:60]))
            await mika.asks(ChangeSettings(title=words))
        texts = [clean(words, most=1000) for words in POISON]
        last = texts[-1]
        await visitor.shows([*texts, last])
        for reader in (staff, guest, speaker):
            await reader.shows([*everybody, *listed, *options[-(len(options) % 10 or 10) :], last])
        await guest.shows(note.split("\n"))
        await staff.shows([*filed, *(clean(words, most=20) for words in SHORT)])
        await mika.asks(SendBack(person=who, text=note))
        await visitor.shows(note.split("\n"))
        await organisers_pages(chromium, patient)
        await mika.asks(SetState(state=State.AFTER))
        await expect(guest.see("after")).to_be_visible()
        for reader in (staff, guest, speaker, visitor):
            await reader.is_fair(url)


async def organisers_pages(chromium, server):
    """A session for each poison, in the list and on its own page."""
    olga = await Reader.watching(chromium)
    for words in POISON:
        made = server.make_session(words)
    await olga.page.goto(server.organise)
    titles = [clean(words, most=120) for words in POISON]
    await olga.shows(titles)
    await olga.page.goto(f"{server.url}/organise/{made.id}")
    await expect(olga.see("session-title")).to_be_visible()
    await olga.shows(titles[-1:])
    await olga.page.goto(f"{server.url}/s/{made.id}#t={made.ticket('attendee')}")
    await olga.shows(titles[-1:])
    await olga.is_fair(server.url)


async def changed(guest, before, name):
    return (await guest.page.evaluate(VERDICT))[name] != before[name]


async def test_the_watch_notices_what_gets_through(chromium, patient):
    olga = await Reader.watching(chromium)
    await olga.page.goto(patient.url)
    await olga.is_fair(patient.url)
    before = await olga.page.evaluate(VERDICT)
    add = "const one = document.createElement('%s'); document.querySelector('main').append(one); "
    for attack, noticed in {
        "document.body.setAttribute('onyx', '')": "listening",
        add % "img": "strange",
        add % "a" + "one.href = 'data:,'": "links",
        "alert(1)": "pwned",
        "fetch('https://evil.example/').catch(() => 0)": "csp",
    }.items():
        await olga.page.evaluate(f"(() => {{ {attack} }})()")
        await until(lambda name=noticed: changed(olga, before, name))
        with pytest.raises(AssertionError):
            fair(await olga.page.evaluate(VERDICT), patient.url)
        await olga.page.reload()


async def test_asvs_3_4_3_what_slipped_through_would_be_stopped_and_told_to_the_page(chromium, patient):
    olga = await Reader.watching(chromium)
    await olga.page.goto(patient.url)
    for attack in ATTACKS:
        assert await olga.page.evaluate(attack), attack
    await olga.page.wait_for_function("window.__csp?.length >= 3")
    assert await olga.page.evaluate("window.pwned === undefined")


async def test_asvs_1_2_1_in_firefox_too(patient, chromium):
    scene = Scene(chromium, patient, title=POISON[0], door="open")
    async with contextlib.AsyncExitStack() as stack:
        mika = await bot(scene, stack, seat(scene, "moderator", "美香")["ticket"])
        everybody = await crowd(scene, stack)
        listed, _ = await questions(mika)
        firefox = await Firefox.launch()
        reader = FirefoxGuest(firefox)
        await firefox.do("init", script=WATCH)
        try:
            await reader.enter(scene.link("attendee", POISON[6][:40]), POISON[6][:40])
            left = [*everybody, *listed]

            async def all_there():
                for tab in ("chat", "questions", "people"):
                    await reader.opens(f"tab-{tab}")
                    left[:] = missing(await firefox.do("evaluate", script=SAID), left)
                return not left

            await until(all_there, within=30, every=0.3)
            fair(await firefox.do("evaluate", script=VERDICT), patient.url)
        finally:
            await reader.leave()
