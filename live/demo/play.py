"""Put the demo on: a server, one session, its cast, and a link for everyone who wants to look."""

import asyncio
import random
import socket
from collections.abc import Awaitable
from functools import partial
from typing import Any

import click
import httpx

from live.app import serve
from live.demo import bots
from live.demo.line import Line
from live.demo.script import ATTENDEES, MODERATOR, SPEAKERS, TITLE
from live.settings import Settings


class Stage:
    """One demo session over the public API.

    Args:
        client: with the server's base URL and the organiser's token.
        url: the server.
    """

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url = client, url
        self.session = ""
        self.links: dict[str, str] = {}

    async def make(self) -> None:
        """Make the session and open its doors."""
        made = await self._post(
            "/api/sessions",
            {"title": TITLE, "kind": "case", "door": "open", "qa": {"anonymity": "anonymous"}},
        )
        self.session, self.links = made["id"], made["links"]
        await self.move("doors")

    async def move(self, state: str) -> None:
        """Move the session on."""
        await self._post(f"/api/sessions/{self.session}/state", {"state": state})

    async def ticket(self, role: str, who: tuple[str, str]) -> str:
        """Make somebody's personal ticket."""
        body = {"role": role, "name": who[0], "profession": who[1]}
        return str((await self._post(f"/api/sessions/{self.session}/tickets", body))["ticket"])

    async def line(self, role: str, who: tuple[str, str]) -> Line:
        """Make a person and connect it."""
        line = Line(self._url, self.session, await self.ticket(role, who))
        await line.open()
        return line

    async def _post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        answer = await self._client.post(path, json=body)
        return answer.raise_for_status().json()


async def play(settings: Settings, listening: socket.socket, attendees: int) -> None:
    """Serve and play until SIGTERM or Ctrl-C.

    Args:
        settings: in force.
        listening: a bound socket for HTTP.
        attendees: how many bots sit in the audience.
    """
    greeted: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(settings, [listening], lambda url, token: greeted.set_result((url, token)))
    )
    playing = asyncio.create_task(_cast(greeted, listening.getsockname()[1], attendees))
    await asyncio.wait({serving, playing}, return_when=asyncio.FIRST_COMPLETED)
    playing.cancel()
    await asyncio.gather(playing, return_exceptions=True)
    if playing.done() and not playing.cancelled() and (error := playing.exception()):
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        raise error
    await serving


async def _cast(greeted: Awaitable[tuple[str, str]], port: int, attendees: int) -> None:
    public, token = await greeted
    url = f"http://127.0.0.1:{port}"
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20) as client:
        stage = Stage(client, url)
        await stage.make()
        async with asyncio.TaskGroup() as tasks:
            for number, who in enumerate(SPEAKERS):
                part = partial(
                    bots.speaker, client, stage.session, await stage.ticket("speaker", who), number
                )
                tasks.create_task(bots.keep(who[0], part))
            tasks.create_task(bots.keep(MODERATOR[0], partial(_moderate, stage)))
            for number in range(attendees):
                tasks.create_task(bots.keep(f"attendee {number}", partial(_attend, stage, number)))
            await stage.move("live")
            _announce(public, token, stage)


async def _moderate(stage: Stage) -> None:
    line = await stage.line("moderator", MODERATOR)
    try:
        await bots.moderator(line, random.Random(1))  # noqa: S311 - a rhythm, not a secret
    finally:
        await line.close()


async def _attend(stage: Stage, number: int) -> None:
    name, job = ATTENDEES[number % len(ATTENDEES)]
    again = number // len(ATTENDEES)
    line = await stage.line("attendee", (f"{name}{again + 1}" if again else name, job))
    try:
        await bots.attendee(line, number, random.Random(number))  # noqa: S311 - a rhythm, not a secret
    finally:
        await line.close()


def _announce(url: str, token: str, stage: Stage) -> None:
    click.echo("\nThe demo is on. Open any of these (each in its own browser or private window):\n")
    for role in ("attendee", "speaker", "moderator"):
        click.echo(f"  {role:<10} {stage.links[role]}")
    click.echo(f"  {'organiser':<10} {url}/organise#token={token}\n\nCtrl-C ends it.")
