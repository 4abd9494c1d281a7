"""People who behave as the page does: an outbox with nonces, a window, and coming back until told not to.

A `Person` keeps what an accountant of the room needs afterwards: what was acknowledged to them, under which
number, what they were shown, and what they were told was lost. `tests.kit.accounts` adds it up.
"""

import asyncio
import contextlib
import random
import secrets

from websockets.exceptions import WebSocketException

from live.protocol.codes import Close
from live.protocol.frames import Do, Done, Events, Refused, Welcome
from rooms import Level
from rooms.chat import Post
from rooms.polling import CastBallot, DraftPoll, OpenPoll, PollForm
from rooms.queue import Ask, Vote
from tests.kit.polling import until
from tests.kit.viewer import Viewer

WINDOW = 8
AGAIN = {"store_away", "busy", "rate", "window"}
"""Refusals after which the page asks again by itself, with the same nonce."""


class Person(Viewer):
    """A viewer with an outbox; `live()` is the page's life, `say` what its person does.

    Args:
        urls: of the nodes; the next one is tried when one does not answer, as behind a balancer.
        ticket: `role:name`, or one of a real server's.
        name: to be told by; the ticket's.
    """

    def __init__(self, urls, ticket, name="", **options):
        super().__init__(urls[0], ticket, **({"compression": None, "open_timeout": 5} | options))
        self.urls = urls
        self.name = name or ticket.rpartition(":")[2]
        self.outbox, self.acknowledged, self.refused = {}, {}, {}
        self.lost, self.odd, self.heard = 0, [], []
        self.over, self.connections, self.settled = None, 0, False
        self._asked, self._sent, self._paused = {}, set(), 0.0
        self._stir = asyncio.Event()
        self._living = None

    # -- what the person does ------------------------------------------------------------------------

    def say(self, command):
        """Put a command into the outbox; returns its nonce."""
        nonce = secrets.token_hex(8)
        self.outbox[nonce] = command
        self._stir.set()
        return nonce

    async def say_and_vanish(self, command):
        """Send a command and lose the line in the same moment."""
        nonce = self.say(command)
        if self._socket is not None and self.closed is None:
            with contextlib.suppress(WebSocketException, OSError):
                await self._send_due()
            self._socket.transport.abort()
            await asyncio.gather(self._reading, return_exceptions=True)
        return nonce

    def start(self):
        self._living = asyncio.create_task(self.live(), name=f"person {self.name}")

    async def stop(self):
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
        await self.drop()

    @property
    def here(self):
        """Whether the page shows the room."""
        return self.over is None and self.closed is None and self.welcome is not None and self.seq is not None

    @property
    def history(self):
        """Which history the page holds."""
        return (self.epoch or 0) // len(Level)

    def shown(self):
        """Every entry that was shown: history and number, when, and what was said."""
        for history, entries in self.heard:
            for entry in entries:
                said = [event.message.text for event in entry.events if hasattr(event, "message")]
                yield (history, entry.seq), (entry.at, *said)

    # -- the page's life -----------------------------------------------------------------------------

    async def live(self):
        while self.over is None:
            try:
                await self.connect()
                self.connections += 1
                await self._serve()
            except (OSError, WebSocketException, TimeoutError):
                self.urls = self.urls[1:] + self.urls[:1]
                self.url = self.urls[0]
            finally:
                await self.drop()
            if self.closed in set(Close) and not Close(self.closed).come_back:
                self.over = self.closed
            await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - full jitter, as the page's

    async def _serve(self):
        self._sent.clear()
        while self.closed is None:
            await self._send_due()
            self._stir.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.25):  # Python 3.11's `wait_for` may swallow `stop`
                    await self._stir.wait()

    async def _send_due(self):
        for frame in self._due():
            await self.send(frame)

    def _due(self):
        """What may be asked by now, as far as the window allows."""
        if asyncio.get_running_loop().time() < self._paused:
            return
        for nonce, command in list(self.outbox.items()):
            if len(self._sent) >= WINDOW:
                return
            if nonce not in self._sent and nonce in self.outbox:
                self._sent.add(nonce)
                self._ref += 1
                self._asked[self._ref] = nonce
                yield Do(ref=self._ref, nonce=nonce, cmd=command)

    def _take(self, frame):
        match frame:
            case Done() | Refused():
                self._answered(frame)
            case Events():
                self._see(frame)
            case Welcome():
                self.lost += frame.lost
                super()._take(frame)
            case _:
                super()._take(frame)

    def _see(self, frame):
        fresh = [entry for entry in frame.entries if self.seq is None or entry.seq > self.seq]
        if len(fresh) < len(frame.entries):
            self.odd.append(f"was sent entries up to {self.seq} again: {frame.entries[0].seq}")
            return
        self.heard.append((self.epoch // len(Level), fresh))
        super()._take(frame)

    def _answered(self, frame):
        nonce = self._asked.get(frame.ref)
        command = self.outbox.get(nonce)
        self._stir.set()
        self._sent.discard(nonce)
        if isinstance(frame, Refused):
            if frame.why in AGAIN:
                wait = (frame.wait or 100) / 1000
                self._paused = max(self._paused, asyncio.get_running_loop().time() + wait)
            elif command is not None:
                del self.outbox[nonce]
                self.refused[nonce] = (command, frame.why)
        elif command is None:
            _, before = self.acknowledged.get(nonce, (None, None))
            if before != frame.seq:
                self.odd.append(f"nonce {nonce} was answered {before} and then {frame.seq}")
        else:
            del self.outbox[nonce]
            self.acknowledged[nonce] = (command, frame.seq)


class Crowd:
    """People of a session who talk and vote for as long as the context lasts; the first is a moderator.

    Args:
        urls: of the nodes; each person begins at the next.
        size: how many, the moderator included.
        seed: of what they say and when.
        ticket: makes the ticket of a role and a name.
    """

    def __init__(self, urls, size=6, seed=1, ticket="{}:{}".format, **options):
        self.seed = seed
        self.dice = random.Random(seed)  # noqa: S311 - repeatable is the point
        roles = ["moderator", *["attendee"] * (size - 1)]
        self.people = [
            Person(urls[n % len(urls) :] + urls[: n % len(urls)], ticket(role, f"p{n}"), f"p{n}", **options)
            for n, role in enumerate(roles)
        ]
        self.moderator = self.people[0]
        self.said = 0
        self._talking = None

    async def __aenter__(self):
        for person in self.people:
            person.start()
        await until(lambda: all(person.here for person in self.people), 30)
        self.moderator.say(Ask(text="どう声をかけますか？"))
        form = PollForm(text="続けますか", options=["はい", "いいえ"])
        self.moderator.say(DraftPoll(poll=form))
        draft = await self.moderator.holds(lambda room: next(iter(room.polls.values()), None), 30)
        self.moderator.say(OpenPoll(id=draft.id, version=draft.version))
        for person in self.people:
            await person.holds(lambda room: room.listed and room.ballot_papers, 30)
        self.question = next(iter(self.moderator.mirror.listed))
        self.poll = next(iter(self.moderator.mirror.ballot_papers.values()))
        return self

    async def __aexit__(self, *_):
        await self.quiet()
        await asyncio.gather(*(person.stop() for person in self.people))

    def act(self, person=None):
        """Let somebody do something; votes of a person wait for the one before."""
        person = person or self.dice.choice(self.people)
        if len(person.outbox) >= 2 * WINDOW or person.over is not None:
            return
        waiting = {type(command) for command in person.outbox.values()}
        turn = self.dice.random()
        if turn < 0.2 and Vote not in waiting:
            person.say(Vote(id=self.question, on=self.dice.random() < 0.7))
        elif turn < 0.4 and CastBallot not in waiting:
            choice = self.dice.choice(self.poll.options).id
            person.say(CastBallot(id=self.poll.id, choices=[choice]))
        else:
            person.say(self.words())

    def words(self, more=""):
        """A message unlike any other."""
        self.said += 1
        return Post(text=f"発言 {self.seed}-{self.said}{more}")

    def talk(self, every=0.02):
        """Have the room talk from now on, until `quiet`."""

        async def talking():
            while True:
                self.act()
                await asyncio.sleep(every)

        self._talking = asyncio.create_task(talking(), name="talking")

    async def quiet(self):
        if self._talking is not None:
            self._talking.cancel()
            await asyncio.gather(self._talking, return_exceptions=True)
            self._talking = None

    @property
    def acknowledged(self):
        """How many commands have been answered with *done* so far."""
        return sum(len(person.acknowledged) for person in self.people)

    async def more(self, count, within=40):
        """Wait until so many more commands have been acknowledged."""
        begin = self.acknowledged
        await until(lambda: self.acknowledged >= begin + count, within)

    async def settle(self, within=40):
        """Be quiet, let all come to one history, everything be answered, and all see the same last word.

        Never raises: the accounts tell who did not get there. The nodes may be ended afterwards.
        """
        await self.quiet()
        with contextlib.suppress(TimeoutError):
            await until(self._agreed, within)  # before anything is said that would bring a node there
            await until(lambda: all(not one.outbox or one.over for one in self.people), within)
            if self.moderator.over is None:
                last = self.moderator.say(self.words())
                answers = self.moderator.acknowledged
                await until(lambda: last in answers or self.moderator.over, within)
                seq = answers[last][1] if last in answers else 0
                await until(
                    lambda: all(one.over or (one.here and one.seq >= seq) for one in self.people), within
                )
        newest = max((person.history for person in self.people), default=0)
        for person in self.people:
            person.settled = person.here
            if person.over is None and person.history < newest:
                person.odd.append(f"stays in history {person.history}, others are in {newest}")

    def _agreed(self):
        present = [person for person in self.people if person.over is None]
        return all(person.here for person in present) and len({one.history for one in present}) <= 1
