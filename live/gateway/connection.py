"""One connection as a state machine: bytes and times in, frames and messages out. No clock, socket or task.

Theory of operation. The shell calls an input (`receive`, `send`, `close`, `expire`, …), then drains the
outputs: `drain()` for what has to be written, `closing` for whether and why to close afterwards. `receive`
returns the frame that the room has to act on, or nothing when the connection has dealt with it itself. Times
are milliseconds of any clock that never goes back.

The outbox holds `OUTBOX_BYTES` and one frame more; a reader who lets more wait is closed with
`Close.TOO_SLOW`, to come back and resume. Frames of a lossy kind wait at most once: a newer one takes the
place of the older.
"""

from enum import Enum
from typing import Final

from live.gateway.message import Message
from live.protocol.codec import BadCommand, BadMessage, decode
from live.protocol.codes import VERSION, Close
from live.protocol.frames import (
    AskPage,
    Client,
    Do,
    Done,
    Hello,
    Limits,
    Ping,
    Pong,
    Rate,
    Ready,
    Refused,
    Server,
    Signal,
    Typing,
)

OUTBOX_BYTES: Final = 256 * 1024
"""What may wait for one reader."""
IN_VAIN: Final = Rate(20, 400)
"""Frames of one connection that come to nothing: pings, what is refused, what is dropped."""


class Bucket:
    """A token bucket: `burst` at once, `per_second` on average."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._tokens = float(rate.burst)
        self._at: int | None = None

    def take(self, now: int) -> int:
        """Take a token and return 0, or return how many milliseconds until there is one."""
        if self._at is not None:
            grown = self._tokens + (now - self._at) / 1000 * self._rate.per_second
            self._tokens = min(float(self._rate.burst), grown)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return int((1 - self._tokens) / self._rate.per_second * 1000) + 1


class Budget:
    """What a person may still ask; it outlives a connection, so that coming back refills nothing."""

    def __init__(self, limits: Limits) -> None:
        self.commands = Bucket(limits.commands)
        self.pages = Bucket(limits.pages)
        self.signals = Bucket(limits.signals)


class Phase(Enum):
    """How far a connection has come."""

    WAITING = "no hello yet"
    GREETING = "hello came, the room looks at it"
    OPEN = "in the room"
    CLOSED = "nothing more is read"


class Outbox:
    """What waits to be written, in order, with a limit in bytes."""

    def __init__(self) -> None:
        self._waiting: dict[object, Message] = {}
        self._next = 0
        self.size = 0

    def put(self, message: Message, kind: str | None = None) -> bool:
        """Add a message; of a lossy `kind` only the newest waits. False if the limit is reached."""
        key: object = kind
        if kind is None:
            key, self._next = self._next, self._next + 1
        elif (older := self._waiting.pop(kind, None)) is not None:
            self.size -= len(older)
        if self.size > OUTBOX_BYTES:
            return kind is not None  # a lossy frame is simply lost
        self._waiting[key] = message
        self.size += len(message)
        return True

    def take(self) -> Message | None:
        """Remove and return the oldest message."""
        if not self._waiting:
            return None
        message = self._waiting.pop(next(iter(self._waiting)))
        self.size -= len(message)
        return message

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self.size = 0


class Connection:
    """A viewer's connection between its socket and its room."""

    def __init__(self, now: int, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.phase = Phase.WAITING
        self.closing: Close | None = None
        """Set once: write what `drain` still gives, then close with this code."""
        self._outbox = Outbox()
        self._under_way: set[int] = set()
        self.budget = Budget(self.limits)
        """Replaced by the person's own once it is known who says hello."""
        self._in_vain = Bucket(IN_VAIN)
        self._deadline = now + self.limits.hello_ms
        self.send(Ready(v=VERSION, limits=self.limits))

    # -- inputs ------------------------------------------------------------------------------------

    def receive(self, data: str | bytes, now: int, clock: int) -> Client | None:
        """Take one message from the client.

        Args:
            data: The message. Only text messages are frames.
            now: Monotonic milliseconds.
            clock: Milliseconds since 1970, for `pong`.

        Returns:
            A frame for the room: `Hello` once, then `Do`, `AskPage`, `Signal`, `Typing`.
        """
        if self.phase is Phase.CLOSED:
            return None
        try:
            if isinstance(data, bytes):
                raise BadMessage("binary")  # noqa: TRY301 - one place answers bad messages
            return self._take(decode(data), now, clock)
        except BadMessage:
            self.close(Close.BAD_MESSAGE)
        except BadCommand as bad:
            if self.phase is Phase.WAITING:
                self.close(Close.BAD_MESSAGE)
            elif wait := self.budget.commands.take(now):
                self._answer_in_vain(Refused(ref=bad.ref, why="rate", wait=wait), now)
            else:
                self._answer_in_vain(Refused(ref=bad.ref, why="bad_command"), now)
        return None

    def greeted(self) -> None:
        """The room has taken the viewer in."""
        if self.phase is Phase.GREETING:
            self.phase = Phase.OPEN

    def answer(self, frame: Done | Refused) -> None:
        """Answer a command; its place in the window is free again."""
        self._under_way.discard(frame.ref)
        self.send(frame)

    def send(self, frame: Server) -> None:
        """Send one frame to this viewer only."""
        self.send_ready(Message.of(frame))

    def send_ready(self, message: Message, kind: str | None = None) -> None:
        """Send a message that was made once for many; of a lossy `kind` only the newest waits."""
        if self.closing is None and not self._outbox.put(message, kind):
            self._outbox.clear()
            self.close(Close.TOO_SLOW)

    def close(self, code: Close) -> None:
        """End the connection after what waits has been written. The first reason stands."""
        if self.closing is None:
            self.closing = code
        self.phase = Phase.CLOSED

    def expire(self, now: int) -> None:
        """Look at the clock: no hello in time, or silence for too long."""
        if self.phase is not Phase.CLOSED and now >= self._deadline:
            self.close(Close.NO_HELLO if self.phase is Phase.WAITING else Close.NO_PONG)

    # -- outputs -----------------------------------------------------------------------------------

    @property
    def deadline(self) -> int:
        """When `expire` has to be called next."""
        return self._deadline

    @property
    def waiting(self) -> int:
        """Bytes in the outbox."""
        return self._outbox.size

    @property
    def clear(self) -> bool:
        """Whether nothing waits and more may be said: a message may overtake the outbox."""
        return self.closing is None and not self._outbox.size

    def drain(self) -> Message | None:
        """The next message to write, if any."""
        return self._outbox.take()

    # -- rules -------------------------------------------------------------------------------------

    def _take(self, frame: Client, now: int, clock: int) -> Client | None:
        if isinstance(frame, Hello) is not (self.phase is Phase.WAITING):
            raise BadMessage("out of turn")
        self._deadline = now + self.limits.silence_ms
        if isinstance(frame, Hello):
            if frame.v == VERSION:
                self.phase = Phase.GREETING
                return frame
            self.close(Close.TOO_OLD)
            return None
        if isinstance(frame, Ping):
            self._answer_in_vain(Pong(at=frame.at, now=clock), now)
            return None
        return self._admit(frame, now)

    def _admit(self, frame: Client, now: int) -> Client | None:
        match frame:
            case Do(ref=ref) if len(self._under_way) >= self.limits.window or ref in self._under_way:
                self._answer_in_vain(Refused(ref=ref, why="window"), now)
            case Do(ref=ref):
                if wait := self.budget.commands.take(now):
                    self._answer_in_vain(Refused(ref=ref, why="rate", wait=wait), now)
                else:
                    self._under_way.add(ref)
                    return frame
            case AskPage(ref=ref):
                if wait := self.budget.pages.take(now):
                    self._answer_in_vain(Refused(ref=ref, why="rate", wait=wait), now)
                else:
                    return frame
            case Signal() | Typing() if not self.budget.signals.take(now):
                return frame
            case _:
                self._answer_in_vain(None, now)
        return None

    def _answer_in_vain(self, answer: Server | None, now: int) -> None:
        """Answer, if there is an answer, what comes to nothing; who goes on with it is closed."""
        if self._in_vain.take(now):
            self.close(Close.TOO_MANY)
        elif answer is not None:
            self.send(answer)
