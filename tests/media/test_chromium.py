"""A real Chromium publishes with simulcast and watches the server's offer, through nothing but the link."""

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import async_playwright
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from live.media import MediaLink, MediaSettings, StageFacts
from tests.kit.polling import until

ROOM = "room"

PAGE = (Path(__file__).parent / "page.html").read_text()

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


def _app(link) -> Starlette:
    async def page(_: Request) -> Response:
        return HTMLResponse(PAGE)

    async def publish(request: Request) -> Response:
        answer = await link.publish(ROOM, "ann", "camera", (await request.body()).decode())
        return Response(answer.sdp, 201, {"Location": f"/{answer.resource}"})

    async def watch(_: Request) -> Response:
        answer = await link.watch(ROOM, "bob", False, None)
        return Response(answer.sdp, 201, {"Location": f"/{answer.resource}"})

    async def patch(request: Request) -> Response:
        if "sdpfrag" in request.headers["content-type"]:
            fragment = (await request.body()).decode()
            patched = await link.patch(ROOM, request.path_params["resource"], fragment, "*")
            return Response(patched.sdpfrag)
        await link.answer(ROOM, request.path_params["resource"], (await request.body()).decode())
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", page),
            Route("/publish", publish, methods=["POST"]),
            Route("/watch", watch, methods=["POST"]),
            Route("/{resource}", patch, methods=["PATCH"]),
        ]
    )


@contextlib.asynccontextmanager
async def _served(app: Starlette):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off", ws="none"))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def _page(link, folder):
    await link.stage(ROOM, StageFacts(open=True, on_stage=["ann"]))
    async with _served(_app(link)) as url, async_playwright() as driver:
        browser = await driver.chromium.launch_persistent_context(
            folder, executable_path="/usr/bin/chromium", args=FLAGS, headless=True
        )
        try:
            page = await browser.new_page()
            await page.goto(url)
            await page.evaluate("publish()")
            yield page
        finally:
            await browser.close()


class Looking:
    """Looks at the page until what is wanted is seen."""

    def __init__(self, page, link) -> None:
        self.page = page
        self.link = link
        self.seen = {}

    async def until(self, wanted) -> dict:
        try:
            async with asyncio.timeout(60):
                while not self.seen or not wanted(self.seen):
                    self.seen = await self.page.evaluate("new Promise((r) => setTimeout(r, 200)).then(seen)")
        except TimeoutError:
            pytest.fail(f"not enough was seen: {self.seen}; {await self.link.stats()}")
        return self.seen


UP = ["connected", "connected"]


async def until_counted(link, name: str) -> None:
    async def counted() -> bool:
        return int((await link.stats()).get(name, 0)) >= 3

    await until(counted, within=60, every=0.2)


@pytest.mark.browser
async def test_chromium_publishes_simulcast_and_watches(link, tmp_path) -> None:
    async with _page(link, tmp_path) as page:
        await page.evaluate("watch()")
        looking = Looking(page, link)
        await until_counted(link, "router_rembs")  # although transport-wide feedback is agreed too
        first = await looking.until(lambda s: s["frames"] >= 60 and s["energy"] > 0 and len(s["layers"]) == 2)
        assert await page.evaluate("restart()")
        again = await looking.until(lambda s: s["frames"] >= first["frames"] + 45 and s["states"] == UP)
        assert again["lost"] < again["frames"] / 20
        os.kill(link.pid, signal.SIGKILL)  # the next worker tells the former one's peers
        await looking.until(lambda s: s["states"] == ["failed", "failed"])


@pytest.mark.browser
async def test_chromium_watches_over_tcp_where_udp_is_blocked(tmp_path) -> None:
    """And answers transport-wide numbers, which everybody gets here."""
    link = MediaLink(MediaSettings(port=0, transport_wide=True))
    await link.start()
    try:
        async with _page(link, tmp_path) as page:
            await page.evaluate("watch('tcp')")
            await Looking(page, link).until(lambda s: s["frames"] >= 30 and s["energy"] > 0)
            assert (await link.stats())["tcp_connections"] >= 1
            await until_counted(link, "router_transport_feedbacks")
    finally:
        await link.close()
