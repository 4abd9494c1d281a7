"""A viewer of a room over a real WebSocket: keeps what the page would keep, and resumes as the page does."""

import asyncio
import contextlib
import secrets

import msgspec
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from live.protocol.codes import SUBPROTOCOL
from live.protocol.frames import (
    Do,
    Done,
    Events,
    Hello,
    Page,
    Pong,
    Ready,
    Refused,
    ServerFrame,
    Signals,
    Snapshot,
    Stage,
    Tally,
    Welcome,
)
from tests.kit.mirror import Mirror
from tests.kit.polling import until


class Viewer:
    """`async with Viewer(url, ticket) as viewer`; `viewer.do(command)` returns `Done` or `Refused`."""

    def __init__(self, url, ticket, *, hello=None, **options):
        self.url, self.ticket = url, ticket
        self.mirror, self.cards = Mirror(), {}
        self.epoch = self.seq = None
        self.hello = hello
        self.options = options
        self.frames, self.answers = [], {}
        self.signals, self.stage, self.welcome = Signals(), None, None
        self.tallies = {}
        self.snapshots = self.resumes = 0
        self.closed = None
        self._socket = self._reading = None
        self._ref = 0

    async def __aenter__(self):
        await self.connect()
        return self

    async def __aexit__(self, *_):
        await self.drop()

    async def connect(self):
        """Connect, resume if there is a position, and return when the room (or the close) is there."""
        self._socket = await connect(self.url, subprotocols=[SUBPROTOCOL], max_size=None, **self.options)
        self.closed = self.welcome = None
        self._arrived = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        hello = self.hello or Hello(v=1, ticket=self.ticket, epoch=self.epoch, seq=self.seq)
        with contextlib.suppress(ConnectionClosed):
            await self.send(hello)
        async with asyncio.timeout(10):
            await self._arrived.wait()
        return self

    async def drop(self):
        """Lose the line: no goodbye."""
        if self._socket is not None:
            self._socket.transport.abort()
            await asyncio.gather(self._reading, return_exceptions=True)
            self._socket = None

    async def send(self, frame):
        await self._socket.send(
            frame if isinstance(frame, str | bytes) else msgspec.json.encode(frame).decode()
        )

    async def do(self, command, nonce=None, within=10, since=None):
        self._ref += 1
        ref = self._ref
        await self.send(Do(ref=ref, nonce=nonce or secrets.token_hex(8), cmd=command, since=since))
        return await until(lambda: self.answers.get(ref), within)

    async def holds(self, condition, within=10):
        """Wait until `condition(mirror)`."""
        return await until(lambda: condition(self.mirror), within)

    async def reached(self, seq, within=10):
        return await until(lambda: self.seq >= seq, within)

    async def gone(self, within=10):
        """The close code."""
        return await until(lambda: self.closed, within)

    @property
    def texts(self):
        return [message.text for message in self.mirror.messages.values()]

    def said(self):
        """All frames as they came, for canaries."""
        return "".join(self.frames)

    async def _read(self):
        try:
            async for text in self._socket:
                self.frames.append(text)
                self._take(msgspec.json.decode(text, type=ServerFrame))
        except ConnectionClosed:
            pass
        finally:
            self.closed = self._socket.close_code or 1006
            self._arrived.set()

    def _take(self, frame):
        match frame:
            case Welcome():
                self.welcome = frame
                self.epoch = frame.epoch
            case Snapshot():
                self.mirror = Mirror().fold(frame.events)
                self.epoch, self.seq = frame.epoch, frame.seq
                self._know(frame.cards)
                self.snapshots += 1
                self._arrived.set()
            case Events():
                for entry in frame.entries:
                    assert self.seq is None or entry.seq > self.seq, "an entry came twice"
                    self.mirror.fold(entry.events)
                self.seq = frame.seq
                self._know(frame.cards)
                self.resumes += not self._arrived.is_set()
                self._arrived.set()
            case Done() | Refused() | Page():
                assert frame.ref not in self.answers, "answered twice"
                self.answers[frame.ref] = frame
                if isinstance(frame, Page):
                    self._know(frame.cards)
            case Signals():
                self.signals = frame
            case Tally():
                self.tallies[frame.poll] = frame
            case Stage():
                self.stage = frame
            case Ready() | Pong():
                pass

    def _know(self, cards):
        self.cards |= {card.id: card for card in cards}
