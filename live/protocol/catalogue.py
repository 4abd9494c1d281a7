"""What the printers print: every class of the wire with its words, read from the classes themselves."""

import inspect
import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, get_args

import msgspec
from msgspec import inspect as shape

from live.protocol.codes import WIRE_REFUSALS
from live.protocol.frames import Client, ClientFrame, Server, ServerFrame
from live.protocol.refusals import DOMAIN_REFUSALS
from rooms import COMMANDS, EVENTS, SUBJECT, Command, Event

SERVER_FRAMES: Final[tuple[type[Server], ...]] = get_args(ServerFrame)
CLIENT_FRAMES: Final[tuple[type[Client], ...]] = get_args(ClientFrame)
REFUSALS: Final[dict[str, str]] = dict(sorted({**WIRE_REFUSALS, **DOMAIN_REFUSALS}.items()))

Struct = type[msgspec.Struct]


@dataclass(frozen=True)
class Field:
    """One field of a struct, with its sentence if the docstring has one."""

    name: str
    type: shape.Type
    optional: bool
    words: str


@dataclass(frozen=True)
class Words:
    """A docstring taken apart: the text, and the sentences of its Attributes section."""

    text: str
    fields: dict[str, str]

    @property
    def first(self) -> str:
        """The first paragraph on one line."""
        return " ".join(self.text.split("\n\n")[0].split())


def words(cls: type) -> Words:
    """Take a class's Google docstring apart."""
    text, _, attributes = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    found = re.findall(r"^ {4}(\w+): (.+(?:\n {5,}.+)*)", attributes, re.MULTILINE)
    return Words(text.strip(), {name: " ".join(sentence.split()) for name, sentence in found})


def tag(cls: Struct) -> str:
    """The value of `t` that names the class on the wire."""
    return str(cls.__struct_config__.tag)


def fields(cls: Struct) -> list[Field]:
    """The fields of a struct. Optional means: may be absent on the wire, which means the default."""
    info = shape.type_info(cls)
    assert isinstance(info, shape.StructType)  # noqa: S101 - what type_info says of a Struct
    sentences = words(cls).fields
    spared = cls.__struct_config__.omit_defaults or issubclass(cls, Client | Command)
    return [
        Field(field.encode_name, field.type, spared and not field.required, sentences.get(field.name, ""))
        for field in info.fields
    ]


def values(cls: type[Enum]) -> list[str | int]:
    """What an enum's members are on the wire."""
    return [member.value for member in cls]


def audience(event: type[Event]) -> str:
    """Who sees an event, as the documentation says it."""
    return "subject" if event.audience == SUBJECT else event.audience.name.lower()


def needs(command: type[Command]) -> list[str]:
    """The roles that may ask a command."""
    return sorted(command.needs)


Part = Struct | type[Enum]


def parts() -> dict[str, Part]:
    """Structs and enums that occur inside frames, commands and events, by class name, in order of use.

    Raises:
        ValueError: Two different classes have one name; rename one.
    """
    found: dict[str, Part] = {}
    for cls in (*SERVER_FRAMES, *CLIENT_FRAMES, *COMMANDS, *EVENTS):
        for field in fields(cls):
            _collect(field.type, found)
    return found


def _collect(of: shape.Type, found: dict[str, Part]) -> None:
    match of:
        case shape.Metadata() | shape.ListType() | shape.VarTupleType() | shape.SetType():
            _collect(of.type if isinstance(of, shape.Metadata) else of.item_type, found)
        case shape.DictType():
            _collect(of.key_type, found)
            _collect(of.value_type, found)
        case shape.UnionType():
            for each in of.types:
                _collect(each, found)
        case shape.StructType() if of.tag is None and _is_new(of.cls, found):
            for field in fields(of.cls):
                _collect(field.type, found)
        case shape.EnumType():
            _is_new(of.cls, found)
        case _:
            pass


def _is_new(cls: Part, found: dict[str, Part]) -> bool:
    held = found.setdefault(cls.__name__, cls)
    if held is not cls:
        raise ValueError(f"{cls.__module__}.{cls.__name__} and {held.__module__}.{held.__name__}")
    return True
