"""Prints the protocol as AsyncAPI 3: `docs/asyncapi.json`."""

import json
from typing import Any

import msgspec

from live.protocol import catalogue
from live.protocol.codec import encode
from live.protocol.codes import CLOSE_MEANINGS, SUBPROTOCOL, VERSION
from live.protocol.examples import CLIENT_EXAMPLES, SERVER_EXAMPLES
from rooms import COMMANDS, EVENTS

REF = "#/components/schemas/{name}"


def print_asyncapi() -> str:
    """The whole document, deterministic."""
    return json.dumps(_document(), ensure_ascii=False, indent=1, sort_keys=False) + "\n"


def _document() -> dict[str, Any]:
    examples = (*SERVER_EXAMPLES, *CLIENT_EXAMPLES)
    names = {type(example): _name(type(example)) for example in examples}
    schemas, components = msgspec.json.schema_components(
        [*catalogue.SERVER_FRAMES, *catalogue.CLIENT_FRAMES, *COMMANDS, *EVENTS], ref_template=REF
    )
    refs = dict(zip((*catalogue.SERVER_FRAMES, *catalogue.CLIENT_FRAMES), schemas, strict=False))
    closes = "\n".join(f"- {code.value}: {meaning}" for code, meaning in CLOSE_MEANINGS.items())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Madoi rooms",
            "version": f"{VERSION}.0.0",
            "description": f"Subprotocol `{SUBPROTOCOL}`. See protocol.md.\n\nClose codes:\n{closes}",
        },
        "channels": {
            "room": {
                "address": "/rooms/{session}/socket",
                "parameters": {"session": {"description": "Session id."}},
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names.values()},
                "bindings": {"ws": {"method": "GET"}},
            }
        },
        "operations": {
            "serverSends": _operation("send", [names[cls] for cls in catalogue.SERVER_FRAMES]),
            "serverReceives": _operation("receive", [names[cls] for cls in catalogue.CLIENT_FRAMES]),
        },
        "components": {
            "messages": {names[type(one)]: _message(one, refs[type(one)]) for one in examples},
            "schemas": components,
        },
    }


def _name(cls: type[msgspec.Struct]) -> str:
    side = "client" if cls in catalogue.CLIENT_FRAMES else "server"
    return f"{side}.{catalogue.tag(cls)}"


def _operation(action: str, names: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/room"},
        "messages": [{"$ref": f"#/channels/room/messages/{name}"} for name in names],
    }


def _message(example: msgspec.Struct, schema: dict[str, Any]) -> dict[str, Any]:
    payload = (
        encode(example) if isinstance(example, catalogue.SERVER_FRAMES) else msgspec.json.encode(example)
    )
    return {
        "name": catalogue.tag(type(example)),
        "summary": catalogue.words(type(example)).first,
        "contentType": "application/json",
        "payload": schema,
        "examples": [{"payload": json.loads(payload)}],
    }
