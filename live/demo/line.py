"""A WebSocket client of `madoi.v1` as a program by somebody else would write it: JSON in, JSON out."""

import asyncio
import contextlib
import json
import secrets
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

Frame = dict[str, Any]


class Line:
    """One person's connection to a room. `questions`, `messages`, `polls` and `ballots`: what it was shown.

    Args:
        url: the server, `http://…`.
        session: session id.
        ticket: a personal ticket.
    """

    def __init__(self, url: str, session: str, ticket: str) -> None:
        self._address = f"ws{url.removeprefix('http')}/rooms/{session}/socket"
        self._ticket = ticket
        self._socket: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Frame]] = {}
        self._ref = 0
        self.you: Frame = {}
        self.questions: dict[str, Frame] = {}
        self.messages: dict[str, Frame] = {}
        self.polls: dict[str, Frame] = {}
        self.ballots: set[str] = set()
        self.admitted = asyncio.Event()

    async def open(self) -> None:
        """Connect and say hello; returns once the server has welcomed us.

        Raises:
            websockets.exceptions.WebSocketException: the server does not want us.
        """
        self._socket = await connect(self._address, subprotocols=[Subprotocol("madoi.v1")], max_size=1 << 22)
        await self._socket.recv()  # `ready`: bytes sent before it would be lost
        await self._socket.send(json.dumps({"t": "hello", "v": 1, "ticket": self._ticket}))
        self._take(json.loads(await self._socket.recv()))
        self._reading = asyncio.create_task(self._read(self._socket))

    async def do(self, command: str, *, nonce: str = "", **fields: object) -> Frame:
        """Ask a command; returns `done` or `refused`.

        Args:
            command: its name.
            nonce: the same as before to ask once more what got no answer.
            fields: of the command.

        Raises:
            ConnectionError: the line is gone.
        """
        self._ref += 1
        ref = self._ref
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._answers[ref] = answer
        nonce = nonce or secrets.token_urlsafe(12)
        await self._say({"t": "do", "ref": ref, "nonce": nonce, "cmd": {"t": command, **fields}})
        frame: Frame = await answer
        return frame

    async def signal(self, kind: str) -> None:
        """Nod, or one of the five others."""
        await self._say({"t": "signal", "kind": kind})

    async def typing(self) -> None:
        """Let the others see that something is being written."""
        await self._say({"t": "typing"})

    async def closed(self) -> int:
        """Wait until the server hangs up; returns its close code."""
        if self._socket is None:
            raise ConnectionError
        await self._socket.wait_closed()
        return self._socket.close_code or 1006

    async def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            await self._socket.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading

    async def _say(self, frame: Frame) -> None:
        if self._socket is None:
            raise ConnectionError
        try:
            await self._socket.send(json.dumps(frame, ensure_ascii=False))
        except ConnectionClosed as error:
            raise ConnectionError from error

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                self._take(json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError())

    def _take(self, frame: Frame) -> None:
        kind = frame["t"]
        if kind == "welcome":
            self.you = frame["you"]
            if self.you["level"] > 0:
                self.admitted.set()
        elif kind in ("done", "refused"):
            answer = self._answers.pop(frame["ref"], None)
            if answer is not None and not answer.done():
                answer.set_result(frame)
        elif kind == "snapshot":
            self._fold(frame["events"])
        elif kind == "events":
            for entry in frame.get("entries", []):
                self._fold(entry["events"])

    def _fold(self, events: list[Frame]) -> None:
        for event in events:
            if event["t"] in ("question_filed", "question_listed"):
                question = event["question"]
                self.questions[question["id"]] = {**self.questions.get(question["id"], {}), **question}
            elif event["t"] == "question_unlisted":
                self.questions.pop(event["id"], None)
            elif event["t"] in ("poll_filed", "poll_listed"):
                self.polls[event["poll"]["id"]] = event["poll"]
            elif event["t"] == "ballot_cast":
                self.ballots.add(event["id"])
            elif event["t"] == "posted":
                self.messages[event["message"]["id"]] = event["message"]
