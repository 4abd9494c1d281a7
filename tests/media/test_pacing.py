"""A room whose port is full: packets wait, go in order when the kernel takes them, and none after a mute."""

from __future__ import annotations

import asyncio

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


async def test_what_waits_is_forgotten_when_the_stage_changes():
    room, port, _ = crowded()
    try:
        room.set_stage(StageFacts(open=True, on_stage=["ann"], muted={"ann": ["camera"]}))
        port.room = 100_000
        room.flush()
        assert len(port.sent) == 1
        assert len(room.pacing) == 0
    finally:
        room.close()
