"""Follows every room and tells the media plane: who may send, who is seen, who has to go.

The media worker knows nothing of rooms; the room knows nothing of media. Each change of a room becomes the
stage's whole truth, sent after those who lost their place have been put out, so that an opening curtain
never shows the stage to somebody whom the door has not admitted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from live.telemetry import log
from rooms import Role, Room, Settings, StageTruth, State, stage_truth


class Media(Protocol):
    """What the curtain wants of the media link."""

    async def stage(self, room: str, truth: StageTruth) -> None:
        """Tell the stage's whole truth."""

    async def expel(self, room: str, person: str) -> None:
        """End everything that a person sends and receives."""


PAUSE_SECONDS = 0.02
"""Between two looks at changed rooms: a busy chat must not make us count people for every message."""


@dataclass
class Seen:
    """What the media plane and the register were last told of a room."""

    truth: StageTruth | None = None
    inside: frozenset[str] = frozenset()
    session: tuple[Settings, State] | None = None
    generation: int | None = None


class Curtain:
    """Keeps the media plane, and the register of sessions, at what the logs say.

    Args:
        media: the media link.
        outsiders: per session, people who watch without having been admitted.
        follow: called with a room whose settings or state have changed.
    """

    def __init__(
        self, media: Media, outsiders: dict[str, set[str]], follow: Callable[[Room], Awaitable[None]]
    ) -> None:
        self._media, self._outsiders, self._follow = media, outsiders, follow
        self._seen: dict[str, Seen] = {}
        self._changed: dict[str, Room] = {}
        self._settling: dict[str, asyncio.Event] = {}
        self._wake = asyncio.Event()

    def changed(self, session: str, room: Room) -> None:
        """Note that a room has changed; `run` looks at it soon."""
        self._changed[session] = room
        self._wake.set()

    async def settle(self, session: str, room: Room) -> None:
        """Return once the media plane knows this room: a server just started has told it nothing yet."""
        if session not in self._seen:
            self.changed(session, room)
        if session in self._changed or session in self._settling:
            await self._settling.setdefault(session, asyncio.Event()).wait()

    async def run(self) -> None:
        """Look at what `changed` noted, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._changed:
                session, room = self._changed.popitem()
                settling = self._settling.setdefault(session, asyncio.Event())
                try:
                    await self._tell(session, room)
                except Exception as error:  # noqa: BLE001 - one room's trouble must not end the others'
                    log.error("curtain.failed", session=session, exc_info=error)
                if session not in self._changed:
                    del self._settling[session]
                    settling.set()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _tell(self, session: str, room: Room) -> None:
        seen = self._seen.setdefault(session, Seen())
        truth, inside = stage_truth(room), frozenset(room.door.inside())
        now = (room.session.settings, room.session.state)
        out = (seen.inside - inside) | (_behind(seen.truth) - _behind(truth))
        watching = self._outsiders.get(session, set())
        if put_out := {one for one in watching if room.level_of(one, Role.ATTENDEE) is None}:
            watching -= put_out
            out |= put_out
        if truth.open:
            out |= self._outsiders.pop(session, set()) - inside
        if room.session.state is State.CLOSED:
            out |= inside | self._outsiders.pop(session, set())
        if seen.generation not in (None, room.session.generation):  # every ticket became void
            out |= frozenset(room.door.people) | self._outsiders.pop(session, set())
        seen.inside, seen.generation = inside, room.session.generation
        for person in out:
            await self._media.expel(session, person)
        if truth != seen.truth:
            await self._media.stage(session, truth)
            seen.truth = truth
        if now != seen.session:
            await self._follow(room)
            seen.session = now
        if room.session.state is State.CLOSED:
            self._seen.pop(session, None)


def _behind(truth: StageTruth | None) -> frozenset[str]:
    return frozenset() if truth is None else frozenset(truth.on_stage) | frozenset(truth.backstage)
