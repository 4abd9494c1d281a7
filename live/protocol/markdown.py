"""Prints the protocol's documentation: `docs/protocol.md`, enough for a stranger to write a client."""

import json

import msgspec

from live.protocol import catalogue
from live.protocol.codec import encode
from live.protocol.codes import CLOSE_MEANINGS, Close
from live.protocol.examples import CLIENT_EXAMPLES, SERVER_EXAMPLES
from live.protocol.frames import Limits
from live.protocol.typescript import type_text
from rooms import COMMANDS, EVENTS

INTRODUCTION = """\
# The wire protocol `madoi.v1`

<!-- Printed by `python -m live.protocol` from the message classes. Do not edit. -->

One WebSocket per person and session: `wss://<host>/rooms/{session}/socket`, subprotocol `madoi.v1`. Frames
are JSON text; `t` names the kind. Fields that hold their default may be absent. Unknown fields from the
server must be ignored; unknown fields from a client are an error. This page has a machine-readable twin,
`asyncapi.json`.

## The life of a connection

1. Connect. The server sends `ready` at once, with the limits that hold.
2. Send `hello` within `limits.hello_ms`, never before `ready`. `ticket` is a one-time socket ticket
   (`POST /api/sessions/{id}/socket-ticket`) or a personal ticket (programs). Add `epoch` and `seq` if you
   held a copy of the room before.
3. The server answers `welcome`. If your `epoch` is still the room's and you are not too far behind, frames of
   `events` follow with what you missed; else a `snapshot`, and you begin with an empty copy.
4. Fold every event into your copy in order, and keep `seq` of the newest `events` or `snapshot` frame: with
   `epoch` it is the position from which you resume. Ignore entries that you already have.
5. Whenever your level changes (admitted, invited to the stage, taken off it) the server sends `welcome` and
   `snapshot` again. Forget your copy and fold the new one.
6. Send commands in `do`, at most `limits.window` without answer. `done` means *on disk*. After a reconnect
   repeat whatever was not answered, in order, with the same nonces: each is answered once.
7. Send `ping` every `limits.ping_ms`. After `limits.silence_ms` without any frame from you the server closes;
   so it does when a WebSocket ping of its own was not answered by the next one, 20 s later. Libraries and
   browsers answer them by themselves.
8. When the socket closes, the code says what to do: 4000-4499 and everything that is not listed mean *come
   back* with full-jitter exponential backoff (0.5 s doubling to 15 s); 4500-4999 mean *stay away*.

A person has one connection per session. A second one takes the place of the first, which is closed with 4509.

People are ids. Their cards (name, role, profession) come in `cards` of the frame in which they first occur.
"""

COMMANDS_HEAD = (
    "## Commands\n\nInside `do`, as `cmd`. Who asks with another role is refused with `forbidden`.\n"
)
EVENTS_HEAD = """\
## Events

Inside `events`, `snapshot` and `page`. *Seen by* names the least level; `subject` means only the person in
`to`.
"""


def print_markdown() -> str:
    """The whole page, deterministic."""
    return "\n".join(
        [
            INTRODUCTION,
            _limits(),
            "## Frames from the server\n",
            *(_frame(type(example), encode(example)) for example in SERVER_EXAMPLES),
            "## Frames from the client\n",
            *(_frame(type(example), msgspec.json.encode(example)) for example in CLIENT_EXAMPLES),
            _close_codes(),
            _refusals(),
            COMMANDS_HEAD,
            *(_section(cls, f"Asked by: {', '.join(catalogue.needs(cls))}.") for cls in COMMANDS),
            EVENTS_HEAD,
            *(_section(cls, f"Seen by: {catalogue.audience(cls)}.") for cls in EVENTS),
            "## Parts of events and commands\n",
            *(_part(name, cls) for name, cls in catalogue.parts().items()),
        ]
    )


def _limits() -> str:
    limits = Limits()
    rates = "".join(
        f"| `{name}` | {rate.per_second:g} per second, {rate.burst} at once |\n"
        for name, rate in (
            ("do", limits.commands),
            ("page", limits.pages),
            ("signal`, `typing", limits.signals),
        )
    )
    return (
        f"## Limits\n\nA frame holds at most {limits.frame_bytes // 1024} kB. Over the rate, a question is"
        f" refused with `rate` and `wait`; signals are dropped.\n\n| frame | rate |\n|---|---|\n{rates}"
    )


def _frame(cls: type[msgspec.Struct], example: bytes) -> str:
    pretty = json.dumps(json.loads(example), ensure_ascii=False)
    return f"{_section(cls)}\n```json\n{pretty}\n```\n"


def _section(cls: type[msgspec.Struct], note: str = "") -> str:
    text = catalogue.words(cls).text.replace("\n\n", "\n").strip()
    fields = _rows(cls)
    return f"### `{catalogue.tag(cls)}`\n\n{text}{f' *{note}*' if note else ''}\n" + (
        f"\n{fields}" if fields else ""
    )


def _part(name: str, cls: catalogue.Part) -> str:
    text = catalogue.words(cls).first
    if issubclass(cls, msgspec.Struct):
        return f"### {name}\n\n{text}\n\n{_rows(cls)}"
    values = ", ".join(f"`{value}`" for value in catalogue.values(cls))
    return f"### {name}\n\n{text} One of {values}.\n"


def _rows(cls: type[msgspec.Struct]) -> str:
    rows = "".join(map(_row, catalogue.fields(cls)))
    return f"| field | type | |\n|---|---|---|\n{rows}" if rows else ""


def _row(field: catalogue.Field) -> str:
    optional = " (optional)" if field.optional else ""
    return f"| `{field.name}`{optional} | `{_escaped(type_text(field.type))}` | {field.words} |\n"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


def _close_codes() -> str:
    rows = "".join(
        f"| {code.value} | {_spoken(code)} | {'yes' if code.come_back else 'no'} | {meaning} |\n"
        for code, meaning in CLOSE_MEANINGS.items()
    )
    return f"## Close codes\n\n| code | name | come back? | meaning |\n|---|---|---|---|\n{rows}"


def _spoken(code: Close) -> str:
    return code.name.lower().replace("_", " ")


def _refusals() -> str:
    rows = "".join(f"| `{code}` | {meaning} |\n" for code, meaning in catalogue.REFUSALS.items())
    return f"## Refusals\n\n| `why` | meaning |\n|---|---|\n{rows}"
