"""A viewer's browser in a network of its own, behind what real networks do: no UDP, another port."""

import shutil

import pytest
from playwright.async_api import async_playwright

from tests.browser.conftest import FLAGS
from tests.browser.people import Guest
from tests.browser.test_session import watches
from tests.kit.namespaces import Namespace, Wan, problem
from tests.kit.server import MadoiServer


@pytest.fixture
async def afar(tmp_path):
    """A server with a speaker's browser beside it, a line, and a viewer's browser at the other end."""
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
                there = await playwright.chromium.launch(executable_path=script, args=FLAGS)
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
