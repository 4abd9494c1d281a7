import asyncio
import inspect
import weakref
from functools import partial

import pytest
from aiortc import rtcdtlstransport
from aiortc.rtcdtlstransport import RTCDtlsTransport

from live.media.dtls import PROFILES, Certificate, Dtls, DtlsError
from live.media.srtp import Srtp, SrtpError


def test_the_private_names_we_lean_on_are_where_they_were() -> None:
    source = inspect.getsource(RTCDtlsTransport)
    for name in (
        "def _setup_srtp(self)",
        "def _set_role(self",
        "def _set_state(self",
        "self._ssl",
        "self._task",
    ):
        assert name in source, name
    assert "self._srtp_profiles" in inspect.getsource(RTCDtlsTransport.start)
    assert "self._setup_srtp()" in inspect.getsource(RTCDtlsTransport.start)
    assert "self.transport._recv()" in inspect.getsource(RTCDtlsTransport._recv_next)
    assert "self.transport._send(" in inspect.getsource(RTCDtlsTransport._write_ssl)
    assert "._create_ssl_context(" in inspect.getsource(RTCDtlsTransport.start)
    assert {"FAILED", "CONNECTED", "CLOSED"} <= set(rtcdtlstransport.State.__members__)
    assert PROFILES[0].openssl_profile == b"SRTP_AEAD_AES_128_GCM"


def _fingerprints(certificate: Certificate) -> list[tuple[str, str]]:
    algorithm, value = certificate.fingerprint.split()
    return [(algorithm, value)]


def _pair(said_goodbye: list[str]) -> tuple[Certificate, Dtls, Certificate, Dtls]:
    ours, theirs = Certificate(), Certificate()
    sides: dict[str, Dtls] = {}

    def carry(to: str, datagram: bytes) -> None:
        sides[to].receive(datagram)

    server = Dtls(ours, partial(carry, "client"), lambda: said_goodbye.append("client"))
    client = Dtls(theirs, partial(carry, "server"), lambda: said_goodbye.append("server"))
    sides.update(server=server, client=client)
    return ours, server, theirs, client


async def test_two_sides_agree_on_keys_and_128_bit_gcm() -> None:
    goodbyes: list[str] = []
    ours, server, theirs, client = _pair(goodbyes)
    async with asyncio.timeout(5):
        here, there = await asyncio.gather(
            server.handshake("server", _fingerprints(theirs)), client.handshake("client", _fingerprints(ours))
        )
    assert (here.send, here.receive) == (there.receive, there.send)
    assert here.profile == PROFILES[0].libsrtp_profile
    packet = bytes([0x80, 96, 0, 1]) + bytes(8) + b"picture"
    near, far = Srtp(here), Srtp(there)
    sealed = bytes(near.protect(packet))
    assert len(sealed) == len(packet) + near.tag_length
    assert bytes(far.unprotect(sealed)) == packet
    with pytest.raises(SrtpError):
        far.unprotect(sealed)
    await client.close()
    async with asyncio.timeout(5):
        while goodbyes != ["client"]:  # noqa: ASYNC110  # the callback has no event to await
            await asyncio.sleep(0)
    await server.close()


async def test_a_wrong_fingerprint_fails_the_handshake() -> None:
    ours, server, _, client = _pair([])
    async with asyncio.timeout(5):
        results = await asyncio.gather(
            server.handshake("server", _fingerprints(Certificate())),
            client.handshake("client", _fingerprints(ours)),
            return_exceptions=True,
        )
    assert isinstance(results[0], DtlsError)
    await server.close()
    await client.close()


@pytest.mark.usefixtures("no_collector")
async def test_an_association_that_ended_is_no_work_for_the_garbage_collector() -> None:
    ours, server, theirs, client = _pair([])
    async with asyncio.timeout(5):
        await asyncio.gather(
            server.handshake("server", _fingerprints(theirs)), client.handshake("client", _fingerprints(ours))
        )
    client._wire._out = server._wire._out = lambda _: None
    await server.close()
    await client.close()
    gone = [weakref.ref(server), weakref.ref(server._transport), weakref.ref(client)]
    del server, client
    async with asyncio.timeout(5):
        while any(one() is not None for one in gone):  # noqa: ASYNC110  # the last reference is the loop's
            await asyncio.sleep(0)
