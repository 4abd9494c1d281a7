"""What sending to viewers costs, sockets and keys included: µs of CPU per packet-viewer of both bodies.

A video frame of five packets of 1,200 bytes thirty times a second and a packet of sound of 100 bytes fifty
times a second go to every viewer over the loopback: 200 packets a second each, as on a real stage, unpaced.
Viewers are sockets that never read and drop at the door (`SO_ATTACH_FILTER`), so that what is measured is
ours and the kernel's way out. The bodies take turns, round by round; medians count. Times are of this
process's CPU, user and system. The last line is JSON.
Run: ``python benchmarks/fanout.py [viewers ...]``; it takes under a minute.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import platform
import socket
import statistics
import struct
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pylibsrtp import Policy

from live.media import fanout
from live.media.fanout import FanoutBody, NativeFanout, PythonFanout
from live.media.ice import Credentials
from live.media.peer import Peer
from live.media.srtp import Srtp, SrtpKeys
from live.media.udp import Port
from live.sfu import Fanout
from live.sfu.contract import Cast, Head

ROUNDS, SECONDS = 7, 1
"""Rounds of each body, and how much media a round has, seconds."""
LIMIT = 55.0
"""No round begins after so long, seconds."""
DROP = struct.pack("HBBI", 0x06, 0, 0, 0)
"""A packet filter's one instruction: keep no byte (`ret #0`)."""


class Viewers:
    """Peers with keys whose datagrams the kernel drops at the receiving socket."""

    def __init__(self, count: int) -> None:
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
        self.peers: list[Peer] = []
        code = ctypes.create_string_buffer(DROP)
        program = struct.pack("HxxxxxxP", 1, ctypes.addressof(code))
        for sock in self.sockets:
            sock.bind(("127.0.0.1", 0))
            sock.setsockopt(socket.SOL_SOCKET, 26, program)  # SO_ATTACH_FILTER
            peer = Peer("x", "room", "x", Credentials("u", "p"), source="", behind=False, now=0.0)
            keys = SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, os.urandom(28), os.urandom(28))
            peer.srtp = Srtp(keys)
            peer.paths.chosen = sock.getsockname()
            self.peers.append(peer)
        self.casts = {
            stream: Cast([(peer, 96, 0, 0, 2 * at + stream) for at, peer in enumerate(self.peers)])
            for stream in (1, 2)
        }

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()


def batches(viewers: Viewers, start: int) -> list[list[Fanout[Peer]]]:
    """One second of media, as the router would hand it over: what a read of the socket brought."""
    video, sound = os.urandom(1200 - 12), os.urandom(100 - 12)
    out = []
    number = start * 150
    for _ in range(30):
        out.append([_packet(viewers, video, number + n, 1) for n in range(5)])
        number += 5
    out += [[_packet(viewers, sound, start * 50 + n, 2)] for n in range(50)]
    return out


def _packet(viewers: Viewers, body: bytes, number: int, stream: int) -> Fanout[Peer]:
    head = Head(0x80, 0, -1, number & 0xFFFF, number)
    return Fanout.cast_to(viewers.casts[stream], head, body)


def measure(body: FanoutBody, media: list[list[Fanout[Peer]]]) -> float:
    """µs of CPU per packet and viewer."""
    began = time.process_time()
    went = sum(body.send(batch) for batch in media)
    return (time.process_time() - began) / went * 1e6


async def compare(count: int, deadline: float) -> dict[str, float]:
    """The median of each body."""
    port = Port(lambda _, __: None, lambda: None)
    port.open("127.0.0.1", 0)
    bodies: list[FanoutBody] = [PythonFanout(port)]
    if fanout.native is not None:
        bodies.append(NativeFanout(port, fanout.native))
    audiences = [Viewers(count) for _ in bodies]
    costs: dict[str, list[float]] = {body.name: [] for body in bodies}
    for turn in range(ROUNDS + 1):
        if turn > 1 and time.monotonic() > deadline:
            break
        for body, viewers in zip(bodies, audiences, strict=True):
            cost = measure(body, batches(viewers, turn))
            if turn:  # the first one warms up
                costs[body.name].append(cost)
            await asyncio.sleep(0)
    assert not port.counts["dropped"], "the kernel's buffer and our queue were full: not comparable"
    for viewers in audiences:
        viewers.close()
    port.close()
    return {name: statistics.median(values) for name, values in costs.items()}


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or [100, 300]
    began = time.monotonic()
    if fanout.native is None:
        print(f"the native body is not there: {fanout.native_problem}")
    print(
        f"{platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores, {ROUNDS} rounds"
    )
    print(f"{'viewers':>8} {'python µs':>10} {'native µs':>10} {'ratio':>6}")
    results = {}
    for at, count in enumerate(sizes, 1):
        results[count] = found = asyncio.run(compare(count, began + LIMIT * at / len(sizes)))
        native = found.get("native")
        print(
            f"{count:8} {found['python']:10.2f} "
            + (f"{native:10.2f} {native / found['python']:6.2f}" if native else f"{'–':>10} {'–':>6}")
        )
    line: dict[str, str | float] = {"bench": "fanout"}
    for count, found in results.items():
        line |= {f"{name}_us_{count}": round(us, 2) for name, us in found.items()}
    print(json.dumps(line))


if __name__ == "__main__":
    main()
