"""Forgetting a person: what somebody said goes, what others answered stays."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import msgspec

from rooms.chat import HeldDropped, YoursDropped, posted, taken_away
from rooms.core import Asked, Command, Event
from rooms.door import Forgotten, Standing, YourDoorTalkErased, leaving
from rooms.questions import LISTED, cards, wordless

if TYPE_CHECKING:
    from rooms.room import Room


class ForgetMe(Command, frozen=True, tag="forget_me"):
    """Erase what one has said: messages, questions, talk at the door. One leaves the room with it.

    Asked by the server for the person (`DELETE /api/sessions/{id}/me`), never over the wire: the card beside
    the log goes in the same step.
    """

    at_the_door: ClassVar = True
    after_removal: ClassVar = True
    after_the_end: ClassVar = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Placeholders stay where others may have answered."""
        events: list[Event] = [
            posted(taken_away(message, "author"))
            for message in room.chat.messages.values()
            if message.author == asked.person and not message.deleted
        ]
        for message in room.chat.held.values():
            if message.author == asked.person:
                events += [HeldDropped(id=message.id), YoursDropped(to=asked.person, id=message.id)]
        events += self._questions(room, asked)
        if room.door.talk.get(asked.person):
            events.append(YourDoorTalkErased(to=asked.person))
        known = room.door.people.get(asked.person)
        if known is not None and known.standing in {Standing.INSIDE, Standing.WAITING}:
            events += leaving(room, known, Standing.LEFT, asked.at)
        events.append(Forgotten(person=asked.person))
        return events

    @staticmethod
    def _questions(room: "Room", asked: Asked) -> Iterator[Event]:
        for question in room.questions.items.values():
            owner = room.questions.owners.get(question.id, "")
            # A message that became a fully anonymous question has no owner, but it is still the message.
            message = room.chat.messages.get(question.id)
            said = message is not None and message.author == asked.person
            if not said and owner not in {asked.person, asked.alias}:
                continue
            if (bare := wordless(question)) == question:
                continue
            over = question.state in {"answered", "declined", "merged"}
            bare = msgspec.structs.replace(
                bare,
                author="",
                shown=False,
                state=question.state if over else "withdrawn",
                version=question.version + 1,
                place=0,
                claim=None,
            )
            yield from cards(bare, owner, was_listed=question.state in LISTED)
