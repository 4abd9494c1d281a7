"""One WebRTC client, cheaply: controlling ICE towards one candidate, DTLS as client, SRTP.

Everything happens in the callback of a readable socket or of a timer, without tasks. Media can be dropped by
the kernel (`drop_media`), which then still counts it: see `benchmarks.load.process.drops`.
"""

from __future__ import annotations

import asyncio
import ctypes
import secrets
import socket
import struct
import time
from collections.abc import Callable

from aioice import stun
from aiortc.rtcdtlstransport import RTCCertificate
from OpenSSL import SSL
from pylibsrtp import Policy

from benchmarks.load.descriptions import Side
from live.media.srtp import Srtp, SrtpKeys

CHECK, CONSENT = 0.2, 5.0
"""Seconds between checks before and after the first answer (RFC 7675 §5.1)."""

_PROFILE = b"SRTP_AEAD_AES_128_GCM"
_SO_ATTACH_FILTER, _SO_TIMESTAMPNS = 26, 35
_TIMESPEC = struct.Struct("qq")
_BUFFER = 4 * 1024 * 1024

#: Keeps what is not RTP by its first two bytes (RFC 7983, RFC 5761 §4); a socket filter sees the UDP header.
_DROP_RTP = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 8),  # the first byte
        (0x35, 0, 4, 128),  # below 128: STUN, DTLS
        (0x35, 3, 0, 192),
        (0x30, 0, 0, 9),  # the second byte
        (0x35, 0, 2, 192),
        (0x35, 1, 0, 224),  # from 192 to 223: RTCP
        (0x06, 0, 0, 0xFFFFFFFF),
        (0x06, 0, 0, 0),
    )
)


class Identity:
    """A certificate and the OpenSSL context that all clients share."""

    def __init__(self) -> None:
        self._certificate = RTCCertificate.generateCertificate()
        self.context = SSL.Context(SSL.DTLS_METHOD)
        self.context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        self.context.use_certificate(self._certificate._cert)  # noqa: SLF001  # aiortc made it
        self.context.use_privatekey(self._certificate._key)  # noqa: SLF001
        self.context.set_tlsext_use_srtp(_PROFILE)

    @property
    def fingerprint(self) -> str:
        found = self._certificate.getFingerprints()
        return next(f.value for f in found if f.algorithm == "sha-256")


class Transport:
    """One client's way to a server.

    Args:
        identity: whose certificate it shows.
        host: the address to bind.
        media: takes each RTP or RTCP datagram, still protected, and when the kernel saw it (ns since 1970).

    Attributes:
        srtp: None until the handshake is done.
        connected_at: when it was, on the loop's clock.
    """

    def __init__(self, identity: Identity, host: str, media: Callable[[bytes, int], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._identity = identity
        self._media = media
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._loop.add_reader(self._socket.fileno(), self._readable)
        self.side = Side(
            secrets.token_hex(4), secrets.token_hex(12), identity.fingerprint, self._socket.getsockname()
        )
        self.srtp: Srtp | None = None
        self.connected_at = 0.0
        self._remote: Side | None = None
        self._dtls: SSL.Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drops = False

    @property
    def port(self) -> int:
        """Its UDP port."""
        return self.side.address[1]

    def connect(self, remote: Side) -> None:
        """Begins to check, and to shake hands once the server has answered."""
        self._remote = remote
        self._check()

    def send(self, datagram: bytes | memoryview) -> None:
        """To the server; what the kernel does not take is lost."""
        assert self._remote is not None
        self._socket.sendto(datagram, self._remote.address)

    def drop_media(self) -> None:
        """Lets the kernel drop RTP from now on, but count it."""
        if self._drops:
            return
        self._drops = True
        code = ctypes.create_string_buffer(_DROP_RTP)
        program = struct.pack("HxxxxxxP", len(_DROP_RTP) // 8, ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    # — ICE —

    def _check(self) -> None:
        remote = self._remote
        assert remote is not None
        request = stun.Message(
            stun.Method.BINDING,
            stun.Class.REQUEST,
            attributes={
                "USERNAME": f"{remote.ufrag}:{self.side.ufrag}",
                "PRIORITY": 1853817087,
                "ICE-CONTROLLING": 1 << 40,
                "USE-CANDIDATE": None,
            },
        )
        request.add_message_integrity(remote.pwd.encode())
        request.add_fingerprint()
        self.send(bytes(request))
        if self._dtls is not None and self.srtp is None:
            self._dtls.DTLSv1_handle_timeout()
            self._flush()
        wait = CHECK if self.srtp is None else CONSENT * (0.8 + secrets.randbelow(400) / 1000)
        self._timer = self._loop.call_later(wait, self._check)

    def _take_stun(self, datagram: bytes, sender: tuple[str, int]) -> None:
        message = stun.parse_message(datagram)
        if message.message_class == stun.Class.REQUEST:
            reply = stun.Message(
                stun.Method.BINDING,
                stun.Class.RESPONSE,
                transaction_id=message.transaction_id,
                attributes={"XOR-MAPPED-ADDRESS": sender},
            )
            reply.add_message_integrity(self.side.pwd.encode())
            reply.add_fingerprint()
            self._socket.sendto(bytes(reply), sender)
        elif message.message_class == stun.Class.RESPONSE and self._dtls is None:
            self._dtls = SSL.Connection(self._identity.context, None)
            self._dtls.set_connect_state()
            self._dtls.set_ciphertext_mtu(1200)
            self._shake()

    # — DTLS —

    def _take_dtls(self, datagram: bytes) -> None:
        if self._dtls is not None:
            self._dtls.bio_write(datagram)
            if self.srtp is None:
                self._shake()

    def _shake(self) -> None:
        assert self._dtls is not None
        try:
            self._dtls.do_handshake()
        except SSL.WantReadError:
            self._flush()
            return
        self._flush()
        material = self._dtls.export_keying_material(b"EXTRACTOR-dtls_srtp", 2 * (16 + 12))
        ours, theirs = material[:16] + material[32:44], material[16:32] + material[44:56]
        self.srtp = Srtp(SrtpKeys(Policy.SRTP_PROFILE_AEAD_AES_128_GCM, receive=theirs, send=ours))
        self.connected_at = self._loop.time()

    def _flush(self) -> None:
        assert self._dtls is not None
        while True:
            try:
                self.send(self._dtls.bio_read(4096))
            except SSL.WantReadError:
                return

    # — the socket —

    def _readable(self) -> None:
        for _ in range(64):
            try:
                datagram, notes, _, sender = self._socket.recvmsg(2048, 64)
            except (BlockingIOError, ConnectionRefusedError):
                return
            first = datagram[0]
            if 128 <= first < 192:
                self._media(datagram, _seen_at(notes))
            elif 20 <= first < 64:
                self._take_dtls(datagram)
            elif first < 4:
                self._take_stun(datagram, sender)


def _seen_at(notes: list[tuple[int, int, bytes]]) -> int:
    for level, kind, data in notes:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()
