"""How soon a viewer's line is found to lose more than a tenth, and how often one that loses less is.

A simulation, without clocks and sockets: packets are lost by chance, and counted by reports (every second) or
by transport feedback (every tenth). Beside `Bandwidth.counted` stands the rule that it had before: of 20
packets a share is taken as it is. The last line is JSON.

Run: ``python benchmarks/chance.py``
"""

from __future__ import annotations

import json
import random
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from live.sfu.allocation import LOSSY
from live.sfu.bandwidth import Bandwidth

LINES = ((40, 1.0), (85, 1.0), (85, 0.1), (200, 0.1), (200, 1.0))
"""Packets a second, and seconds between two counts."""
MINUTES = 100
TRIALS = 100

Counted = Callable[[int, int, float], bool]


def ours() -> Counted:
    bandwidth = Bandwidth()

    def counted(received: int, lost: int, now: float) -> bool:
        return bandwidth.counted(received, lost, 1e6, now) and bandwidth.loss > LOSSY

    return counted


def plain() -> Counted:
    """Of the first 20 packets or more."""
    so_far = [0, 0]

    def counted(received: int, lost: int, _: float) -> bool:
        so_far[0] += received
        so_far[1] += lost
        total = sum(so_far)
        if total < 20:
            return False
        share = so_far[1] / total
        so_far[:] = 0, 0
        return share > LOSSY

    return counted


def found(
    counted: Counted, share: float, rate: int, every: float, *, seconds: float, seed: int
) -> list[float]:
    """When more than a tenth was found lost, seconds."""
    dice, times, packets = random.Random(seed), [], round(rate * every)  # noqa: S311  an emulated line
    for step in range(1, round(seconds / every) + 1):
        lost = sum(dice.random() < share for _ in range(packets))
        if counted(packets - lost, lost, step * every):
            times.append(step * every)
    return times


def main() -> None:
    """Print both rules beside each other."""
    print(f"{'lost':>5} {'packets/s':>9} {'every s':>8}   {'now':>16}   {'before':>16}")
    false: dict[str, list[float]] = {"now": [], "before": []}
    late: list[float] = []
    for share in (0.02, 0.05, 0.08, 0.15, 0.2, 0.4):
        for rate, every in LINES:
            cells = []
            for name, rule in (("now", ours), ("before", plain)):
                if share < LOSSY:
                    often = len(found(rule(), share, rate, every, seconds=60 * MINUTES, seed=1)) / MINUTES
                    cells.append(f"{often:.2f} a minute")
                    if share == 0.05:
                        false[name].append(often)
                    continue
                trials = [found(rule(), share, rate, every, seconds=30, seed=seed) for seed in range(TRIALS)]
                firsts = [times[0] if times else 30.0 for times in trials]
                half, most = statistics.median(firsts), statistics.quantiles(firsts, n=20)[-1]
                cells.append(f"{half:.1f} s, p95 {most:.1f}")
                if name == "now" and share == 0.2:
                    late.append(most)
            print(f"{share:5.2f} {rate:9} {every:8}   {cells[0]:>16}   {cells[1]:>16}")
    summary = {
        "bench": "chance",
        **{f"false_a_minute_at_5_percent_{name}": [min(x), max(x)] for name, x in false.items()},
        "p95_seconds_at_20_percent": max(late),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
