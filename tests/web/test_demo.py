"""The demo comes to life and goes away when asked."""

import asyncio
import os
import signal
import sys

import httpx
import msgspec

from tests.kit.polling import until
from tests.kit.server import ROOT, TOKEN


async def test_the_demo_is_alive_and_ends_at_once(tmp_path):
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MADOI_")}
    environ |= {"MADOI_ORGANISER_TOKEN": TOKEN, "MADOI_MEDIA_PORT": "0", "MADOI_MEDIA_WORKERS": "1"}
    data = tmp_path / "demo"
    command = [sys.executable, "-m", "live.cli", "demo", "--port", "0", "--data", str(data)]
    with (tmp_path / "out").open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environ, stdout=out, stderr=asyncio.subprocess.STDOUT
        )
    try:
        note = data / "server.json"
        await until(note.exists, within=20)
        url = msgspec.json.decode(note.read_bytes())["url"]
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:

            async def lively():
                sessions = (await client.get("/api/sessions")).json()["sessions"]
                if not sessions or sessions[0]["state"] != "live":
                    return False
                counts = (await client.get(f"/api/sessions/{sessions[0]['id']}")).json()["counts"]
                numbers = (await client.get("/metrics")).text
                return counts["messages"] > 1 and 'madoi_media_publishers{worker="0"} 2.0' in numbers

            await until(lively, within=40, every=0.2)
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), 20)
    said = (tmp_path / "out").read_text()
    assert code == 0, said
    assert said.count("/s/") == 3
    assert "Traceback" not in said
