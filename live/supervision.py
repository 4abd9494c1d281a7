"""Several processes of one server behind one port: started, replaced when they die, drained together.

Each process has a listening socket of its own on the shared port (`SO_REUSEPORT`), so that the kernel spreads
people over them. The sockets belong to the supervisor and outlive the processes: who connects while one is
being replaced waits in the socket's queue for the next one, and is not turned away. The supervisor has no
loop and no thread, so that it may fork at any time.
"""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from live.telemetry import log

GRACE_SECONDS: Final = 18.0
"""How long processes may take to drain before they are killed; systemd waits 20 s in our example."""
PAUSES: Final = (0.2, 10.0)
"""Before a process that died is started again: the first time, and at most."""
STEADY_SECONDS: Final = 30.0
"""A process that has lived for so long is started again without delay."""
_WAKE: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Seat:
    """Which of the machine's processes one is.

    Attributes:
        number: from 0. The process 0 has the media workers of the whole machine.
        ports: at 127.0.0.1, one for each process, where the others reach that very process.
    """

    number: int
    ports: tuple[int, ...]


@dataclass
class _Life:
    """One process as the supervisor sees it."""

    number: int
    pid: int = 0
    began: float = 0.0
    again: float = 0.0
    pause: float = PAUSES[0]
    word: int = -1
    ready: bool = False


class Supervisor:
    """Runs one function in several processes until it is told to stop.

    Args:
        shared: listening sockets of the shared port, one for each process.
        inner: listening sockets at 127.0.0.1, one for each process.
        work: called in each process with its sockets, its seat and what to call once it serves; returns the
            exit code.
    """

    def __init__(
        self,
        shared: list[socket.socket],
        inner: list[socket.socket],
        work: Callable[[list[socket.socket], Seat, Callable[[], None]], int],
    ) -> None:
        self._shared, self._inner, self._work = shared, inner, work
        self._ports = tuple(int(one.getsockname()[1]) for one in inner)
        self._lives = [_Life(number) for number in range(len(shared))]
        self._leash = os.pipe()
        self._stopping = 0.0

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; returns the exit code: 1 when a process could not even start."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKE)
        code = 0
        while True:
            self._start_those_due()
            self._heed(self._wait())
            code = max(code, self._bury())
            if self._stopping:
                if not any(life.pid for life in self._lives):
                    return code
                if time.monotonic() > self._stopping:
                    self._tell(signal.SIGKILL)

    def _wait(self) -> int:
        told = signal.sigtimedwait(_WAKE, 0.2)
        return told.si_signo if told is not None else 0

    def _heed(self, signum: int) -> None:
        if signum in {signal.SIGTERM, signal.SIGINT}:
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = time.monotonic() + GRACE_SECONDS
        self._tell(signal.SIGTERM)

    def _tell(self, signum: int) -> None:
        for life in self._lives:
            if life.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(life.pid, signum)

    def _start_those_due(self) -> None:
        for life in self._lives:
            if not life.pid and not self._stopping and time.monotonic() >= life.again:
                self._fork(life)

    def _fork(self, life: _Life) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        word, says = os.pipe()
        os.set_blocking(word, False)
        pid = os.fork()
        if pid == 0:
            os.close(word)
            os._exit(self._live(life.number, says))
        os.close(says)
        life.pid, life.began, life.word, life.ready = pid, time.monotonic(), word, False
        log.info("process.started", process=life.number, pid=pid)

    def _live(self, number: int, says: int) -> int:
        """Be a process: from here on this is the child."""
        os.setpgrp()  # Ctrl-C is the supervisor's; a second signal from it would be taken for impatience
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _WAKE)
        os.close(self._leash[1])
        for place, pair in enumerate(zip(self._shared, self._inner, strict=True)):
            if place != number:
                for other in pair:
                    other.close()
        own = [self._shared[number], self._inner[number]]
        try:
            return self._work(own, Seat(number, self._ports), lambda: _say(says))
        except SystemExit as left:
            return left.code if isinstance(left.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - the end of a process
            log.error("process.failed", process=number, exc_info=error)
            return 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    @property
    def leash(self) -> int:
        """A descriptor whose end of file tells a process that the supervisor is gone."""
        return self._leash[0]

    def _bury(self) -> int:
        """Notice who is dead; returns 1 when one died before it ever served, which ends everything."""
        worst = 0
        for life in self._lives:
            if not life.pid:
                continue
            life.ready = life.ready or _heard(life.word)
            pid, status = os.waitpid(life.pid, os.WNOHANG)
            if not pid:
                continue
            os.close(life.word)
            life.pid = 0
            if self._stopping:
                continue
            now = time.monotonic()
            first = life.again == 0.0
            log.warning(
                "process.died",
                process=life.number,
                pid=pid,
                status=os.waitstatus_to_exitcode(status),
                served=life.ready,
            )
            if first and not life.ready:
                worst = 1
                self._stop()
                continue
            life.pause = PAUSES[0] if now - life.began > STEADY_SECONDS else min(life.pause * 2, PAUSES[1])
            life.again = now + life.pause
        return worst


def _say(says: int) -> None:
    with contextlib.suppress(OSError):
        os.write(says, b"r")
        os.close(says)


def _heard(word: int) -> bool:
    try:
        return os.read(word, 1) == b"r"
    except BlockingIOError:
        return False
