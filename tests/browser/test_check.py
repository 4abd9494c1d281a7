"""The check of one's own line: through the real port and a real coturn, and where nothing gets through."""

import contextlib
import shutil

import httpx
import pytest
from playwright.async_api import expect

from live.demo.pictures import Picture, Tone
from live.demo.whip import Peer
from tests.browser.people import DESKTOP, PHONE, Guest, of
from tests.browser.test_screens import looked_at, words
from tests.browser.test_session import sent, watches
from tests.kit.authority import Authority
from tests.kit.coturn import Coturn
from tests.kit.server import MadoiServer

NOWHERE = """
(() => {
  const real = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (told) {
    const sdp = told.sdp.replace(/^(a=candidate:\\S+ \\d \\S+ \\d+) \\S+ \\d+/gm, "$1 198.51.100.1 9");
    return real.call(this, { type: told.type, sdp });
  };
})();
"""
"""The media port's addresses are changed for one where nobody is: as behind a firewall that drops all."""


@pytest.fixture
def relayed(tmp_path):
    """A server with a coturn beside it that relays to it, and whose certificate no browser believes."""
    with contextlib.ExitStack() as stack:
        folder = tmp_path / "coturn"
        here = Coturn(folder).address
        certificate = Authority(tmp_path / "authority").issue(here)
        coturn = Coturn(folder, f"allowed-peer-ip={here}", certificate=certificate).start()
        stack.callback(coturn.stop)
        server = MadoiServer(tmp_path / "data", **coturn.settings).start()
        stack.callback(server.stop)
        yield server


@pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")
async def test_every_way_to_the_media_port_is_tried_before_anybody_enters(chromium, relayed):
    made = relayed.make_session("回線の会")
    relayed.move(made.id, "doors")
    for lang, size in (("ja", DESKTOP), ("en", PHONE)):
        guest = await Guest.at(chromium, lang=lang, size=size)
        await guest.page.goto(relayed.page(made.id, made.ticket("attendee")))
        await guest.see("check-network").click()
        verdict = guest.page.locator(of("network-check") + '[data-reach="udp"]')
        await expect(verdict).to_be_visible(timeout=40_000)
        await expect(verdict).to_contain_text(words(lang, "直接届きます", "reach you directly"))
        for way in ("udp", "tcp", "relay"):
            await expect(guest.see(f"way-{way}")).to_have_attribute("data-state", "good")
        for by, state in (("udp", "good"), ("tcp", "good"), ("tls", "bad")):
            await expect(guest.see(f"relay-{by}")).to_have_attribute("data-state", state)
        await guest.see("network-check").scroll_into_view_if_needed()
        await looked_at(guest, f"check-{lang}-{size['width']}")
        counts = relayed.ask("GET", f"/api/sessions/{made.id}").json()["counts"]
        assert (counts["inside"], counts["waiting"]) == (0, 0)
        await guest.page.context.close()


ONLY_BY_RELAY = """
(() => {
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(config) { super({ ...config, iceTransportPolicy: 'relay' }); }
  };
})();
"""

WAYS = """
async () => {
  const ways = [];
  for (const connection of window.__connections) {
    if (connection.connectionState !== 'connected') continue;
    const report = await connection.getStats();
    for (const row of report.values())
      if (row.type === 'candidate-pair' && row.nominated && row.state === 'succeeded')
        ways.push(report.get(row.localCandidateId).candidateType);
  }
  return ways;
}
"""


@pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")
async def test_a_session_is_spoken_and_watched_by_relay_only(chromium, relayed):
    made = relayed.make_session("回線の会")
    relayed.move(made.id, "live")
    sara, aoi = await Guest.at(chromium), await Guest.at(chromium)
    for guest in (sara, aoi):
        await guest.page.context.add_init_script(ONLY_BY_RELAY)
    await sara.enter(relayed.page(made.id, relayed.ticket(made.id, "speaker", "佐藤")), "佐藤")
    await sent(sara)
    await aoi.enter(relayed.page(made.id, relayed.ticket(made.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    assert await sara.page.evaluate(WAYS) == ["relay", "relay"]
    assert await aoi.page.evaluate(WAYS) == ["relay"]
    assert sara.troubles == aoi.troubles == []


async def test_who_gets_nothing_is_told_what_to_do_and_the_staff_know(chromium, hall):
    made = hall.make_session("回線の会", door="knock")
    hall.move(made.id, "doors")
    staff = await Guest.at(chromium)
    await staff.page.goto(hall.page(made.id, hall.ticket(made.id, "moderator", "司会")))
    await staff.see("enter").click()
    await staff.see("tab-door").click()
    guest = await Guest.at(chromium, size=PHONE)
    await guest.page.context.add_init_script(NOWHERE)
    await guest.page.goto(hall.page(made.id, made.ticket("attendee")))
    await guest.see("name").fill("河野")
    await guest.see("enter").click()
    nothing = guest.page.locator(of("network-check") + '[data-reach="none"]')
    await expect(nothing).to_be_visible(timeout=60_000)
    await expect(nothing).to_contain_text("テザリング")
    await expect(guest.see("way-relay")).to_have_attribute("data-state", "absent")
    visitor = staff.see("visitor").locator(of("reach"))
    await expect(visitor).to_have_attribute("data-reach", "none", timeout=20_000)
    await guest.see("network-check").scroll_into_view_if_needed()
    await looked_at(guest, "check-none-360")
    await looked_at(staff, "check-none-staff")


async def test_one_sees_the_own_line_in_numbers_and_the_staff_everybodys_on_stage(chromium, hall):
    made = hall.make_session("回線の会")
    hall.move(made.id, "doors")
    async with httpx.AsyncClient(base_url=hall.url, timeout=20) as client:
        speaker = Peer(client, hall.ticket(made.id, "speaker", "高野"))
        await speaker.publish(made.id, Picture(0), Tone(330, turn=1000))
        hall.move(made.id, "live")
        for lang, size in (("ja", DESKTOP), ("en", PHONE)):
            staff = await Guest.at(chromium, lang=lang, size=size)
            await staff.page.goto(hall.page(made.id, hall.ticket(made.id, "moderator", "司会")))
            await staff.see("enter").click()
            await staff.see("room-menu").click()
            await staff.see("menu-line").click()
            own = staff.page.locator(of("own-line") + '[data-reach="udp"]')
            await expect(own).to_contain_text("bit/s", timeout=40_000)
            line = staff.see("stage-line")
            await expect(line).to_contain_text("高野")
            await expect(line).to_contain_text(words(lang, "マイク", "Microphone"), timeout=20_000)
            await looked_at(staff, f"line-{lang}-{size['width']}")
            await staff.page.context.close()
        attendee = {"Authorization": f"Bearer {made.ticket('attendee')}"}
        refused = await client.get(f"/api/sessions/{made.id}/lines", headers=attendee)
        assert (refused.status_code, refused.json()["code"]) == (403, "role_refused")
        await speaker.close()
