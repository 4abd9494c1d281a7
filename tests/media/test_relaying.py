"""Law 8 at the relay: whatever a home or a sibling says, the other end ends the relay or goes on."""

import asyncio
import random
import struct

import msgspec

from live.media import MediaSettings, StageFacts
from live.media.control import frame
from live.media.plane import Plane
from live.media.relaying import Carried, Facts, Join, Left, Outlet, Published, Rests, Seats, Wanted
from live.sfu import Codec, Encoding, PublicationSpec, Stream
from live.sfu.rtp import Rtp, write_rtp
from tests.kit.polling import until

ROOM = "room"
SPEC = PublicationSpec(
    "p", "ann", "camera", "video", {96: Codec("vp8", 90000, 96, 97)}, (Encoding(1000, 1001),)
)
PACKET = write_rtp(
    Rtp(marker=0, pt=96, sequence=1, timestamp=2, ssrc=1000, extensions={}, payload=b"\x10\0\0\0")
)
FACTS = Facts(StageFacts(open=True, on_stage=["ann"]), 1)
FORTH = [
    Join(ROOM),
    FACTS,
    Published("ann", [SPEC]),
    Seats({"v0": ("ann", "camera", "video")}),
    Carried("ann", PACKET, Stream("p", None, False)),
    Carried("ann", b"\x80\xc8\0\x01\0\0\x03\xe8", None),
    Left("ann"),
]
BACK = [Wanted("ann", b"\x81\xce\0\x02" + bytes(8)), Rests({"ann": {"camera": ("q",)}})]
STRANGE = [None, -1, 1 << 40, "", "ann", b"\xff" * 40, [], {}, 1.5, True, [[]], {"v0": 1}]


def mutated(dice: random.Random, said: msgspec.Struct) -> bytes:
    """A message with something else in one of its places, or with other bytes, or as it is."""
    body = msgspec.msgpack.encode(said)
    how = dice.random()
    if how < 0.3:
        return frame(said)
    if how < 0.6:
        fields = msgspec.msgpack.decode(body)
        at = fields
        while True:
            place = dice.randrange(len(at))
            inner = at[place] if isinstance(at, list) else None
            if not isinstance(inner, list) or not inner or dice.random() < 0.3:
                break
            at = inner
        at[place] = dice.choice(STRANGE)
        body = msgspec.msgpack.encode(fields)
    else:
        changed = bytearray(body)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        body = bytes(changed[: dice.randint(1, len(changed))])
    length = len(body) if dice.random() < 0.95 else dice.choice([0, 3, 1 << 31])
    return struct.pack("!I", length) + body


async def test_whatever_a_home_says_its_sibling_lives_on(tmp_path):
    troubles = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    plane = Plane(MediaSettings(port=0, fanout="python"), lambda *_: None, b"a sibling")
    plane.open()
    plane.stage(ROOM, StageFacts())
    hall = plane._rooms[ROOM]
    hall.set_home(False)
    path = str(tmp_path / "sibling")
    plane.listen(path)

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(path)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True

    await until(listens, within=10)
    dice = random.Random(8)  # noqa: S311  repeatable
    try:
        for number in range(400):
            reader, writer = await asyncio.open_unix_connection(path)
            plain = [frame(said) for said in FORTH[: dice.randint(0, 5)]] if number % 2 else []
            said = [mutated(dice, dice.choice(FORTH)) for _ in range(dice.randint(1, 6))]
            writer.write(b"".join([*plain, *said]))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert troubles == []
        assert hall.inlet is None
        assert hall.router.stats()["publications"] == 0, "what came by a relay goes with it"
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b"".join(frame(said) for said in FORTH[:-1]))
        await until(lambda: hall.router.stats().get("received", 0) > 0, within=10)
        writer.close()
    finally:
        await plane.close()


async def test_whatever_a_sibling_answers_its_home_joins_it_again(tmp_path):
    troubles, heard, joined = [], [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
    dice = random.Random(9)  # noqa: S311  repeatable

    async def sibling(_, writer):
        joined.append(writer)
        if len(joined) <= 20:
            writer.write(b"".join(mutated(dice, dice.choice(BACK)) for _ in range(8)))
        else:
            writer.write(b"".join(frame(said) for said in BACK))
            await writer.drain()
            return
        writer.close()

    path = str(tmp_path / "sibling")
    server = await asyncio.start_unix_server(sibling, path)
    outlet = Outlet(
        path,
        ROOM,
        lambda: [FACTS],
        lambda publisher, packet: heard.append((publisher, packet)),
        lambda _, resting: heard.append(resting),
    )
    try:
        await until(lambda: heard[-2:] == [("ann", BACK[0].packet), BACK[1].idle], within=30)
        assert len(joined) == 21
        assert troubles == []
    finally:
        outlet.close()
        server.close()
        for writer in joined:
            writer.close()
