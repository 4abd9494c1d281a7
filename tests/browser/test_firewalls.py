"""A browser in a network of its own, behind what real networks do: no UDP, another port, loss."""

import shutil

import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.conftest import FLAGS
from tests.browser.people import Guest
from tests.browser.test_session import sent, watches
from tests.kit.namespaces import Namespace, Wan, problem
from tests.kit.server import MadoiServer


@pytest.fixture
async def afar(tmp_path):
    """A server with a browser beside it, a line, and a browser at the other end, which may open devices."""
    if why := problem():
        pytest.skip(why)
    near, far = Namespace(), Namespace()
    script = tmp_path / "chromium"
    script.write_text(f'#!/bin/sh\nexec {" ".join(near.prefix)} {shutil.which("chromium")} "$@"\n')
    script.chmod(0o700)
    with far.inside(), Wan(near, far) as wan:
        server = MadoiServer(tmp_path / "data", host="::").start()
        try:
            async with async_playwright() as playwright:
                here = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
                safe = f"--unsafely-treat-insecure-origin-as-secure=http://{wan.far[0]}:{server.port}"
                there = await playwright.chromium.launch(executable_path=script, args=[*FLAGS, safe])
                yield server, wan, here, there
                await here.close()
                await there.close()
        finally:
            server.stop()


async def test_without_udp_media_comes_by_tcp_and_over_ipv6_alone_as_well(afar):
    server, wan, here, there = afar
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara = await Guest.at(here)
    await sara.enter(server.page(session.id, server.ticket(session.id, "speaker", "佐藤")), "佐藤")
    four, six = wan.far
    for number, (host, passes) in enumerate(
        ((four, {"udp": False, "versions": "4"}), (f"[{six}]", {"udp": True, "versions": "6"}))
    ):
        wan.both(**passes)
        ticket = server.ticket(session.id, "attendee", f"青木{number}")
        aoi = await Guest.at(there)
        await aoi.enter(f"http://{host}:{server.port}/s/{session.id}#t={ticket}", f"青木{number}")
        await watches(aoi, 1)
        assert wan.down.passed
        assert aoi.troubles == []
        await aoi.leave()


async def test_a_speaker_with_a_lossy_line_has_a_badge_that_everybody_sees(afar):
    server, wan, here, there = afar
    session = server.make_session("講義")
    server.move(session.id, "live")
    sara, aoi = await Guest.at(there), await Guest.at(here)
    ticket = server.ticket(session.id, "speaker", "佐藤")
    await sara.enter(f"http://{wan.far[0]}:{server.port}/s/{session.id}#t={ticket}", "佐藤")
    await sent(sara)
    await aoi.enter(server.page(session.id, server.ticket(session.id, "attendee", "青木")), "青木")
    await watches(aoi, 1)
    badge = aoi.see("tile").locator(".bars")
    await expect(badge).to_have_count(0, timeout=20_000)
    wan.up.loss = 0.15
    await expect(badge).to_have_attribute("aria-label", "回線が弱い", timeout=30_000)
    assert await badge.locator(".on").count() == 1
    wan.up.loss = 0.0
    await expect(badge).to_have_count(0, timeout=30_000)
    assert sara.troubles == aoi.troubles == []
