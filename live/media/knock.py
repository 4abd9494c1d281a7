"""Knocking at a media port: does it answer, over UDP and TCP, and is it ours?

The port answers only who proves to know a password of ours, lest it be made to talk to strangers. So a knock
is a signed connectivity check for a peer that does not exist, and the signed farewell (see `ice.farewell`)
its answer. Whoever holds the media secret can knock and recognise the answer; nobody else gets one.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aioice import stun

from live.media.control import MediaSettings
from live.media.ice import Passwords
from live.media.plane import Plane
from live.media.turn import Relay, Unreachable, ask, connect

_GONE = 400


class Knock:
    """One knock, with what it takes to recognise the answer."""

    def __init__(self, secret: bytes) -> None:
        ufrag, pwd = Passwords(secret).fresh()
        self._key = pwd.encode()
        self.request = stun.Message(
            stun.Method.BINDING, stun.Class.REQUEST, attributes={"USERNAME": f"{ufrag}:knock"}
        )
        self.request.add_message_integrity(self._key)

    def recognises(self, answer: stun.Message) -> bool:
        """Tells whether a media port of ours says this."""
        return answer.error_code == _GONE and answer.check_message_integrity(self._key)


async def knock(host: str, port: int, secret: bytes, seconds: float, *, tcp: bool) -> float:
    """Knocks directly; gives the milliseconds to the answer.

    Raises:
        Unreachable: nobody answers, or somebody else.
    """
    wire = await connect(host, port, tcp=tcp, prefixed=True, seconds=seconds)
    try:
        asked = Knock(secret)
        began = time.perf_counter()
        answer = await ask(wire, asked.request, seconds)
    finally:
        wire.close()
    if not asked.recognises(answer):
        raise Unreachable("something else answers there")
    return (time.perf_counter() - began) * 1000


async def knock_through(relay: Relay, peer: tuple[str, int], secret: bytes) -> float:
    """Knocks through a TURN server that has permitted `peer`; gives the milliseconds to the answer.

    Raises:
        Unreachable: nothing comes back, or something else.
    """
    asked = Knock(secret)
    began = time.perf_counter()
    data = await relay.exchange(bytes(asked.request), peer)
    try:
        answer = stun.parse_message(data)
    except ValueError as error:
        raise Unreachable("something else answers there") from error
    if not asked.recognises(answer):
        raise Unreachable("something else answers there")
    return (time.perf_counter() - began) * 1000


@asynccontextmanager
async def listening(settings: MediaSettings, secret: bytes) -> AsyncIterator[int]:
    """Holds a media port open that answers knocks, for tests of the way to it; gives its number.

    Raises:
        OSError: the port is taken.
    """
    plane = Plane(settings, lambda _room, _notice: None, secret)
    port = plane.open()
    try:
        yield port
    finally:
        await plane.close()
