"""Bad lines and dying servers: nothing acknowledged is lost, nothing typed is lost, everyone comes back."""

import asyncio
import os
import signal
import time

import pytest
from playwright.async_api import expect

from tests.browser.people import PHONE, Guest
from tests.browser.test_session import sent, watches
from tests.browser.watching import SHOWN, energy, longest_still, received
from tests.kit.line import Line
from tests.kit.polling import until
from tests.kit.redis import RedisServer
from tests.kit.server import MadoiServer

BACK = 5.0
"""Seconds after a worker's death in which everybody sees on, by the pages' clock; half a second is usual."""

QUESTION = "守秘義務と家族への説明を、どう両立させていますか？"


async def test_25_seconds_without_network_in_the_middle_of_asking(chromium, server):
    session = server.make_session("境界線と共感")
    server.move(session.id, "live")
    mika, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await mika.enter(server.page(session.id, server.ticket(session.id, "moderator", "美香")), "美香")
    async with Line(server.port) as line:
        ticket = server.ticket(session.id, "attendee", "青木")
        await aoi.enter(f"{line.url}/s/{session.id}#t={ticket}", "青木")
        await aoi.see("composer").fill("書きかけの言葉")
        await aoi.see("tab-questions").click()
        await aoi.see("ask-open").click()
        await aoi.see("ask-text").fill(QUESTION)
        line.cut()
        await aoi.see("ask-send").click()
        await expect(aoi.see("reconnecting")).to_be_visible()
        await mika.see("tab-chat").click()
        await mika.see("composer").fill("途中の連絡です")
        await mika.see("composer").press("Enter")
        await asyncio.sleep(25)  # the outage itself: longer than pings and outboxes are patient
        line.mend()
        await expect(aoi.see("own-question")).to_have_count(1, timeout=20_000)
        await mika.see("tab-board").click()
        await expect(mika.page.locator('[data-testid="board-card"]')).to_have_count(1)
        await aoi.see("tab-chat").click()
        await expect(aoi.page.get_by_text("途中の連絡です")).to_be_visible()
        await expect(aoi.see("composer")).to_have_value("書きかけの言葉")
        assert aoi.troubles == []
        await aoi.leave()


@pytest.mark.parametrize("store", ["embedded", "redis"])
async def test_the_server_is_killed_and_everyone_is_back(chromium, tmp_path, store):
    (tmp_path / "redis").mkdir()
    redis = RedisServer(tmp_path / "redis").start()
    server = MadoiServer(tmp_path / "data", store="embedded" if store == "embedded" else redis.url).start()
    try:
        await survive(chromium, server)
    finally:
        server.stop()
        redis.stop()


async def survive(chromium, server):
    session = server.make_session("境界線と共感")
    server.move(session.id, "live")
    sara, aoi, ben = [await Guest.at(chromium) for _ in range(3)]
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    for guest, name in ((aoi, "青木"), (ben, "別所")):
        await guest.enter(server.page(session.id, server.ticket(session.id, "attendee", name)), name)
    await watches(aoi, 1)
    for number in range(5):
        await aoi.see("composer").fill(f"発言{number}")
        await aoi.see("composer").press("Enter")
        await expect(ben.see("message")).to_have_count(number + 1)
    server.kill()
    await aoi.see("composer").fill("切れている間の発言")
    await aoi.see("composer").press("Enter")
    server.start()
    for guest in (aoi, ben):
        await expect(guest.see("message")).to_have_count(6, timeout=10_000)
    await expect(ben.see("message").filter(has_text="切れている間の発言")).to_have_count(1)
    await watches(aoi, 1)
    for guest in (sara, aoi, ben):
        assert guest.troubles == []


async def test_a_media_worker_is_killed_and_everyone_sees_on(chromium, tmp_path):
    server = MadoiServer(tmp_path / "data", media_workers="2", media_viewers="3").start()
    try:
        await inherit(chromium, server)
    finally:
        server.stop()


async def inherit(chromium, server):
    """The speaker and one viewer lose their worker; another viewer is on the one that inherits the room."""
    session = server.make_session("境界線と共感")
    server.move(session.id, "live")
    sara, aoi, ben = [await Guest.at(chromium) for _ in range(3)]
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    for guest, name in ((aoi, "青木"), (ben, "別所")):
        await guest.enter(server.page(session.id, server.ticket(session.id, "attendee", name)), name)
        await watches(guest, 1)
    homes = server.media("homes")
    home = max(homes, key=homes.__getitem__)
    assert server.media("connected") == {home: 3.0, str(1 - int(home)): 1.0}
    for guest in (aoi, ben):
        await guest.page.evaluate(SHOWN)
        await watches(guest, 1)
    killed = time.time()
    os.kill(int(server.media("pid")[home]), signal.SIGKILL)
    await until(lambda: server.media("restarts")[home] == 1, within=10)
    await until(lambda: server.media("connected")[str(1 - int(home))] == 4, within=20)
    for guest in (aoi, ben):
        await watches(guest, 1)
        assert longest_still(await guest.page.evaluate("__shown"), killed) < BACK
    for guest in (sara, aoi, ben):
        assert guest.troubles == []


async def test_a_camera_that_is_off_stays_off_when_the_media_worker_dies(chromium, server):
    session = server.make_session("境界線と共感")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    await sara.see("camera").click()
    await expect(aoi.see("tile")).to_contain_text("カメラはオフです", timeout=20_000)
    former = {guest: await guest.page.evaluate("window.__connections.length") for guest in (sara, aoi)}
    os.kill(int(server.media("pid")["0"]), signal.SIGKILL)
    await until(lambda: server.media("restarts")["0"] == 1, within=10)

    async def heard():
        rows = await aoi.rows()
        return energy(rows) > 0 and received(rows, "audio")

    async def anew():
        """What was received before the camera was off goes with the lines of before."""
        return all(
            [
                await guest.page.evaluate(
                    f"window.__connections.slice(0, {count}).every((c) => c.connectionState === 'closed')"
                )
                for guest, count in former.items()
            ]
        )

    await until(anew, within=20, every=0.2)
    await until(lambda: server.media("connected") == {"0": 3.0}, within=30, every=0.2)
    await until(heard, within=30, every=0.5)
    ben = await Guest.at(chromium)
    await ben.enter(server.page(session.id, server.ticket(session.id, "attendee", "別所")), "別所")
    for guest in (aoi, ben):
        await expect(guest.see("tile")).to_contain_text("カメラはオフです", timeout=20_000)
        assert received(await guest.rows(), "video") == []
    assert {row["kind"] for row in await sara.rows() if row["type"] == "outbound-rtp"} == {"audio"}
    await sara.see("camera").click()
    for guest in (aoi, ben):
        await watches(guest, 1)
        assert guest.troubles == []
    assert sara.troubles == []


async def test_who_speaks_is_told_while_nobody_hears_and_sees(chromium, server):
    session = server.make_session("境界線と共感")
    server.move(session.id, "live")
    sara = await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await sara.see("screen").click()
    await expect(sara.page.locator("figure.screen")).to_be_visible(timeout=20_000)
    await expect(sara.see("publish-state")).to_be_empty()

    async def level():
        return int(await sara.see("own-level").get_attribute("aria-valuenow"))

    await until(level, within=20, every=0.1)
    server.kill()
    state = sara.see("publish-state")
    await expect(state).to_contain_text("いまは、映像も音声もだれにも届いていません", timeout=20_000)
    await expect(state).to_contain_text("画面をつなぎ直しています", timeout=20_000)
    assert await level() == 0
    server.start()
    await expect(state).to_be_empty(timeout=30_000)
    await until(level, within=20, every=0.1)
    assert sara.troubles == []


async def test_a_moderator_approves_on_a_phone(chromium, server):
    session = server.make_session("境界線と共感")
    server.move(session.id, "live")
    mika, aoi = await Guest.at(chromium, size=PHONE, touch=True), await Guest.at(chromium)
    await mika.enter(server.page(session.id, server.ticket(session.id, "moderator", "美香")), "美香")
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await aoi.see("tab-questions").click()
    await aoi.see("ask-open").click()
    await aoi.see("ask-text").fill(QUESTION)
    await aoi.see("ask-send").click()
    await mika.see("tab-board").tap()
    await mika.see("approve").tap()
    await expect(aoi.see("own-question")).to_have_attribute("data-state", "open")
    assert await mika.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


SILENCE = """
() => {
  for (const line of window.__connections) {
    const name = line.remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1];
    Object.defineProperty(line, 'connectionState', { get: () => 'disconnected', configurable: true });
    line.dispatchEvent(new Event('connectionstatechange'));
    delete line.connectionState;
    window.__former = [...(window.__former ?? []), name];
  }
}
"""
"""Lets the page believe that its lines fell silent, as browsers say a few seconds after the network did."""

RENEWED = """
() => window.__connections.map((line, n) =>
  line.signalingState === 'stable'
  && line.remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1] !== window.__former[n])
"""


async def test_a_silent_line_renews_ice_and_the_session_goes_on(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    for guest, lines in ((aoi, 1), (sara, 2)):
        await guest.page.evaluate(SILENCE)

        async def renewed(page=guest.page, count=lines):
            return await page.evaluate(RENEWED) == [True] * count

        await until(renewed, within=30, every=0.2)
        await watches(aoi, 1)
    assert sara.troubles == aoi.troubles == []


async def test_a_speaker_who_drops_is_said_to_be_reconnecting_and_finds_the_seat_again(chromium, server):
    session = server.make_session("講義")
    server.move(session.id, "live")
    seat = {"role": "speaker", "name": "佐藤"}
    made = server.ask("POST", f"/api/sessions/{session.id}/tickets", seat).json()
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    await sara.enter(made["link"], "佐藤")
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    await sara.leave()
    await expect(aoi.page.get_by_text("登壇者が再接続中").first).to_be_visible(timeout=20_000)
    again = await Guest.at(chromium)
    second = seat | {"person": made["person"]}
    other = server.ask("POST", f"/api/sessions/{session.id}/tickets", second).json()
    await again.enter(other["link"], "佐藤")
    await expect(aoi.page.get_by_text("登壇者が再接続中")).to_have_count(0, timeout=20_000)
    await watches(aoi, 1)
    assert aoi.troubles == []
