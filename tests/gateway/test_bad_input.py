"""What one client does wrong is that client's affair: a canary in the same room keeps receiving."""

import asyncio
import contextlib
import secrets

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from live.gateway.connection import OUTBOX_BYTES
from live.gateway.direct import PING_BACKLOG
from live.gateway.host import SERVER
from live.protocol.codes import SUBPROTOCOL, Close
from live.protocol.frames import Done, Limits, Rate, Refused
from rooms import State
from rooms.chat import Post
from rooms.door import Admit, Knock, SendBack
from tests.kit.frames import CONTINUATION, PING, PONG, TEXT, frame
from tests.kit.polling import until
from tests.kit.rooms import gateway
from tests.kit.stuck import StuckReader

HELLO = '{"t":"hello","v":1,"ticket":"attendee:eve"}'
MALFORMED = {
    "empty": "",
    "not JSON": "}{",
    "null": "null",
    "number": "1e999",
    "array": "[[[]]]",
    "deep": "[" * 9000,
    "deep objects": '{"a":' * 3000,
    "unknown": '{"t":"drop table"}',
    "server's frame": '{"t":"welcome"}',
    "extra field": '{"t":"ping","at":1,"x":1}',
    "wrong type": '{"t":"ping","at":[]}',
    "second hello": HELLO,
    "binary": b'{"t":"ping","at":1}',
    "large": '{"t":"typing"' + " " * 20_000 + "}",
    "control characters": '{"t":"ping\x00"}',
    "long nonce": '{"t":"do","ref":1,"nonce":"' + "n" * 65 + '","cmd":{"t":"post","text":"hi"}}',
    "negative ref": '{"t":"do","ref":-1,"nonce":"12345678","cmd":{"t":"post","text":"hi"}}',
}


@pytest.fixture
async def embedded(tmp_path):
    async with gateway(tmp_path, limits=Limits(hello_ms=200, silence_ms=600)) as node:
        yield node


@pytest.fixture
async def patient(tmp_path):
    async with gateway(tmp_path) as node:
        yield node


async def still_hears(canary, mio):
    word = secrets.token_hex(4)
    assert isinstance(await mio.do(Post(text=word)), Done)
    await canary.holds(lambda _: word in canary.texts)


async def test_malformed_frames_end_their_own_connection_only(node):
    session = await node.session()
    async with (
        node.viewer(session, "attendee:canary") as canary,
        node.viewer(session, "moderator:mio") as mio,
    ):
        for data in MALFORMED.values():
            eve = await node.viewer(session, "attendee:eve").connect()
            await eve.send(data)
            assert await eve.gone() == Close.BAD_MESSAGE, data[:40]
        await still_hears(canary, mio)
        assert canary.snapshots == 1


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ('{"t":"hello","v":1,"ticket":"nobody"}', Close.BAD_TICKET),
        ('{"t":"hello","v":2,"ticket":"attendee:eve"}', Close.TOO_OLD),
        ('{"t":"ping","at":1}', Close.BAD_MESSAGE),
        ("{", Close.BAD_MESSAGE),
    ],
)
async def test_a_bad_greeting_is_answered_with_its_code(embedded, hello, code):
    session = await embedded.session()
    eve = await embedded.viewer(session, "", hello=hello).connect()
    assert await eve.gone() == code


async def test_an_unknown_session_is_a_bad_ticket(embedded):
    eve = await embedded.viewer("s-none", "attendee:eve").connect()
    assert await eve.gone() == Close.BAD_TICKET


async def test_silence_ends_a_connection_before_and_after_hello(embedded):
    session = await embedded.session()
    async with connect(embedded.url(session), subprotocols=[SUBPROTOCOL]) as mute:
        with pytest.raises(ConnectionClosed):
            while True:
                await mute.recv()
        assert mute.close_code == Close.NO_HELLO
    eve = await embedded.viewer(session, "attendee:eve").connect()
    assert await eve.gone() == Close.NO_PONG


async def test_without_the_subprotocol_a_client_is_too_old(embedded):
    session = await embedded.session()
    async with connect(embedded.url(session)) as eve:
        with pytest.raises(ConnectionClosed):
            while True:
                await eve.recv()
        assert eve.close_code == Close.TOO_OLD


async def test_a_page_from_elsewhere_gets_no_socket(embedded):
    session = await embedded.session()
    with pytest.raises(InvalidStatus) as refused:
        await connect(embedded.url(session), subprotocols=[SUBPROTOCOL], origin="https://evil.example")
    assert refused.value.response.status_code == 403


async def test_a_flood_is_refused_while_the_others_keep_receiving(node):
    session = await node.session()
    async with (
        node.viewer(session, "attendee:canary") as canary,
        node.viewer(session, "moderator:mio") as mio,
        node.viewer(session, "attendee:eve") as eve,
    ):
        flood = [
            msgspec.json.encode(
                {"t": "do", "ref": n, "nonce": f"nonce-{n:03d}", "cmd": {"t": "post", "text": f"flood {n}"}}
            ).decode()
            for n in range(300)
        ]
        sending = asyncio.create_task(send_all(eve, flood))
        await still_hears(canary, mio)
        await sending
        await until(lambda: len(eve.answers) == 300)
        done = [answer for answer in eve.answers.values() if isinstance(answer, Done)]
        refused = [answer for answer in eve.answers.values() if not isinstance(answer, Done)]
        assert 1 <= len(done) <= 60
        assert {answer.why for answer in refused} <= {"rate", "window"}
        assert all(answer.wait for answer in refused if answer.why == "rate")
        await canary.reached(max(answer.seq for answer in done))
        assert len(canary.texts) == len(done) + 1


async def send_all(viewer, frames):
    for one in frames:
        await viewer.send(one)


async def test_a_reader_who_stops_reading_is_closed_and_the_others_go_on(patient):
    session = await patient.session()
    async with patient.viewer(session, "attendee:canary") as canary:
        stuck = StuckReader(patient.port, session)
        await asyncio.to_thread(stuck.enter)
        members = patient.hub._find(session).members
        connection = (await until(lambda: members.get("stuck"))).connection
        for _ in range(100):
            await asyncio.gather(
                *(patient.hub.ask(session, SERVER, Post(text="x" * 1000)) for _ in range(20))
            )
            if connection.closing is not None:
                break
        assert connection.closing is Close.TOO_SLOW
        assert connection.waiting <= OUTBOX_BYTES
        done = await patient.hub.ask(session, SERVER, Post(text="still there"))
        await canary.reached(done)
        assert canary.closed is None
        assert await asyncio.to_thread(stuck.read_to_the_close) == Close.TOO_SLOW


FLOODS = {
    "pings": frame(PING, b"p" * 125),
    "empty pings": frame(PING),
    "pongs": frame(PONG, b"p" * 125),
    "empty fragments": frame(TEXT, b"[", fin=False) + frame(CONTINUATION, fin=False) * 100,
    "JSON pings": frame(TEXT, b'{"t":"ping","at":1}'),
    "bad commands": frame(TEXT, b'{"t":"do","ref":1,"nonce":"12345678","cmd":{"t":"nope"}}'),
    "commands": frame(TEXT, b'{"t":"do","ref":1,"nonce":"12345678","cmd":{"t":"leave"}}'),
}
POURED = 16_000_000


async def watched(node, flooding):
    """Wait for a flood; the most that a transport held meanwhile, and the longest that the loop was away."""
    loop, most, longest = asyncio.get_running_loop(), 0, 0.0
    lines = node.server.server_state.connections
    while not flooding.done():
        began = loop.time()
        most = max([most, *(line.transport.get_write_buffer_size() for line in lines)])
        await asyncio.wait([flooding], timeout=0.01)
        longest = max(longest, loop.time() - began)
    return most, longest


@pytest.mark.parametrize("greeted", [False, True], ids=["before hello", "after hello"])
@pytest.mark.parametrize("what", FLOODS)
async def test_asvs_15_2_2_who_floods_and_reads_nothing_is_cut_off(patient, what, greeted):
    session = await patient.session()
    async with (
        patient.viewer(session, "attendee:canary") as canary,
        patient.viewer(session, "moderator:mio") as mio,
    ):
        others = set(patient.server.server_state.connections)
        stuck = StuckReader(patient.port, session)
        await asyncio.to_thread(stuck.enter if greeted else stuck.open)
        chunk = FLOODS[what] * (65536 // len(FLOODS[what]))
        flooding = asyncio.create_task(asyncio.to_thread(stuck.pour, chunk, POURED))
        most, longest = await watched(patient, flooding)
        assert await flooding < POURED
        assert most <= 2 * PING_BACKLOG
        assert longest < 1
        await still_hears(canary, mio)
        await until(lambda: set(patient.server.server_state.connections) <= others, within=20)
        stuck.close()


async def test_a_flood_is_cut_off_also_while_what_was_said_before_the_close_waits(patient):
    session = await patient.session()
    async with (
        patient.viewer(session, "attendee:canary") as canary,
        patient.viewer(session, "moderator:mio") as mio,
    ):
        stuck = StuckReader(patient.port, session)
        await asyncio.to_thread(stuck.enter)
        members = patient.hub._find(session).members
        connection = (await until(lambda: members.get("stuck"))).connection
        while not connection.waiting:
            await patient.hub.ask(session, SERVER, Post(text="x" * 1000))
        said = frame(TEXT, b'{"t":"ping","at":1}')
        assert await asyncio.to_thread(stuck.pour, said * (65536 // len(said)), POURED) < POURED
        assert connection.closing is Close.TOO_MANY
        await still_hears(canary, mio)
        stuck.close()


async def test_pings_at_a_human_pace_are_answered_before_and_after_hello(patient):
    session = await patient.session()
    async with connect(patient.url(session), subprotocols=[SUBPROTOCOL]) as eve:
        for said in (None, HELLO):
            if said:
                await eve.send(said)
            for _ in range(20):
                await asyncio.wait_for(await eve.ping(), 5)


@pytest.mark.parametrize("body", [b"{", b'{"seq":4,"at":1,"events":[{"t":"of_a_newer_server"}]}'])
async def test_a_room_whose_log_cannot_be_read_ends_alone(patient, body):
    broken, sound = await patient.session(), await patient.session()
    async with patient.viewer(broken, "attendee:saki") as saki, patient.viewer(sound, "moderator:mio") as mio:
        store = patient.hub._store
        await store.append(broken, await store.position(broken), [body])
        assert await saki.gone() == Close.RESYNC
        await saki.connect()
        assert await saki.gone() == Close.STORE_AWAY, "come back: perhaps to a server that can read it"
        await still_hears(mio, mio)


async def test_a_listener_that_fails_and_a_fan_out_that_fails_send_people_to_resume(patient):
    session = await patient.session()
    async with (
        patient.viewer(session, "attendee:saki") as saki,
        patient.viewer(session, "moderator:mio") as mio,
    ):
        members = patient.hub._find(session).members
        members.crowd = None
        done = await mio.do(Post(text="hi"))
        assert isinstance(done, Done)
        assert await saki.gone() == await mio.gone() == Close.RESYNC
        del members.crowd
        await asyncio.gather(saki.connect(), mio.connect())
        await asyncio.gather(saki.reached(done.seq), mio.reached(done.seq))
        assert saki.texts == mio.texts == ["hi"]


async def test_asvs_2_4_1_coming_back_does_not_refill_what_one_may_ask(tmp_path):
    async with gateway(tmp_path, limits=Limits(commands=Rate(0.001, 3))) as node:
        session = await node.session()
        eve = node.viewer(session, "attendee:eve")
        for expected in (Done, Done, Done, Refused):
            async with eve:
                assert isinstance(await eve.do(Post(text="again")), expected)
        async with node.viewer(session, "attendee:aoi") as aoi:
            assert isinstance(await aoi.do(Post(text="others are not concerned")), Done)


async def test_asvs_15_2_2_one_address_takes_so_many_sockets_and_gets_places_back(tmp_path):
    async with gateway(tmp_path, most_of_one=3) as node:
        session = await node.session()
        held = [await node.viewer(session, f"attendee:p{n}").connect() for n in range(3)]
        eve = await node.viewer(session, "attendee:eve").connect()
        assert await eve.gone() == Close.TOO_MANY
        await held.pop().drop()

        async def inside():
            async with connect(node.url(session), subprotocols=[SUBPROTOCOL]) as again:
                await again.recv()
                await again.send(HELLO)
                try:
                    return '"welcome"' in await again.recv()
                except ConnectionClosed:
                    return False

        await until(inside)
        for one in held:
            await one.drop()


async def test_asvs_2_4_1_so_many_wait_at_one_door_and_the_others_hear_that_it_is_full(tmp_path):
    async with gateway(tmp_path, waiting=2) as node:
        session, other = await node.session(State.DOORS), await node.session(State.DOORS)
        async with node.viewer(session, "moderator:mio") as mio, contextlib.AsyncExitStack() as stack:
            held = [node.viewer(session, f"attendee:p{n}?") for n in range(2)]
            for one in held:
                await stack.enter_async_context(one)
            eve = await node.viewer(session, "attendee:eve?").connect()
            assert await eve.gone() == Close.FULL
            await stack.enter_async_context(node.viewer(other, "attendee:eve?"))
            assert isinstance(await mio.do(SendBack(person="p0")), Done)
            await stack.enter_async_context(node.viewer(session, "attendee:eve?"))
            refused = await held[0].do(Knock())
            assert (refused.why, refused.at) == ("full", 2)
            assert isinstance(await mio.do(Admit(person="eve")), Done)
            assert isinstance(await held[0].do(Knock()), Done)
