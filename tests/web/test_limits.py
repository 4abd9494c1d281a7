"""What `MADOI_LIMITS_…` sets takes effect, and what concerns the client is told in `ready`."""

import contextlib
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.kit.server import MadoiServer
from tests.web.test_socket import one_time

SET = {
    "limits_commands": "0.001",
    "limits_commands_burst": "2",
    "limits_pages": "0.002",
    "limits_pages_burst": "3",
    "limits_signals": "0.003",
    "limits_signals_burst": "1",
    "limits_hello": "4",
    "limits_sockets": "4",
    "limits_waiting": "1",
}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    server = MadoiServer(tmp_path_factory.mktemp("limits") / "data", **SET).start()
    yield server
    server.stop()


class Viewer:
    """A socket by hand: every frame that came, in order."""

    def __init__(self, socket, ready):
        self.socket, self.ready = socket, ready

    async def say(self, **frame):
        await self.socket.send(json.dumps(frame))

    async def hears(self, wanted):
        """Read on to the first frame for which `wanted` is true; a close is its code."""
        try:
            while not wanted(frame := json.loads(await self.socket.recv())):
                pass
        except ConnectionClosed as closed:
            return closed.rcvd.code
        return frame

    async def answers(self, count):
        """Read on until so many commands or pages have been answered."""
        found = {}
        while len(found) < count:
            frame = await self.hears(lambda frame: "ref" in frame)
            found[frame["ref"]] = frame
        return found


@contextlib.asynccontextmanager
async def inside(server, session, ticket=None):
    address = f"ws://localhost:{server.port}/rooms/{session}/socket"
    async with connect(address, subprotocols=["madoi.v1"]) as socket:
        viewer = Viewer(socket, json.loads(await socket.recv()))
        if ticket is not None:
            await viewer.say(t="hello", v=1, ticket=ticket)
        yield viewer


def room(server):
    made = server.make_session("限りある会", door="knock")
    server.move(made.id, "live")
    return made.id


async def test_asvs_2_4_1_rates_are_told_and_kept(limited):
    session = room(limited)
    async with inside(limited, session, limited.ticket(session, "moderator", "司会")) as mika:
        told = mika.ready["limits"]
        assert told["commands"] == {"per_second": 0.001, "burst": 2}
        assert told["pages"] == {"per_second": 0.002, "burst": 3}
        assert told["signals"] == {"per_second": 0.003, "burst": 1}
        assert told["hello_ms"] == 4000
        for ref in range(3):
            command = {"t": "post", "text": f"{ref}"}
            await mika.say(t="do", ref=ref, nonce=f"nonce-{ref:03}", cmd=command)
        answers = await mika.answers(3)
        assert [answers[ref]["t"] for ref in range(3)] == ["done", "done", "refused"]
        assert answers[2]["why"] == "rate"
        for ref in range(3, 7):
            await mika.say(t="page", ref=ref, channel="main", limit=1)
        answers = await mika.answers(4)
        assert [answers[ref]["t"] for ref in range(3, 7)] == ["page"] * 3 + ["refused"]


async def test_asvs_2_4_1_signals_and_typing_share_a_rate(limited):
    session = room(limited)
    tickets = [limited.ticket(session, "moderator", name) for name in ("司会", "甲", "乙")]
    async with contextlib.AsyncExitStack() as stack:
        mika, aoi, ben = [
            await stack.enter_async_context(inside(limited, session, ticket)) for ticket in tickets
        ]
        you = await ben.hears(lambda frame: frame["t"] == "welcome")
        await aoi.say(t="signal", kind="nod")
        await aoi.say(t="typing")
        await aoi.say(t="page", ref=1, channel="main", limit=1)
        assert await aoi.hears(lambda frame: frame.get("ref") == 1), "what came before has been read"
        await ben.say(t="typing")
        heard = await mika.hears(lambda frame: frame["t"] == "signals" and frame.get("typing"))
        assert heard["typing"] == [you["you"]["id"]]


async def test_asvs_15_2_2_sockets_of_one_address_and_the_line_at_the_door(limited):
    made = limited.make_session("限りある会", door="knock")
    limited.move(made.id, "live")
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(inside(limited, made.id, one_time(limited, made, "甲")))
        assert (await first.hears(lambda frame: frame["t"] == "welcome"))["you"]["level"] == 0
        async with inside(limited, made.id, one_time(limited, made, "乙")) as second:
            assert await second.hears(lambda frame: frame["t"] == "welcome") == 4504
        for _ in range(3):
            await stack.enter_async_context(inside(limited, made.id))
        async with inside(limited, made.id) as fifth:
            assert await fifth.hears(lambda frame: frame["t"] == "welcome") == 4013
