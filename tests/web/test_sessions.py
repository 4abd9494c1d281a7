import httpx
import pytest

from tests.kit.server import TOKEN

TICKETS = "/api/sessions/{id}/tickets"
STATE = "/api/sessions/{id}/state"
ENTER = "/api/sessions/{id}/enter"
GOOD = {"title": "勉強会"}


def problem(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["type"] == f"urn:madoi:problem:{body['code']}"
    return answer.status_code, body["code"]


def test_a_session_is_made_listed_and_shown(server):
    made = server.ask(
        "POST",
        "/api/sessions",
        {
            "title": "  ライブSV  ",
            "kind": "case",
            "starts_at": "2026-12-01T20:00:00+09:00",
            "capacity": 30,
            "qa": {"moderated": True, "anonymity": "full"},
            "door": "open",
        },
    )
    assert made.status_code == 201
    assert set(made.json()["links"]) == {"organiser", "moderator", "speaker", "attendee"}
    id_ = made.json()["id"]
    shown = server.ask("GET", f"/api/sessions/{id_}").json()
    assert shown["title"] == "ライブSV"
    assert shown["starts_at"] == "2026-12-01T11:00:00.000Z"
    assert shown["qa"] == {"moderated": True, "anonymity": "full"}
    assert shown["counts"] == {"inside": 0, "waiting": 0, "questions": 0, "messages": 0}
    assert shown["links"] == made.json()["links"]
    assert id_ in [one["id"] for one in server.ask("GET", "/api/sessions").json()["sessions"]]


def test_a_wrong_bearer_is_no_stranger_but_a_guess(server, made):
    path = f"/api/sessions/{made.id}"
    assert problem(server.ask("GET", path, ticket="guess")) == (401, "bad_ticket")
    assert "links" not in server.ask("GET", path, ticket=made.ticket("attendee")).json()


def test_the_start_may_be_given_in_milliseconds_as_programs_count(server):
    made = server.make_session(starts_at=1_796_122_800_000)
    assert server.ask("GET", f"/api/sessions/{made.id}").json()["starts_at"] == "2026-12-01T11:00:00.000Z"


def test_who_knows_the_id_sees_public_facts_only(server, made):
    shown = server.ask("GET", f"/api/sessions/{made.id}", ticket=None).json()
    assert shown["title"] == "事例検討会"
    assert "links" not in shown
    assert "counts" not in shown


@pytest.mark.parametrize(
    ("method", "path", "body", "ticket", "expected"),
    [
        ("GET", "/api/sessions", None, None, (401, "bad_ticket")),
        ("GET", "/api/sessions", None, "wrong", (401, "bad_ticket")),
        ("POST", "/api/sessions", GOOD, None, (401, "bad_ticket")),
        ("POST", "/api/sessions", GOOD, "wrong", (401, "bad_ticket")),
        ("POST", "/api/sessions", {}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {"title": ""}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {"title": "   "}, TOKEN, (422, "too_short")),
        ("POST", "/api/sessions", {"title": "長" * 121}, TOKEN, (422, "too_long")),
        ("POST", "/api/sessions", {**GOOD, "kind": "party"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "capacity": 0}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "capacity": "9"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "starts_at": "tomorrow"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "starts_at": "2026-12-01T20:00:00"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "starts_at": 10**15}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "starts_at": -1}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "starts_at": "0001-01-01T00:00+09:00"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "starts_at": "9999-12-31T23:59-09:00"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "state": "live"}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", {**GOOD, "qa": {"anonymity": "none"}}, TOKEN, (422, "bad_value")),
        ("POST", "/api/sessions", [GOOD], TOKEN, (422, "bad_value")),
        ("PUT", "/api/sessions", GOOD, TOKEN, (405, "method_refused")),
        ("GET", "/api/sessions/nothere", None, TOKEN, (404, "unknown_session")),
        ("GET", "/api/nothing", None, TOKEN, (404, "unknown_resource")),
        ("POST", TICKETS, {"role": "king", "name": "A"}, TOKEN, (422, "bad_value")),
        ("POST", TICKETS, {"role": "speaker"}, TOKEN, (422, "bad_value")),
        ("POST", TICKETS, {"role": "speaker", "name": "\u200b"}, TOKEN, (422, "too_short")),
        ("POST", TICKETS, {"role": "speaker", "name": "A"}, None, (401, "bad_ticket")),
        ("POST", "/api/sessions/nothere/state", {"state": "live"}, TOKEN, (404, "unknown_session")),
        ("POST", STATE, {"state": "published"}, TOKEN, (422, "bad_value")),
        ("POST", STATE, {"state": "after"}, TOKEN, (409, "bad_transition")),
        ("POST", STATE, {"state": "live"}, "wrong", (401, "bad_ticket")),
        ("GET", "/api/sessions/{id}/export?format=pdf", None, TOKEN, (422, "bad_value")),
        ("GET", "/api/sessions/{id}/export", None, None, (401, "bad_ticket")),
        ("GET", "/api/sessions/{id}/me", None, None, (401, "bad_ticket")),
        ("POST", "/api/sessions/{id}/socket-ticket", None, None, (401, "bad_ticket")),
        ("POST", ENTER, {"ticket": "x"}, None, (401, "bad_ticket")),
        ("POST", ENTER, {"ticket": ""}, None, (422, "bad_value")),
        ("POST", "/api/organiser/enter", {"token": "wrong"}, None, (401, "bad_ticket")),
    ],
)  # fmt: skip
def test_bad_input_gets_its_documented_error(server, made, method, path, body, ticket, expected):
    assert problem(server.ask(method, path.format(id=made.id), body, ticket)) == expected


@pytest.mark.parametrize("raw", [b"", b"{", b'"', b"\xff\xfe", b"nul", b"[" * 20_000])
def test_what_is_not_json_is_refused(server, raw):
    answer = httpx.post(
        f"{server.url}/api/sessions", content=raw, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert answer.status_code in (400, 422)
    assert problem(answer)[1] in ("bad_body", "bad_value")


def test_a_body_over_64_kilobytes_is_refused_with_and_without_its_length_said(server):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    big = b'{"title":"' + b"a" * 70_000 + b'"}'
    assert problem(httpx.post(f"{server.url}/api/sessions", content=big, headers=headers)) == (
        413,
        "body_too_large",
    )
    chunks = (big[i : i + 9000] for i in range(0, len(big), 9000))
    said = httpx.post(f"{server.url}/api/sessions", content=chunks, headers=headers)
    assert problem(said) == (413, "body_too_large")


def test_a_form_cannot_be_sent_in_place_of_json(server):
    answer = httpx.post(
        f"{server.url}/api/sessions", data={"title": "x"}, headers={"Authorization": f"Bearer {TOKEN}"}
    )
    assert problem(answer) == (415, "media_type_refused")


def test_a_media_type_is_the_same_in_capitals(server):
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "Application/JSON; charset=utf-8"}
    answer = httpx.post(f"{server.url}/api/sessions", content=b'{"title":"x"}', headers=headers)
    assert answer.status_code == 201


def test_405_says_what_is_allowed(server):
    assert server.ask("DELETE", "/api/sessions").headers["allow"] == "GET, POST"


def test_a_session_walks_through_its_life_and_stays_closed(server, made):
    for state in ("doors", "live", "after", "closed"):
        answer = server.ask("POST", STATE.format(id=made.id), {"state": state})
        assert (answer.status_code, answer.json()) == (200, {"state": state})
        assert server.ask("GET", f"/api/sessions/{made.id}", ticket=None).json()["state"] == state
    assert problem(server.ask("POST", STATE.format(id=made.id), {"state": "live"})) == (410, "ended")
    entering = server.ask(
        "POST", ENTER.format(id=made.id), {"ticket": made.ticket("attendee"), "name": "A"}, None
    )
    assert problem(entering) == (410, "ended")


def test_a_moderator_moves_the_session_and_invites_but_not_above_the_own_rank(server, made):
    moderator = server.ticket(made.id, "moderator", "司会")
    assert server.ask("POST", STATE.format(id=made.id), {"state": "doors"}, moderator).status_code == 200
    invited = server.ask("POST", TICKETS.format(id=made.id), {"role": "organiser", "name": "X"}, moderator)
    seat = server.ask("POST", ENTER.format(id=made.id), {"ticket": invited.json()["ticket"]}, None)
    assert seat.json()["role"] == "moderator"


@pytest.mark.parametrize("role", ["attendee", "speaker", "presenter"])
def test_who_is_not_staff_does_neither(server, made, role):
    ticket = server.ticket(made.id, role, "誰か")
    for path, body in ((STATE, {"state": "live"}), (TICKETS, {"role": "moderator", "name": "X"})):
        assert problem(server.ask("POST", path.format(id=made.id), body, ticket)) == (403, "role_refused")
    assert problem(server.ask("GET", f"/api/sessions/{made.id}/export", None, ticket)) == (
        403,
        "role_refused",
    )


def test_a_ticket_of_one_session_opens_no_other(server, made):
    other = server.make_session("別の会")
    moderator = server.ticket(other.id, "moderator", "司会")
    for path, body in ((STATE, {"state": "live"}), (ENTER, {"ticket": moderator})):
        answer = server.ask("POST", path.format(id=made.id), body, moderator)
        assert problem(answer) == (401, "bad_ticket")


def test_new_links_void_everything_that_was_given_out_before(server, made):
    ticket = server.ticket(made.id, "moderator", "司会")
    answer = server.ask("POST", f"/api/sessions/{made.id}/links")
    assert answer.status_code == 200
    assert not set(answer.json().values()) & set(made.links.values())
    assert server.ask("GET", f"/api/sessions/{made.id}").json()["links"] == answer.json()
    for old in (ticket, made.ticket("attendee")):
        entering = server.ask("POST", ENTER.format(id=made.id), {"ticket": old, "name": "A"}, None)
        assert problem(entering) == (401, "bad_ticket")
    fresh = answer.json()["attendee"].partition("#t=")[2]
    entering = server.ask("POST", ENTER.format(id=made.id), {"ticket": fresh, "name": "A"}, None)
    assert entering.status_code == 200
    assert problem(server.ask("POST", f"/api/sessions/{made.id}/links", None, ticket)) == (401, "bad_ticket")


def test_asvs_16_2_1_links_made_and_data_taken_along_are_acts_without_content(server, made):
    mika = server.ask(
        "POST", f"/api/sessions/{made.id}/tickets", {"role": "moderator", "name": "司会カナリア"}
    )
    mika = mika.json()
    body = {"role": "speaker", "name": "登壇カナリア"}
    sara = server.ask("POST", f"/api/sessions/{made.id}/tickets", body, mika["ticket"]).json()
    for _ in range(2):
        assert server.ask("GET", f"/api/sessions/{made.id}/export", None, mika["ticket"]).status_code == 200
    refused = server.ask("POST", f"/api/sessions/{made.id}/tickets", {"role": "speaker", "name": " "})
    assert refused.status_code == 422
    assert server.ask("GET", f"/api/sessions/{made.id}/export", None, sara["ticket"]).status_code == 403
    audit = server.ask("GET", f"/api/sessions/{made.id}/audit")
    assert audit.json()["whole"]
    assert [(act["by"], act["what"], act["about"]) for act in audit.json()["acts"]] == [
        ("host", "make_ticket", mika["person"]),
        (mika["person"], "make_ticket", sara["person"]),
        (mika["person"], "export", ""),
    ]
    assert "カナリア" not in audit.text
    assert mika["ticket"] not in audit.text
