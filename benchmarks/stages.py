"""The way of a packet, stage by stage: µs of CPU of each, and of one viewer's share of it.

One speaker's packets of 1,200 bytes in frames of five, and a hall of 300 viewers. What happens once for a
packet is shared by all viewers; sealing and sending happen for each. The stages are those of docs/design.md:
drain the socket, unprotect, view the header, route (publication, ring, extensions rebuilt, for all viewers at
once), then the fan-out: collect, seal, send. Times are of this process. The last line is JSON.
Run: ``python benchmarks/stages.py [viewers]``; it takes half a minute.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pylibsrtp import Policy

from benchmarks.fanout import Viewers, batches, measure
from benchmarks.route import stage, video
from live.media import fanout
from live.media.fanout import FanoutBody, NativeFanout, PythonFanout
from live.media.srtp import Srtp, SrtpKeys, gcm_session_key
from live.media.udp import Port
from live.sfu.rtp import parse_rtp

PACKETS, ROUNDS = 600, 7


def each(do: Callable[[int], object]) -> float:
    """The median µs of CPU of one of `PACKETS` calls."""
    costs = []
    for turn in range(ROUNDS):
        began = time.process_time()
        for n in range(turn * PACKETS, (turn + 1) * PACKETS):
            do(n)
        costs.append((time.process_time() - began) / PACKETS * 1e6)
    return statistics.median(costs)


async def drain(packets: list[bytes]) -> float:
    """Reading from the socket, the event loop's share included."""
    arrived: list[bytes] = []
    port = Port(lambda datagram, _: arrived.append(datagram), lambda: None)
    port.open("127.0.0.1", 0)
    costs = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(ROUNDS):
            arrived.clear()
            for packet in packets:
                sender.sendto(packet, ("127.0.0.1", port.number))
            began = time.process_time()
            while len(arrived) < len(packets):  # noqa: ASYNC110  # the loop itself is measured
                await asyncio.sleep(0)
            costs.append((time.process_time() - began) / len(packets) * 1e6)
    port.close()
    return statistics.median(costs)


async def send(body: FanoutBody, viewers: Viewers) -> float:
    """The whole fan-out, for one packet and viewer."""
    costs = [measure(body, batches(viewers, turn)[:30]) for turn in range(ROUNDS)]
    return statistics.median(costs[1:])


async def measured(count: int) -> dict[str, float]:
    """µs of each stage: sealing and the fan-outs for one viewer, the others for all together."""
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    one, two = os.urandom(28), os.urandom(28)
    theirs, ours = Srtp(SrtpKeys(profile, one, two)), Srtp(SrtpKeys(profile, two, one))
    plain = [video(n) for n in range(PACKETS * ROUNDS)]
    sealed = [bytes(theirs.protect(packet)) for packet in plain]
    router, _ = stage(count)
    took = {"drain": await drain(sealed[:PACKETS]), "unprotect": each(lambda n: ours.unprotect(sealed[n]))}
    took["header"] = each(lambda n: parse_rtp(plain[n]))

    def route(n: int) -> None:
        router.receive_rtp(-1, plain[n], n / 150)
        router.drain()

    took["route"] = each(route) - took["header"]
    headers, content = [packet[:12] for packet in plain], plain[0][12:]
    fresh = Srtp(SrtpKeys(profile, one, two))
    took["seal_python"] = each(lambda n: fresh.seal(headers[n], content))
    port = Port(lambda _, __: None, lambda: None)
    port.open("127.0.0.1", 0)
    viewers = Viewers(count)
    took["fanout_python"] = await send(PythonFanout(port), viewers)
    if fanout.native is not None:
        key = gcm_session_key(SrtpKeys(profile, one, two))
        assert key is not None
        sealer = fanout.native.Sealer(*key)
        took["seal_native"] = each(lambda n: sealer.seal(headers[n], content))
        viewers.close()
        viewers = Viewers(count)
        took["fanout_native"] = await send(NativeFanout(port, fanout.native), viewers)
    viewers.close()
    port.close()
    return took


def main() -> None:
    count = int(sys.argv[1]) if sys.argv[1:] else 300
    took = asyncio.run(measured(count))
    print(f"{count} viewers; µs of CPU       a packet   and viewer")
    for name in ("drain", "unprotect", "header", "route"):
        print(f"  {name:<24} {took[name]:10.2f} {took[name] / count:12.3f}")
    for body in ("python", "native"):
        if f"fanout_{body}" in took:
            print(
                f"  fan-out, {body:<15} {took[f'fanout_{body}'] * count:10.2f} {took[f'fanout_{body}']:12.3f}"
            )
            print(f"    of it sealing {'':<21} {took[f'seal_{body}']:12.3f}  (called from Python)")
    print(json.dumps({"bench": "stages", "viewers": count, **{k: round(v, 3) for k, v in took.items()}}))


if __name__ == "__main__":
    main()
