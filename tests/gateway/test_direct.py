"""The seam to uvicorn: finished messages into the transport. Fails when uvicorn's private names move."""

import asyncio
import weakref

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidStatus

from live.gateway.direct import EXTENSION, DirectProtocol, Inbox
from live.gateway.host import SERVER
from live.protocol.codes import Close
from rooms.chat import Post
from tests.kit.frames import TEXT, RawSocket, frame
from tests.kit.polling import until
from tests.kit.rooms import gateway


def test_what_the_seam_stands_on():
    for name in (
        "connection_lost",
        "connection_made",
        "data_received",
        "pause_writing",
        "receive",
        "resume_writing",
        "run_asgi",
        "send",
        "shutdown",
    ):
        assert callable(getattr(WebSocketsSansIOProtocol, name)), name
    events = set(WebSocketsSansIOProtocol.handle_events.__code__.co_names)
    assert {"handle_ping", "handle_pong", "handle_cont", "handle_text", "handle_bytes"} <= events
    assert {"curr_msg_data_type", "frames"} <= set(
        WebSocketsSansIOProtocol.send_receive_event_to_app.__code__.co_names
    )
    assert "send_receive_event_to_app" in WebSocketsSansIOProtocol.handle_cont.__code__.co_names
    ours = set(DirectProtocol.end.__code__.co_names) | set(DirectProtocol.ready.fget.__code__.co_names)
    theirs = set(WebSocketsSansIOProtocol.__init__.__code__.co_names)
    for uses in (WebSocketsSansIOProtocol.handle_connect, DirectProtocol.begin):
        assert {"request", "response", "scope"} <= set(uses.__code__.co_names), uses
    held = {"close_sent", "close_timer", "close_timeout", "conn", "queue", "read_paused", "transport"}
    assert held <= ours
    assert held <= theirs


async def test_an_inbox_gives_everything_once_in_order_also_to_who_gave_up_waiting():
    inbox, taken = Inbox(), []
    for n in range(20):
        waiting = asyncio.create_task(inbox.get())
        await asyncio.sleep(0)
        if n % 3:
            inbox.put_nowait(n)
        if n % 2:
            waiting.cancel()
        if n % 3 == 0:
            inbox.put_nowait(n)
        taken += [
            one for one in await asyncio.gather(waiting, return_exceptions=True) if isinstance(one, int)
        ]
    while not inbox.empty():
        taken.append(await inbox.get())
    assert taken == list(range(20))


@pytest.mark.parametrize("compression", [None, "deflate"])
async def test_one_message_reaches_those_who_inflate_and_those_who_do_not(where, compression):
    async with gateway(where) as node:
        session = await node.session()
        async with (
            node.viewer(session, "attendee:ann", compression=compression) as ann,
            node.viewer(session, "attendee:ben", compression=None) as ben,
        ):
            assert bool(ann._socket.protocol.extensions) is (compression is not None)
            words = "同じ言葉を何度も" * 60
            done = await ben.do(Post(text=words))
            for viewer in (ann, ben):
                await viewer.reached(done.seq)
                assert viewer.texts == [words]


@pytest.mark.parametrize("together", [True, False])
async def test_what_comes_with_the_greeting_and_after_it_is_acted_on_in_order(where, together):
    async with gateway(where) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:ann") as ann:
            eve = await RawSocket.open(node.port, f"/rooms/{session}/socket")
            said = [b'{"t":"hello","v":1,"ticket":"attendee:eve"}']
            for n in range(8):
                command = f'"cmd":{{"t":"post","text":"{n}"}}'
                said.append(f'{{"t":"do","ref":{n},"nonce":"nonce-{n:08}",{command}}}'.encode())
            if together:
                eve.send(b"".join(frame(TEXT, one) for one in said))
            for one in () if together else said:
                eve.send(frame(TEXT, one))
                await asyncio.sleep(0.005)  # each in a packet of its own, some while the greeting is answered
            await until(lambda: ann.texts == [str(n) for n in range(8)])
            eve.abort()


async def test_a_fault_of_ours_in_one_line_sends_that_one_back_and_is_told(where, monkeypatch, capsys):
    async with gateway(where) as node:
        session = await node.session()
        async with (
            node.viewer(session, "attendee:ann") as ann,
            node.viewer(session, "attendee:ben") as ben,
        ):
            line = node.hub._find(session).members["ann"].line

            def fail(_frame):
                raise RuntimeError("a bug")

            monkeypatch.setattr(line._visit, "receive", fail, raising=True)
            await ann._socket.send('{"t":"typing"}')
            assert await ann.gone() == Close.RESYNC
            done = await ben.do(Post(text="はい"))
            await ben.reached(done.seq)
            assert ben.closed is None
    assert "socket failed" in capsys.readouterr().out


async def test_a_reader_who_pauses_gets_everything_in_order_when_it_reads_on(where):
    async with gateway(where) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:ann", compression=None) as ann:
            ann._socket.transport.pause_reading()
            texts = [f"{number:03} " + "長" * 990 for number in range(120)]
            for text in texts:
                last = await node.hub.ask(session, SERVER, Post(text=text))
            ann._socket.transport.resume_reading()
            await ann.reached(last)
            assert ann.texts == texts


async def test_a_line_is_written_to_directly_only_while_nothing_stands_against_it(where):
    async with gateway(where) as node:
        session = await node.session()
        async with (
            node.viewer(session, "attendee:ann", compression=None) as ann,
            node.viewer(session, "attendee:ben", compression=None) as ben,
            node.viewer(session, "attendee:cat", compression=None) as cat,
        ):
            host = node.hub._find(session)
            lines = [host.members[one].line for one in ("ann", "ben", "cat")]
            await until(lambda: all(line._direct is not None for line in lines))
            ann._socket.transport.pause_reading()
            while not lines[0].connection.waiting:
                last = await node.hub.ask(session, SERVER, Post(text="長" * 990))
            last = await node.hub.ask(session, SERVER, Post(text="最後"))
            assert lines[0]._direct is None, "something waits in the transport"
            ann._socket.transport.resume_reading()
            await ann.reached(last)
            assert ann.texts[-1] == "最後"
            await until(lambda: lines[0]._direct is not None)
            host.see_out("ben")
            assert lines[1]._direct is None, "it is being closed"
            await cat._socket.close()
            await until(lambda: lines[2]._direct is None)
            await ben.gone()


@pytest.mark.usefixtures("no_collector")
async def test_a_connection_that_ended_in_any_way_is_no_work_for_the_garbage_collector(where):
    seen = weakref.WeakSet()

    def admits(connection):
        seen.add(connection.scope["extensions"][EXTENSION])
        return "x-stranger" not in connection.headers

    async with gateway(where, admits=admits) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:ann"), node.viewer(session, "attendee:ben") as ben:
            eve = await node.viewer(session, "attendee:eve").connect()
            assert len(seen) == 3
            with pytest.raises(InvalidStatus):
                await node.viewer(session, "", additional_headers={"x-stranger": "1"}).connect()
            await eve.send("not a frame")
            assert await eve.gone() == 4501
            await eve.drop()
            await ben._socket.close()
            await until(lambda: len(seen) == 1)
        await until(lambda: not seen)


async def test_no_task_is_left_when_sockets_end_in_every_way(where):
    async with gateway(where) as node:
        session = await node.session()
        before = len(asyncio.all_tasks())
        async with node.viewer(session, "attendee:ann") as ann, node.viewer(session, "attendee:ben") as ben:
            await ann.drop()
            await ben._socket.close()
            await ben.gone()
            async with node.viewer(session, "attendee:eve") as eve:
                await eve.send("not a frame")
                assert await eve.gone() == 4501
        await until(lambda: len(asyncio.all_tasks()) <= before + 1)  # the hub's own come and go
