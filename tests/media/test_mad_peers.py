"""An authenticated peer gone mad costs itself: whoever watches beside it goes on seeing."""

import asyncio
import contextlib
import random
import socket
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live.media import MediaLink, MediaRefused, StageFacts
from live.media.budget import RTCP_PACKETS, RTP_PACKETS, Bucket, Budget
from live.media.control import SDP_LIMIT
from live.sfu.rtcp import RTPFB, ReportBlock, packet, write_nack, write_pli, write_rr
from live.sfu.rtp import Rtp, write_rtp
from live.sfu.twcc import MAX_READ, TransportFeedback, write_feedback
from tests.media.offers import HOSTILE, hostile

ROOM = "room"
DICE = random.Random(7)  # noqa: S311  # rubbish that is the same each time


@given(
    rate=st.floats(1, 5000),
    burst=st.floats(1, 5000),
    waits=st.lists(st.floats(0, 2), max_size=200),
)
def test_a_bucket_never_gives_more_than_its_burst_and_what_came_back(rate, burst, waits) -> None:
    bucket, now, given_out = Bucket(rate, burst), 100.0, 0
    for wait in waits:
        now += wait
        given_out += bucket.take(now)
    assert given_out <= burst + rate * (now - 100.0) + 1e-6


def test_what_real_cameras_and_feedback_need_is_within_the_budget() -> None:
    budget = Budget()
    for n in range(10 * 1500):
        assert budget.rtp(1200, 50 + n / 1500)
    told = write_rr(1, [ReportBlock(s, 0, 0, 0, 0, 0, 0) for s in range(13)])
    missed = write_nack(1, 5000, range(0, 65000, 9000))
    arrived = write_feedback(TransportFeedback(1, 5000, 0, 0, tuple(range(4000, 4100))))
    for n in range(10 * 120):
        assert budget.rtcp(told + missed if n % 3 else arrived, 50 + n / 120)
    assert all(budget.patch(50.0) for _ in range(50))
    assert budget.refused == 0
    assert not budget.patch(50.0)
    assert not all(budget.rtcp(write_pli(1, 2), 60.0) for _ in range(int(RTCP_PACKETS) + 1))
    assert not all(budget.rtp(100, 61.0) for _ in range(int(RTP_PACKETS) + 1))


def transport(client):
    """Aiortc's DTLS transport: `_send_rtp` protects what it is given, RTP or RTCP."""
    return client.pc.getTransceivers()[0].receiver.transport


def tiny_feedbacks() -> bytes:
    """As many transport feedback packets as fit a datagram, each about as many packets as it can be."""
    told = bytes(2) + MAX_READ.to_bytes(2) + bytes(4) + MAX_READ.to_bytes(2)
    return packet(RTPFB, 15, (9).to_bytes(4) + (5000).to_bytes(4) + told) * 55


async def burst(send, packets):
    for n, data in enumerate(packets):
        await send(data)
        if n % 50 == 0:
            await asyncio.sleep(0)


class At(NamedTuple):
    """Where it happens: the worker, and the mad one's two connections."""

    link: MediaLink
    publisher: Any
    viewer: Any


async def floods_feedback(at):
    send = transport(at.viewer)._send_rtp
    mine = list(at.viewer.streams) or [1000]
    remb = b"\x8f\xce\x00\x05" + (1).to_bytes(4) + bytes(4) + b"REMB\x01\xff\xff\xff" + mine[0].to_bytes(4)
    await burst(send, [write_pli(1, mine[0]) for _ in range(1500)])
    await burst(send, [write_nack(1, mine[0], list(range(n, n + 17))) for n in range(1500)])
    await burst(send, [remb for _ in range(500)])
    full = packet(RTPFB, 1, (1).to_bytes(4) + mine[0].to_bytes(4) + DICE.randbytes(1320))
    await burst(send, [full for _ in range(1500)])
    await burst(send, [tiny_feedbacks() for _ in range(1500)])
    await burst(send, [write_nack(1, DICE.getrandbits(32), [1, 2, 3]) for _ in range(500)])


async def sends_rubbish_as_rtcp(at):
    send = transport(at.viewer)._send_rtp
    await burst(send, [bytes((0x80, DICE.choice(range(192, 224)))) + DICE.randbytes(60) for _ in range(2000)])


async def forges_streams(at):
    send = transport(at.publisher)._send_rtp

    def forged(n):
        pt = DICE.choice((0, 96, 97, 111))
        return write_rtp(
            Rtp(
                marker=0,
                pt=pt,
                sequence=n & 0xFFFF,
                timestamp=n,
                ssrc=DICE.getrandbits(32),
                extensions={},
                payload=DICE.randbytes(40),
            )
        )

    await burst(send, [forged(n) for n in range(6000)])
    assert (await at.link.stats())["router_layers"] <= 8


async def replays_what_was_sent(at):
    ice = transport(at.publisher).transport
    real, sent = ice._send, []

    async def recorded(data):
        sent.append(data)
        await real(data)

    ice._send = recorded
    async with asyncio.timeout(20):
        while sum(128 <= data[0] < 192 for data in sent) < 60:  # noqa: ASYNC110  # packets have no event
            await asyncio.sleep(0.05)
    ice._send = real
    before = (await at.link.stats())["strange"]
    await burst(real, [data for data in sent if 128 <= data[0] < 192] * 20)
    await asyncio.sleep(0)
    assert (await at.link.stats())["strange"] > before


async def patches_without_end(at):
    etag, answers = at.viewer.etag, []
    fragment = "a=mid:v0\r\n" + "a=candidate:1 1 udp 1 192.0.2.9 5 typ host\r\n" * 1300
    for _ in range(300):
        try:
            await at.link.patch(ROOM, at.viewer.resource, fragment, etag)
        except MediaRefused as refusal:
            answers.append((refusal.code, refusal.status))
    assert set(answers) <= {("too_many_patches", 429)}


async def offers_giants(at):
    lines = "\r\n".join(f"a=rid:r{n} send" for n in range(4000))
    giant = f"v=0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n{lines}\r\n"[:SDP_LIMIT]
    for _ in range(30):
        with pytest.raises(MediaRefused):
            await at.link.publish(ROOM, "mad", "camera", giant)
    with pytest.raises(MediaRefused) as refusal:
        await at.link.publish(ROOM, "mad", "camera", giant + "x" * SDP_LIMIT)
    assert refusal.value.status == 413


async def offers_what_multiplies(at):
    asked = [at.link.publish(ROOM, "mad", "screen", hostile(name)) for name in HOSTILE]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {answer.status for answer in answers} <= {400, 422}
    for name in HOSTILE:  # what does not fit is countered by an offer of ours
        with contextlib.suppress(MediaRefused):
            await at.link.delete(ROOM, (await at.link.watch(ROOM, "mad", False, hostile(name))).resource)


async def strangers_flood_the_port(at):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.connect(("127.0.0.1", at.link.port))
        for n in range(6000):
            first = DICE.choice((0, 1, 20, 23, 63, 128, 144, 191, 255))
            stranger.send(bytes((first,)) + DICE.randbytes(DICE.randrange(0, 1200)))
            if n % 50 == 0:
                await asyncio.sleep(0.001)


MADNESS = (
    floods_feedback,
    sends_rubbish_as_rtcp,
    patches_without_end,
    offers_giants,
    offers_what_multiplies,
    strangers_flood_the_port,
    replays_what_was_sent,
    forges_streams,
)


async def test_who_watches_beside_a_mad_peer_goes_on_seeing(link, client, wait) -> None:
    await link.stage(ROOM, StageFacts(open=True, on_stage=["ann", "mad"]))
    await client().publish("ann")
    publisher = await client().publish("mad", shade=200)
    viewer = await client().watch_as_foreigner("mad")
    witness = await client().watch("bob")
    seat = await _seat_of(witness, wait)
    for madness in MADNESS:
        async with asyncio.timeout(60):
            await madness(At(link, publisher, viewer))
        seen = witness.frames[seat]
        await wait(lambda seen=seen: witness.frames[seat] > seen + 10, what=f"the witness sees, {madness}")
    assert (await link.stats())["restarts"] == 0


@pytest.mark.parametrize("size", [40, 1100])
async def test_a_publisher_who_floods_its_room_leaves_another_room_alone(link, client, wait, size) -> None:
    for room, person in ((ROOM, "mad"), ("other", "ann")):
        await link.stage(room, StageFacts(open=True, on_stage=[person]))
    mad = await client().publish("mad")
    await client("other").publish("ann")
    victim, witness = await client().watch("bob"), await client("other").watch("eve")
    await wait(lambda: victim.frames.get("v0") and witness.frames.get("v0"), what="both rooms see")
    video = mad.pc.getTransceivers()[1]
    ways, sent = video.sender.transport, []
    really = ways._send_rtp

    async def recorded(data):
        if data[8:12] == video.sender._ssrc.to_bytes(4) and data[1] & 0x7F == video._codecs[0].payloadType:
            sent.append(data)
        await really(data)

    async def swallowed(_data):
        """From now on the flood is all that comes of the mad one."""

    ways._send_rtp = recorded
    await wait(lambda: sent, what="a packet of the picture")
    ways._send_rtp = swallowed
    first = int.from_bytes(sent[-1][2:4]) + 1
    flood = [
        write_rtp(
            Rtp(
                marker=0,
                pt=video._codecs[0].payloadType,
                sequence=first + n & 0xFFFF,
                timestamp=n,
                ssrc=video.sender._ssrc,
                extensions={},
                payload=bytes((0x10, 1)) + bytes(size),
            )
        )
        for n in range(20_000)
    ]
    seen = witness.frames["v0"]
    await burst(really, flood)
    await wait(lambda: witness.frames["v0"] > seen + 30, what="the other room goes on")
    stats = await link.stats()
    assert stats["router_over_cap"] > 0
    assert stats["restarts"] == 0


async def _seat_of(witness, wait) -> str:
    """The slot that shows ann, whose picture's ground is the darker one."""

    def found():
        return [mid for mid, frames in witness.frames.items() if mid.startswith("v") and frames > 5]

    await wait(lambda: len(found()) >= 2, what="both pictures")
    return min(found(), key=lambda mid: witness.shade[mid])
