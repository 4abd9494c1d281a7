"""`python -m live.protocol [--check]`: write, or compare, what is printed from the message classes."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from live.protocol.asyncapi import print_asyncapi
from live.protocol.markdown import print_markdown
from live.protocol.typescript import print_typescript

ROOT: Final = Path(__file__).parents[2]
PRINTED: Final[dict[str, Callable[[], str]]] = {
    "static/src/protocol.gen.ts": print_typescript,
    "docs/protocol.md": print_markdown,
    "docs/asyncapi.json": print_asyncapi,
}


def write(root: Path = ROOT) -> list[str]:
    """Bring the printed files up to date and return the paths that changed."""
    stale = check(root)
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(PRINTED[path](), encoding="utf-8")
    return stale


def check(root: Path = ROOT) -> list[str]:
    """Return the paths whose content is not what the classes print."""
    return [
        path
        for path, print_file in PRINTED.items()
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != print_file()
    ]


def main(arguments: list[str]) -> int:
    """Run the command; 1 if `--check` found a stale file."""
    checking = "--check" in arguments
    stale = check() if checking else write()
    for path in stale:
        sys.stdout.write(f"{'stale: ' if checking else 'written: '}{path}\n")
    return int(checking and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
