"""Prints the client's types: `static/src/protocol.gen.ts`."""

from enum import IntEnum
from typing import Any

import msgspec
from msgspec import inspect as shape

from live.protocol import catalogue
from live.protocol.codes import CLOSE_MEANINGS, SUBPROTOCOL, VERSION
from live.protocol.frames import Limits
from rooms import COMMANDS, EVENTS, Command, Event

HEAD = """\
// Printed by `python -m live.protocol` from the message classes. Do not edit.

"""


def print_typescript() -> str:
    """The whole file, deterministic."""
    pieces = [HEAD + _constants()]
    pieces += [_part(name, cls) for name, cls in catalogue.parts().items()]
    groups: list[tuple[str, str, tuple[type[msgspec.Struct], ...]]] = [
        ("ServerFrame", "Frame", catalogue.SERVER_FRAMES),
        ("ClientFrame", "Frame", catalogue.CLIENT_FRAMES),
        ("AnyCommand", "Command", COMMANDS),
        ("AnyEvent", "Event", EVENTS),
    ]
    for union, suffix, classes in groups:
        pieces += [_interface(cls, name_of(cls, suffix)) for cls in classes]
        pieces.append(f"export type {union} =\n" + _lines(name_of(cls, suffix) for cls in classes) + ";\n")
    return "\n".join(pieces)


def name_of(cls: type, suffix: str) -> str:
    """The TypeScript name of a tagged class: `Posted` → `PostedEvent`."""
    return f"{cls.__name__}{suffix}"


def _lines(names: Any) -> str:  # noqa: ANN401 - any iterable of names
    return "\n".join(f"  | {name}" for name in names)


def _constants() -> str:
    closes = "".join(
        f"  /** {meaning} */\n  {code.name}: {code.value},\n" for code, meaning in CLOSE_MEANINGS.items()
    )
    refusals = "".join(
        f"  /** {meaning} */\n  | {_quoted(code)}\n" for code, meaning in catalogue.REFUSALS.items()
    )
    roles = "".join(
        f"  {catalogue.tag(command)}: [{', '.join(map(_quoted, catalogue.needs(command)))}],\n"
        for command in COMMANDS
    )
    limits = msgspec.json.encode(Limits()).decode()
    return (
        f"export const VERSION = {VERSION};\nexport const SUBPROTOCOL = {_quoted(SUBPROTOCOL)};\n"
        f"\n/** What `ready` says unless the server was told otherwise. */\n"
        f"export const LIMITS: Limits = {limits};\n"
        "\n/** Why the server closed the socket: 4000-4499 come back, 4500-4999 stay away. */\n"
        f"export const CLOSE = {{\n{closes}}} as const;\n"
        f"\n/** Why a question was refused. */\nexport type RefusalCode =\n{refusals};\n"
        "\n/** The roles that may ask a command (the server decides; this is for showing controls). */\n"
        f'export const MAY_ASK: Record<AnyCommand["t"], readonly Role[]> = {{\n{roles}}};\n'
    )


def _part(name: str, cls: catalogue.Part) -> str:
    if issubclass(cls, msgspec.Struct):
        return _interface(cls, name)
    values = map(_quoted, catalogue.values(cls))
    text = f"{_doc(catalogue.words(cls).first)}export type {name} = {' | '.join(values)};\n"
    if issubclass(cls, IntEnum):
        members = "".join(f"  {member.name}: {member.value},\n" for member in cls)
        text += f"export const {name} = {{\n{members}}} as const;\n"
    return text


def _interface(cls: type[msgspec.Struct], name: str) -> str:
    text = catalogue.words(cls).first
    if issubclass(cls, Event):
        text += f" Seen by: {catalogue.audience(cls)}."
    if issubclass(cls, Command):
        text += f" Asked by: {', '.join(catalogue.needs(cls))}."
    lines = [f"  t: {_quoted(catalogue.tag(cls))};\n"] if cls.__struct_config__.tag is not None else []
    for field in catalogue.fields(cls):
        mark = "?" if field.optional else ""
        lines.append(f"{_doc(field.words, '  ')}  {field.name}{mark}: {type_text(field.type)};\n")
    return f"{_doc(text)}export interface {name} {{\n{''.join(lines)}}}\n"


def _doc(text: str, indent: str = "") -> str:
    return f"{indent}/** {text} */\n" if text else ""


def type_text(of: shape.Type) -> str:  # noqa: C901, PLR0911 - one line per kind of type
    """The TypeScript of a type."""
    match of:
        case shape.Metadata():
            return str((of.extra or {}).get("typescript") or type_text(of.type))
        case shape.BoolType():
            return "boolean"
        case shape.IntType() | shape.FloatType():
            return "number"
        case shape.StrType():
            return "string"
        case shape.NoneType():
            return "null"
        case shape.LiteralType():
            return " | ".join(_quoted(value) for value in of.values)
        case shape.ListType() | shape.VarTupleType() | shape.SetType() | shape.CollectionType():
            inner = type_text(of.item_type)
            return f"({inner})[]" if " | " in inner else f"{inner}[]"
        case shape.DictType():
            key, value = type_text(of.key_type), type_text(of.value_type)
            return f"Record<string, {value}>" if key == "string" else f"Partial<Record<{key}, {value}>>"
        case shape.UnionType():
            return _union(of)
        case shape.EnumType() | shape.StructType():
            return of.cls.__name__
        case _:
            raise TypeError(f"no TypeScript for {of}")


def _union(of: shape.UnionType) -> str:
    classes = {each.cls for each in of.types if isinstance(each, shape.StructType)}
    if classes == set(EVENTS):
        return "AnyEvent"
    if classes == set(COMMANDS):
        return "AnyCommand"
    return " | ".join(map(type_text, of.types))


def _quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()
