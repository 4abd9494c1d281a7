"""Both bodies of the broadcast: the same bytes in the same order, whatever state the sockets are in."""

import asyncio
import os
import socket
import ssl
import struct
import subprocess
import sys

import pytest
import uvicorn
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from websockets.asyncio.client import connect

from live.gateway import broadcast as bodies
from live.gateway.broadcast import Crowd, broadcast_body, native_broadcast, python_broadcast
from live.gateway.connection import OUTBOX_BYTES
from live.gateway.host import SERVER
from live.gateway.message import Message
from live.gateway.serving import UVICORN, listen
from live.gateway.viewing import Caller, Member, Members
from live.protocol.codes import SUBPROTOCOL
from rooms import Level, Role
from rooms.chat import Post
from tests.kit.authority import Authority
from tests.kit.polling import until
from tests.kit.rooms import gateway
from tests.kit.stuck import StuckReader

needs_native = pytest.mark.skipif(bodies.native is None, reason=f"not built: {bodies.native_problem}")
BODIES = ["python", pytest.param("native", marks=needs_native)]


# -- the extension alone ---------------------------------------------------------------------------


class Pipe:
    """A TCP connection to ourselves; what was sent to `near` can be read at `far`."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.near = socket.create_connection(server.getsockname())
            self.far = server.accept()[0]
        self.near.setblocking(False)

    def fill(self):
        """Leave no room."""
        with pytest.raises(BlockingIOError):
            while True:
                self.near.send(bytes(65536))

    def read(self, size):
        self.far.settimeout(5)
        data = b""
        while len(data) < size and (more := self.far.recv(size - len(data))):
            data += more
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.near.close()
        self.far.close()


@needs_native
def test_those_who_did_not_take_all_are_told_with_what_they_took():
    with Pipe() as well, Pipe() as full, Pipe() as narrow, Pipe() as broken, Pipe() as also_well:
        full.fill()
        narrow.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        broken.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.far.close()
        pipes = [well, full, narrow, broken, also_well]
        data = os.urandom(500_000)
        descriptors = [-1, *(pipe.near.fileno() for pipe in pipes), 1 << 20]
        told = dict(bodies.native.send(descriptors, data))
        assert set(told) >= {0, 2, 3, 4, 6}
        assert told[0] == told[2] == told[4] == told[6] == 0
        assert 0 < told[3] < len(data)
        for place, pipe in ((1, well), (3, narrow), (5, also_well)):
            taken = told.get(place, len(data))
            assert pipe.read(taken) == data[:taken]


@needs_native
@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["well", "closed", "none"]), max_size=40), st.binary(max_size=600))
def test_everybody_who_can_is_sent_everything_once(states, data):
    pipes = [Pipe() if state == "well" else None for state in states]
    try:
        descriptors = [
            pipe.near.fileno() if pipe else (-1 if state == "none" else 1 << 20)
            for pipe, state in zip(pipes, states, strict=True)
        ]
        told = bodies.native.send(descriptors, data)
        assert told == [(place, 0) for place, pipe in enumerate(pipes) if pipe is None and data]
        for pipe in filter(None, pipes):
            pipe.near.shutdown(socket.SHUT_WR)
            assert pipe.read(len(data) + 1) == data
    finally:
        for pipe in filter(None, pipes):
            pipe.__exit__()


@needs_native
@pytest.mark.parametrize(
    "arguments",
    [((1, 2), b"x"), ([1], "x"), ([None], b"x"), ([1.5], b"x"), ([1 << 40], b"x"), ([1 << 70], b"x"), ([1],)],
)
def test_the_extension_refuses_what_it_cannot_take(arguments):
    with pytest.raises((TypeError, OverflowError)):
        bodies.native.send(*arguments)


@needs_native
def test_an_extension_of_another_source_is_not_used():
    program = "import sys, types; old = types.ModuleType('old'); old.INTERFACE = 0; "
    program += "sys.modules['live.gateway._broadcast'] = old; from live.gateway import broadcast; "
    program += "print(broadcast.native, broadcast.native_problem)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.startswith("None it was compiled for another version")


def test_the_body_is_chosen_by_name_and_rooms_are_served_in_any_case(monkeypatch):
    assert broadcast_body("python") is python_broadcast
    if bodies.native is not None:
        assert broadcast_body("auto") is broadcast_body("native") is native_broadcast
    monkeypatch.setattr(bodies, "native", None)
    assert broadcast_body("auto") is broadcast_body("native") is python_broadcast


# -- both bodies before real connections -------------------------------------------------------------


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_who_pauses_loses_nothing_and_nobody_waits_for_it(where, body, compression):
    async with gateway(where, body=body) as node:
        session = await node.session()
        async with (
            node.viewer(session, "attendee:ann", compression=compression) as ann,
            node.viewer(session, "attendee:ben", compression=None) as ben,
            node.viewer(session, "attendee:cat", compression="deflate") as cat,
        ):
            line = (await until(lambda: node.hub._find(session).members.get("ann"))).line
            await until(lambda: line.descriptor >= 0)
            for _ in range(2):
                ann._socket.transport.pause_reading()
                while not line.connection.waiting:
                    posts = [Post(text=os.urandom(495).hex()) for _ in range(25)]
                    last = max(await asyncio.gather(*(node.hub.ask(session, SERVER, one) for one in posts)))
                assert line.descriptor == -1, "something waits"
                assert line.connection.waiting <= OUTBOX_BYTES
                await asyncio.gather(ben.reached(last), cat.reached(last))
                ann._socket.transport.resume_reading()
                await ann.reached(last)
                assert ann.texts == ben.texts == cat.texts
                await until(lambda: line.descriptor >= 0)


@pytest.mark.parametrize("body", BODIES)
async def test_a_message_overtakes_nothing_that_waits_in_the_event_loop(where, body):
    """The kernel has room again before the loop has heard of it."""
    async with gateway(where, body=body) as node:
        session = await node.session()
        stuck = StuckReader(node.port, session)
        await asyncio.to_thread(stuck.enter)
        members = node.hub._find(session).members
        member = await until(lambda: members.get("stuck"))
        line = member.line
        await until(lambda: line.descriptor >= 0)
        stuck.take()
        sent = b""

        def tell():
            nonlocal sent
            message = Message(os.urandom(1500).hex().encode())
            sent += message.plain
            node.hub._broadcast(members.crowd(member.level), message, None)

        while not line._wire.transport.get_write_buffer_size():
            tell()
        heard = stuck.take()
        for _ in range(3):
            tell()
        async with asyncio.timeout(10):
            while len(heard) < len(sent):
                await asyncio.sleep(0.01)
                heard += stuck.take()
        assert heard.startswith(sent)
        stuck.close()


@pytest.mark.parametrize("body", BODIES)
async def test_a_descriptor_is_given_only_while_nothing_stands_against_writing(where, body):
    async with gateway(where, body=body) as node:
        session = await node.session()
        async with (
            node.viewer(session, "attendee:ann") as ann,
            node.viewer(session, "attendee:ben") as ben,
            node.viewer(session, "attendee:cat") as cat,
        ):
            host = node.hub._find(session)
            lines = [host.members[one].line for one in ("ann", "ben", "cat")]
            await until(lambda: all(line.descriptor >= 0 for line in lines))
            host.see_out("ben")
            assert lines[1].descriptor == -1, "it is being closed"
            await cat.drop()
            await until(lambda: lines[2].descriptor == -1)
            await ann._socket.close()
            await until(lambda: lines[0].descriptor == -1)
            await ben.gone()


@needs_native
async def test_past_tls_nothing_is_written(where, tmp_path):
    """A frame in the clear on a TLS socket would show the room to the line, and break the connection."""
    authority = Authority(tmp_path)
    issued = authority.issue("127.0.0.1")
    async with gateway(where, body="native") as node:
        session = await node.session()
        options = UVICORN | {"ssl_certfile": str(issued.chain), "ssl_keyfile": str(issued.key)}
        listener = listen("127.0.0.1", 0)
        config = uvicorn.Config(Starlette(routes=[node._socket.route()]), lifespan="off", **options)
        server = uvicorn.Server(config)
        server.capture_signals = node.server.capture_signals
        serving = asyncio.create_task(server.serve([listener]))
        await until(lambda: server.started)
        trust = ssl.create_default_context(cafile=str(authority.file))
        url = f"wss://127.0.0.1:{listener.getsockname()[1]}/rooms/{session}/socket"
        try:
            async with connect(url, ssl=trust, subprotocols=[SUBPROTOCOL]) as page:
                await page.send('{"t":"hello","v":1,"ticket":"attendee:ann"}')
                line = (await until(lambda: node.hub._find(session).members.get("ann"))).line
                page.transport.pause_reading()
                texts = []
                while not line.connection.waiting:
                    texts.append(os.urandom(495).hex())
                    await node.hub.ask(session, SERVER, Post(text=texts[-1]))
                page.transport.resume_reading()
                heard = ""
                async with asyncio.timeout(10):
                    while texts[-1] not in heard:
                        heard += await page.recv()
                places = [heard.index(text) for text in texts]
                assert places == sorted(places)
                assert line.descriptor == -1
                await until(lambda: line._direct is not None)  # clear, but not for a broadcast
        finally:
            server.should_exit = True
            await serving


# -- what it stands on --------------------------------------------------------------------------------


class Watched(asyncio.Protocol):
    """Notes whether its descriptor is still its own when it hears that the line is lost."""

    def connection_made(self, transport):
        self.transport = transport
        self.lost = asyncio.get_running_loop().create_future()
        self.descriptor = transport.get_extra_info("socket").fileno()
        self.inode = os.fstat(self.descriptor).st_ino

    def connection_lost(self, _exc):
        self.lost.set_result(os.fstat(self.descriptor).st_ino == self.inode)


@pytest.mark.parametrize("how", ["peer closes", "peer resets", "we close", "we abort", "a write fails"])
@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_a_loop_tells_of_a_lost_line_before_its_descriptor_can_be_another_s(new_loop, how):
    """Otherwise a frame could be written into somebody else's connection."""

    async def lose():
        loop = asyncio.get_running_loop()
        protocol = Watched()
        server = await loop.create_server(lambda: protocol, "127.0.0.1", 0)
        with socket.create_connection(server.sockets[0].getsockname()) as peer:
            await until(lambda: hasattr(protocol, "lost"))
            if how == "peer closes":
                peer.close()
            elif how.startswith("we"):
                getattr(protocol.transport, how.split()[1])()
            else:
                if how == "a write fails":
                    protocol.transport.pause_reading()
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
            while not protocol.lost.done():
                if how == "a write fails":
                    protocol.transport.write(b"x")
                await asyncio.sleep(0.01)
        server.close()
        assert await protocol.lost

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(lose(), 10))


class Still:
    """A line to which nothing is written."""

    connection, descriptor = None, -1

    def __init__(self, deflates):
        self.deflates = deflates

    def send(self, message, kind=None, begun=0):
        raise AssertionError(message, kind, begun)

    def wake(self):
        raise AssertionError

    async def drained(self):
        return True


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, *Level]), st.booleans())))
def test_a_crowd_is_at_any_time_everybody_of_its_level(steps):
    """Nobody is left out, and nobody hears what another level hears."""
    members = Members()
    for person, level, deflates in steps:
        if level is None:
            if person in members:
                del members[person]
        elif person in members and deflates:
            members.move(members[person], level)
        else:
            member = Member(Caller(person, Role.ATTENDEE), f"a-{person}", Still(deflates), "1")
            member.level = level
            members[person] = member
        first = set(list(members.values())[:1])
        for one in Level:
            for apart in (set(), first):
                expected = [m.line for m in members.values() if m.level is one and m not in apart]
                crowd = members.crowd(one, apart)
                assert crowd == Crowd.of(expected)
                assert len(crowd.plain) + len(crowd.deflating) == len(expected)
                assert all(line.deflates for line in crowd.deflating)
