"""One good example of every frame, typed, so that the checks catch an example that no longer holds."""

from typing import Final

from live.protocol.frames import (
    AskPage,
    Card,
    Client,
    Do,
    Done,
    Events,
    Hello,
    Limits,
    Page,
    Ping,
    Pong,
    Publication,
    Ready,
    Refused,
    Seen,
    Server,
    Signal,
    Signals,
    Snapshot,
    Stage,
    Tally,
    Typing,
    Welcome,
    You,
)
from rooms import Level, Role, State
from rooms.chat import Message, Post, Posted
from rooms.door import Entered
from rooms.session import StateChanged

AT: Final = 1_789_000_000_000
_posted = Posted(message=Message(id="m7", channel="main", author="p-saki", at=AT, text="こんばんは"))
_saki = Card(id="p-saki", name="佐木", role=Role.ATTENDEE, profession="公認心理師")
_you = You(id="p-saki", role=Role.ATTENDEE, level=Level.ADMITTED, name="佐木", alias="a-4f1c")

SERVER_EXAMPLES: Final[tuple[Server, ...]] = (
    Ready(v=1, limits=Limits()),
    Welcome(epoch=1, seq=41, now=AT, session="s-4k2m", you=_you),
    Snapshot(
        epoch=1,
        seq=41,
        events=[StateChanged(state=State.LIVE, at=AT), Entered(person="p-saki", role=Role.ATTENDEE)],
        cards=[_saki],
    ),
    Events(seq=42, entries=[Seen(seq=42, at=AT, events=[_posted])], cards=[_saki]),
    Done(ref=3, seq=42),
    Refused(ref=4, why="slow_mode", wait=8000),
    Page(ref=5, events=[_posted], more=True, cards=[_saki]),
    Signals(online=31, waves={"nod": 12}, typing=["p-saki"]),
    Tally(poll="l5", voters=12, counts={"l5.1": 7, "l5.2": 5}),
    Stage(
        slots={"v0": Publication(person="p-abe", source="camera")},
        speaking="p-abe",
        lines={"p-abe": 3},
        away=["p-ito"],
        gone=["5c0e91aa"],
        idle={"p-abe": {"camera": ["f"]}},
    ),
    Pong(at=1200, now=AT),
)
CLIENT_EXAMPLES: Final[tuple[Client, ...]] = (
    Hello(v=1, ticket="eyJ…", epoch=1, seq=41),
    Do(ref=3, nonce="f3a9c27e1b", cmd=Post(text="こんばんは")),
    AskPage(ref=5, channel="main", before="m7"),
    Signal(kind="nod"),
    Typing(),
    Ping(at=1200),
)
