"""The commands, against the running server and on their own."""

import contextlib
import json
import socket
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from live.cli import main
from live.settings import leaves, variable
from tests.kit.server import TOKEN, free_media_port, free_port


@pytest.fixture
def madoi(monkeypatch):
    """Run a command as somebody on the server's machine would."""
    for key, _, _ in leaves():
        monkeypatch.delenv(variable(key), raising=False)

    def run(*arguments, **environ):
        return CliRunner().invoke(main, [str(one) for one in arguments], env=environ)

    return run


def test_sessions_are_made_listed_shown_and_closed_by_who_can_read_the_data_folder(server, madoi):
    where = ("--data", server.data)
    made = madoi("session", *where, "create", "夜の勉強会", "--kind", "reading", "--anonymity", "full")
    assert made.exit_code == 0, made.output
    id_ = json.loads(made.output)["id"]
    assert "夜の勉強会" in madoi("session", *where, "list").output
    assert "夜の勉強会" in madoi("session", "list", *where).output
    assert json.loads(madoi("session", *where, "show", id_).output)["qa"]["anonymity"] == "full"
    ticket = json.loads(madoi("ticket", id_, "speaker", "高野", *where).output)
    assert ticket["link"].endswith(f"/s/{id_}#t={ticket['ticket']}")
    assert json.loads(madoi("session", *where, "close", id_).output) == {"state": "closed"}
    again = madoi("session", *where, "close", id_)
    assert again.exit_code == 1
    assert "410 ended" in again.output


def test_a_server_elsewhere_is_reached_by_url_and_token(server, madoi, tmp_path):
    arguments = ("session", "--url", server.url, "--data", tmp_path, "list", "--json")
    assert madoi(*arguments).exit_code == 1
    assert json.loads(madoi(*arguments, MADOI_ORGANISER_TOKEN=TOKEN).output)["sessions"] is not None
    assert "401 bad_ticket" in madoi(*arguments, MADOI_ORGANISER_TOKEN="wrong").output


def test_the_token_file_is_readable_by_its_owner_only(server):
    path = Path(server.data) / "organiser-token"
    assert path.read_text().strip() == TOKEN
    assert path.stat().st_mode & 0o077 == 0


def test_config_prints_every_setting_and_no_secret(madoi):
    said = madoi("config", MADOI_ORGANISER_TOKEN="canary").output
    assert "canary" not in said
    for key, _, says in leaves():
        assert key in said
        assert says in said


def test_a_misspelt_setting_is_told(madoi):
    said = madoi("config", MADOI_PROT="1")
    assert said.exit_code == 1
    assert "MADOI_PROT" in said.output


def test_doctor_finds_a_taken_port_and_a_store_that_cannot_be(madoi, tmp_path):
    port, media = free_port(), free_media_port()
    arguments = ("doctor", "--port", port, "--data", tmp_path)
    well = madoi(*arguments, MADOI_MEDIA_PORT=str(media))
    assert "ok   store" in well.output
    assert "ok   http port" in well.output
    with socket.create_server(("127.0.0.1", port)):
        ill = madoi(*arguments, "--store", "redis://127.0.0.1:1/0", MADOI_MEDIA_PORT=str(media))
    assert ill.exit_code == 1
    assert "BAD  http port" in ill.output
    assert "BAD  store" in ill.output


def test_doctor_shows_where_the_store_is_without_its_passwords(madoi, tmp_path):
    url = "redis+sentinel://:canary@127.0.0.1:1/service?sentinel_password=canary"
    said = madoi("doctor", "--data", tmp_path, "--port", "0", "--store", url).output
    assert "127.0.0.1:1/service" in said
    assert "canary" not in said


@pytest.mark.parametrize(
    ("name", "module"),
    [("fan-out  ", "live.media.fanout"), ("broadcast", "live.gateway.broadcast")],
)
def test_doctor_tells_which_body_sends(madoi, tmp_path, monkeypatch, name, module):
    arguments = ("doctor", "--data", tmp_path, "--port", "0")
    assert f"ok   {name}      python body" in madoi(*arguments, MADOI_FANOUT="python").output
    monkeypatch.setattr(f"{module}.native", None)
    assert f"ok   {name}      python body; the native one is not there" in madoi(*arguments).output
    assert f"BAD  {name}" in madoi(*arguments, MADOI_FANOUT="native").output
    monkeypatch.setattr(f"{module}.native", object())
    assert f"ok   {name}      native body" in madoi(*arguments).output


def test_doctor_asks_the_turn_server(madoi, tmp_path):
    closed = free_port(socket.SOCK_DGRAM)
    said = madoi("doctor", "--data", tmp_path, "--port", "0", MADOI_TURN_URLS=f"turn:127.0.0.1:{closed}")
    assert "BAD  turn" in said.output


def test_serve_says_in_one_line_why_it_cannot(madoi, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = madoi("serve", "--port", taken.getsockname()[1], "--data", tmp_path)
    assert said.exit_code == 1
    assert "cannot listen on 127.0.0.1" in said.output


@pytest.mark.parametrize("store", ["postgres://here/db", "/somewhere/else", "redis"])
def test_a_store_that_is_none_is_told_and_leaves_no_folder(madoi, tmp_path, monkeypatch, store):
    monkeypatch.chdir(tmp_path)
    said = madoi("serve", "--port", "0", "--data", tmp_path / "data", "--store", store)
    assert said.exit_code == 1
    assert "store" in said.output
    assert not list(tmp_path.iterdir())


def test_what_is_printed_from_the_message_classes_is_fresh(madoi):
    assert madoi("protocol", "--check").exit_code == 0


def test_asvs_16_4_2_a_store_that_was_tampered_with_is_found_out(server, madoi):
    made = server.make_session("監査")
    for state in ("doors", "live", "after"):
        server.move(made.id, state)
    verify = ("audit", "verify", made.id, "--data", server.data)
    said = json.loads(madoi(*verify).output)
    assert said["whole"]
    assert [act["what"] for act in said["acts"]] == 3 * ["set_state"]
    assert madoi(*verify, "--head", said["head"]).exit_code == 0
    assert madoi(*verify, "--head", "0" * 32).exit_code == 1
    with contextlib.closing(sqlite3.connect(server.data / "madoi.db", timeout=20)) as db, db:
        changed = db.execute(
            "update log set body = cast(replace(cast(body as text), ?, ?) as blob) where room = ?",
            ('"by":"host"', '"by":"mio"', made.id),
        )
        assert changed.rowcount
    broken = madoi(*verify)
    assert broken.exit_code == 1
    assert said["acts"][0]["id"] in broken.output
    assert "somebody changed the store" in broken.output
