"""What the HTTP side wants of its neighbours, the room hub and the media link, which it may not import."""

from typing import Any, Literal, Protocol

from live.protocol.frames import Card
from live.web.bodies import PublisherLine
from rooms import Act, Command, Role, Room

Tier = Literal["video", "audio", "captions"]
"""How much of the stage a watch receives: everything; sound and the shared screen; no media."""


class Rooms(Protocol):
    """What the HTTP side wants of the room hub."""

    async def room(self, session: str) -> Room:
        """Return the session's room as the log has it now; read it before the next `await`."""

    async def put_card(self, session: str, card: Card) -> None:
        """Keep a person's card beside the log, and show it to those who know the person."""

    async def ask(
        self, session: str, person: str, role: Role, command: Command, generation: int | None = None
    ) -> None:
        """Let the room decide and the store keep, while a ticket of this generation is good.

        Raises:
            rooms.Refused: with its code.
        """

    async def acts(self, session: str) -> list[Act]:
        """Read a session's staff acts from the store, past what is in memory."""

    async def forget(self, session: str, person: str, role: Role) -> None:
        """Erase what a person has said, and the person's card."""

    async def reduce(self, session: str) -> None:
        """Leave only the organiser's record of a session."""

    async def erase(self, session: str) -> None:
        """Close a room for everybody and remove everything about it from the store."""

    def numbers(self) -> dict[str, float]:
        """Count rooms, sockets and what waits, for the metrics."""


class Answer(Protocol):
    """What the media worker answers to an offer."""

    @property
    def resource(self) -> str:
        """Names the publication or the watch."""

    @property
    def sdp(self) -> str:
        """The answer, or the offer where none was sent."""

    @property
    def etag(self) -> str:
        """The ICE session's entity tag."""

    @property
    def counter(self) -> bool:
        """The SDP is an offer of ours in place of one that does not fit."""


class Patch(Protocol):
    """What the media worker answers to a PATCH."""

    @property
    def sdpfrag(self) -> str | None:
        """Our side of an ICE restart, or None when there is nothing to say."""

    @property
    def etag(self) -> str:
        """The entity tag from now on."""


class Media(Protocol):
    """What the HTTP side wants of the media link; its refusals arrive as `Problem`."""

    async def publish(self, room: str, person: str, source: str, offer_sdp: str) -> Answer:
        """Take a WHIP offer."""

    async def watch(self, room: str, person: str, behind: bool, offer_sdp: str | None, tier: Tier) -> Answer:
        """Take a WHEP offer, or make one, for so much of the stage."""

    async def choose(self, room: str, resource: str, tier: Tier) -> None:
        """Change how much of the stage a watch receives."""

    async def answer(self, room: str, resource: str, sdp: str) -> None:
        """Take the answer to an offer of ours."""

    async def patch(self, room: str, resource: str, fragment: str, etag: str | None) -> Patch:
        """Take candidates or an ICE restart."""

    async def delete(self, room: str, resource: str) -> None:
        """End a resource."""

    async def expel(self, room: str, person: str) -> None:
        """End everything that a person sends and receives."""

    async def lines(self, room: str) -> list[PublisherLine]:
        """Tell how the publishers' lines are doing."""

    async def stats(self) -> list[dict[str, Any]]:
        """Count, worker by worker."""
