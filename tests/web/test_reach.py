"""The way of media, tested as `madoi doctor` does it: our own port, and a real coturn as we ship it."""

import dataclasses
import shutil
import socket
import time

import msgspec
import pytest

from live.iceurl import IceUrl, read_ice_url
from live.media.control import MediaSettings
from live.media.knock import knock, listening
from live.media.turn import Unreachable
from live.reach import Finding, Held, examine_port, examine_server, media_port
from live.settings import BadSettings, Media, Settings, Turn, load
from live.tickets import media_secret
from tests.kit.coturn import SECRET, Coturn
from tests.kit.server import free_port

KEY = b"k" * 32
pytestmark = pytest.mark.skipif(shutil.which("turnserver") is None, reason="coturn is not installed")


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine is no silent server; tests of silence ask for less."""
    monkeypatch.setattr("live.reach.PATIENCE", 20.0)


@pytest.fixture(scope="module")
def coturn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coturn")
    server = Coturn(folder, f"allowed-peer-ip={Coturn(folder).address}").start()
    yield server
    server.stop()


@pytest.fixture
async def settings(coturn):
    return Settings(media=Media(port=0), turn=Turn(urls=(coturn.url(),), secret=SECRET))


@pytest.fixture
async def held(settings):
    async with media_port(settings, KEY) as held:
        assert isinstance(held, Held)
        yield held


async def examine(settings, held):
    found = await examine_server(settings.turn.urls[0], settings, held, time.time())
    return {finding.what: finding for finding in found}


async def test_the_port_answers_who_knows_its_secret_and_nobody_else():
    async with listening(MediaSettings(port=0), KEY) as port:
        for tcp in (False, True):
            assert await knock("127.0.0.1", port, KEY, 5, tcp=tcp) > 0
            with pytest.raises(Unreachable):
                await knock("127.0.0.1", port, b"another" * 5, 0.5, tcp=tcp)


async def test_a_port_that_is_taken_is_ours_or_somebody_elses(monkeypatch):
    async with listening(MediaSettings(port=0), KEY) as port:
        settings = Settings(media=Media(port=port))
        async with media_port(settings, KEY) as held:
            assert held == Held(port, KEY, running=True)
            assert all(f.good is not False for f in await examine_port(settings, held))
        monkeypatch.setattr("live.reach.PATIENCE", 1.0)
        async with media_port(settings, b"another" * 5) as finding:
            assert isinstance(finding, Finding)
            assert finding.good is False
            assert "MADOI_MEDIA_PORT" in finding.says


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_packet_is_relayed_to_our_media_port_and_back(coturn, settings, held, transport):
    turn = Turn(urls=(coturn.url(f"?transport={transport}"),), secret=SECRET)
    found = await examine(msgspec.structs.replace(settings, turn=turn), held)
    assert {"turn", "turn closed", "turn expiry"} <= set(found)
    assert all(finding.good for finding in found.values()), found
    assert "and back" in found["turn"].says


def six_only(text):
    """A server of which browsers are told an IPv6 address only."""
    return Settings(media=Media(port=0, host="::1"), turn=Turn(urls=(text,), secret=SECRET))


async def test_a_packet_is_relayed_over_ipv6_where_browsers_are_told_such_an_address(tmp_path):
    server = Coturn(tmp_path, "relay-ip=::1", "allow-loopback-peers", "allowed-peer-ip=::1").start()
    try:
        settings = six_only(server.url())
        async with media_port(settings, KEY) as held:
            found = await examine(settings, held)
    finally:
        server.stop()
    assert "[::1]" in found["turn over IPv6"].says
    assert "and back" in found["turn over IPv6"].says
    assert found["turn over IPv6"].good is True
    assert found["turn closed over IPv6"].good is True


async def test_a_relay_into_private_ipv6_networks_is_told(tmp_path):
    server = Coturn(tmp_path, "relay-ip=::1", "allow-loopback-peers", without=("denied-peer-ip",)).start()
    try:
        settings = six_only(server.url())
        async with media_port(settings, KEY) as held:
            found = await examine(settings, held)
    finally:
        server.stop()
    assert found["turn closed over IPv6"].good is False
    assert "fc00::1" in found["turn closed over IPv6"].says


async def test_a_relay_without_ipv6_is_told_where_only_that_leads_to_us(coturn):
    settings = six_only(coturn.url())
    async with media_port(settings, KEY) as held:
        found = await examine(settings, held)
    assert "turn" not in found
    assert found["turn over IPv6"].good is False
    assert "`relay-ip`" in found["turn over IPv6"].says
    both = msgspec.structs.replace(settings, media=Media(port=0, addresses=(coturn.address, "2001:DB8::1")))
    async with media_port(both, KEY) as held:
        found = await examine(both, held)
    assert found["turn"].good is True
    assert found["turn over IPv6"].good is True


async def test_another_secret_is_told(settings, coturn, held):
    wrong = msgspec.structs.replace(settings, turn=Turn(urls=(coturn.url(),), secret="other"))
    found = await examine(wrong, held)
    assert found["turn"].good is False
    assert "static-auth-secret" in found["turn"].says
    none = msgspec.structs.replace(settings, turn=Turn(urls=(coturn.url(),)))
    assert "MADOI_TURN_SECRET is not set" in (await examine(none, held))["turn"].says


async def test_a_silent_media_port_behind_a_relay_is_told(settings, held, monkeypatch):
    monkeypatch.setattr("live.reach.PATIENCE", 1.0)
    deaf = dataclasses.replace(held, port=free_port(socket.SOCK_DGRAM))
    found = await examine(settings, deaf)
    assert found["turn"].good is False
    assert "MADOI_MEDIA_ADDRESSES" in found["turn"].says


async def test_nobody_there_is_told(settings, held, monkeypatch):
    monkeypatch.setattr("live.reach.PATIENCE", 1.0)
    closed = free_port(socket.SOCK_DGRAM)
    for url in (f"turn:127.0.0.1:{closed}", f"turn:127.0.0.1:{closed}?transport=tcp", "turn:no.invalid"):
        turn = Turn(urls=(url,), secret=SECRET)
        found = await examine(msgspec.structs.replace(settings, turn=turn), held)
        assert found["turn"].good is False
        assert "firewall" in found["turn"].says


async def test_a_relay_as_shipped_denies_a_media_address_of_a_private_range(tmp_path, settings, held):
    server = Coturn(tmp_path).start()
    try:
        turn = Turn(urls=(server.url(),), secret=SECRET)
        found = await examine(msgspec.structs.replace(settings, turn=turn), held)
    finally:
        server.stop()
    assert found["turn"].good is False
    assert f"allowed-peer-ip={server.address}" in found["turn"].says
    assert found["turn closed"].good is True


async def test_a_relay_into_private_networks_is_told(tmp_path, settings, held):
    server = Coturn(tmp_path, without=("denied-peer-ip",)).start()
    try:
        turn = Turn(urls=(server.url(),), secret=SECRET)
        found = await examine(msgspec.structs.replace(settings, turn=turn), held)
    finally:
        server.stop()
    assert found["turn"].good is True
    assert found["turn closed"].good is False
    assert "10.0.0.1" in found["turn closed"].says
    assert "denied-peer-ip" in found["turn closed"].says


async def test_a_relay_that_asks_for_nothing_is_told(tmp_path, settings, held):
    server = Coturn(tmp_path, "no-auth", without=("use-auth-secret", "static-auth-secret")).start()
    try:
        turn = Turn(urls=(server.url(),), secret=SECRET)
        found = await examine(msgspec.structs.replace(settings, turn=turn), held)
    finally:
        server.stop()
    assert found["turn"].good is False
    assert "without credentials" in found["turn"].says


async def test_a_stun_server_is_asked_for_our_address(coturn, settings, held):
    url = coturn.url("").replace("turn:", "stun:")
    (finding,) = await examine_server(url, settings, held, time.time())
    assert finding.good is True
    assert coturn.address in finding.says


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("turn:a.example", IceUrl(True, False, "a.example", 3478, "udp")),
        ("turn:a.example?transport=tcp", IceUrl(True, False, "a.example", 3478, "tcp")),
        ("turn:a.example?transport=udp", IceUrl(True, False, "a.example", 3478, "udp")),
        ("turn:192.0.2.1:443?transport=tcp", IceUrl(True, False, "192.0.2.1", 443, "tcp")),
        ("turn:[2001:db8::1]:3479", IceUrl(True, False, "2001:db8::1", 3479, "udp")),
        ("turns:a.example", IceUrl(True, True, "a.example", 5349, "tcp")),
        ("stun:a.example", IceUrl(False, False, "a.example", 3478, "udp")),
    ],
)
def test_addresses_of_turn_servers_are_read(text, expected):
    assert read_ice_url(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("turn.example.org", "turn://a", "turn:", "turn:a:0", "turn:a:70000", "turn:a:x", "http:a"),
        *("turn:a?transport=sctp", "stun:a?transport=udp", "turns:a?transport=udp", "turn:a b", "turn:[::1"),
    ],
)
def test_an_address_that_a_browser_would_refuse_is_no_setting(text):
    with pytest.raises(BadSettings, match=r"turn\.urls"):
        load({"MADOI_TURN_URLS": text})


async def test_the_media_secret_is_the_stores():
    assert media_secret(b"a") == media_secret(b"a") != media_secret(b"b")
