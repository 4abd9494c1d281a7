"""Chat: the room's, the backstage's and the staff's, with one message type and one set of rules."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal, TypeVar

import msgspec

from rooms.core import (
    NOTHING,
    STAFF_ROLES,
    STAGE_ROLES,
    SUBJECT,
    Asked,
    Command,
    Event,
    Gone,
    Level,
    Refused,
    Role,
)
from rooms.text import clean

if TYPE_CHECKING:
    from rooms.room import Room

Channel = Literal["main", "backstage", "staff"]
CHANNELS: Final[tuple[Channel, ...]] = ("main", "backstage", "staff")
Reaction = Literal["heart", "nod", "clap", "laugh", "think"]
MESSAGE_MOST: Final = 1000
RECENT: Final = 80
"""Messages per channel in a viewer's snapshot; older ones are paged."""
PINS: Final = 5
SLOW_MOST_S: Final = 600
Wordy = TypeVar("Wordy", "_Shown", "Held", "YoursHeld")


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message as it stands now.

    Attributes:
        id: unique in the room.
        channel: `main` (everyone inside), `backstage` (speakers and staff), `staff`.
        author: person id.
        at: when it was posted, in milliseconds.
        text: plain text; empty once deleted.
        reply_to: id of the message it answers.
        edited: when it was last edited.
        deleted: who took it away; the placeholder stays.
        reactions: persons by reaction.
        pinned: shown above the list.
    """

    id: str
    channel: Channel
    author: str
    at: int
    text: str
    reply_to: str = ""
    edited: int = 0
    deleted: Literal["", "author", "staff"] = ""
    reactions: dict[str, list[str]] = {}
    pinned: bool = False


class ChatRules(msgspec.Struct, frozen=True):
    """What holds for the room's chat.

    Attributes:
        slow: seconds between two messages of one person (staff and speakers are exempt); 0: none.
        hold: messages wait for a moderator.
        closed: only staff may post.
    """

    slow: int = 0
    hold: bool = False
    closed: bool = False


@dataclass
class Chat:
    """The slice of a room that is talk. Messages are in the order of their first posting."""

    messages: dict[str, Message] = field(default_factory=dict)
    held: dict[str, Message] = field(default_factory=dict)
    rules: ChatRules = field(default_factory=ChatRules)
    last: dict[str, int] = field(default_factory=dict)
    """When each person last posted to the main channel; what slow mode counts from."""

    def facts(self, *, recent: int | None = None) -> Iterator[Event]:
        """Yield the events that rebuild this slice; with `recent`, so many messages per channel, and pins."""
        yield ChatRulesSet(rules=self.rules)
        skip = dict.fromkeys(CHANNELS, 0)
        if recent is not None:
            for message in self.messages.values():
                skip[message.channel] += 1
            skip = {channel: count - recent for channel, count in skip.items()}
        for message in self.messages.values():
            skip[message.channel] -= 1
            if message.pinned or skip[message.channel] < 0:
                yield posted(message)
        for message in self.held.values():
            yield Held(message=message)
            yield YoursHeld(to=message.author, message=message)

    def page(
        self, channel: Channel, *, before: str = "", after: str = "", limit: int = 50
    ) -> tuple[list[Event], bool]:
        """Give up to `limit` messages next to a known one, oldest first, and whether more lie beyond.

        Args:
            channel: whose history.
            before: id of the oldest message known; pages towards the past.
            after: id of the newest message known; pages towards the present.
            limit: 1 to 100.
        """
        limit = max(1, min(limit, 100))
        line = [message for message in self.messages.values() if message.channel == channel]
        place = {message.id: index for index, message in enumerate(line)}
        if after:
            start = place.get(after, len(line) - 1) + 1
            chosen, more = line[start : start + limit], start + limit < len(line)
        else:
            end = place.get(before, 0 if before else len(line))
            start = max(0, end - limit)
            chosen, more = line[start:end], start > 0
        return [posted(message) for message in chosen], more


def _wordless(event: Wordy, gone: Gone) -> Wordy:
    message = event.message
    if message.id not in gone.messages or not message.text:
        return event
    return msgspec.structs.replace(event, message=msgspec.structs.replace(message, text=""))


class _Shown(Event, frozen=True):
    """A message as it is now: new, edited, deleted or pinned."""

    message: Message

    def apply(self, room: "Room") -> None:
        """Insert or replace; keeps the place of the first posting."""
        message = self.message
        room.chat.held.pop(message.id, None)
        if message.channel == "main" and message.id not in room.chat.messages:
            room.chat.last[message.author] = max(message.at, room.chat.last.get(message.author, 0))
        room.chat.messages[message.id] = message

    def erases(self) -> Gone:
        """A deleted message's words."""
        return Gone(messages=frozenset({self.message.id})) if self.message.deleted else NOTHING

    def without(self, gone: Gone) -> Event:
        """The message without words."""
        return _wordless(self, gone)


class Posted(_Shown, frozen=True, tag="posted"):
    """A message of the room's chat, as it is now."""

    audience = Level.ADMITTED


class PostedBackstage(_Shown, frozen=True, tag="posted_backstage"):
    """A message behind the curtain, as it is now."""

    audience = Level.STAGE


class PostedToStaff(_Shown, frozen=True, tag="posted_to_staff"):
    """A message among the staff, as it is now."""

    audience = Level.STAFF


class _ReactedTo(Event, frozen=True):
    """A person's reaction to a message, or its end: the change alone, for a message may have thousands."""

    id: str
    person: str
    reaction: Reaction
    on: bool = True

    def apply(self, room: "Room") -> None:
        """Each person once per reaction, in the order of coming; a reaction without people goes."""
        found = room.chat.messages.get(self.id)
        if found is None or found.deleted:
            return
        who = found.reactions.get(self.reaction, [])
        if (self.person in who) == self.on:
            return
        who = [*who, self.person] if self.on else [person for person in who if person != self.person]
        reactions = {**found.reactions, self.reaction: who}
        kept = {name: people for name, people in reactions.items() if people}
        room.chat.messages[self.id] = msgspec.structs.replace(found, reactions=kept)


class Reacted(_ReactedTo, frozen=True, tag="reacted"):
    """A reaction in the room's chat came or went."""

    audience = Level.ADMITTED


class ReactedBackstage(_ReactedTo, frozen=True, tag="reacted_backstage"):
    """A reaction behind the curtain came or went."""

    audience = Level.STAGE


class ReactedToStaff(_ReactedTo, frozen=True, tag="reacted_to_staff"):
    """A reaction among the staff came or went."""

    audience = Level.STAFF


_REACTED: Final[dict[Channel, type[_ReactedTo]]] = {
    "main": Reacted,
    "backstage": ReactedBackstage,
    "staff": ReactedToStaff,
}
_SHOWN: Final[dict[Channel, type[_Shown]]] = {
    "main": Posted,
    "backstage": PostedBackstage,
    "staff": PostedToStaff,
}
_WRITERS: Final[dict[Channel, frozenset[Role]]] = {
    "main": frozenset(Role),
    "backstage": STAGE_ROLES | STAFF_ROLES,
    "staff": STAFF_ROLES,
}


def posted(message: Message) -> Event:
    """Wrap a message in the event class whose audience is its channel's."""
    return _SHOWN[message.channel](message=message)


class Held(Event, frozen=True, tag="held"):
    """A message waits for a moderator."""

    audience = Level.STAFF
    message: Message

    def apply(self, room: "Room") -> None:
        """Keep it apart from the chat."""
        room.chat.held[self.message.id] = self.message
        room.chat.last[self.message.author] = max(self.message.at, room.chat.last.get(self.message.author, 0))

    def without(self, gone: Gone) -> Event:
        """The message without words."""
        return _wordless(self, gone)


class YoursHeld(Event, frozen=True, tag="yours_held"):
    """Your message waits for a moderator."""

    audience = SUBJECT
    to: str
    message: Message

    def apply(self, room: "Room") -> None:
        """Nothing more than `Held` says."""

    def without(self, gone: Gone) -> Event:
        """The message without words."""
        return _wordless(self, gone)


class HeldDropped(Event, frozen=True, tag="held_dropped"):
    """A held message will not be posted."""

    audience = Level.STAFF
    id: str

    def apply(self, room: "Room") -> None:
        """Forget it."""
        room.chat.held.pop(self.id, None)

    def erases(self) -> Gone:
        """The words that nobody will read."""
        return Gone(messages=frozenset({self.id}))


class YoursDropped(Event, frozen=True, tag="yours_dropped"):
    """Your held message will not be posted."""

    audience = SUBJECT
    to: str
    id: str

    def apply(self, room: "Room") -> None:
        """Nothing more than `HeldDropped` says."""


class ChatRulesSet(Event, frozen=True, tag="chat_rules_set"):
    """What holds for the chat from now on."""

    audience = Level.ADMITTED
    rules: ChatRules

    def apply(self, room: "Room") -> None:
        """Set."""
        room.chat.rules = self.rules


def taken_away(message: Message, by: Literal["author", "staff"]) -> Message:
    """Give the placeholder of a message that `by` took away."""
    return msgspec.structs.replace(message, text="", deleted=by, reactions={}, pinned=False)


def may_speak(room: "Room", asked: Asked) -> None:
    """Refuse a person whom a moderator has muted."""
    person = room.door.people.get(asked.person)
    if person is not None and person.muted and not asked.is_staff:
        raise Refused("muted")


def _found(room: "Room", asked: Asked, message: str) -> Message:
    found = room.chat.messages.get(message)
    if found is None or asked.role not in _WRITERS[found.channel]:
        raise Refused("no_such_message")
    return found


class Post(Command, frozen=True, tag="post"):
    """Say something in a channel."""

    text: str
    channel: Channel = "main"
    reply_to: str = ""

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Post now, hold for review, or refuse with what to wait for."""
        if asked.role not in _WRITERS[self.channel]:
            raise Refused("forbidden")
        may_speak(room, asked)
        text = clean(self.text, most=MESSAGE_MOST)
        if self.reply_to and _found(room, asked, self.reply_to).channel != self.channel:
            raise Refused("no_such_message")
        message = Message(
            id=asked.id,
            channel=self.channel,
            author=asked.person,
            at=asked.at,
            text=text,
            reply_to=self.reply_to,
        )
        if self.channel == "main" and not asked.is_staff:
            rules = room.chat.rules
            if rules.closed:
                raise Refused("chat_closed")
            if asked.role is Role.ATTENDEE:
                self._slowly(room, asked)
                if rules.hold:
                    return [Held(message=message), YoursHeld(to=asked.person, message=message)]
        return [posted(message)]

    @staticmethod
    def _slowly(room: "Room", asked: Asked) -> None:
        free_at = room.chat.last.get(asked.person, 0) + room.chat.rules.slow * 1000
        if room.chat.rules.slow and asked.at < free_at:
            raise Refused("slow_mode", wait=free_at - asked.at)


class EditMessage(Command, frozen=True, tag="edit_message"):
    """Change one's own message."""

    id: str
    text: str

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Only the author, only while it stands and the chat is open to the author."""
        found = _found(room, asked, self.id)
        if found.author != asked.person:
            raise Refused("forbidden")
        may_speak(room, asked)
        if found.deleted:
            raise Refused("deleted")
        rules = room.chat.rules
        if found.channel == "main" and not asked.is_staff:
            if rules.closed:
                raise Refused("chat_closed")
            if rules.hold and asked.role is Role.ATTENDEE:
                raise Refused("held_for_review")
        text = clean(self.text, most=MESSAGE_MOST)
        if text == found.text:
            return []
        return [posted(msgspec.structs.replace(found, text=text, edited=asked.at))]


class DeleteMessage(Command, frozen=True, tag="delete_message"):
    """Take a message away; its placeholder stays. One's own, or anybody's by staff."""

    act: ClassVar = "delete_message"
    id: str

    def is_act(self, room: "Room", asked: Asked) -> bool:
        """Another's message is taken away by the staff alone."""
        return room.chat.messages[self.id].author != asked.person

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Erase the words and whatever pointed at them."""
        found = _found(room, asked, self.id)
        if found.deleted:
            return []
        own = found.author == asked.person
        if not own and not asked.is_staff:
            raise Refused("forbidden")
        return [posted(taken_away(found, "author" if own else "staff"))]


class React(Command, frozen=True, tag="react"):
    """Add or take back a reaction."""

    id: str
    reaction: Reaction
    on: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """Each person once per reaction."""
        found = _found(room, asked, self.id)
        may_speak(room, asked)
        if found.deleted:
            raise Refused("deleted")
        who = found.reactions.get(self.reaction, [])
        if (asked.person in who) == self.on:
            return []
        told = _REACTED[found.channel]
        return [told(id=found.id, person=asked.person, reaction=self.reaction, on=self.on)]


class Pin(Command, frozen=True, tag="pin"):
    """Show a message above its channel, or no longer."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "pin"
    id: str
    on: bool = True

    def decide(self, room: "Room", asked: Asked) -> list[Event]:
        """At most five per channel."""
        found = _found(room, asked, self.id)
        if found.deleted:
            raise Refused("deleted")
        if found.pinned == self.on:
            return []
        pins = sum(1 for one in room.chat.messages.values() if one.pinned and one.channel == found.channel)
        if self.on and pins >= PINS:
            raise Refused("too_many_pins", at=PINS)
        return [posted(msgspec.structs.replace(found, pinned=self.on))]


class SetChatRules(Command, frozen=True, tag="set_chat_rules"):
    """Slow mode, hold-for-review, close; absent fields stay."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "set_chat_rules"
    slow: int | None = None
    hold: bool | None = None
    closed: bool | None = None

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """Slow mode goes up to ten minutes."""
        if self.slow is not None and not 0 <= self.slow <= SLOW_MOST_S:
            raise Refused("bad_duration")
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        rules = msgspec.structs.replace(room.chat.rules, **given)
        return [] if rules == room.chat.rules else [ChatRulesSet(rules=rules)]


class ReviewHeld(Command, frozen=True, tag="review_held"):
    """Post a held message, or drop it."""

    needs: ClassVar = STAFF_ROLES
    act: ClassVar = "review_held"
    id: str
    post: bool

    def decide(self, room: "Room", asked: Asked) -> list[Event]:  # noqa: ARG002 - the port's shape
        """The author learns either way."""
        found = room.chat.held.get(self.id)
        if found is None:
            raise Refused("no_such_message")
        if self.post:
            return [posted(found)]
        return [HeldDropped(id=self.id), YoursDropped(to=found.author, id=self.id)]
