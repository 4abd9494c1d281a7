"""Every setting of the server: one typed tree, filled from TOML, then from the environment.

Defaults make `madoi serve` work on one machine with nothing set. A TOML file (`--config` or `MADOI_CONFIG`)
overrides them, and the environment overrides the file: the key `media.port` is `MADOI_MEDIA_PORT`, and any
variable may be given as `…_FILE`, naming a file that holds the value (for secrets). A key that is not in
the tree is an error, so a misspelt setting never passes in silence. `madoi config` prints the tree with its
meaning and values in force.
"""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from live.iceurl import read_ice_url

PREFIX = "MADOI_"
_CONFIG = PREFIX + "CONFIG"
_LAST_PORT = 65_535

WORKERS_AT_MOST = 4
"""Media workers unless a number is set: so many ports are open by default (`docker-compose.yml`)."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]


def _says(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class BadSettings(Exception):  # noqa: N818 - what it says is enough
    """A setting is unknown, unreadable or out of range; the message names it and says what is wrong."""


Kbps = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class Media(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where camera, microphone and screen arrive."""

    port: Annotated[
        Port,
        _says("UDP and TCP port for media; further workers take the ports after it; 0 takes free ones"),
    ] = 8801
    workers: Annotated[
        int,
        msgspec.Meta(ge=0, le=64),
        _says("media worker processes; 0: one per core but one, at most 4, at least 1"),
    ] = 0
    viewers: Annotated[
        int,
        msgspec.Meta(ge=1),
        _says("connections on one media worker from which on a room's further viewers go to another worker"),
    ] = 500
    host: Annotated[str, _says("address the media port is bound to; empty means all of them")] = ""
    addresses: Annotated[
        tuple[str, ...],
        _says("addresses told to browsers; empty means this machine's own. Name the public one behind NAT"),
    ] = ()
    viewer_kbps: Annotated[Kbps, _says("kbit/s of media sent to one viewer at most; 0: no cap")] = 0
    publisher_kbps: Annotated[
        Kbps, _says("kbit/s taken from one camera or screen at most; told to the browser; 0: no cap")
    ] = 6000

    def ports(self, cores: int) -> list[int]:
        """Return each worker's port, on a machine with so many cores."""
        count = self.workers or max(1, min(cores - 1, WORKERS_AT_MOST))
        return [self.port + number if self.port else 0 for number in range(count)]


class Turn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TURN server for people behind firewalls that let no UDP through (coturn, `use-auth-secret`)."""

    urls: Annotated[
        tuple[str, ...], _says("such as turn:turn.example.org:3478?transport=udp; also turns: and stun:")
    ] = ()
    secret: Annotated[str, _says("the shared secret of coturn's `static-auth-secret`")] = ""
    ttl: Annotated[int, msgspec.Meta(ge=60, le=86_400), _says("seconds that a credential lasts")] = 43_200


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one client may ask of the server."""

    body: Annotated[int, msgspec.Meta(ge=1024), _says("largest HTTP body, bytes")] = 65_536
    patience: Annotated[
        float, msgspec.Meta(gt=0), _says("seconds for a request's head, and for its body")
    ] = 10
    attempts: Annotated[int, msgspec.Meta(ge=1), _says("wrong tokens or tickets per address and minute")] = 30
    entries: Annotated[int, msgspec.Meta(ge=1), _says("people who may enter per address and minute")] = 600
    checks: Annotated[int, msgspec.Meta(ge=1), _says("trial media connections per address and minute")] = 500
    offers: Annotated[
        int, msgspec.Meta(ge=1), _says("WHIP and WHEP offers and answers of one person per minute")
    ] = 60
    waiting: Annotated[
        int, msgspec.Meta(ge=1), _says("people who may wait at one session's door; more are refused")
    ] = 2000
    sockets: Annotated[int, msgspec.Meta(ge=1), _says("WebSockets of one address at once")] = 1000
    hello: Annotated[float, msgspec.Meta(gt=0), _says("seconds in which a WebSocket has to say hello")] = 5
    commands: Annotated[
        float, msgspec.Meta(gt=0), _says("commands of one person per second; told to the client")
    ] = 5
    commands_burst: Annotated[int, msgspec.Meta(ge=1), _says("commands of one person at once")] = 20
    pages: Annotated[float, msgspec.Meta(gt=0), _says("pages of history per person and second")] = 2
    pages_burst: Annotated[int, msgspec.Meta(ge=1), _says("pages of history at once")] = 10
    signals: Annotated[
        float, msgspec.Meta(gt=0), _says("quiet signals and typing per person and second; more is dropped")
    ] = 2
    signals_burst: Annotated[int, msgspec.Meta(ge=1), _says("quiet signals and typing at once")] = 10


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole tree."""

    host: Annotated[str, _says("address that HTTP listens on")] = "127.0.0.1"
    port: Annotated[Port, _says("port that HTTP listens on; 0 takes a free one")] = 8000
    data: Annotated[str, _says("folder of the embedded store and of generated secrets")] = "data"
    store: Annotated[
        str,
        msgspec.Meta(pattern=r"^(embedded$|rediss?(\+sentinel|\+cluster)?://|unix://)"),
        _says("`embedded`, or redis://, redis+sentinel://, redis+cluster://… for several servers"),
    ] = "embedded"
    public_url: Annotated[
        str,
        _says(
            "how browsers reach this server, such as https://madoi.example.org; empty: http://localhost:port"
        ),
    ] = ""
    node_url: Annotated[
        str,
        msgspec.Meta(pattern="^(https?://.+)?$"),
        _says(
            "how other servers of the same store reach this one, such as http://10.0.0.5:8000; empty: they "
            "cannot, and a balancer must send all people of a session to the same server"
        ),
    ] = ""
    processes: Annotated[
        int,
        msgspec.Meta(ge=1, le=64),
        _says("processes that share the HTTP port on this machine; more than one needs a Redis store"),
    ] = 1
    origins: Annotated[
        tuple[str, ...], _says("further origins whose pages may use the API and the socket, besides our own")
    ] = ()
    frame_ancestors: Annotated[
        tuple[str, ...], _says("origins whose pages may show ours in a frame; empty: nobody")
    ] = ()
    proxies: Annotated[
        tuple[str, ...], _says("addresses of proxies whose X-Forwarded-For and -Proto are believed")
    ] = ("127.0.0.1", "::1")
    organiser_token: Annotated[
        str, _says("the organiser's key; empty: made once and kept in the data folder (mode 0600)")
    ] = ""
    log: Annotated[str, msgspec.Meta(pattern="^(debug|info|warning|error)$"), _says("how much is logged")] = (
        "info"
    )
    log_json: Annotated[bool, _says("log one JSON object per line instead of text")] = False
    fanout: Annotated[
        Literal["auto", "native", "python"],
        _says("what sends media and rooms' messages: `native` (C), `python`, or `auto`: C where it is built"),
    ] = "auto"
    media: Annotated[Media, _says("")] = Media()
    turn: Annotated[Turn, _says("")] = Turn()
    limits: Annotated[Limits, _says("")] = Limits()


SECRETS = frozenset({"organiser_token", "turn.secret", "store"})
"""Keys whose values are not printed (a Redis URL carries its password)."""


def leaves(tree: type[msgspec.Struct] = Settings, prefix: str = "") -> Iterator[tuple[str, type, str]]:
    """Yield each setting as (dotted key, annotated type, what it means)."""
    hints = get_type_hints(tree, include_extras=True)
    for field in msgspec.structs.fields(tree):
        kind, *metas = get_args(hints[field.name])
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from leaves(kind, f"{prefix}{field.name}.")
        else:
            says = next((m.description for m in metas if m.description), "")
            yield prefix + field.name, hints[field.name], says


def variable(key: str) -> str:
    """Return the environment variable of a dotted key: `media.port` → `MADOI_MEDIA_PORT`."""
    return PREFIX + key.replace(".", "_").upper()


def load(environ: Mapping[str, str], path: Path | None = None, **flags: object) -> Settings:
    """Build the settings in force.

    Args:
        environ: the environment; only `MADOI_*` names are looked at.
        path: a TOML file; without it `MADOI_CONFIG` names one, if set.
        flags: top-level keys given on the command line, which win; None means "not given".

    Raises:
        BadSettings: a key is unknown, a file unreadable or a value unfit.
    """
    named = environ.get(_CONFIG)
    source = path or (Path(named) if named else None)
    tree = _read_toml(source) if source else {}
    for key, value in _from_environment(environ):
        _put(tree, key, value)
    for key, given in flags.items():
        if given is not None:
            _put(tree, key, given)
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise BadSettings(f"settings: {error}") from error
    try:
        for url in settings.turn.urls:
            read_ice_url(url)
    except ValueError as error:
        raise BadSettings(f"turn.urls: {error}") from error
    if settings.processes > 1 and settings.store == "embedded":
        raise BadSettings(
            f"settings: {settings.processes} processes need a Redis store ({variable('store')}): "
            "the embedded store is for one process"
        )
    if settings.media.port + (settings.media.workers or WORKERS_AT_MOST) - 1 > _LAST_PORT:
        raise BadSettings("settings: there are not enough ports from media.port on for media.workers")
    return settings


def values(settings: Settings) -> Iterator[tuple[str, object, str]]:
    """Yield (dotted key, value in force, what it means); values of secrets are hidden."""
    for key, _, says in leaves():
        value: object = settings
        for part in key.split("."):
            value = getattr(value, part)
        yield key, "(hidden)" if key in SECRETS and value not in ("", "embedded") else value, says


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadSettings(f"{path}: {error}") from error


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    known = {variable(key): (key, kind) for key, kind, _ in leaves()}
    for name, value in sorted(environ.items()):
        if not name.startswith(PREFIX) or name == _CONFIG:
            continue
        if name in known:
            key, kind = known[name]
            yield key, _parse(value, kind)
        elif name.endswith("_FILE") and name.removesuffix("_FILE") in known:
            key, kind = known[name.removesuffix("_FILE")]
            yield key, _parse(_read_secret(name, value), kind)
        else:
            raise BadSettings(f"{name}: there is no such setting (`madoi config` lists them)")


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{name}: {error}") from error


def _parse(text: str, kind: type) -> object:
    if "tuple" in str(kind):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _put(tree: dict[str, Any], key: str, value: object) -> None:
    *folders, last = key.split(".")
    for folder in folders:
        below = tree.setdefault(folder, {})
        if not isinstance(below, dict):
            raise BadSettings(f"{key}: `{folder}` is a table, not a value")
        tree = below
    tree[last] = value
