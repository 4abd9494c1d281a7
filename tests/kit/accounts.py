"""What must hold of a room after whatever happened to it, reckoned from the store's log and every page.

Nothing of the gateway takes part: the log is read and folded here. Each violation is a sentence.
"""

import copy
import itertools
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from rooms import SUBJECT, Entry, Room, Snapshot, visible
from rooms.chat import RECENT, Post
from rooms.polling import CastBallot
from rooms.queue import Vote
from tests.kit.mirror import Mirror

PAGE = 1000


@dataclass
class Verdict:
    """What was found; true if nothing is wrong.

    Attributes:
        lost: acknowledged, and not in the room.
        duplicated: asked once, and more than once in the room.
        wrong: every other invariant that does not hold.
        untold: people who lost something and were not told.
    """

    scene: str
    acknowledged: int = 0
    entries: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    untold: list[str] = field(default_factory=list)

    def __bool__(self):
        return not (self.lost or self.duplicated or self.wrong)

    def __str__(self):
        lines = [f"{self.scene}: {self.acknowledged} acknowledged, the log ends at {self.entries}"]
        for what in ("lost", "duplicated", "wrong", "untold"):
            found = getattr(self, what)
            lines += [f"  {what}: {sentence}" for sentence in found[:12]]
            lines += [f"  {what}: … {len(found)} in all"] if len(found) > 12 else []
        return "\n".join(lines)


async def read_room(store, session):
    """The rows that the store holds and the room that they tell, with what is wrong with their numbers."""
    rows, wrong = [], []
    while more := await store.read(session, rows[-1].seq if rows else 0, PAGE):
        rows += more
    saved = await store.snapshot(session)
    first = rows[0].seq if rows else 1
    snapshot = msgspec.json.decode(saved.body, type=Snapshot) if saved is not None else None
    room = Room() if first == 1 or snapshot is None else Room.restore(snapshot)
    numbers = [row.seq for row in rows]
    if numbers != list(range(first, first + len(rows))):
        gaps = [seq for before, seq in itertools.pairwise(numbers) if seq != before + 1]
        wrong.append(f"the log is not contiguous: gaps before {gaps}")
    if first > 1 and (snapshot is None or snapshot.seq < first - 1):
        wrong.append(f"the log begins at {first}, its snapshot at {snapshot and snapshot.seq}")
    tail = await store.position(session)
    if tail.seq != (numbers[-1] if numbers else room.seq):
        wrong.append(f"the tail says {tail.seq}, the last row is {numbers[-1:]}")
    entries = {row.seq: msgspec.json.decode(row.body, type=Entry) for row in rows}
    if not wrong:
        for seq in sorted(seq for seq in entries if seq > room.seq):
            room.fold(entries[seq])
    return room, entries, wrong


async def examine(store, session, people, scene):
    """Check every invariant.

    Args:
        store: open on the room's store, by whatever way is whole.
        session: the room.
        people: of a `Crowd` that has settled.
        scene: name and seed, for the story.
    """
    room, entries, wrong = await read_room(store, session)
    verdict = Verdict(scene, sum(len(one.acknowledged) for one in people), room.seq, wrong=wrong)
    texts = Counter(message.text for message in room.chat.messages.values())
    verdict.duplicated += [f"{text!r} is there {count} times" for text, count in texts.items() if count > 1]
    keys = Counter(entry.key for entry in entries.values() if entry.key)
    verdict.duplicated += [f"key {key} has {count} entries" for key, count in keys.items() if count > 1]
    fresh = FreshPages(room)
    for one in people:
        before = len(verdict.lost)
        _account(verdict, one, texts)
        if len(verdict.lost) > before and not one.lost and one.over is None:
            verdict.untold.append(one.name)
        verdict.wrong += [f"{one.name} {odd}" for odd in one.odd]
        _look(verdict, one, room, fresh)
    if not verdict.lost:  # else numbers and votes are among what is lost
        for one in people:
            _number(verdict, one, entries)
        _count_voters(verdict, people, room)
    _compare_histories(verdict, people, entries)
    return verdict


def _account(verdict, one, texts):
    """Acknowledged is in the room, and nothing waits to be."""
    if one.outbox:
        kinds = [type(command).__name__ for command in one.outbox.values()]
        verdict.wrong.append(f"{one.name} still waits for an answer to {kinds} (closed: {one.closed})")
    for nonce, (command, seq) in one.acknowledged.items():
        if not isinstance(command, Post):
            continue
        if not texts[command.text]:
            verdict.lost.append(f"{command.text!r} of {one.name}, acknowledged as {seq}, nonce {nonce}")


def _number(verdict, one, entries):
    """Acknowledged is where it was said to be."""
    for command, seq in one.acknowledged.values():
        if isinstance(command, Post) and seq >= min(entries, default=seq + 1):
            events = entries[seq].events if seq in entries else ()
            said = [event.message.text for event in events if hasattr(event, "message")]
            if said != [command.text]:
                verdict.wrong.append(f"{one.name} was told {command.text!r} is {seq}; there is {said}")


class FreshPages:
    """What a page would hold that comes now; what all of a level see is folded once, for thousands."""

    def __init__(self, room):
        self._room, self._common, self._own = room, {}, {}
        for event in room.facts():
            if event.audience == SUBJECT:
                self._own.setdefault(event.to, []).append(event)

    def of(self, level, names, recent=None):
        """The page of a viewer, with no more of the old chat than `recent`."""
        if (level, recent) not in self._common:
            facts = self._room.facts(recent=recent, names=frozenset())
            self._common[level, recent] = Mirror().fold(visible(level, frozenset(), facts))
        page = Mirror(**{name: copy.copy(part) for name, part in vars(self._common[level, recent]).items()})
        return page.fold(event for name in names for event in self._own.get(name, ()))


def _look(verdict, one, room, pages):
    """A page that is open holds what a fresh one would; a closed one has been told why."""
    if one.over is not None:
        verdict.wrong.append(f"{one.name} was sent away with {one.over}")
        return
    if not one.settled:
        verdict.wrong.append(f"{one.name} is not in the room (closed: {one.closed})")
        return
    if one.seq != room.seq:
        verdict.wrong.append(f"{one.name} is at {one.seq}, the room at {room.seq}")
        return
    level, names = one.welcome.you.level, frozenset({one.welcome.you.id, one.welcome.you.alias})
    fresh = pages.of(level, names, RECENT).settled()
    whole = pages.of(level, names)
    held = one.mirror.settled()
    for part in vars(fresh):
        here, there = getattr(held, part), getattr(fresh, part)
        if part == "messages":  # who stayed holds more of the old chat than a fresh page is given
            here = {key: value for key, value in here.items() if key in there or key not in whole.messages}
        if here != there:
            verdict.wrong.append(f"{one.name} holds other {part}: {_difference(here, there)}")


def _difference(here, there):
    if isinstance(here, dict) and isinstance(there, dict):
        keys = here.keys() | there.keys()
        return {key: (here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)}
    return here, there


def _count_voters(verdict, people, room):
    """Votes are voters: whoever's last acknowledged vote says yes, and nobody else."""
    voters, box = {}, {}
    for one in people:
        for command, seq in sorted(one.acknowledged.values(), key=lambda answer: answer[1]):
            if isinstance(command, Vote) and seq:
                voters.setdefault(command.id, {})[one.welcome.you.id] = command.on
            if isinstance(command, CastBallot) and seq:
                box.setdefault(command.id, {})[one.welcome.you.alias] = tuple(command.choices)
    for question, votes in voters.items():
        expected = {name for name, on in votes.items() if on}
        found = room.questions.voters.get(question, set())
        if found != expected or room.questions.votes(question) != len(expected):
            verdict.wrong.append(f"voters of {question}: {sorted(found)} instead of {sorted(expected)}")
    for poll, ballots in box.items():
        found = room.polls.ballots.get(poll, {})
        counts = room.polls.counts.get(poll, {})
        if found != ballots or sum(counts.values()) != len(ballots):
            verdict.wrong.append(f"ballots of {poll}: {found} counted {counts} instead of {ballots}")


def _compare_histories(verdict, people, entries):
    """Under a number of a history everybody was shown the same entry, and the one that is in the log."""
    told = {}
    for one in people:
        for place, shown in one.shown():
            told.setdefault(place, {}).setdefault(shown, one.name)
    newest = max((history for history, _ in told), default=0)
    anybody_lost = any(one.lost for one in people)
    for (history, seq), versions in told.items():
        for (first, by), (other, name) in itertools.combinations(versions.items(), 2):
            if first[0] != other[0] or (first[1:] and other[1:]):
                verdict.wrong.append(f"{by} and {name} were shown two entries {history}-{seq}")
        entry = entries.get(seq)
        if entries and seq >= min(entries) and (history == newest or not anybody_lost):
            for (at, *_), name in versions.items():
                if entry is None or entry.at != at:
                    verdict.wrong.append(f"{name} was shown {history}-{seq}, which is not in the log")
