"""A WHIP and WHEP client: aiortc behind plain HTTP, as any foreign program would do it (RFC 9725)."""

import contextlib
from typing import Protocol

import httpx
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

SDP = "application/sdp"


class Refusal(Exception):  # noqa: N818 - what the server answered
    """The server did not answer 201.

    Attributes:
        status: its HTTP status.
        code: its problem code.
    """

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.code = answer.json().get("code", "") if "json" in answer.headers.get("content-type", "") else ""
        super().__init__(f"{self.status} {self.code}")


class OnTrack(Protocol):
    """What a watcher does with each track."""

    def __call__(self, track: MediaStreamTrack) -> None:
        """Take a track that has come."""


class Peer:
    """One publication or one watch. Close it with `close`.

    Args:
        client: with the server's base URL.
        ticket: the bearer.
    """

    def __init__(self, client: httpx.AsyncClient, ticket: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {ticket}"}
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.location = ""
        self.etag = ""

    async def publish(self, session: str, *tracks: MediaStreamTrack, source: str = "camera") -> None:
        """Send tracks to the stage.

        Raises:
            Refusal: the server will not have them.
        """
        for track in tracks:
            self.connection.addTransceiver(track, direction="sendonly")
        await self._offer(f"/whip/{session}?source={source}")

    async def watch(self, session: str, on_track: OnTrack) -> None:
        """Receive one picture and one sound: the screen or the active speaker, and the loudest voice.

        Raises:
            Refusal: the server will not show them.
        """
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.on("track", on_track)
        await self._offer(f"/whep/{session}")

    async def close(self) -> None:
        """Say goodbye as the RFC wants it, and let go."""
        if self.location:
            # An error here would take the place of a cancellation that brought us here.
            with contextlib.suppress(httpx.HTTPError):
                await self._client.delete(self.location, headers=self._headers)
        await self.connection.close()

    async def _offer(self, path: str) -> None:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await self._client.post(
            path,
            content=self.connection.localDescription.sdp,
            headers={**self._headers, "Content-Type": SDP, "Accept": SDP},
        )
        if answer.status_code != httpx.codes.CREATED:
            raise Refusal(answer)
        self.location, self.etag = answer.headers["location"], answer.headers["etag"]
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
