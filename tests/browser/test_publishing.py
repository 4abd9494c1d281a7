"""What else can be on stage: a speaker at Firefox, and a shared screen."""

import time
from typing import NamedTuple

import pytest
from playwright.async_api import expect

from tests.browser.firefox import Firefox
from tests.browser.people import FirefoxGuest, Guest, press_at_once
from tests.browser.test_session import sent, watches
from tests.browser.watching import energy, frames, received
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
    await sara.page.evaluate(SLOW_GOODBYES)
    await aoi.page.evaluate(LOOK_OUT)
    await sara.see("screen").click()
    await expect(aoi.page.locator('video[data-source="screen"]')).to_have_count(0, timeout=20_000)
    await until(lambda: server.media("connected") == {"0": 3.0}, within=20, every=0.2)
    drawn = sum(frames(await aoi.rows()))

    async def two_seconds_more():
        return sum(frames(await aoi.rows())) > drawn + 20

    await until(two_seconds_more, within=20, every=0.5)
    assert await aoi.page.evaluate("window.__lost") == []
    assert sara.troubles == aoi.troubles == []


SLOW_GOODBYES = """
() => {
  const real = window.fetch;
  window.fetch = async (input, init) => {
    if (init?.method === 'DELETE') await new Promise((done) => setTimeout(done, 400));
    return real(input, init);
  };
}
"""
"""A DELETE takes longer to the server than DTLS's own goodbye."""

LOOK_OUT = """
() => {
  window.__lost = [];
  const look = () => {
    for (const tile of document.querySelectorAll('[data-testid="tile"]'))
      if (tile.textContent.includes('再接続中')) window.__lost.push(tile.textContent);
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}
"""
"""Notes whoever is said to be reconnecting, however short."""


def screens(guest):
    return guest.page.locator("figure.screen")


async def test_two_who_share_at_one_moment_one_screen_is_seen_and_the_other_ends(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    speakers = {name: await Guest.at(chromium) for name in ("佐藤", "田中")}
    for name, speaker in speakers.items():
        await speaker.enter(server.page(session.id, server.ticket(session.id, "speaker", name)), name)
        await sent(speaker)
    aoi = await Guest.at(chromium)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await press_at_once(list(speakers.values()), "screen")

    async def too_late():
        said = {name: await speaker.see("publish-state").inner_text() for name, speaker in speakers.items()}
        return [name for name, text in said.items() if "あなたの共有を終えました" in text]

    (second,) = await until(too_late, within=30, every=0.2)
    (first,) = set(speakers) - {second}
    for guest in (aoi, *speakers.values()):
        await expect(screens(guest)).to_contain_text(first, timeout=20_000)
    button = speakers[second].see("screen")
    await expect(button).to_have_attribute("aria-pressed", "false")
    await button.click(force=True)
    await expect(speakers[second].see("toasts")).to_contain_text(f"いまは{first}さんが画面を共有しています")
    await speakers[first].see("screen").click()
    for guest in (aoi, *speakers.values()):
        await expect(screens(guest)).to_have_count(0, timeout=20_000)
    await until(lambda: server.media("connected") == {"0": 5.0}, within=20, every=0.2)
    await button.click()
    await expect(screens(aoi)).to_contain_text(second, timeout=20_000)
    await expect(speakers[second].see("publish-state")).to_be_empty()
    for guest in (aoi, *speakers.values()):
        assert guest.troubles == []


async def test_sound_is_sent_twice_and_silence_hardly_at_all(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara = await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    plain = await Guest.at(chromium)
    await plain.page.context.add_init_script(WITHOUT_RED)
    await plain.enter(server.page(session.id, server.ticket(session.id, "speaker", "田中")), "田中")
    await sent(plain)
    one, other = SoundSent(sara), SoundSent(plain)

    async def twice():
        a, b = await one.look(), await other.look()
        return a.packets > 40 and b.packets > 40 and a.weight > 1.3 and b.weight < 1.1

    async def silent():
        return (await one.look()).packets < 10 and (await other.look()).packets > 40

    await until(twice, within=20, every=2.0)
    await sara.see("mic").click()
    await until(silent, within=20, every=2.0)
    assert sara.troubles == plain.troubles == []


WITHOUT_RED = """
(() => {
  const real = RTCRtpSender.getCapabilities.bind(RTCRtpSender);
  RTCRtpSender.getCapabilities = (kind) => {
    const { codecs, headerExtensions } = real(kind);
    return { codecs: codecs.filter((codec) => codec.mimeType !== 'audio/red'), headerExtensions };
  };
})();
"""
"""The page finds a browser that cannot repeat sound."""


class Sound(NamedTuple):
    """Packets a second, and the payload's bits a second against what the encoder aims at for one copy."""

    packets: float
    weight: float


class SoundSent:
    """What sound leaves a page from one look to the next. Chromium names the codec inside RED, not RED."""

    def __init__(self, guest):
        self._guest, self._at, self._packets, self._bytes = guest, 0.0, 0, 0

    async def look(self):
        """Read the page's statistics."""
        (row,) = [r for r in await self._guest.rows() if r["type"] == "outbound-rtp" and r["kind"] == "audio"]
        now = time.monotonic()
        packets, sent_bytes = row["packets"] - self._packets, row["bytes"] - self._bytes
        rate = packets / (now - self._at)
        self._at, self._packets, self._bytes = now, row["packets"], row["bytes"]
        return Sound(rate, sent_bytes / max(1, packets) * 8 * 50 / row["target"])


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


NO_SOUND_BEFORE_A_TOUCH = """
(() => {
  let touched = false;
  for (const kind of ['click', 'keydown']) window.addEventListener(kind, () => { touched = true; }, true);
  const real = HTMLMediaElement.prototype.play;
  HTMLMediaElement.prototype.play = function () {
    const allowed = touched || !(this instanceof HTMLAudioElement);
    return allowed ? real.call(this) : Promise.reject(new DOMException('not yet', 'NotAllowedError'));
  };
})();
"""
"""The page finds a browser that does as browsers may do where nobody has touched the page."""


@pytest.mark.parametrize("how", ["button", "elsewhere", "key"])
async def test_who_comes_back_hears_at_the_first_touch(chromium, server, how):
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await aoi.page.context.add_init_script(NO_SOUND_BEFORE_A_TOUCH)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    await aoi.page.reload()
    await expect(aoi.see("sound-on")).to_be_visible(timeout=20_000)
    await until(lambda: moved(aoi), within=20, every=0.5)
    assert energy(await aoi.rows()) == 0
    if how == "button":
        await aoi.see("sound-on").click()
    elif how == "elsewhere":
        await aoi.see("tab-questions").click()
    else:
        await aoi.page.keyboard.press("Tab")
    await watches(aoi, 1)
    await expect(aoi.see("sound-on")).to_be_hidden()


async def moved(guest):
    """Whether sound has arrived, played or not."""
    return any(row["packets"] > 20 for row in received(await guest.rows(), "audio"))
