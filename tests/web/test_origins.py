"""Whose pages may ask: one rule for POST and for the socket's upgrade; OWASP ASVS 5.0 3.5.1 and 4.4.2."""

import asyncio

import httpx
import pytest

from tests.kit.server import MadoiServer

OURS = "https://madoi.example"
KNOWN = {
    "a program": (None, True),
    "our page": (OURS, True),
    "a page that the settings name": ("https://partner.example:8443", True),
    "null": ("null", False),
    "empty": ("", False),
    "other site": ("https://evil.example", False),
    "subdomain": ("https://sub.madoi.example", False),
    "suffix": ("https://madoi.example.evil.example", False),
    "prefix": ("https://evilmadoi.example", False),
    "other port": ("https://madoi.example:8443", False),
    "other scheme": ("http://madoi.example", False),
    "a file": ("file://madoi.example", False),
    "no number for a port": ("https://madoi.example:port", False),
    "half an address": ("https://[", False),
    "two origins": (f"{OURS} https://evil.example", False),
    "rebinding": ("http://evil.example", False),
    "by the machine's own name": ("http://localhost", False),
}
"""With a public URL that origin alone is ours, whatever the request's `Host` says."""
HOSTS = ("madoi.example", "evil.example", "localhost")
UNKNOWN = {
    "at home": ("http://localhost:8000", "localhost:8000", True),
    "by number": ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
    "in the house": ("http://192.168.1.7:8000", "192.168.1.7:8000", True),
    "another name of the machine": ("http://localhost:8000", "127.0.0.1:8000", False),
    "other port": ("http://localhost:5173", "localhost:8000", False),
    "other scheme": ("https://localhost:8000", "localhost:8000", False),
    "other site": ("http://evil.example", "localhost:8000", False),
    "no host": ("http://[", "[", False),
}
"""Without a public URL ours is what the browser asked for."""


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    settings = {"public_url": f"{OURS}/", "origins": "https://partner.example:8443"}
    server = MadoiServer(tmp_path_factory.mktemp("public") / "data", **settings).start()
    yield server
    server.stop()


def posts(server, made, headers):
    body = {"ticket": made.ticket("attendee"), "name": "甲"}
    answer = httpx.post(f"{server.url}/api/sessions/{made.id}/enter", json=body, headers=headers)
    assert answer.status_code == 200 or answer.json()["code"] == "origin_refused"
    return answer.status_code == 200


async def upgrades(server, made, headers):
    key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    key |= {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **headers}
    lines = [f"GET /rooms/{made.id}/socket HTTP/1.1", *(f"{name}: {value}" for name, value in key.items())]
    reader, writer = await asyncio.open_connection("localhost", server.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    assert status in {b"101", b"403"}
    return status == b"101"


async def passes(server, made, host, origin):
    headers = {"Host": host} | ({} if origin is None else {"Origin": origin})
    both = {posts(server, made, headers), await upgrades(server, made, headers)}
    assert len(both) == 1, "POST and upgrade disagree"
    return both.pop()


@pytest.mark.parametrize(("origin", "allowed"), KNOWN.values(), ids=KNOWN.keys())
async def test_asvs_4_4_2_with_a_public_url_only_its_pages_ask(public, origin, allowed):
    made = public.make_session()
    assert [await passes(public, made, host, origin) for host in HOSTS] == [allowed] * len(HOSTS)


@pytest.mark.parametrize(("origin", "host", "allowed"), UNKNOWN.values(), ids=UNKNOWN.keys())
async def test_without_a_public_url_a_page_asks_where_it_came_from(server, made, origin, host, allowed):
    assert await passes(server, made, host, origin) is allowed
