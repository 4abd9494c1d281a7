"""What is told of the polls' counts, and to whom.

A tally is no history: ballots are in the log, counts are told at most twice a second, each poll in a frame of
its own that a newer one replaces while it waits. There are two forms of it, encoded once each: how many have
voted, and that with the counts; `rooms.polls.may_see_results` says who gets which.
"""

from collections.abc import Iterable

import msgspec

from live.gateway.viewing import Member
from live.protocol.codec import encode
from live.protocol.frames import Tally
from rooms import Level, Room
from rooms.polls import Poll, may_see_results


class Told(msgspec.Struct, frozen=True):
    """A poll and its two frames, as they were last encoded."""

    poll: Poll
    full: bytes
    brief: bytes


class Tallies:
    """One room's tallies as they were last encoded."""

    def __init__(self) -> None:
        self._ready: dict[str, Told] = {}

    def tell(self, room: Room, members: Iterable[Member]) -> None:
        """Send each viewer what changed: the figures, or whether the viewer may see them."""
        for poll in room.polls.listed():
            known = self._ready.get(poll.id)
            told = self._told(room, poll)
            # Where voting itself shows the results, each viewer is looked at, whatever the figures say.
            if told is known and not (poll.state == "open" and poll.results == "voted"):
                continue
            for member in members:
                self._give(room, told, member)

    def catch_up(self, room: Room, member: Member) -> None:
        """Send a viewer all of it."""
        member.tallies.clear()
        for poll in room.polls.listed():
            self._give(room, self._told(room, poll), member)

    def _told(self, room: Room, poll: Poll) -> Told:
        """Encode what is to be told now; a frame that says the same stays the same object."""
        voters = room.polls.voters(poll.id)
        full = encode(Tally(poll=poll.id, voters=voters, counts=room.polls.tally(poll.id)))
        brief = encode(Tally(poll=poll.id, voters=voters))
        known = self._ready.get(poll.id)
        if known is None or known.poll is not poll or known.full != full:
            if known is not None and known.brief == brief:
                brief = known.brief
            known = self._ready[poll.id] = Told(poll, full, brief)
        return known

    @staticmethod
    def _give(room: Room, told: Told, member: Member) -> None:
        if member.level < Level.ADMITTED:
            return
        poll = told.poll
        voted = room.polls.has_voted(poll.id, member.names)
        data = told.full if may_see_results(poll, member.level, voted=voted) else told.brief
        if member.tallies.get(poll.id) is not data:
            member.tallies[poll.id] = data
            # The last word on a poll must not be lost: a reader too slow for it comes back.
            member.push(data, f"tally {poll.id}" if poll.state == "open" else None)
