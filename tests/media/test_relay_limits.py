"""A home that does not read: what is told it has a limit, and what rests is told in the end."""

from __future__ import annotations

import asyncio
import socket

import msgspec

from live.media.control import Unframer, frame
from live.media.relaying import _UNREAD, Inlet, Join, Left, Rests, Stand, Wanted
from live.media.room import MediaRoom
from live.sfu.rtcp import write_nack, write_pli, write_remb
from tests.kit.polling import until
from tests.media.test_pacing import FullPort

_back = msgspec.msgpack.Decoder(Wanted | Rests)
RESTING = {"ann": {"camera": ("f",)}}


async def test_a_home_that_does_not_read_is_told_no_more_than_a_limit_and_the_rest_later():
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    home, to_us = await asyncio.open_unix_connection(sock=theirs, limit=1024)
    room = MediaRoom("room", FullPort(), lambda *_: None)
    room.set_home(False)
    inlet = Inlet(lambda _: room, writer)
    running = asyncio.create_task(inlet.run(reader))
    to_us.write(frame(Join("room")))
    await until(lambda: room.inlet is inlet, within=20)

    stand = Stand("p", writer)
    nack = write_nack(1, 1000, range(0, 5000, 17))
    assert len(nack) > 1000
    for _ in range(2 * _UNREAD // len(nack)):
        stand.send_rtcp(nack)
    stand.send_rtcp(write_remb(1, 100_000, [1000]))  # nothing for a home
    waiting = writer.transport.get_write_buffer_size()
    assert _UNREAD < waiting < _UNREAD + 2 * len(nack)
    inlet.rests(RESTING)
    assert writer.transport.get_write_buffer_size() == waiting

    heard = []
    unframer = Unframer()

    async def read_until(what) -> None:
        async with asyncio.timeout(20):
            while what not in heard:
                data = await home.read(1 << 20)
                heard.extend(_back.decode(body) for body in unframer.feed(data))
                if writer.transport.get_write_buffer_size() < _UNREAD and len(heard) < 10_000:
                    to_us.write(frame(Left("nobody")))

    await read_until(Rests(RESTING))
    stand.send_rtcp(write_pli(1, 1000))
    await read_until(Wanted("p", write_pli(1, 1000)))
    assert heard.count(Rests(RESTING)) == 1
    to_us.close()
    async with asyncio.timeout(20):
        await running
    room.close()
