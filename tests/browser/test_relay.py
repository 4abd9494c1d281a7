"""A viewer whom nothing reaches but TLS: picture and sound by a real coturn's `turns:` alone."""

import contextlib
import shutil

import pytest
from playwright.async_api import async_playwright

from tests.browser.conftest import FLAGS
from tests.browser.people import Guest, of
from tests.browser.test_session import watches
from tests.kit.authority import Authority
from tests.kit.coturn import SECRET, Coturn
from tests.kit.server import MadoiServer

pytestmark = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")

ONLY_RELAYED = """
(() => {
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(given) { super({ ...given, iceTransportPolicy: "relay" }); }
  };
})();
"""
"""Connections use relays alone: as behind a firewall that lets nothing else out."""

CHOSEN = """
(async () => {
  const chosen = [];
  for (const connection of window.__connections ?? []) {
    const report = await connection.getStats();
    for (const row of report.values()) {
      const pair = row.type === "transport" && report.get(row.selectedCandidatePairId);
      const local = pair && report.get(pair.localCandidateId);
      if (local) chosen.push([local.candidateType, local.relayProtocol]);
    }
  }
  return chosen;
})()
"""


@pytest.fixture
def secured(tmp_path):
    """A server whose only relay speaks TLS, and what a browser must be told to believe its certificate."""
    with contextlib.ExitStack() as stack:
        folder = tmp_path / "coturn"
        here = Coturn(folder).address
        certificate = Authority(tmp_path / "authority").issue(here)
        coturn = Coturn(folder, f"allowed-peer-ip={here}", certificate=certificate).start()
        stack.callback(coturn.stop)
        server = MadoiServer(tmp_path / "data", turn_urls=coturn.secure_url, turn_secret=SECRET).start()
        stack.callback(server.stop)
        yield server, f"--ignore-certificate-errors-spki-list={certificate.pin}"


async def test_picture_and_sound_come_over_tls_alone_to_who_believes_the_certificate(secured, chromium):
    server, believing = secured
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara = await Guest.at(chromium)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=[*FLAGS, believing]
        )
        aoi = await Guest.at(browser)
        await aoi.page.context.add_init_script(ONLY_RELAYED)
        await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
        await watches(aoi, 1)
        assert ["relay", "tls"] in await aoi.page.evaluate(CHOSEN)
        await browser.close()
    ben = await Guest.at(chromium)
    await ben.page.context.add_init_script(ONLY_RELAYED)
    await ben.page.goto(server.page(session.id, server.ticket(session.id, "attendee", "別所")))
    await ben.see("check-network").click()
    await ben.page.locator(of("network-check") + '[data-reach="none"]').wait_for(timeout=60_000)
    assert await ben.see("relay-tls").get_attribute("data-state") == "bad"
