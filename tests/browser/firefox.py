"""The system's Firefox, driven over WebDriver BiDi by a small Node process."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STATIC = HERE.parents[1] / "static" / "package.json"


class Firefox:
    """One Firefox with one page and fake devices."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def launch(cls, *prefix: str, **preferences: str | bool) -> "Firefox":
        """Start the browser; `close` ends it.

        Args:
            prefix: what its command line begins with, as to run it in a network namespace.
            preferences: further ones, with `__` for each dot.
        """
        process = await asyncio.create_subprocess_exec(
            *prefix,
            "node",
            str(HERE / "firefox.mjs"),
            str(STATIC),
            shutil.which("firefox-esr") or "firefox",
            json.dumps({name.replace("__", "."): value for name, value in preferences.items()}),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 22,
        )
        firefox = cls(process)
        await firefox._answer(60)
        return firefox

    async def close(self) -> None:
        """Close the page and the browser."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 15)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def do(self, act: str, **fields: Any) -> Any:
        """Carry out one act (`goto`, `click`, `fill`, `wait`, `evaluate`, `shot`) and give its value."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"act": act, **fields}).encode() + b"\n")
        await self._process.stdin.drain()
        return await self._answer(45)

    async def _answer(self, seconds: float) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        answer = json.loads(line or b'{"error": "Firefox ended"}')
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["ok"]
