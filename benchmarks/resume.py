"""`make bench-resume`: everybody loses the line at once and comes back.

So many real WebSockets hold a room. All are cut, entries are written meanwhile, and all connect again at once
with their position. Measured: the time until the last one has heard everything, who heard too little or
something twice, the server's CPU, and its memory at the peak above what it had. Then some pages that stop
reading while much is said: what they cost the server at the peak.
"""

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

import uvloop

from benchmarks.rooms import HERE, Bench, cpu_seconds
from rooms.chat import Post
from tests.kit.stuck import StuckReader
from tests.kit.viewer import Viewer


async def position(url: str) -> tuple[int, int]:
    """Epoch and number of the last entry, as an attendee knows them."""
    async with Viewer(url, "attendee:witness", compression=None) as witness:
        return witness.epoch, witness.seq


async def write(url: str, entries: int) -> None:
    """Write while everybody is away."""
    async with Viewer(url, "moderator:mika", compression=None) as mika:
        for _ in range(entries):
            await mika.do(Post(text="@t=0@ 留守のあいだの発言"))


async def shout(url: str, kilobytes: int) -> None:
    """Say so much that who does not read falls behind by it."""
    async with Viewer(url, "moderator:mika", compression=None) as mika:
        for _ in range(kilobytes // 2):
            await mika.do(Post(text="@t=0@ " + "長い話" * 220))


def stuck_kb(bench: Bench, readers: int, kilobytes: int) -> int:
    """What readers who do not read cost at the peak, kB: the same is said to none of them first."""
    peaks = []
    for count in (0, readers):
        server = [sys.executable, HERE / "peers/madoi.py", bench.folder / "data"]
        with bench.case("madoi", server, 1) as case:
            url = f"ws://127.0.0.1:{case.port}/rooms/bench/socket"
            stuck = [StuckReader(case.port, "bench", f"stuck{number}") for number in range(count)]
            for reader in stuck:
                reader.enter()
            memory = peak_kb(case.server.pid)
            uvloop.run(shout(url, kilobytes))
            peaks.append(peak_kb(case.server.pid) - memory)
    return peaks[1] - peaks[0]


def peak_kb(pid: int) -> int:
    """Largest resident memory of a process so far, kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    """Measure, and print a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--missed", type=int, default=200)
    parser.add_argument("--stuck", type=int, default=100)
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory(prefix="madoi-bench-") as folder:
        bench = Bench(Path(folder))
        server = [sys.executable, HERE / "peers/madoi.py", bench.folder / "data"]
        with bench.case("madoi", server, options.clients) as case:
            url, pid = f"ws://127.0.0.1:{case.port}/rooms/bench/socket", case.server.pid
            case.order("cut")
            epoch, seq = uvloop.run(position(url))
            uvloop.run(write(url, options.missed))
            memory, spent = peak_kb(pid), cpu_seconds(pid)
            found = case.order(f"back {epoch} {seq} {options.missed}")
            spent, memory = cpu_seconds(pid) - spent, peak_kb(pid) - memory
        stuck = stuck_kb(bench, options.stuck, kilobytes=1000)
    print(f"{options.clients} clients back at once, {options.missed} entries missed by each")
    print(f"the last is whole after {found['seconds']:.2f} s; heard too little or twice: {found['wrong']}")
    print(f"server: {spent:.2f} s CPU, {memory / 1024:.0f} MB more than before at the peak")
    print(f"{options.stuck} who do not read while 1 MB is said: {stuck / 1024:.1f} MB at the peak")
    result = {
        "bench": "resume",
        "clients": options.clients,
        "seconds": found["seconds"],
        "gaps": found["wrong"],
        "cpu_ms_each": round(1000 * spent / options.clients, 3),
        "mb": round(memory / 1024),
        "stuck": options.stuck,
        "stuck_mb": round(stuck / 1024, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
