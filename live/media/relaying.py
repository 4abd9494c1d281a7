"""A room's packets between the workers of one machine, over unix sockets that only we can open.

The home connects to each sibling that has viewers of the room and says, in order: the stage's facts whenever
they change, who publishes what, who sits where, and the packets that everyone may see. The sibling answers
with the RTCP of its router, keyframe requests and NACKs, and with the layers that nobody there wants.
Messages are framed as in `control`.

What a slow sibling does not read is dropped beyond `_UNREAD` bytes, packets only, as a full network would; a
sibling that reads nothing at all is cut off at twice as much, and joined anew. A home that does not read is
told no more RTCP beyond `_UNREAD` bytes, and what rests when it reads again.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from live.media.control import StageFacts, Unframer, frame
from live.sfu import PublicationSpec, Source, Stream
from live.sfu.relay import Resting
from live.sfu.seating import Claim

if TYPE_CHECKING:
    from live.media.room import MediaRoom

#: Bytes that may wait for a sibling.
_UNREAD = 4 * 1024 * 1024

#: Seconds before a sibling that could not be reached is tried again.
_AGAIN = 0.2

_READ = 256 * 1024


class Join(msgspec.Struct, frozen=True, array_like=True, tag="join"):
    """The first message: which room this is about."""

    room: str


class Facts(msgspec.Struct, frozen=True, array_like=True, tag="facts"):
    """The stage as the home has it from now on; packets after it were let through by these."""

    facts: StageFacts
    revision: int


class Published(msgspec.Struct, frozen=True, array_like=True, tag="published"):
    """A publisher of the home, and what it publishes."""

    publisher: str
    publications: list[PublicationSpec]


class Left(msgspec.Struct, frozen=True, array_like=True, tag="left"):
    """A publisher is gone."""

    publisher: str


class Seats(msgspec.Struct, frozen=True, array_like=True, tag="seats"):
    """Who sits where."""

    holders: dict[str, Claim]


class Carried(msgspec.Struct, frozen=True, array_like=True, tag="carried"):
    """A publisher's RTP packet and which stream it belongs to, or, without one, its sender report."""

    publisher: str
    packet: bytes
    stream: Stream | None


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag="wanted"):
    """The way back: RTCP for a publisher."""

    publisher: str
    packet: bytes


class Rests(msgspec.Struct, frozen=True, array_like=True, tag="rests"):
    """The way back: by person and source, the rids that nobody at the sibling wants; whole each time."""

    idle: dict[str, dict[Source, tuple[str, ...]]]


Forth = Join | Facts | Published | Left | Seats | Carried
_forth = msgspec.msgpack.Decoder(Forth)
_back = msgspec.msgpack.Decoder(Wanted | Rests)


class Outlet:
    """The home's end: one sibling of one room, kept connected until `close`.

    Args:
        path: the sibling's socket.
        room: the room's name.
        present: gives what a sibling that has just joined must know.
        wanted: told what the sibling wants of a publisher.
        rests: told what nobody at the sibling wants; nothing rests at one that has just joined.

    Attributes:
        dropped: packets that a slow sibling did not get.
    """

    def __init__(
        self,
        path: str,
        room: str,
        present: Callable[[], list[Forth]],
        wanted: Callable[[str, bytes], None],
        rests: Callable[[str, Resting], None],
    ) -> None:
        self.dropped = 0
        self._path, self._room = path, room
        self._present, self._wanted, self._rests = present, wanted, rests
        self._writer: asyncio.StreamWriter | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())

    def say(self, framed: bytes, packets: int = 0) -> None:
        """Sends what is framed already; `packets`: so many, which a slow sibling does without."""
        writer = self._writer
        if writer is None or writer.transport.is_closing():
            return
        waiting = writer.transport.get_write_buffer_size()
        if waiting > 2 * _UNREAD:
            writer.transport.abort()
        elif packets and waiting > _UNREAD:
            self.dropped += packets
        else:
            writer.write(framed)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
                await self._carry()
            await asyncio.sleep(_AGAIN)

    async def _carry(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(b"".join(frame(said) for said in (Join(self._room), *self._present())))
            self._writer = writer
            self._rests(self._path, {})
            unframer = Unframer()
            while data := await reader.read(_READ):
                for body in unframer.feed(data):
                    said = _back.decode(body)
                    if isinstance(said, Rests):
                        self._rests(self._path, said.idle)
                    else:
                        self._wanted(said.publisher, said.packet)
        finally:
            self._writer = None
            writer.close()

    def close(self) -> None:
        """Ends the relay; the sibling forgets what came by it."""
        self._task.cancel()


class Stand:
    """Stands in for a publisher of the home in a sibling's router."""

    def __init__(self, publisher: str, writer: asyncio.StreamWriter) -> None:
        self._publisher, self._writer = publisher, writer

    def send_rtcp(self, packet: bytes) -> None:
        """Carries home what the home can do something about: NACK, PLI and FIR (RFC 4585, RFC 5104)."""
        kind = (packet[1], packet[0] & 0x1F)
        if kind in ((205, 1), (206, 1), (206, 4)) and _takes(self._writer):
            self._writer.write(frame(Wanted(self._publisher, packet)))


class Inlet:
    """The sibling's end: one connection of a room's home.

    Args:
        room: finds a room in which this worker is a sibling; None: it is none there (yet).
        writer: to the home.
    """

    def __init__(self, room: Callable[[str], "MediaRoom | None"], writer: asyncio.StreamWriter) -> None:
        self._find = room
        self._room: MediaRoom | None = None
        self._writer = writer
        self._stands: dict[str, Stand] = {}
        self._resting: Resting = {}
        self._told: Resting = {}

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Reads until the home ends it, or breaks its rules; then what came by it is gone."""
        unframer = Unframer()
        try:
            while data := await reader.read(_READ):
                for body in unframer.feed(data):
                    self._take(_forth.decode(body))
                if self._room is not None:
                    self._room.flush()
                    self._tell_resting()
        except ConnectionError:
            pass
        except (OSError, ValueError, msgspec.DecodeError) as error:
            print(f"media worker: relay: {error!r}", file=sys.stderr)  # noqa: T201  # its parent's log
        finally:
            self.close()

    def rests(self, idle: Resting) -> None:
        """Tells the home what nobody here wants, when that has changed; later, if it does not read now."""
        self._resting = idle
        self._tell_resting()

    def _tell_resting(self) -> None:
        if self._resting != self._told and _takes(self._writer):
            self._told = self._resting
            idle = {person: dict(sources) for person, sources in self._resting.items()}
            self._writer.write(frame(Rests(idle)))

    def close(self) -> None:
        """Ends it from this side; asked twice, it does it once."""
        self._writer.close()
        room, self._room = self._room, None
        if room is None:
            return
        if room.inlet is self:
            room.inlet = None
        for stand in self._stands.values():
            room.router.leave(stand, time.monotonic())
        self._stands.clear()
        room.flush()

    def _take(self, said: Forth) -> None:
        if isinstance(said, Join):
            self._join(said.room)
        elif self._room is None:
            raise ValueError("no room was joined")
        elif isinstance(said, Carried):
            self._carry(self._room, said)
        else:
            self._learn(self._room, said)

    def _carry(self, room: "MediaRoom", said: Carried) -> None:
        stand, now = self._stands.get(said.publisher), time.monotonic()
        if stand is not None and said.stream is None:
            room.router.receive_rtcp(stand, said.packet, now)
        elif stand is not None:
            room.router.receive_rtp(stand, said.packet, now, said.stream)

    def _learn(self, room: "MediaRoom", said: Facts | Published | Left | Seats) -> None:
        now = time.monotonic()
        match said:
            case Facts(facts, revision):
                room.set_stage(facts, revision)
            case Published(publisher, publications):
                stand = self._stands.setdefault(publisher, Stand(publisher, self._writer))
                for publication in publications:
                    room.router.publish(stand, publication, now)
            case Left(publisher):
                gone = self._stands.pop(publisher, None)
                if gone is not None:
                    room.router.leave(gone, now)
            case Seats(holders):
                room.router.take_seats(holders, now)

    def _join(self, name: str) -> None:
        room = self._find(name)
        if room is None or self._room is not None:
            raise ConnectionRefusedError  # the home will try again while it is told to
        if room.inlet is not None:
            room.inlet.close()
        self._room, room.inlet = room, self


def framed(said: Forth) -> bytes:
    """One message as `Outlet.say` sends it."""
    return frame(said)


def seats(holders: Mapping[str, Claim]) -> Seats:
    """The message of who sits where."""
    return Seats(dict(holders))


def _takes(writer: asyncio.StreamWriter) -> bool:
    transport = writer.transport
    return not transport.is_closing() and transport.get_write_buffer_size() <= _UNREAD
