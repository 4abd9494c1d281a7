import httpx
import pytest

from tests.kit.server import TOKEN, MadoiServer


def browser(server, **headers):
    return httpx.Client(base_url=server.url, headers={"Origin": server.url, **headers})


def enter(client, made, role="attendee", **body):
    return client.post(f"/api/sessions/{made.id}/enter", json={"ticket": made.ticket(role), **body})


def test_a_shared_link_needs_a_name_and_makes_a_person(server, made):
    with browser(server) as page:
        assert enter(page, made).json()["code"] == "name_required"
        answer = enter(page, made, name="  山田\u202e  花子 ", profession="心理士")
        assert answer.status_code == 200
        seat = answer.json()
        assert (seat["role"], seat["name"]) == ("attendee", "山田 花子")
        assert page.get(f"/api/sessions/{made.id}/me").json() == seat
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"madoi-{made.id}=")
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie


def test_two_people_of_one_link_are_two_and_one_browser_is_one(server, made):
    with browser(server) as one, browser(server) as two:
        first = enter(one, made, name="甲").json()["person"]
        assert enter(one, made, name="甲").json()["person"] == first
        assert enter(two, made, name="乙").json()["person"] != first


def test_an_attendees_personal_ticket_is_the_same_person_everywhere(server, made):
    ticket = server.ticket(made.id, "attendee", "佐藤 先生")
    seats = []
    for _ in range(2):
        with browser(server) as page:
            seats.append(page.post(f"/api/sessions/{made.id}/enter", json={"ticket": ticket}).json())
    assert seats[0] == seats[1]
    assert seats[0]["name"] == "佐藤 先生"


def test_leaving_takes_the_cookie_back(server, made):
    with browser(server) as page:
        enter(page, made, name="甲")
        assert page.post(f"/api/sessions/{made.id}/leave").status_code == 204
        assert page.get(f"/api/sessions/{made.id}/me").status_code == 401


def test_a_seat_of_one_session_is_no_seat_in_another(server, made):
    other = server.make_session("別の会")
    with browser(server) as page:
        enter(page, made, name="甲")
        value = page.cookies[f"madoi-{made.id}"]
        stolen = {"Cookie": f"madoi-{other.id}={value}"}
        assert httpx.get(f"{server.url}/api/sessions/{other.id}/me", headers=stolen).status_code == 401


def test_a_cookie_is_no_ticket_and_a_ticket_no_cookie(server, made):
    with browser(server) as page:
        enter(page, made, name="甲")
        value = page.cookies[f"madoi-{made.id}"]
        answer = page.post(f"/api/sessions/{made.id}/enter", json={"ticket": value, "name": "甲"})
        assert answer.json()["code"] == "bad_ticket"
    ticket = server.ticket(made.id, "speaker", "佐藤")
    forged = {"Cookie": f"madoi-{made.id}={ticket}"}
    assert httpx.get(f"{server.url}/api/sessions/{made.id}/me", headers=forged).status_code == 401


def test_the_organiser_changes_the_token_for_a_cookie(server, made):
    with browser(server) as page:
        answer = page.post("/api/organiser/enter", json={"token": TOKEN})
        assert answer.status_code == 204
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert page.get("/api/sessions").status_code == 200
        assert page.post("/api/sessions", json={"title": "会"}).status_code == 201
        assert "links" in page.get(f"/api/sessions/{made.id}").json()
        page.post("/api/organiser/leave")
        assert page.get("/api/sessions").status_code == 401


HOSTILE = {
    "none": {},
    "null": {"Origin": "null"},
    "other site": {"Origin": "https://evil.example"},
    "suffix": {"Origin": "http://localhost.evil.example"},
    "subdomain": {"Origin": "http://sub.localhost:{port}"},
    "other port": {"Origin": "http://localhost:1"},
    "other scheme": {"Origin": "https://localhost:{port}"},
    "fetch metadata": {"Sec-Fetch-Site": "cross-site"},
    "same site": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("headers", HOSTILE.values(), ids=HOSTILE.keys())
def test_asvs_3_5_1_a_cookie_from_another_page_does_nothing(server, made, headers):
    headers = {name: value.format(port=server.port) for name, value in headers.items()}
    with browser(server) as page:
        enter(page, made, "moderator", name="司会")
        page.post("/api/organiser/enter", json={"token": TOKEN})
        cookies = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
    for path in ("/api/sessions", f"/api/sessions/{made.id}/state", f"/api/sessions/{made.id}/socket-ticket"):
        answer = httpx.post(
            server.url + path, json={"state": "live", "title": "x"}, headers={**headers, "Cookie": cookies}
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "origin_refused")


def test_another_page_cannot_seat_our_visitor(server, made):
    answer = httpx.post(
        f"{server.url}/api/sessions/{made.id}/enter",
        json={"ticket": made.ticket("attendee"), "name": "甲"},
        headers={"Origin": "https://evil.example"},
    )
    assert answer.json()["code"] == "origin_refused"


def test_fetch_metadata_alone_is_enough_for_our_own_page(server, made):
    with httpx.Client(base_url=server.url) as page:
        enter(page, made, name="甲")
        own = {"Sec-Fetch-Site": "same-origin"}
        assert page.post(f"/api/sessions/{made.id}/socket-ticket", headers=own).status_code == 200


def test_behind_tls_the_cookie_belongs_to_this_host_alone(server, made):
    """A trusted proxy on this machine says that the visitor came over https."""
    origin = server.url.replace("http:", "https:")
    with browser(server, Origin=origin, **{"X-Forwarded-Proto": "https"}) as page:
        answer = enter(page, made, name="甲")
    assert answer.headers["set-cookie"].startswith(f"__Host-madoi-{made.id}=")
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"]


def test_asvs_6_3_1_guessing_is_slowed_down_and_shuts_nobody_out(tmp_path):
    server = MadoiServer(tmp_path / "data", limits_attempts="5").start()
    try:
        made = server.make_session()
        codes = [server.ask("GET", "/api/sessions", ticket=f"guess-{n}").status_code for n in range(7)]
        assert codes == [401] * 5 + [429] * 2
        assert server.ask("GET", "/api/sessions", ticket=TOKEN).status_code == 429, "a token may be guessed"
        answer = server.ask("GET", "/api/sessions", ticket="guess")
        assert answer.json()["wait"] > 0
        assert int(answer.headers["retry-after"]) >= 1
        place = f"/api/sessions/{made.id}"
        assert server.ask("POST", f"{place}/enter", {"ticket": "guess", "name": "甲"}).status_code == 429
        for path in (f"{place}/me", f"{place}/export"):
            assert server.ask("GET", path, ticket="guess").status_code == 429
            assert server.ask("GET", path, ticket=made.ticket("moderator")).status_code == 200, path
        with browser(server) as page:
            assert enter(page, made, name="甲").status_code == 200
    finally:
        assert server.stop() == 0
