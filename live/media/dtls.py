"""The one seam to aiortc's DTLS: certificates and the handshake that yields SRTP keys (RFC 5763, RFC 5764).

aiortc's `RTCDtlsTransport` drives OpenSSL over anything that has `role`, `_recv` and `_send`; its
`_setup_srtp` is where keys would become its own SRTP sessions, and here it hands them out instead.
`tests/media/test_dtls.py` fails loudly when an upgrade moves these private names.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Literal, cast

from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from OpenSSL import SSL

from live.media.srtp import SrtpKeys

#: Most preferred first: 128-bit GCM costs least, and the native fan-out speaks only it.
PROFILES = [
    rtcdtlstransport.SRTP_AEAD_AES_128_GCM,
    rtcdtlstransport.SRTP_AES128_CM_SHA1_80,
    rtcdtlstransport.SRTP_AEAD_AES_256_GCM,
]

#: Datagrams kept for a handshake that has not begun or is slow; more are dropped, and DTLS sends them again.
_QUEUE = 32

_EXPORTER = b"EXTRACTOR-dtls_srtp"


class DtlsError(Exception):
    """The handshake failed: no common profile, a wrong fingerprint, or the peer gave up."""


class _OneContext(RTCCertificate):
    """Lets all associations share one OpenSSL context: less memory and time for each."""

    _context: SSL.Context | None = None

    def _create_ssl_context(self, srtp_profiles: list[rtcdtlstransport.SRTPProtectionProfile]) -> SSL.Context:
        if self._context is None:
            self._context = super()._create_ssl_context(srtp_profiles)
        return self._context


class Certificate:
    """A self-signed certificate, one for the life of a worker."""

    def __init__(self) -> None:
        self.rtc = _OneContext.generateCertificate()

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 fingerprint as SDP writes it, for example `sha-256 AB:CD:…` (RFC 8122 §5)."""
        first = next(f for f in self.rtc.getFingerprints() if f.algorithm == "sha-256")
        return f"{first.algorithm} {first.value}"


class _Wire:
    """Stands where aiortc expects its ICE transport."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.role = "controlled"
        self.closed = False
        self._out = send
        self._queue: deque[bytes] = deque()
        self._arrived = asyncio.Event()

    def push(self, datagram: bytes) -> None:
        if len(self._queue) < _QUEUE:
            self._queue.append(datagram)
            self._arrived.set()

    def close(self) -> None:
        self.closed = True
        self._arrived.set()

    async def _recv(self) -> bytes:
        while not self._queue:
            if self.closed:
                raise ConnectionError
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()

    async def _send(self, datagram: bytes) -> None:
        self._out(datagram)


class _Association(RTCDtlsTransport):
    keys: SrtpKeys | None = None

    def _setup_srtp(self) -> None:
        connection = self._ssl
        chosen = connection.get_selected_srtp_profile() if connection else b""
        profile = next((p for p in PROFILES if p.openssl_profile == chosen), None)
        if connection is None or profile is None:
            self._set_state(rtcdtlstransport.State.FAILED)
            return
        material = connection.export_keying_material(
            _EXPORTER, 2 * (profile.key_length + profile.salt_length)
        )
        ours = 1 if self._role == "server" else 0
        self.keys = SrtpKeys(
            profile=profile.libsrtp_profile,
            receive=profile.get_key_and_salt(material, 1 - ours),
            send=profile.get_key_and_salt(material, ours),
        )


class Dtls:
    """One DTLS association: feed it datagrams, let it shake hands, take the keys.

    Args:
        certificate: ours.
        send: puts a datagram on the wire.
        closed: called once when the peer says goodbye (close_notify) after the handshake.
    """

    def __init__(
        self, certificate: Certificate, send: Callable[[bytes], None], closed: Callable[[], None]
    ) -> None:
        self._wire = _Wire(send)
        self._closed = closed
        self._transport = _Association(cast("RTCIceTransport", self._wire), [certificate.rtc])
        self._transport._srtp_profiles = PROFILES  # noqa: SLF001  # the seam

    def receive(self, datagram: bytes) -> None:
        """Takes a datagram that is DTLS by its first byte; it may come before the handshake starts."""
        self._wire.push(datagram)

    async def handshake(
        self, role: Literal["client", "server"], fingerprints: list[tuple[str, str]]
    ) -> SrtpKeys:
        """Shakes hands and checks the peer's certificate.

        Args:
            role: `server` waits for the peer's ClientHello.
            fingerprints: the peer's, as (algorithm, value); at least one.

        Raises:
            DtlsError: the association cannot be used.
        """
        self._transport._set_role(role)  # noqa: SLF001  # the seam
        parameters = RTCDtlsParameters(
            fingerprints=[RTCDtlsFingerprint(algorithm=a, value=v) for a, v in fingerprints]
        )
        await self._transport.start(parameters)
        if self._transport.keys is None or self._transport.state != "connected":
            raise DtlsError("the DTLS handshake failed")
        self._transport.on("statechange", self._changed)
        return self._transport.keys

    def _changed(self) -> None:
        if self._transport.state == "closed" and not self._wire.closed:
            self._closed()

    async def close(self) -> None:
        """Says goodbye to the peer and ends the association's task."""
        self._wire.close()
        task = self._transport._task  # noqa: SLF001  # the seam
        await self._transport.stop()
        if task is not None:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        self._transport.remove_all_listeners()
