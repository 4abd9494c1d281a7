"""People by the thousand in one loop: no task and no timer each, and what is said to all is decoded once."""

import asyncio
import random
import sys

import msgspec

from live.protocol.codes import Close
from live.protocol.frames import Hello, Ready, Refused, ServerFrame, Snapshot
from tests.kit.crowd import Person
from tests.kit.frames import CLOSE, PING, PONG, TEXT, frame, upgrade
from tests.kit.polling import until


class Reader(Person, asyncio.Protocol):
    """An attendee whose page is a bare protocol. It keeps neither frames nor cards.

    Args:
        node: whose port it connects to.
        name: of the person.
        decoded: frames by their bytes, shared by all readers.
    """

    def __init__(self, node, name, decoded):
        super().__init__([node.url], f"attendee:{name}")
        self._port, self._path = node.port, "/" + node.url.split("/", 3)[3]
        self._decoded = decoded
        self._arrived = asyncio.Event()
        self._transport = self._unread = self._coming = None
        self._away = True

    # -- what the person does ------------------------------------------------------------------------

    def say(self, command):
        nonce = super().say(command)
        self._push()
        return nonce

    def come(self):
        """Connect; who is asked to come back does so without being told."""
        self._away = False
        self._coming = asyncio.create_task(self._connect(), name=f"{self.name} comes")

    def cut(self):
        """Lose the line, and stay away until `come`."""
        self._away = True
        if self._transport is not None:
            self._transport.abort()

    async def stop(self):
        self.cut()
        await until(lambda: self._transport is None)

    async def _connect(self):
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
        except OSError:
            self.connection_lost(None)

    # -- the line ------------------------------------------------------------------------------------

    def connection_made(self, transport):
        self._transport, self._unread = transport, b""
        self.closed = self.welcome = None
        self.connections += 1
        self._sent.clear()
        transport.write(upgrade(self._port, self._path))

    def data_received(self, data):
        data, at = self._unread + data, 0
        if data.startswith(b"HTTP"):
            _, upgraded, data = data.partition(b"\r\n\r\n")
            assert upgraded, "the answer to the upgrade came in pieces"
        while (ends := _frame(data, at)) is not None:
            begin, end = ends
            self._receive(data[at] & 15, data[begin:end])
            at = end
        self._unread = data[at:]

    def _receive(self, opcode, payload):
        if opcode == TEXT:
            self._take(self._decode(payload))
        elif opcode == PING:
            self._transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            self.closed = int.from_bytes(payload[:2])

    def connection_lost(self, _error):
        self._transport, self.closed = None, self.closed or 1006
        if self.closed in set(Close) and not Close(self.closed).come_back:
            self.over = self.closed
        elif not self._away:
            pause = random.uniform(0.05, 0.3)  # noqa: S311 - full jitter, as the page's
            asyncio.get_running_loop().call_later(pause, lambda: self._away or self.come())

    # -- what is heard -------------------------------------------------------------------------------

    def _decode(self, payload):
        if payload.startswith(b'{"t":"snapshot"'):  # everybody's own
            return msgspec.json.decode(payload, type=ServerFrame)
        if payload not in self._decoded:
            self._decoded[payload] = msgspec.json.decode(payload, type=ServerFrame)
        return self._decoded[payload]

    def _take(self, frame):
        super()._take(frame)
        match frame:
            case Ready():
                self._write(Hello(v=1, ticket=self.ticket, epoch=self.epoch, seq=self.seq))
            case Snapshot():  # of two thousand pages each holds the names of all
                people = self.mirror.people
                self.mirror.people = {sys.intern(person): role for person, role in people.items()}
            case Refused():
                asyncio.get_running_loop().call_at(self._paused, self._push)
        self._push()

    def _know(self, cards):
        pass

    def _push(self):
        if self.outbox and self.here:
            for due in self._due():
                self._write(due)

    def _write(self, message):
        self._transport.write(frame(TEXT, msgspec.json.encode(message)))


def _frame(data, at):
    """Where the payload of the frame at this place begins and ends; None if it is not there yet."""
    if len(data) < at + 2:
        return None
    length, begin = data[at + 1] & 127, at + 2
    if length > 125:
        wide = 2 if length == 126 else 8
        begin += wide
        if len(data) < begin:
            return None
        length = int.from_bytes(data[begin - wide : begin])
    return (begin, begin + length) if len(data) >= begin + length else None


async def bring(crowd, node, count, at_once=50):
    """Have so many readers join a crowd, some at a time; returns them."""
    decoded = {}
    readers = [Reader(node, f"r{n}", decoded) for n in range(count)]
    crowd.people += readers
    for start in range(0, count, at_once):
        some = readers[start : start + at_once]
        for reader in some:
            reader.come()
        await until(lambda some=some: all(one.here or one.over for one in some), 60)
    return readers
