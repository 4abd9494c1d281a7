"""What is told of the polls' counts, and to whom.

A tally is no history: ballots are in the log, counts are told at most twice a second, each poll in a frame of
its own that a newer one replaces while it waits. There are two forms of it, made once each: how many have
voted, and that with the counts; `rooms.polls.may_see_results` says who gets which.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from live.gateway.message import Message
from live.gateway.viewing import Member
from live.protocol.frames import Tally
from rooms import Level, Room
from rooms.polls import Poll, may_see_results


@dataclass(frozen=True)
class Told:
    """A poll, its count, and the two messages that tell it, as they were made last."""

    poll: Poll
    tally: Tally
    full: Message
    brief: Message


class Tallies:
    """One room's tallies as they were made last, and as they were last told to everybody."""

    def __init__(self) -> None:
        self._ready: dict[str, Told] = {}
        self._published: dict[str, Told] = {}

    def tell(self, room: Room, members: Iterable[Member]) -> None:
        """Send each viewer what changed: the figures, or whether the viewer may see them."""
        for poll in room.polls.listed():
            told = self._told(room, poll)
            # Where voting itself shows the results, each viewer is looked at, whatever the figures say.
            running = poll.state == "open" and poll.results == "voted"
            if told is self._published.get(poll.id) and not running:
                continue
            self._published[poll.id] = told
            for member in members:
                self._give(room, told, member)

    def catch_up(self, room: Room, member: Member) -> None:
        """Send a viewer all of it."""
        member.tallies.clear()
        for poll in room.polls.listed():
            self._give(room, self._told(room, poll), member)

    def _told(self, room: Room, poll: Poll) -> Told:
        """Make the messages for what is to be told now; one that says the same stays the same object."""
        voters, known = room.polls.voters(poll.id), self._ready.get(poll.id)
        tally = Tally(poll=poll.id, voters=voters, counts=room.polls.tally(poll.id))
        if known is not None and known.poll is poll and known.tally == tally:
            return known
        if known is not None and known.tally.voters == voters:
            brief = known.brief
        else:
            brief = Message.of(Tally(poll=poll.id, voters=voters))
        told = self._ready[poll.id] = Told(poll, tally, Message.of(tally), brief)
        return told

    @staticmethod
    def _give(room: Room, told: Told, member: Member) -> None:
        if member.level < Level.ADMITTED:
            return
        poll = told.poll
        voted = room.polls.has_voted(poll.id, member.names)
        message = told.full if may_see_results(poll, member.level, voted=voted) else told.brief
        if member.tallies.get(poll.id) is not message:
            member.tallies[poll.id] = message
            # The last word on a poll must not be lost: a reader too slow for it comes back.
            member.push(message, f"tally {poll.id}" if poll.state == "open" else None)
