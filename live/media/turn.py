"""A TURN client (RFC 8656), as much of it as a test of a server needs: allocate, permit, send, hear.

`Relay` speaks over UDP, TCP or TLS. One thing is asked at a time.
"""

import asyncio
import contextlib
import hashlib
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any, Protocol

from aioice import stun

from live.iceurl import IceUrl

#: Seconds until a UDP request is sent again, doubled each time (RFC 8489 §6.2.1).
_FIRST_WAIT = 0.4

_DATAGRAM = 65535
_UDP = 17 << 24
_IPV6 = 2 << 24
_UNAUTHORISED, _STALE = 401, 438

# RFC 8656 §18.6; aioice, which only ever asks for IPv4, does not know it.
stun.ATTRIBUTES_BY_NAME.setdefault(
    "REQUESTED-ADDRESS-FAMILY",
    (0x0017, "REQUESTED-ADDRESS-FAMILY", stun.pack_unsigned, stun.unpack_unsigned),
)


class Unreachable(Exception):  # noqa: N818  # an answer, not a fault
    """Nobody answers there; the message says how that was noticed."""


class Untrusted(Unreachable):
    """Somebody answers, with a certificate that browsers refuse; the message is OpenSSL's.

    Attributes:
        code: OpenSSL's `X509_V_ERR_…`, such as 10 for an expired one.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class TurnRefused(Exception):  # noqa: N818  # an answer, not a fault
    """The server says no.

    Attributes:
        code: of RFC 8656 §19 or RFC 8489 §14.8, such as 401, 403 or 486.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code


class Wire(Protocol):
    """Whole STUN messages over some transport.

    Attributes:
        reliable: nothing is lost on it, so nothing is sent twice.
        expires: Unix time at which the server's certificate ends; None without TLS.
    """

    reliable: bool
    expires: float | None

    async def send(self, data: bytes) -> None:
        """Sends one."""

    async def receive(self) -> bytes:
        """Gives the next."""

    def close(self) -> None:
        """Ends it."""


class _Datagrams:
    reliable = False
    expires: float | None = None

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, _DATAGRAM)

    def close(self) -> None:
        self._sock.close()


class _Stream:
    """Frames by STUN's own length, or by RFC 4571's two bytes as our media port wants it."""

    reliable = True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, prefixed: bool) -> None:
        self._reader, self._writer, self._prefixed = reader, writer, prefixed
        certificate = writer.get_extra_info("peercert")
        self.expires: float | None = None
        if certificate:
            self.expires = ssl.cert_time_to_seconds(certificate["notAfter"])

    async def send(self, data: bytes) -> None:
        self._writer.write((struct.pack("!H", len(data)) if self._prefixed else b"") + data)
        await self._writer.drain()

    async def receive(self) -> bytes:
        if self._prefixed:
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
            return await self._reader.readexactly(size)
        head = await self._reader.readexactly(stun.HEADER_LENGTH)
        return head + await self._reader.readexactly(struct.unpack_from("!H", head, 2)[0])

    def close(self) -> None:
        self._writer.transport.abort()  # nothing is under way; TLS would wait for the other side's goodbye


async def connect(
    host: str, port: int, *, tcp: bool, secure: bool = False, prefixed: bool = False, seconds: float
) -> Wire:
    """Opens a way to a server.

    Raises:
        Unreachable: nobody answers, or not as they should.
        Untrusted: its certificate is not one that this machine believes.
    """
    try:
        async with asyncio.timeout(seconds):
            if tcp:
                tls = ssl.create_default_context() if secure else None
                return _Stream(*await asyncio.open_connection(host, port, ssl=tls), prefixed=prefixed)
            return await _datagrams(host, port)
    except TimeoutError as error:
        raise Unreachable(f"no connection within {seconds:.0f} s") from error
    except socket.gaierror as error:
        raise Unreachable(f"the name {host} does not resolve") from error
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(error.verify_code, error.verify_message) from error
    except ssl.SSLError as error:
        raise Unreachable(f"TLS fails: {error.reason or error}") from error
    except OSError as error:
        raise Unreachable(error.strerror or str(error)) from error


async def _datagrams(host: str, port: int) -> _Datagrams:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    try:
        await loop.sock_connect(sock, address)
    except OSError:
        sock.close()
        raise
    return _Datagrams(sock)


async def ask(wire: Wire, request: stun.Message, seconds: float) -> stun.Message:
    """Sends a request until its answer comes; other messages are thrown away.

    Raises:
        Unreachable: no answer in time, or the line ended.
    """
    try:
        async with asyncio.timeout(seconds):
            again = asyncio.create_task(_repeat(wire, bytes(request)))
            try:
                while True:
                    message = await _hear(wire)
                    if message is not None and message.transaction_id == request.transaction_id:
                        return message
            finally:
                again.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await again
    except TimeoutError as error:
        raise Unreachable(f"no answer within {seconds:.0f} s") from error
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Unreachable(getattr(error, "strerror", None) or "the connection was cut") from error


async def _repeat(wire: Wire, data: bytes) -> None:
    wait = _FIRST_WAIT
    while True:
        await wire.send(data)
        if wire.reliable:
            return
        await asyncio.sleep(wait)
        wait *= 2


async def _hear(wire: Wire) -> stun.Message | None:
    try:
        return stun.parse_message(await wire.receive())
    except (ValueError, struct.error, IndexError, KeyError):
        return None


async def bind(url: IceUrl, seconds: float) -> tuple[str, int]:
    """Asks a STUN server for the address it sees us at; raises `Unreachable` or `TurnRefused`."""
    wire = await connect(url.host, url.port, tcp=url.transport == "tcp", secure=url.secure, seconds=seconds)
    try:
        answer = await ask(wire, stun.Message(stun.Method.BINDING, stun.Class.REQUEST), seconds)
    finally:
        wire.close()
    mapped = _succeeded(answer).attributes.get("XOR-MAPPED-ADDRESS")
    if mapped is None:
        raise Unreachable("something else than a STUN server answers")
    return str(mapped[0]), int(mapped[1])


def _succeeded(answer: stun.Message) -> stun.Message:
    if answer.message_class == stun.Class.ERROR:
        code, reason = answer.attributes.get("ERROR-CODE", (0, "an error without a code"))
        raise TurnRefused(code, reason)
    return answer


class Relay:
    """One allocation on a TURN server, from `allocate` to `close`.

    Args:
        wire: to the server.
        seconds: how long each answer may take.

    Attributes:
        address: where others reach us, once allocated.
        expires: Unix time at which the server's certificate ends; None without TLS.
    """

    def __init__(self, wire: Wire, seconds: float) -> None:
        self._wire = wire
        self._seconds = seconds
        self._key = b""
        self._signs: dict[str, Any] = {}
        self.address = ("", 0)
        self.expires = wire.expires

    async def allocate(self, user: str, password: str, *, six: bool = False) -> None:
        """Asks for a relayed address over UDP, an IPv6 one for `six`.

        Raises:
            TurnRefused: by its `code`: 401 wrong or expired credentials, 440 no such family, 486 or 508 no
                place; 0 when the server wants no credentials at all.
            Unreachable: no answer.
        """
        wish: dict[str, Any] = {"REQUESTED-TRANSPORT": _UDP}
        if six:
            wish["REQUESTED-ADDRESS-FAMILY"] = _IPV6
        challenge = await ask(self._wire, _request(stun.Method.ALLOCATE, wish), self._seconds)
        if challenge.message_class != stun.Class.ERROR:
            raise TurnRefused(0, "allocates for anybody, without credentials")
        realm, nonce = challenge.attributes.get("REALM"), challenge.attributes.get("NONCE")
        if challenge.error_code != _UNAUTHORISED or realm is None or nonce is None:
            _succeeded(challenge)
        self._key = hashlib.md5(f"{user}:{realm}:{password}".encode(), usedforsecurity=False).digest()
        self._signs = {"USERNAME": user, "REALM": realm, "NONCE": nonce}
        granted = await self._ask(stun.Method.ALLOCATE, wish)
        relayed = granted.attributes.get("XOR-RELAYED-ADDRESS")
        if relayed is None:
            raise Unreachable("something else than a TURN server answers")
        self.address = relayed

    async def permit(self, host: str) -> None:
        """Asks to exchange datagrams with a peer; raises `TurnRefused` (403: the peer is denied)."""
        await self._ask(stun.Method.CREATE_PERMISSION, {"XOR-PEER-ADDRESS": (host, 0)})

    async def exchange(self, data: bytes, peer: tuple[str, int]) -> bytes:
        """Sends a datagram to a permitted peer until something comes back from it; raises `Unreachable`."""
        indication = stun.Message(
            stun.Method.SEND, stun.Class.INDICATION, attributes={"XOR-PEER-ADDRESS": peer, "DATA": data}
        )
        try:
            async with asyncio.timeout(self._seconds):
                again = asyncio.create_task(self._keep_sending(bytes(indication)))
                try:
                    while True:
                        message = await _hear(self._wire)
                        if (
                            message is not None
                            and message.message_method == stun.Method.DATA
                            and message.attributes.get("XOR-PEER-ADDRESS") == peer
                        ):
                            return bytes(message.attributes.get("DATA", b""))
                finally:
                    again.cancel()
                    with contextlib.suppress(asyncio.CancelledError, OSError):
                        await again
        except TimeoutError as error:
            raise Unreachable(f"nothing came back within {self._seconds:.0f} s") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unreachable("the connection was cut") from error

    async def _keep_sending(self, data: bytes) -> None:
        while True:  # what is relayed is UDP: it may be lost whatever the wire is
            await self._wire.send(data)
            await asyncio.sleep(_FIRST_WAIT)

    async def close(self) -> None:
        """Gives the allocation back."""
        if self._key:
            with contextlib.suppress(Unreachable, TurnRefused):
                await self._ask(stun.Method.REFRESH, {"LIFETIME": 0})
        self._wire.close()

    async def _ask(self, method: stun.Method, attributes: Mapping[str, Any]) -> stun.Message:
        for last in (False, True):
            request = _request(method, {**attributes, **self._signs})
            request.add_message_integrity(self._key)
            answer = await ask(self._wire, request, self._seconds)
            if answer.error_code != _STALE or last or "NONCE" not in answer.attributes:
                break
            self._signs["NONCE"] = answer.attributes["NONCE"]
        return _succeeded(answer)


def _request(method: stun.Method, attributes: Mapping[str, Any]) -> stun.Message:
    return stun.Message(method, stun.Class.REQUEST, attributes=dict(attributes))


async def reach(url: IceUrl, seconds: float) -> Relay:
    """Opens a way to a TURN server; raises `Unreachable`, or `Untrusted` of it."""
    wire = await connect(url.host, url.port, tcp=url.transport == "tcp", secure=url.secure, seconds=seconds)
    return Relay(wire, seconds)
