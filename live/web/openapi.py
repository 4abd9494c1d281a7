"""`/api/openapi.json`: OpenAPI 3.1, printed from operations and their structs, so it cannot lag behind."""

import itertools
import re
from typing import Any

import msgspec

from live.web.operation import Access, Operation
from live.web.problems import TITLES, ProblemBody

_REF = "#/components/schemas/{name}"
_MEDIA = {
    "whip": (
        "Publish camera+microphone or screen (RFC 9725)",
        "a speaker's ticket, or a seat behind the curtain",
    ),
    "whep": (
        "Watch the stage (WHEP); an empty body asks for the server's offer",
        "any ticket of the session",
    ),
}


def document(operations: tuple[Operation, ...], version: str) -> dict[str, Any]:
    """Print the document.

    Args:
        operations: every operation of the JSON API.
        version: of the server.
    """
    structs = [s for o in operations for s in (o.takes, o.gives) if s is not None]
    _, schemas = msgspec.json.schema_components([*structs, ProblemBody], ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    for door, (says, who) in _MEDIA.items():
        paths[f"/{door}/{{id}}"] = {"post": _offer(says, who)}
        paths[f"/{door}/{{id}}/{{resource}}"] = {"patch": _patch(), "delete": _delete()}
    paths["/whep/{id}/{resource}/tier"] = {"put": _tier()}
    trial = "A trial media connection for a check at the door; it ends after 20 seconds"
    paths["/check/{id}"] = {"post": _offer(trial, "any ticket of the session")}
    paths["/check/{id}/{resource}"] = {"delete": _delete()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Madoi", "version": version, "license": {"name": "see the repository"}},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _security_schemes()},
    }


def codes_of(operation: Operation) -> list[str]:
    """List the problem codes that an operation may answer with."""
    codes = list(operation.problems)
    if operation.takes:
        codes += ["bad_body", "bad_value", "body_late", "body_too_large", "media_type_refused"]
    if operation.access is not Access.ANYONE:
        codes += ["bad_ticket", "too_many"] + ["origin_refused"] * (operation.method != "GET")
    if operation.access is Access.STAFF:
        codes += ["role_refused", "removed"]
    return sorted(set(codes))


def _operation(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": operation.says}
    if operation.gives:
        answer["content"] = {"application/json": {"schema": _ref(operation.gives)}}
    made: dict[str, Any] = {
        "operationId": operation.run.__name__,
        "summary": operation.says,
        "responses": {str(operation.status): answer, **_problems(codes_of(operation))},
    }
    if parameters := _parameters(operation.path):
        made["parameters"] = parameters
    if operation.takes:
        made["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": _ref(operation.takes)}},
        }
    if operation.access is not Access.ANYONE:
        made["security"] = _security(operation.access)
    return made


def _problems(*lists: list[str]) -> dict[str, Any]:
    by_status: dict[str, list[str]] = {}
    for code in itertools.chain(*lists):
        by_status.setdefault(str(TITLES[code][0] if code in TITLES else 409), []).append(code)
    schema = {"application/problem+json": {"schema": _ref(ProblemBody)}}
    return {
        status: {"description": ", ".join(codes), "content": schema} for status, codes in by_status.items()
    }


def _parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _ref(struct: type[msgspec.Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=struct.__name__)}


def _offer(says: str, who: str) -> dict[str, Any]:
    sdp = {"application/sdp": {"schema": {"type": "string"}}}
    codes = ["bad_ticket", "role_refused", "not_admitted", "removed", "ended", "accept_refused"]
    codes += [
        "media_type_refused",
        "sdp_invalid",
        "no_codec",
        "body_too_large",
        "too_many_offers",
        "media_unavailable",
    ]
    return {
        "summary": says,
        "description": f"Bearer: {who}.",
        "parameters": _parameters("{id}"),
        "requestBody": {"content": sdp},
        "responses": {
            "201": {"description": "Location, ETag and Link: rel=ice-server", "content": sdp},
            **_problems(codes),
            "406": {"description": "WHEP: our offer instead, to be answered by PATCH", "content": sdp},
        },
        "security": _security(Access.MEMBER),
    }


def _patch() -> dict[str, Any]:
    kinds = ("application/trickle-ice-sdpfrag", "application/sdp")
    return {
        "summary": "Trickle or restart ICE, or answer the server's offer",
        "parameters": _parameters("{id}{resource}"),
        "requestBody": {"content": {kind: {"schema": {"type": "string"}} for kind in kinds}},
        "responses": {
            "200": {"description": "our side of an ICE restart"},
            "204": {"description": "taken"},
            **_problems(
                ["unknown_resource", "etag_mismatch", "etag_required", "media_type_refused", "bad_ticket"],
                ["sdpfrag_invalid", "too_many_patches", "too_many_offers"],
            ),
        },
        "security": _security(Access.MEMBER),
    }


def _delete() -> dict[str, Any]:
    return {
        "summary": "End it",
        "parameters": _parameters("{id}{resource}"),
        "responses": {"200": {"description": "ended"}, **_problems(["unknown_resource", "bad_ticket"])},
        "security": _security(Access.MEMBER),
    }


def _tier() -> dict[str, Any]:
    return {
        "summary": "Choose how much of the stage comes; the rest stops at the server",
        "parameters": _parameters("{id}{resource}"),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "properties": {"tier": {"enum": ["video", "audio", "captions"]}},
                        "required": ["tier"],
                    }
                }
            },
        },
        "responses": {
            "204": {"description": "in force"},
            **_problems(
                ["unknown_resource", "media_type_refused", "tier_invalid", "not_watching", "bad_ticket"]
            ),
        },
        "security": _security(Access.MEMBER),
    }


def _security(access: Access) -> list[dict[str, list[str]]]:
    organiser: list[dict[str, list[str]]] = [{"organiserToken": []}, {"organiserCookie": []}]
    member: list[dict[str, list[str]]] = [{"ticket": []}, {"seatCookie": []}]
    return {Access.ORGANISER: organiser, Access.MEMBER: member}.get(access, [*organiser, *member])


def _security_schemes() -> dict[str, Any]:
    return {
        "organiserToken": {"type": "http", "scheme": "bearer", "description": "the organiser's token"},
        "organiserCookie": {"type": "apiKey", "in": "cookie", "name": "__Host-madoi-organiser"},
        "ticket": {"type": "http", "scheme": "bearer", "description": "a ticket of the session"},
        "seatCookie": {"type": "apiKey", "in": "cookie", "name": "__Host-madoi-{id}"},
    }
