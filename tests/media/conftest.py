"""Foreign clients (aiortc) that publish and watch through a real media worker on the loopback."""

import array
import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiortc import (
    AudioStreamTrack,
    MediaStreamTrack,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    VideoStreamTrack,
)
from av import AudioFrame, VideoFrame

from live.media import MediaLink, MediaSettings, StageFacts, StageNotice

ROOM = "room"


async def until(check: Callable[[], object], seconds: float = 30.0, what: str = "") -> None:
    """Polls until `check` is true."""
    try:
        async with asyncio.timeout(seconds):
            while not check():  # noqa: ASYNC110  # what is polled has no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail(f"not within {seconds} s: {what or check}")


class Picture(VideoStreamTrack):
    """A bar that moves on an even ground, small enough for a busy machine."""

    def __init__(self, shade: int = 60) -> None:
        super().__init__()
        self.shade = shade

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = VideoFrame(width=128, height=96, format="yuv420p")
        for plane in frame.planes:
            line = bytearray([self.shade]) * plane.line_size
            start = pts // 3000 % plane.width
            line[start : start + 16] = b"\xc0" * len(line[start : start + 16])
            plane.update(bytes(line) * plane.height)
        frame.pts, frame.time_base = pts, time_base
        return frame


class Tone(AudioStreamTrack):
    """A loud 440 Hz."""

    async def recv(self) -> AudioFrame:
        silent = await super().recv()
        turn = 2 * math.pi * 440 / silent.sample_rate
        wave = array.array(
            "h", (int(math.sin(turn * (silent.pts + n)) * 12000) for n in range(silent.samples))
        )
        silent.planes[0].update(wave.tobytes())
        return silent


class Client:
    """An aiortc connection with what it received."""

    def __init__(self, link: MediaLink, room: str = ROOM) -> None:
        self.link = link
        self.room = room
        self.pc = RTCPeerConnection()
        self.resource = ""
        self.etag = ""
        self.frames: dict[str, int] = {}
        self.loudness: dict[str, int] = {}
        self.shade: dict[str, int] = {}
        self.packets = 0
        self.streams: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.pc.on("track", self._track)

    def _track(self, track: MediaStreamTrack) -> None:
        mid = next(t.mid for t in self.pc.getTransceivers() if t.receiver.track is track)
        self._tasks.append(asyncio.ensure_future(self._consume(mid, track)))

    async def _consume(self, mid: str, track: MediaStreamTrack) -> None:
        while True:
            frame = await track.recv()
            self.frames[mid] = self.frames.get(mid, 0) + 1
            if isinstance(frame, VideoFrame):
                self.shade[mid] = max(bytes(frame.planes[0])[:: frame.planes[0].line_size])
            if isinstance(frame, AudioFrame):
                samples = array.array("h", bytes(frame.planes[0]))
                self.loudness[mid] = max(self.loudness.get(mid, 0), *samples)

    def count_packets(self) -> None:
        """Counts every RTP packet that arrives from now on, decoded or not."""
        transport = self.pc.getTransceivers()[0].receiver.transport
        inner = transport._handle_rtp_data

        async def counted(data: bytes, arrival_time_ms: int) -> None:
            self.packets += 1
            self.streams.add(int.from_bytes(data[8:12], "big"))
            await inner(data, arrival_time_ms)

        transport._handle_rtp_data = counted

    async def publish(
        self, person: str, source: str = "camera", *, codec: str = "video/VP8", shade: int = 60
    ) -> "Client":
        await self.pc.setRemoteDescription(await self.offer(person, source, codec=codec, shade=shade))
        await self.connected()
        return self

    async def offer(
        self, person: str, source: str = "camera", *, codec: str = "video/VP8", shade: int = 60
    ) -> RTCSessionDescription:
        self.pc.addTransceiver(Tone(), direction="sendonly")
        video = self.pc.addTransceiver(Picture(shade), direction="sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([c for c in known if c.mimeType in (codec, "video/rtx")])
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await self.link.publish(self.room, person, source, self.pc.localDescription.sdp)
        self.resource, self.etag = answer.resource, answer.etag
        return RTCSessionDescription(answer.sdp, "answer")

    async def watch_as_foreigner(self, person: str, *, behind: bool = False) -> "Client":
        self.pc.addTransceiver("audio", direction="recvonly")
        self.pc.addTransceiver("video", direction="recvonly")
        await self.pc.setLocalDescription(await self.pc.createOffer())
        answer = await self.link.watch(self.room, person, behind, self.pc.localDescription.sdp)
        self.resource, self.etag = answer.resource, answer.etag
        await self.pc.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        await self.connected()
        return self

    async def watch(self, person: str, *, behind: bool = False) -> "Client":
        offer = await self.link.watch(self.room, person, behind, None)
        self.resource, self.etag = offer.resource, offer.etag
        await self.pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        await self.link.answer(self.room, self.resource, self.pc.localDescription.sdp)
        await self.connected()
        return self

    async def connected(self) -> None:
        await until(lambda: self.pc.connectionState == "connected", what="connected")
        self.count_packets()

    def vanish(self) -> None:
        """Sends and hears nothing any more, as when a cable is cut."""
        connection = self.pc.getTransceivers()[0].receiver.transport.transport._connection
        for protocol in connection._protocols:
            protocol.transport.abort()

    async def close(self) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
def notices() -> dict[tuple[str, bool], StageNotice]:
    return {}


@pytest.fixture
async def link(notices: dict[tuple[str, bool], StageNotice]) -> AsyncIterator[MediaLink]:
    def note(room: str, notice: StageNotice) -> None:
        notices[room, notice.behind] = notice

    made = MediaLink(MediaSettings(port=0), note)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def client(link: MediaLink) -> AsyncIterator[Callable[[], Client]]:
    made: list[Client] = []

    def make(room: str = ROOM) -> Client:
        made.append(Client(link, room))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
def stage(link: MediaLink) -> Callable[..., Awaitable[None]]:
    async def tell(**facts: object) -> None:
        await link.stage(ROOM, StageFacts(**facts))

    return tell


@pytest.fixture
def foreign() -> type[Client]:
    return Client


@pytest.fixture
def wait() -> Callable[..., Awaitable[None]]:
    return until
