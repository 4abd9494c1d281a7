"""The cast of the demo: two speakers, a moderator, and attendees, each with a rhythm of its own."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Final

import httpx

from live.demo.line import Line
from live.demo.pictures import Picture, Tone
from live.demo.script import CHAT, POLLS, QUESTIONS, REACTIONS, SIGNALS
from live.demo.whip import Peer
from live.telemetry import log

PATIENCE: Final = 5.0
"""Seconds before a bot that lost its line tries again."""
POLL_EVERY: Final = 4
"""The moderator's turns between two steps of a poll."""
Sleep = Callable[[float], Awaitable[None]]


async def speaker(client: httpx.AsyncClient, session: str, ticket: str, number: int) -> None:
    """Publish picture and sound through WHIP until cancelled."""
    peer = Peer(client, ticket)
    try:
        await peer.publish(session, Picture(number), Tone(220 * (1.25**number), first=number == 0))
        await asyncio.Event().wait()
    finally:
        await peer.close()


async def moderator(line: Line, dice: random.Random) -> None:
    """Let in whoever knocks, and lead questions from pending to answered."""
    steps = (("pending", "approve"), ("open", "queue"), ("next", "take"), ("live", "answer"))
    for turn in itertools.count():
        await asyncio.sleep(dice.uniform(4, 7))
        await line.do("admit_all")
        await _conduct(line, turn)
        for state, command in dice.sample(steps, len(steps)):
            found = [q for q in line.questions.values() if q["state"] == state and "version" in q]
            if not found or (state == "next" and _any(line, "live")) or (state == "open" and len(found) < 3):  # noqa: PLR2004 - two stay open to vote on
                continue
            await line.do(command, id=found[0]["id"], version=found[0]["version"])
            break


async def _conduct(line: Line, turn: int) -> None:
    """Draft a poll, put it to the vote, close it and show the results: one step every few turns."""
    if turn % POLL_EVERY != 1:
        return
    polls = list(line.polls.values())
    for state, command in (("open", "close_poll"), ("draft", "open_poll")):
        if found := [poll for poll in polls if poll["state"] == state]:
            await line.do(command, id=found[0]["id"], version=found[0]["version"])
            return
    if len(polls) < len(POLLS):
        await line.do("draft_poll", poll=POLLS[len(polls)])


def _any(line: Line, state: str) -> bool:
    return any(question["state"] == state for question in line.questions.values())


async def attendee(line: Line, number: int, dice: random.Random) -> None:
    """Chat, ask, vote, react and nod, now and then."""
    await line.admitted.wait()
    acts = (_chat, _chat, _vote, _vote, _react, _nod, _nod, _nod, _ask, _hand)
    own = iter(range(number, 10_000, 3))
    while True:
        await asyncio.sleep(dice.uniform(2, 9))
        if not await _ballot(line, dice):
            await dice.choice(acts)(line, dice, next(own))


async def _chat(line: Line, dice: random.Random, turn: int) -> None:
    await line.typing()
    await asyncio.sleep(dice.uniform(0.5, 2))
    await line.do("post", text=CHAT[turn % len(CHAT)])


async def _ask(line: Line, dice: random.Random, turn: int) -> None:
    asked = {question["text"] for question in line.questions.values()}
    text = QUESTIONS[turn % len(QUESTIONS)]
    if text not in asked:
        await line.do("ask", text=text, named=dice.random() < 0.3)  # noqa: PLR2004 - three of ten


async def _vote(line: Line, dice: random.Random, _turn: int) -> None:
    if found := [q["id"] for q in line.questions.values() if q["state"] == "open"]:
        await line.do("vote", id=dice.choice(found))


async def _ballot(line: Line, dice: random.Random) -> bool:
    """Answer an open poll that waits for us, most of the times that we look."""
    waiting = [
        poll for poll in line.polls.values() if poll["state"] == "open" and poll["id"] not in line.ballots
    ]
    if not waiting or dice.random() < 0.3:  # noqa: PLR2004 - some think longer
        return False
    options = [option["id"] for option in waiting[0]["options"]]
    many = dice.randint(waiting[0].get("least", 1), waiting[0].get("most", 1))
    await line.do("cast_ballot", id=waiting[0]["id"], choices=dice.sample(options, many))
    return True


async def _react(line: Line, dice: random.Random, _turn: int) -> None:
    if found := list(line.messages)[-8:]:
        await line.do("react", id=dice.choice(found), reaction=dice.choice(REACTIONS))


async def _nod(line: Line, dice: random.Random, _turn: int) -> None:
    await line.signal(dice.choice(SIGNALS))


async def _hand(line: Line, dice: random.Random, _turn: int) -> None:
    await line.do("raise_hand")
    await asyncio.sleep(dice.uniform(10, 20))
    await line.do("lower_hand")


async def keep(name: str, make: Callable[[], Awaitable[None]]) -> None:
    """Play a part again whenever it breaks off, as a person would reload the page."""
    while True:
        try:
            await make()
        except (OSError, httpx.HTTPError) as error:
            log.warning("demo.bot_lost", bot=name, error=str(error))
        await asyncio.sleep(PATIENCE)
