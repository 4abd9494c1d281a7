"""Another implementation's program, told by what it prints."""

import asyncio
from contextlib import asynccontextmanager


@asynccontextmanager
async def program(*command):
    """Run a program that ends well when asked to; gives the lines that it has printed so far."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd="/")
    said: list[str] = []

    async def read() -> None:
        while line := await process.stdout.readline():
            said.append(line.decode().strip())

    reading = asyncio.create_task(read())
    try:
        yield said
    finally:
        if process.returncode is None:
            process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
        await reading
