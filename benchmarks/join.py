"""Both halves of coming in: from one person's click to the first frame, and 300 people within two seconds.

Runs `first_frame.py` and `storm.py` one after the other and joins their last lines into one of JSON.
Run: ``python benchmarks/join.py``; it takes two minutes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

HALVES = {"click": "first_frame.py", "storm": "storm.py"}


def half(name: str) -> dict[str, object] | None:
    """Runs a half, letting its table through; gives its figures, None when it failed."""
    path = Path(__file__).parent / name
    done = subprocess.run([sys.executable, str(path)], stdout=subprocess.PIPE, text=True, check=False)
    *words, last = done.stdout.splitlines() or [""]
    print("\n".join([*words, "" if last.startswith("{") else last]), flush=True)
    figures: dict[str, object] | None = json.loads(last) if done.returncode == 0 else None
    return figures


def main() -> int:
    """The program."""
    try:
        figures = {name: half(path) for name, path in HALVES.items()}
    except KeyboardInterrupt:
        print("stopped")
        return 130
    for found in figures.values():
        if found is not None:
            found.pop("bench", None)
    print(json.dumps({"bench": "join", **figures}))
    return 0 if all(figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
