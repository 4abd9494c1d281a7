"""What the kernel knows of processes and sockets (`/proc`)."""

from __future__ import annotations

import os
import resource
from collections.abc import Collection
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of CPU, user and system, that a process has used in all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def keep_to(pid: int, core: int) -> None:
    """Lets a process, with all its threads and those to come, run on one core only."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def memory(pid: int) -> int:
    """Bytes of a process that are in memory now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise ProcessLookupError(pid)


def drops(ports: Collection[int]) -> dict[int, int]:
    """By local UDP port: the datagrams that its socket refused, by its filter or for want of room.

    The kernel's list may skip sockets while others are being opened or closed; then it is read again.

    Raises:
        LookupError: a port is not there.
    """
    found: dict[int, int] = {}
    for _ in range(20):
        for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rpartition(":")[2], 16)
            if port in ports:
                found[port] = int(fields[-1])
        if len(found) == len(ports):
            return found
    raise LookupError("a socket is not listed in /proc/net/udp")


def allow_sockets(count: int) -> None:
    """Lets this process, and those that it starts, have so many files open."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if most == resource.RLIM_INFINITY else min(count, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
