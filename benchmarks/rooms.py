"""`make bench-rooms`: what one delivery to one open page costs, beside the peers, in one run.

Every server gets the same load: real WebSockets of a client in C (`peers/load.c`), one of which
publishes texts of 200 bytes that all others hear. Servers take turns; the cost of a delivery is the
server process's user and system CPU divided by the deliveries that the client counted. Events come 25 ms
apart and a thousand people are no crowd, so that batching helps nobody; with `--viewers 1000` they are one,
and it helps Madoi. Madoi alone keeps every event on disk before it tells anybody; the others keep nothing.

Peers come from the registries: Socket.IO, `ws` and uWebSockets (as Bun carries and serves by it) by npm,
uWebSockets driven from Python by PyPI's socketify, nchan by Debian. What is missing is left out and said.
`bare C` is a loop of send(), the floor.

`--beside FOLDER` tells what a change is worth: the server of another checkout takes its turns at the higher
rates, started anew each time, as runs one after the other differ by more than most changes do.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.kit.redis import RedisServer, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent
TICK = os.sysconf("SC_CLK_TCK")
PEERS = {
    "socket.io": "vs_socketio",
    "ws": "vs_ws",
    "uWebSockets": "vs_uws",
    "nchan": "vs_nchan",
    "bare C": "vs_bare_c",
}
LISTENERS = 999
"""With the one who publishes a thousand, and no crowd yet: whose tick would make one frame of two events."""
DURABLE_ROUNDS = 3
LOADS = ((2000, 100, "p99_ms_2000x100"), (5000, 500, "deliveries_s_5000x500"))
KEYS = ("us_per_delivery", *PEERS.values(), *(key for _, _, key in LOADS))
DIALECTS = {"madoi": "madoi", "madoi (redis)": "madoi", "socket.io": "socketio", "nchan": "nchan"}


def cpu_seconds(pid: int) -> float:
    """User and system CPU of a process and its children that live."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return (int(fields[11]) + int(fields[12])) / TICK + sum(cpu_seconds(int(child)) for child in children)


def rss_kb(pid: int) -> int:
    """Resident memory of a process, kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


class Case:
    """A server and a load client attached to it."""

    def __init__(self, name: str, server: subprocess.Popen[str], port: int, load: Path, viewers: int) -> None:
        self.name, self.server, self.port = name, server, port
        before = rss_kb(server.pid)
        started = cpu_seconds(server.pid)
        words = [load, str(port), DIALECTS.get(name, "raw"), str(viewers)]
        self.load = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.load.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: not everybody came in")
        self.join_ms = 1000 * (cpu_seconds(server.pid) - started) / viewers
        self.kb_each = (rss_kb(server.pid) - before) / viewers

    def run(self, rate: float, seconds: float, store: int | None = None) -> dict[str, float]:
        """Publish for a time; returns what the client saw and what the server spent.

        Args:
            rate: events a second.
            seconds: for how long.
            store: process whose CPU is told as `store_cores`.
        """
        pids = [self.server.pid, *([store] if store is not None else [])]
        before = [cpu_seconds(pid) for pid in pids]
        begin = time.perf_counter()
        seen = self.order(f"run {rate} {seconds}")
        spent = [cpu_seconds(pid) - so_far for pid, so_far in zip(pids, before, strict=True)]
        elapsed = time.perf_counter() - begin
        return seen | {
            "us": 1e6 * spent[0] / max(1, seen["deliveries"]),
            "cores": spent[0] / elapsed,
            "store_cores": sum(spent[1:]) / elapsed,
            "per_second": seen["deliveries"] / seen["seconds"],
        }

    def order(self, words: str) -> dict[str, float]:
        """Give the client an order, and return its answer."""
        if self.load.poll() is not None:
            raise RuntimeError(f"{self.name}: the load client has ended")
        print(words, file=self.load.stdin, flush=True)
        return json.loads(self.load.stdout.readline())

    def close(self) -> None:
        """End both processes."""
        for process in (self.load, self.server):
            process.terminate()
        for process in (self.load, self.server):
            process.wait(10)


class Bench:
    """Where things were built, and how servers are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.missing: list[str] = []
        self.load = self.compiled("load", HERE / "peers/load.c")

    def compiled(self, name: str, source: Path, *options: str) -> Path:
        """Build one of our C programs."""
        target = self.folder / name
        subprocess.run(["cc", "-O2", "-o", target, source, *options], check=True)
        return target

    def servers(self) -> dict[str, list[str | Path]]:
        """The command of each server that can run here."""
        commands: dict[str, list[str | Path]] = {
            "madoi": [sys.executable, HERE / "peers/madoi.py", self.folder / "data"],
            "bare C": [self.compiled("bare", HERE / "peers/bare.c", "-lcrypto")],
        }
        if self._npm():
            commands["socket.io"] = ["node", self.folder / "peers/socketio.mjs"]
            commands["ws"] = ["node", self.folder / "peers/ws.mjs"]
            commands["uWebSockets"] = [
                self.folder / "peers/node_modules/.bin/bun",
                self.folder / "peers/uws.mjs",
            ]
        else:
            self.missing += ["socket.io", "ws", "uWebSockets"]
        if importlib.util.find_spec("socketify") or self._socketify():
            commands["uWS, Python"] = [sys.executable, HERE / "peers/uws_python.py", str(free_port())]
        else:
            self.missing.append("uWebSockets from Python")
        module = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
        if shutil.which("nginx") and module.exists():
            commands["nchan"] = self._nchan(module)
        else:
            self.missing.append("nchan (apt install libnginx-mod-nchan nginx-light)")
        return commands

    def _npm(self) -> bool:
        peers = self.folder / "peers"
        shutil.copytree(HERE / "peers", peers, ignore=shutil.ignore_patterns("node_modules"))
        install = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--no-package-lock"]
        if shutil.which("npm") is None:
            return False
        return subprocess.run(install, cwd=peers, check=False).returncode == 0

    def _socketify(self) -> bool:
        packages = self.folder / "python"
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", packages, "socketify"]
        self.env["PYTHONPATH"] += f"{os.pathsep}{packages}"
        return not subprocess.run(install, check=False).returncode

    def _nchan(self, module: Path) -> list[str | Path]:
        port, config = free_port(), self.folder / "nchan.conf"
        config.write_text(
            f"""daemon off; worker_processes 1; pid {self.folder}/nginx.pid; error_log stderr crit;
load_module {module};
events {{ worker_connections 20000; }}
http {{ access_log off; server {{ listen 127.0.0.1:{port} backlog=2048;
  location /sub {{ nchan_subscriber websocket; nchan_channel_id bench;
    nchan_subscriber_first_message newest; }}
  location /pub {{ nchan_publisher websocket; nchan_channel_id bench; nchan_message_buffer_length 1; }}
}} }}
"""
        )
        nginx = f"echo {port}; exec nginx -p {self.folder} -c {config}"
        return ["sh", "-c", nginx]

    @contextlib.contextmanager
    def case(
        self, name: str, command: list[str | Path], viewers: int, checkout: Path = ROOT
    ) -> Iterator[Case]:
        """Start a server and bring everybody in; both end with the block."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        (self.folder / "data").mkdir()
        env = self.env | {"PYTHONPATH": self.env["PYTHONPATH"].replace(str(ROOT), str(checkout), 1)}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        case = None
        try:
            port = int(server.stdout.readline())
            time.sleep(0.5)
            case = Case(name, server, port, self.load, viewers)
            yield case
        finally:
            if case is not None:
                case.close()
            else:
                server.kill()


def compare(bench: Bench, viewers: int, rounds: int, seconds: float) -> dict[str, list[dict[str, float]]]:
    """All servers at once with everybody in; they are loaded in turn."""
    results: dict[str, list[dict[str, float]]] = {}
    with contextlib.ExitStack() as stack:
        cases = [
            stack.enter_context(bench.case(name, command, viewers))
            for name, command in bench.servers().items()
        ]
        for number in range(rounds + 1):
            for case in cases:
                result = case.run(40, seconds)
                if number:  # the first round warms up
                    results.setdefault(case.name, []).append(result)
        for case in cases:
            results[case.name][0] |= {"join_ms": case.join_ms, "kb": case.kb_each}
    return results


def durable(bench: Bench, viewers: int, rate: float, seconds: float) -> dict[str, list[dict[str, float]]]:
    """Madoi alone at a higher rate, with both stores, some rounds of each."""
    found = {}
    with bench.case(
        "madoi", [sys.executable, HERE / "peers/madoi.py", bench.folder / "data"], viewers
    ) as case:
        case.run(rate, 1)
        found["embedded"] = [case.run(rate, seconds) for _ in range(DURABLE_ROUNDS)]
    if shutil.which("redis-server"):
        folder = bench.folder / f"redis-{viewers}"
        folder.mkdir()
        redis = RedisServer(folder).start()
        try:
            command = [sys.executable, HERE / "peers/madoi.py", redis.url]
            with bench.case("madoi (redis)", command, viewers) as case:
                case.run(rate, 1)
                found["redis"] = [case.run(rate, seconds, redis.pid) for _ in range(DURABLE_ROUNDS)]
        finally:
            redis.stop()
    else:
        bench.missing.append("Redis (apt install redis-server)")
    return found


def in_turn(
    bench: Bench, other: Path, viewers: int, rate: float, seconds: float
) -> dict[str, list[dict[str, float]]]:
    """This version and another, each started anew in each turn, with the embedded store."""
    found: dict[str, list[dict[str, float]]] = {"here": [], "there": []}
    for _ in range(DURABLE_ROUNDS):
        for name, checkout in (("here", ROOT), ("there", other)):
            command = [sys.executable, checkout / "benchmarks/peers/madoi.py", bench.folder / "data"]
            with bench.case("madoi", command, viewers, checkout) as case:
                case.run(rate, 1)
                found[name] += [case.run(rate, seconds) for _ in range(DURABLE_ROUNDS)]
    return found


def median(runs: list[dict[str, float]], key: str) -> float:
    """The median of one figure."""
    return statistics.median(run[key] for run in runs)


def show_comparison(bench: Bench, options: argparse.Namespace, line: dict[str, object]) -> None:
    """Measure all servers and print a table; the ratios go into the last line."""
    results = compare(bench, options.viewers, options.rounds, options.seconds)
    print(f"\n{options.viewers} open pages, 40 events/s, medians of {options.rounds} interleaved rounds")
    print(f"{'':14}{'µs/delivery':>12}{'p50 ms':>9}{'p99 ms':>9}{'lost':>7}{'kB/page':>9}{'join ms':>9}")
    for name, runs in sorted(results.items(), key=lambda item: median(item[1], "us")):
        lost = sum(run["expected"] - run["deliveries"] for run in runs)
        print(
            f"{name:14}{median(runs, 'us'):12.2f}{median(runs, 'p50_ms'):9.1f}{median(runs, 'p99_ms'):9.1f}"
            f"{lost:7.0f}{runs[0]['kb']:9.1f}{runs[0]['join_ms']:9.2f}"
        )
    ours = results["madoi"]
    line["us_per_delivery"] = round(median(ours, "us"), 2)
    for name, key in PEERS.items():
        if name in results:  # a round's machine is one machine: ratios first, then their median
            pairs = zip(ours, results[name], strict=True)
            # With a handful of listeners a peer may spend less than the clock of /proc can tell.
            ratios = [a["us"] / b["us"] for a, b in pairs if b["us"]]
            line[key] = round(statistics.median(ratios), 2) if ratios else None


def show_durable(
    bench: Bench, load: tuple[int, int, str], seconds: float, line: dict[str, object], beside: Path | None
) -> None:
    """Measure Madoi alone and print a table; the embedded store's figure goes into the last line."""
    viewers, rate, key = load
    found = (
        in_turn(bench, beside, viewers, rate, seconds) if beside else durable(bench, viewers, rate, seconds)
    )
    rounds = len(next(iter(found.values())))
    print(f"\n{viewers} open pages, {rate} events/s, every one on disk, medians of {rounds} rounds")
    head = f"{'':14}{'deliveries/s':>14}{'cores':>7}{'store':>7}{'p50 ms':>9}{'p99 ms':>9}"
    print(f"{head}  {'between':9}{'lost':>6}")
    for store, runs in found.items():
        apart = f"{median(runs, 'store_cores'):.2f}" if store == "redis" else "–"
        lost = sum(run["expected"] - run["deliveries"] for run in runs)
        spread = f"{min(r['p99_ms'] for r in runs):.0f}–{max(r['p99_ms'] for r in runs):.0f}"
        print(
            f"{store:14}{median(runs, 'per_second'):14,.0f}{median(runs, 'cores'):7.2f}{apart:>7}"
            f"{median(runs, 'p50_ms'):9.1f}{median(runs, 'p99_ms'):9.1f}  {spread:9}{lost:6.0f}"
        )
        if line[key] is None:  # the embedded store's, of this version
            line[key] = round(median(runs, "p99_ms" if key.startswith("p99") else "per_second"))


def main() -> None:
    """Measure, and print a table and a last line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--viewers", type=int, default=LISTENERS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only-compare", action="store_true", help="not Madoi alone, at higher rates")
    parser.add_argument("--only-durable", action="store_true", help="nothing but that")
    parser.add_argument("--beside", type=Path, help="another checkout to take turns with (no peers then)")
    options = parser.parse_args()
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    line: dict[str, object] = {"bench": "rooms"} | dict.fromkeys(KEYS)  # null: could not be measured
    with tempfile.TemporaryDirectory(prefix="madoi-bench-") as folder:
        bench = Bench(Path(folder))
        if not options.only_durable and not options.beside:
            show_comparison(bench, options, line)
        if not options.only_compare:
            for load in LOADS:
                show_durable(bench, load, options.seconds * 2, line, options.beside)
        for name in bench.missing:
            print(f"left out: {name}")
    print(json.dumps(line))


if __name__ == "__main__":
    main()
