"""Madoi's media worker: the real process, started and asked as `madoi serve` does it."""

from __future__ import annotations

import contextlib

from live.media import MediaLink, MediaSettings, StageFacts

ROOM, SPEAKER = "load", "speaker"


class Madoi:
    """One worker with one body.

    Args:
        body: as in `MediaSettings.fanout`.
        host: where it listens.
        folder: the checkout whose worker it is, with its extension built in place.
    """

    def __init__(self, body: str, host: str, folder: str = ".") -> None:
        self.name = f"madoi {body}" + ("" if folder == "." else " there")
        self._folder = folder
        self._link = MediaLink(
            MediaSettings(port=0, host=host, fanout=body, peers=10_000, request_seconds=30)  # type: ignore[arg-type]
        )
        self._watchers = 0

    @property
    def pid(self) -> int:
        assert self._link.pid is not None
        return self._link.pid

    async def start(self) -> None:
        with contextlib.chdir(self._folder):  # `python -m` takes its modules from where it is started
            await self._link.start()
        await self._link.stage(ROOM, StageFacts(open=True, on_stage=[SPEAKER]))

    async def publish(self, offer: str) -> str:
        return (await self._link.publish(ROOM, SPEAKER, "camera", offer)).sdp

    async def watch(self) -> tuple[str, str]:
        """A new viewer: what to answer under, and the server's offer."""
        self._watchers += 1
        offered = await self._link.watch(ROOM, f"viewer {self._watchers}", behind=False, offer_sdp=None)
        return offered.resource, offered.sdp

    async def answer(self, viewer: str, sdp: str) -> None:
        await self._link.answer(ROOM, viewer, sdp)

    async def lost(self) -> int:
        """What the worker itself gave up: datagrams, and packets that waited too long to be sealed."""
        numbers = await self._link.stats()
        return sum(int(numbers[name]) for name in ("datagrams_dropped", "datagrams_unsendable", "paced_out"))

    async def close(self) -> None:
        await self._link.close()
