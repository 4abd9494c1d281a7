"""What the whole HTTP surface promises: headers, its own description, health, and silence about secrets."""

import re

import httpx
import msgspec
import pytest

from live.telemetry import Numbers
from live.web.openapi import codes_of
from live.web.problems import TITLES
from live.web.routes import operations
from tests.kit.server import TOKEN

PAGES = ["/", "/organise", "/organise/abc", "/s/abc"]


def test_the_description_lists_every_operation_and_nothing_else(server):
    document = server.ask("GET", "/api/openapi.json", ticket=None).json()
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    json_operations = {(o.method, o.path) for o in operations(Numbers()) if o.path != "/api/openapi.json"}
    media = {("POST", "/whip/{id}"), ("POST", "/whep/{id}")}
    media |= {(m, f"/{door}/{{id}}/{{resource}}") for m in ("PATCH", "DELETE") for door in ("whip", "whep")}
    media |= {
        ("PUT", "/whep/{id}/{resource}/tier"),
        ("POST", "/check/{id}"),
        ("DELETE", "/check/{id}/{resource}"),
    }
    assert listed == json_operations | media


def test_every_listed_operation_is_there(server):
    document = server.ask("GET", "/api/openapi.json", ticket=None).json()
    for path, methods in document["paths"].items():
        for method in methods:
            address = path.replace("{id}", "nothere").replace("{resource}", "x")
            answer = server.ask(method.upper(), address, ticket=None)
            assert answer.status_code != 405, (method, path)
            assert answer.headers.get("content-type") != "text/html; charset=utf-8"


def test_every_reference_in_the_description_leads_somewhere(server):
    text = server.ask("GET", "/api/openapi.json", ticket=None).text
    schemas = msgspec.json.decode(text)["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', text)) <= set(schemas)


def test_every_code_that_an_operation_names_is_explained():
    rooms = {"too_short", "too_long", "bad_transition"}
    named = {code for operation in operations(Numbers()) for code in codes_of(operation)}
    assert named - rooms <= set(TITLES)


@pytest.mark.parametrize("path", [*PAGES, "/api/sessions", "/healthz", "/nothing", "/whip/x"])
def test_asvs_3_4_every_answer_carries_the_security_headers(server, path):
    headers = httpx.get(server.url + path).headers
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "camera=(self)" in headers["permissions-policy"]
    assert "server" not in headers


def test_a_strange_host_header_does_not_get_into_the_policy(server):
    headers = httpx.get(f"{server.url}/", headers={"Host": "a; script-src *"}).headers
    assert "script-src" not in headers.get("content-security-policy", "")


@pytest.mark.parametrize(
    "path", ["/../../pyproject.toml", "/..%2f..%2fpyproject.toml", "/assets/../../routes.py", "/%00"]
)
def test_no_path_leads_out_of_the_clients_folder(server, path):
    assert httpx.get(server.url + path).status_code in (400, 404)


def test_health_readiness_and_numbers(server):
    assert server.ask("GET", "/healthz", ticket=None).json()["status"] == "ok"
    assert server.ask("GET", "/readyz", ticket=None).json()["status"] == "ready"
    text = server.ask("GET", "/metrics", ticket=None).text
    assert "madoi_http_requests_total" in text
    assert re.search(r'^madoi_media_fanout_(python|native){worker="0"} 1.0$', text, re.MULTILINE)
    assert "madoi_rooms_sockets " in text
    assert 'madoi_media_datagrams_received{worker="0"} ' in text


def test_neither_logs_nor_numbers_ever_hold_a_secret_or_a_name(server, made):
    ticket = server.ticket(made.id, "attendee", "カナリア花子")
    client = httpx.Client(base_url=server.url, headers={"Origin": server.url})
    seat = client.post(f"/api/sessions/{made.id}/enter", json={"ticket": ticket})
    one_time = client.post(f"/api/sessions/{made.id}/socket-ticket").json()["ticket"]
    client.get(f"/s/{made.id}?t={ticket}")
    server.ask("POST", f"/api/sessions/{made.id}/state", {"state": "nowhere"}, ticket)
    server.ask("POST", f"/whip/{made.id}", None, ticket)
    cookie = seat.cookies[f"madoi-{made.id}"]
    client.close()
    greeting = "Organiser: "
    logged = "\n".join(line for line in server.said().splitlines() if not line.startswith(greeting))
    numbers = server.ask("GET", "/metrics", ticket=None).text
    for secret in (TOKEN, ticket, one_time, cookie, "カナリア", made.ticket("speaker")):
        assert secret not in logged
        assert secret not in numbers
