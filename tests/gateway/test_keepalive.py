"""Pings: who answers stays, who does not is told to come back, and nobody's clock is another's."""

import asyncio
import time

from live.gateway.keepalive import TURNS, Keepalive
from live.protocol.codes import Close
from tests.kit.frames import PING, PONG, TEXT, RawSocket, frame
from tests.kit.polling import until
from tests.kit.rooms import gateway

SECONDS = 0.4


class Line:
    """Notes when it was pinged."""

    def __init__(self):
        self.pings = []

    def ping(self):
        self.pings.append(time.monotonic())


async def test_lines_take_even_turns_and_each_is_pinged_once_a_round():
    keepalive, lines = Keepalive(SECONDS), [Line() for _ in range(3 * TURNS)]
    turns = [keepalive.add(line) for line in lines]
    assert {len(turn) for turn in turns} == {3}
    await until(lambda: all(len(line.pings) >= 3 for line in lines))
    fewest, most = (found(len(line.pings) for line in lines) for found in (min, max))
    assert most - fewest <= 1
    for line in lines:
        pauses = [after - before for before, after in zip(line.pings, line.pings[1:], strict=False)]
        assert min(pauses) >= 0.9 * SECONDS


async def test_who_has_left_is_not_pinged_and_nobody_is_no_work():
    keepalive, stayed, left = Keepalive(SECONDS), Line(), Line()
    kept = keepalive.add(stayed)
    keepalive.add(left).discard(left)
    await until(lambda: len(stayed.pings) == 2)
    assert left.pings == []
    kept.discard(stayed)
    await until(lambda: keepalive._timer is None)
    keepalive.add(left)
    await until(lambda: left.pings)


async def pinged(socket):
    """Read on to a ping."""
    while (await socket.read())[0] != PING:
        pass


async def test_who_answers_stays_and_who_does_not_is_told_to_come_back(where):
    async with gateway(where, ping_seconds=SECONDS) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:ann") as ann:
            alive, mute = [await RawSocket.open(node.port, f"/rooms/{session}/socket") for _ in range(2)]
            for socket, name in ((alive, "ben"), (mute, "cat")):
                hello = f'{{"t":"hello","v":1,"ticket":"attendee:{name}"}}'
                socket.send(frame(TEXT, hello.encode()))
            verdict = asyncio.create_task(mute.verdict())
            await pinged(alive)
            assert not verdict.done(), "who was pinged once has time to answer"
            for _ in range(3):
                alive.send(frame(PONG, b"of its own accord"))
                await pinged(alive)
            assert await verdict == Close.NO_PONG
            people = node.hub._find(session).members
            await until(lambda: set(people) == {"ann", "ben"})
            assert ann.closed is None
            for socket in (alive, mute):
                socket.abort()
