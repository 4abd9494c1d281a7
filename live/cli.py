"""`madoi`: serve, make sessions and tickets, look around, check the machine."""

import asyncio
import contextlib
import functools
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import httpx
import msgspec

from live.app import ALONE, SERVER_FILE, TOKEN_FILE, Running, bind, bind_many, serve
from live.doctor import examine
from live.media import MediaRefused
from live.moving import Moved, MoveRefused, back_up, copy, opened, restore
from live.settings import BadSettings, Settings, load, values, variable
from live.stores import StoreAway
from live.supervision import Seat, Supervisor
from live.telemetry import configure
from live.web.health import server_version

FILES_MOST = 1 << 17
"""Open files that a server asks for; more than its sockets would ever be."""


class Place(msgspec.Struct, frozen=True):
    """Where a running server is, and the organiser's token for it."""

    url: str
    token: str


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(server_version(), prog_name="madoi")
@click.option("--config", "path", type=click.Path(path_type=Path), help="TOML file of settings")
@click.pass_context
def main(context: click.Context, path: Path | None) -> None:
    """Madoi: self-hosted live online study sessions."""
    context.obj = path


def _settings(path: Path | None, **flags: object) -> Settings:
    try:
        return load(os.environ, path, **flags)
    except BadSettings as error:
        raise click.ClickException(str(error)) from error


def _common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of commands that start a server."""
    for option in (
        click.option("--data", help="folder of the embedded store and of generated secrets"),
        click.option("--store", help="embedded, or redis://…"),
        click.option("--port", type=click.IntRange(0, 65535), help="port of HTTP; 0 takes a free one"),
        click.option("--host", help="address of HTTP"),
    ):
        command = option(command)
    return command


@main.command("serve")
@_common
@click.option("--processes", type=click.IntRange(1, 64), help="that share the port; needs a Redis store")
@click.pass_obj
def serve_command(path: Path | None, /, **flags: Any) -> None:  # noqa: ANN401 - click's values
    """Start the server. Ctrl-C or SIGTERM drains and stops it."""
    settings = _settings(path, **flags)
    configure(settings.log, as_json=settings.log_json)
    _allow_many_sockets()
    try:
        if settings.processes > 1:
            _serve_by_many(settings)
        listening = bind(settings)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    _serve_by_one(settings, [listening], _greet)


def _serve_by_one(
    settings: Settings,
    listening: list[Any],
    greet: Callable[[str, str], None],
    seat: Seat = ALONE,
    leash: int | None = None,
) -> None:
    with _explained(settings):
        _run(serve(settings, listening, greet, seat, leash))


@contextlib.contextmanager
def _explained(settings: Settings) -> Iterator[None]:
    """Say in one line why a server cannot start."""
    try:
        yield
    except StoreAway as error:
        raise click.ClickException(f"the store is not available: {error}") from error
    except MediaRefused as error:
        raise click.ClickException(
            f"the media workers do not start: {error} (ports from {settings.media.port})"
        ) from error


def _serve_by_many(settings: Settings) -> NoReturn:
    """Supervise several processes; leaves the program when they have ended."""
    shared, inner = bind_many(settings)

    def work(listening: list[Any], seat: Seat, ready: Callable[[], None]) -> int:
        def greet(url: str, token: str) -> None:
            ready()
            if seat.number == 0:
                _greet(url, token)

        try:
            _serve_by_one(settings, listening, greet, seat=seat, leash=supervisor.leash)
        except click.ClickException as error:
            error.show()
            return error.exit_code
        return 0

    supervisor = Supervisor(shared, inner, work)
    raise SystemExit(supervisor.run())


def _greet(url: str, token: str) -> None:
    """Say where the organiser's door is: on stdout, never in a log."""
    click.echo(f"Madoi {server_version()} serves {url}")
    click.echo(f"Organiser: {url}/organise#token={token}")
    sys.stdout.flush()


def _allow_many_sockets() -> None:
    """Raise the soft limit of open files to the hard one; login shells and systemd begin with 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES_MOST if hard == resource.RLIM_INFINITY else min(hard, FILES_MOST)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _run(work: Any) -> None:  # noqa: ANN401 - a coroutine
    import uvloop  # noqa: PLC0415 - Linux and macOS only

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


@main.group()
@click.option("--url", help="a running server; default: the one whose data folder is --data")
@click.option("--data", help="data folder of a server on this machine")
@click.pass_context
def session(context: click.Context, url: str | None, data: str | None) -> None:
    """Make sessions on a running server, list, show and close them."""
    context.obj = (context.obj, url, data)


def _reaching(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command of `session` name the server too, before or after its own name."""

    @click.option("--url", help="as of `madoi session`")
    @click.option("--data", help="as of `madoi session`")
    @click.pass_obj
    @functools.wraps(command)
    def run(group: Any, /, url: str | None, data: str | None, **rest: Any) -> None:  # noqa: ANN401 - click's
        path, group_url, group_data = group
        command(_place(path, url or group_url, data or group_data), **rest)

    return run


def _note(folder: Path) -> Running | None:
    """Read what a server that runs on this data folder says of itself."""
    try:
        return msgspec.json.decode((folder / SERVER_FILE).read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


def _place(path: Path | None, url: str | None, data: str | None) -> Place:
    settings = _settings(path, data=data)
    folder = Path(settings.data)
    if url is None:
        note = _note(folder)
        url = note.url if note else settings.public_url or f"http://localhost:{settings.port}"
    token = settings.organiser_token
    if not token:
        try:
            token = (folder / TOKEN_FILE).read_text("utf-8").strip()
        except OSError as error:
            raise click.ClickException(
                f"no organiser token: set {variable('organiser_token')}, or --data to the server's folder"
            ) from error
    return Place(url.rstrip("/"), token)


def _ask(place: Place, method: str, path: str, body: object | None = None) -> Any:  # noqa: ANN401 - JSON
    try:
        answer = httpx.request(
            method,
            place.url + path,
            json=body,
            headers={"Authorization": f"Bearer {place.token}"},
            timeout=30,
        )
    except httpx.HTTPError as error:
        raise click.ClickException(f"{place.url} does not answer: {error}") from error
    if answer.is_error:
        problem = answer.json() if "json" in answer.headers.get("content-type", "") else {}
        says = problem.get("detail") or problem.get("title") or ""
        raise click.ClickException(f"{answer.status_code} {problem.get('code', '')}: {says}")
    return answer.json()


def _print(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


@session.command("create")
@click.argument("title")
@click.option("--kind", type=click.Choice(["lecture", "case", "networking", "reading"]), default="lecture")
@click.option("--starts-at", help="RFC 3339, such as 2026-12-01T20:00:00+09:00")
@click.option("--capacity", type=click.IntRange(1, 100_000), default=500)
@click.option("--moderated/--unmoderated", default=True, help="whether staff approve questions first")
@click.option("--anonymity", type=click.Choice(["named", "anonymous", "full"]), default="anonymous")
@click.option("--door", type=click.Choice(["knock", "open"]), default="knock")
@_reaching
def session_create(
    place: Place,
    /,
    title: str,
    moderated: bool,
    anonymity: str,
    **rest: Any,  # noqa: ANN401 - click's values
) -> None:
    """Make a session and print its id and links."""
    body = {"title": title, "qa": {"moderated": moderated, "anonymity": anonymity}, **rest}
    _print(_ask(place, "POST", "/api/sessions", body))


@session.command("list")
@click.option("--json", "as_json", is_flag=True, help="everything, as JSON")
@_reaching
def session_list(place: Place, as_json: bool) -> None:
    """List sessions, newest first."""
    answer = _ask(place, "GET", "/api/sessions")
    if as_json:
        _print(answer)
        return
    for one in answer["sessions"]:
        click.echo(f"{one['id']}  {one['state']:<10} {one.get('starts_at') or '-':<25} {one['title']}")


@session.command("show")
@click.argument("id")
@_reaching
def session_show(place: Place, id: str) -> None:  # noqa: A002 - the argument's name in the help
    """Show a session with its links and counts."""
    _print(_ask(place, "GET", f"/api/sessions/{id}"))


@session.command("close")
@click.argument("id")
@_reaching
def session_close(place: Place, id: str) -> None:  # noqa: A002 - the argument's name in the help
    """Close a session for good."""
    _print(_ask(place, "POST", f"/api/sessions/{id}/state", {"state": "closed"}))


@main.command("ticket")
@click.argument("session_id", metavar="SESSION")
@click.argument("role", type=click.Choice(["organiser", "moderator", "speaker", "presenter", "attendee"]))
@click.argument("name")
@click.option("--profession", default="")
@click.option("--person", default="", help="somebody who has a ticket: a link for a further device of theirs")
@click.option("--url", help="a running server; default: the one whose data folder is --data")
@click.option("--data", help="data folder of a server on this machine")
@click.pass_obj
def ticket_command(
    path: Path | None,
    *,
    session_id: str,
    role: str,
    name: str,
    profession: str,
    person: str,
    url: str | None,
    data: str | None,
) -> None:
    """Make a personal ticket and print it with its link."""
    body = {"role": role, "name": name, "profession": profession}
    if person:
        body["person"] = person
    _print(_ask(_place(path, url, data), "POST", f"/api/sessions/{session_id}/tickets", body))


@main.group()
def audit() -> None:
    """What the staff of a session did."""


@audit.command("verify")
@click.argument("session_id", metavar="SESSION")
@click.option("--head", default="", help="a head that you noted before: it must still be in the chain")
@click.option("--url", help="a running server; default: the one whose data folder is --data")
@click.option("--data", help="data folder of a server on this machine")
@click.pass_obj
def audit_verify(path: Path | None, *, session_id: str, head: str, url: str | None, data: str | None) -> None:
    """Read the acts from the store and follow their chain; exit code 1 if it is broken."""
    found = _ask(_place(path, url, data), "GET", f"/api/sessions/{session_id}/audit")
    _print(found)
    if not found["whole"]:
        raise click.ClickException(f"the chain is broken at {found['broken']}: somebody changed the store")
    if head and head not in {act["chain"] for act in found["acts"]}:
        raise click.ClickException("that head is not in the chain: somebody wrote it anew")


@main.group()
def store() -> None:
    """Move the store, back it up, restore it."""


def _moving(work: Any, says: str) -> None:  # noqa: ANN401 - a coroutine
    try:
        moved = asyncio.run(work)
    except MoveRefused as error:
        raise click.ClickException(str(error)) from error
    except StoreAway as error:
        raise click.ClickException(f"the store is not available: {error}") from error
    click.echo(f"{says}: {moved.rooms} sessions, {moved.entries} entries, {moved.cards} cards")


def _where(settings: Settings, text: str | None = None) -> str:
    """Where a store is: `embedded` means the data folder; anything else is a URL or a folder."""
    text = text or settings.store
    return settings.data if text == "embedded" else text


@store.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--overwrite", is_flag=True, help="erase what TO holds")
@click.option("--data", help="the folder that `embedded` means")
@click.pass_context
def store_copy(context: click.Context, source: str, target: str, overwrite: bool, data: str | None) -> None:
    """Copy all sessions FROM one store TO another: `embedded`, a folder, or a Redis URL.

    Every room is read back and compared. Stop the servers of both first.
    """
    settings = _settings(context.find_root().obj, data=data)
    ends = _where(settings, source), _where(settings, target)
    if ends[0] == ends[1]:
        raise click.ClickException("FROM and TO are the same store")

    async def work() -> Moved:
        async with opened(ends[0], to_read=True) as old, opened(ends[1], to_read=False) as new:
            return await copy(old, new, overwrite=overwrite)

    _moving(work(), "copied and compared")


@store.command("backup")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", help="folder of the embedded store")
@click.option("--store", "url", help="embedded, or redis://…")
@click.pass_context
def store_backup(context: click.Context, file: Path, data: str | None, url: str | None) -> None:
    """Write the store to FILE, also while it is being served. Guard FILE: it can make tickets."""
    settings = _settings(context.find_root().obj, data=data, store=url)
    _moving(back_up(_where(settings), file), f"written to {file}")


@store.command("restore")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", help="folder of the embedded store")
@click.option("--store", "url", help="embedded, or redis://…")
@click.pass_context
def store_restore(context: click.Context, file: Path, data: str | None, url: str | None) -> None:
    """Write a backup into a store that holds nothing."""
    settings = _settings(context.find_root().obj, data=data, store=url)
    _moving(restore(file, _where(settings)), "restored and compared")


@main.command("config")
@click.pass_obj
def config_command(path: Path | None) -> None:
    """Print every setting: its environment variable, the value in force, what it means."""
    for key, value, says in values(_settings(path)):
        shown = ",".join(value) if isinstance(value, tuple) else str(value)
        click.echo(f"{key} = {shown or '(empty)'}\n    {says}  [{variable(key)}]")


@main.command("doctor")
@_common
@click.pass_obj
def doctor_command(path: Path | None, /, **flags: Any) -> None:  # noqa: ANN401 - click's values
    """Check this machine: ports, store, fan-out body, the way of media, TURN. Exit 1 if it needs mending."""
    settings = _settings(path, **flags)
    note = _note(Path(settings.data))
    findings = asyncio.run(examine(settings, note.port if note else None))
    marks = {True: "ok", False: "BAD", None: "?"}
    for finding in findings:
        mark = "warn" if finding.warns and finding.good else marks[finding.good]
        click.echo(f"{mark:<4} {finding.what:<14} {finding.says}")
    if any(finding.good is False for finding in findings):
        raise SystemExit(1)


@main.command("protocol")
@click.option("--check", is_flag=True, help="say which printed files are stale, and exit 1 if any is")
def protocol_command(check: bool) -> None:
    """Print docs/protocol.md, docs/asyncapi.json and the client's types from the message classes."""
    from live.protocol.__main__ import ROOT  # noqa: PLC0415 - only a source tree needs it
    from live.protocol.__main__ import main as printer  # noqa: PLC0415 - likewise

    if not (ROOT / "static").is_dir():
        raise click.ClickException("the printed files belong to a source tree; see docs/protocol.md there")
    raise SystemExit(printer(["--check"] if check else []))


@main.command("demo")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="port of HTTP")
@click.option("--data", default="data/demo", help="data folder of the demo")
@click.option("--attendees", type=click.IntRange(1, 200), default=8, help="bot attendees")
@click.pass_obj
def demo_command(path: Path | None, port: int, data: str, attendees: int) -> None:
    """Start a server with one session full of life, and print a link per role."""
    from live.demo.play import play  # noqa: PLC0415 - it loads codecs that nothing else needs

    settings = _settings(path, port=port, data=data)
    configure("warning", as_json=False)
    try:
        listening = bind(settings)
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror}"
        ) from error
    with _explained(settings):
        _run(play(settings, listening, attendees))


if __name__ == "__main__":
    main()
