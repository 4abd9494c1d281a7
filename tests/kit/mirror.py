"""What a client holds: a second, independent fold of the events that one viewer is shown.

Used to say in one line that two viewers hold the same: the client's reducer follows the same rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from rooms import Event
from rooms.vocabulary import acts, chat, door, hands, polls, questions, session, stage

OVER = {"off", "refused", "expired"}


@dataclass
class Mirror:
    """One viewer's page, as data."""

    one: dict[str, object] = field(default_factory=dict)
    people: dict[str, object] = field(default_factory=dict)
    filed: dict[str, object] = field(default_factory=dict)
    talk: dict[str, object] = field(default_factory=dict)
    seats: set[str] = field(default_factory=set)
    mutes: set[tuple[str, str]] = field(default_factory=set)
    messages: dict[str, object] = field(default_factory=dict)
    held: dict[str, object] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)
    hands: dict[str, object] = field(default_factory=dict)
    board: dict[str, object] = field(default_factory=dict)
    listed: dict[str, object] = field(default_factory=dict)
    own: dict[str, object] = field(default_factory=dict)
    votes: set[str] = field(default_factory=set)
    polls: dict[str, object] = field(default_factory=dict)
    ballot_papers: dict[str, object] = field(default_factory=dict)
    ballots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    acts: list[object] = field(default_factory=list)

    def fold(self, events: Iterable[Event]) -> "Mirror":
        for event in events:
            self._apply(event)
        return self

    def _apply(self, event: Event) -> None:  # noqa: PLR0912 - one line per event is the point
        match event:
            case session.Opened():
                self.one["settings"] = event.settings
            case session.SettingsChanged():
                self.one["settings"] = event.settings
            case session.StateChanged():
                self.one["state"] = (event.state, event.at)
            case door.Filed():
                self.filed[event.person.id] = event.person
            case door.Entered():
                self.people[event.person] = event.role
            case door.Left():
                self.people.pop(event.person, None)
            case door.YourStanding():
                self.one["standing"] = event.standing
            case door.YouWereMuted():
                self.one["muted"] = event.on
            case door.DoorSpoken() | door.DoorHeard():
                self.talk[event.line.id] = event.line
            case door.Forgotten():
                self.talk = {id_: line for id_, line in self.talk.items() if line.visitor != event.person}
            case door.YourDoorTalkErased():
                self.talk = {id_: line for id_, line in self.talk.items() if line.visitor != event.to}
            case stage.Seated():
                self.seats.add(event.person)
            case stage.Unseated():
                self.seats.discard(event.person)
                self.mutes = {mute for mute in self.mutes if mute[0] != event.person}
                if self.one.get("spotlight") == event.person:
                    self.one["spotlight"] = ""
            case stage.SourceMuted():
                (self.mutes.add if event.on else self.mutes.discard)((event.person, event.source))
            case stage.Veiled():
                self.one["veiled"] = event.on
            case stage.Spotlit():
                self.one["spotlight"] = event.person
            case stage.TimerSet():
                self.one["timer"] = event.timer
            case hands.HandsSet():
                self.one["hands"] = event.open
            case hands.HandRaised():
                self.raised[event.person] = event.at
            case hands.HandLowered():
                self.raised.pop(event.person, None)
            case hands.HandFiled():
                self.hands[event.hand.person] = event.hand
                if event.hand.state in OVER:
                    del self.hands[event.hand.person]
            case hands.YourHand():
                self.one["hand"] = None if event.state in OVER else (event.state, event.until)
            case chat.Posted() | chat.PostedBackstage() | chat.PostedToStaff():
                self.messages[event.message.id] = event.message
                self.held.pop(event.message.id, None)
            case chat.Reacted() | chat.ReactedBackstage() | chat.ReactedToStaff():
                self._react(event)
            case chat.Held() | chat.YoursHeld():
                self.held[event.message.id] = event.message
            case chat.HeldDropped() | chat.YoursDropped():
                self.held.pop(event.id, None)
            case chat.ChatRulesSet():
                self.one["chat"] = event.rules
            case questions.QuestionFiled():
                self.board[event.question.id] = event.question
            case questions.QuestionListed():
                self.listed[event.question.id] = event.question
            case questions.QuestionUnlisted():
                self.listed.pop(event.id, None)
            case questions.OwnQuestionChanged():
                self.own[event.question.id] = event.question
            case questions.Voted():
                (self.votes.add if event.on else self.votes.discard)(event.id)
            case questions.QuestionRulesSet():
                self.one["questions"] = event.rules
            case polls.PollFiled():
                self.polls[event.poll.id] = event.poll
            case polls.PollDropped():
                self.polls.pop(event.id, None)
            case polls.PollListed():
                self.ballot_papers[event.poll.id] = event.poll
            case polls.BallotCast():
                self.ballots[event.id] = event.choices
                if not event.choices:
                    del self.ballots[event.id]
            case acts.ActRecorded():
                self.acts.append(event.act)

    def _react(self, event) -> None:
        message = self.messages.get(event.id)
        if message is None or message.deleted:
            return
        who = [one for one in message.reactions.get(event.reaction, []) if one != event.person or event.on]
        if event.on and event.person not in who:
            who.append(event.person)
        reactions = {name: people for name, people in message.reactions.items() if name != event.reaction}
        if who:
            reactions = {**message.reactions, event.reaction: who}
        self.messages[event.id] = msgspec.structs.replace(message, reactions=reactions)

    def settled(self) -> "Mirror":
        """Drop the facts that say nothing yet, so that silence and a default compare equal."""
        self.one = {name: value for name, value in self.one.items() if value not in (None, "", False)}
        if self.one.get("timer") == stage.Timer():
            del self.one["timer"]
        self.one.pop("standing", None)
        return self
