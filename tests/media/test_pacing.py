"""A room whose port is full: packets wait, go in order when the kernel takes them, and none after a mute."""

from __future__ import annotations

import asyncio

import pytest

from live.media import StageFacts
from live.media.ice import Credentials
from live.media.peer import Peer
from live.media.room import MediaRoom
from live.sfu import Fanout
from tests.kit.polling import until
from tests.kit.theatre import POOL, Camera, camera_spec


class FullPort:
    """A fan-out body whose kernel takes so many bytes, and then nothing until it is `emptied`."""

    name = "full"

    def __init__(self) -> None:
        self.room = 3000
        self.sent: list[Fanout] = []
        self.forgotten: list[str] = []

    def forget(self, source: str) -> None:
        self.forgotten.append(source)

    def send(self, fanouts) -> int:
        for fanout in fanouts:
            self.sent.append(fanout)
            self.room = max(0, self.room - len(fanout.body) * len(fanout))
        return sum(len(fanout) for fanout in fanouts)


def crowded() -> tuple[MediaRoom, FullPort, Camera]:
    port = FullPort()
    room = MediaRoom("room", port, lambda *_: None)
    room.set_stage(StageFacts(open=True, on_stage=["ann"]))
    camera = Camera(1000, size=900)
    now = asyncio.get_running_loop().time()

    def peer(person: str, source: str) -> Peer:
        return Peer(person, "room", person, Credentials("u", "p"), source=source, behind=False, now=now)

    ann = peer("ann", "camera")
    room.router.publish(ann, camera_spec("ann", 1000), now)
    for number in range(20):
        room.router.watch(peer(f"v{number}", ""), f"v{number}", False, POOL, now)
    for data in camera.frame():
        room.router.receive_rtp(ann, data, now)
    room.flush()
    return room, port, camera


async def test_packets_wait_for_the_kernel_and_keep_their_order():
    room, port, _ = crowded()
    try:
        assert len(port.sent) == 1
        assert len(room.pacing) == 2
        port.room = 100_000
        await until(lambda: len(port.sent) == 3, within=20)
        numbers = [int.from_bytes(fanout.headers[0][1][2:4]) for fanout in port.sent]
        assert numbers == [1, 2, 3]
        assert room.pacing.dropped == 0
        assert room.forwarded == 60
    finally:
        room.close()


async def test_what_waits_of_a_muted_camera_is_forgotten_and_nothing_else():
    """Two cameras fill the port: what waits of ann's goes with her mute, ben's waits on and leaves."""
    room, port, _ = crowded()
    try:
        now = asyncio.get_running_loop().time()
        everybody = StageFacts(open=True, on_stage=["ann", "ben"])
        room.set_stage(everybody)
        ben = Peer("ben", "room", "ben", Credentials("u", "p"), source="camera", behind=False, now=now)
        room.router.publish(ben, camera_spec("ben", 1100), now)
        for data in Camera(1100, size=900).frame():
            room.router.receive_rtp(ben, data, now)
        room.flush()
        assert [fanout.source for fanout in port.sent] == ["ann-camera"]
        assert len(room.pacing) == 5
        room.set_stage(StageFacts(open=True, on_stage=["ann", "ben"], muted={"ann": ["camera"]}))
        room.flush()
        assert port.forgotten == ["ann-camera"]
        assert len(room.pacing) == 3
        port.room = 1_000_000
        await until(lambda: len(port.sent) == 4, within=20)
        assert {fanout.source for fanout in port.sent[1:]} == {"ben-camera"}
        assert all(len(fanout) == 20 for fanout in port.sent)
    finally:
        room.close()


@pytest.mark.parametrize(
    "facts",
    [
        StageFacts(open=True, on_stage=["ann"], veiled=True),
        StageFacts(on_stage=["ann"]),
        StageFacts(open=True),
    ],
    ids=["veiled", "closed", "off stage"],
)
async def test_what_waits_goes_with_whatever_takes_its_audience(facts):
    room, port, _ = crowded()
    try:
        room.set_stage(facts)
        room.flush()
        assert (len(port.sent), len(room.pacing), port.forgotten) == (1, 0, ["ann-camera"])
    finally:
        room.close()


async def test_a_change_that_hides_nothing_drops_nothing():
    room, port, _ = crowded()
    try:
        room.set_stage(StageFacts(open=True, on_stage=["ann", "ben"], backstage=["eve"]))
        room.flush()
        assert (len(room.pacing), port.forgotten) == (2, [])
    finally:
        room.close()


async def test_a_viewer_who_chooses_less_is_sent_no_more_of_what_waits():
    room, port, _ = crowded()
    try:
        viewer = room.pacing.take(1, 0.0)[0].cast.peers[7]
        viewer.tier = "audio"
        room.choose(viewer)
        room.flush()
        port.room = 100_000
        await until(lambda: len(port.sent) == 2, within=20)
        assert viewer not in port.sent[1].cast.peers
        assert len(port.sent[1]) == 19
    finally:
        room.close()
