"""The domain: what a session is, who may do what, what everyone may see. Pure; see `docs/design.md`."""

from rooms.acts import Act, NoteAct, broken_at
from rooms.core import (
    STAFF_ROLES,
    STAGE_ROLES,
    SUBJECT,
    Asked,
    Command,
    Event,
    Gone,
    Level,
    Refused,
    Role,
    sees,
    visible,
)
from rooms.door import Arrive, Leave
from rooms.forgetting import ForgetMe
from rooms.keeping import record_of, reduced_at
from rooms.room import Entry, Room, Snapshot, decide, due, next_due
from rooms.session import (
    Kind,
    Open,
    QuestionPolicy,
    SetState,
    Settings,
    State,
    VoidLinks,
    erased_at,
    retention_for,
)
from rooms.signals import KINDS, SignalKind, Waves
from rooms.stage import StageTruth, stage_truth
from rooms.vocabulary import COMMANDS, EVENTS, AnyCommand, AnyEvent

__all__ = [
    "COMMANDS",
    "EVENTS",
    "KINDS",
    "STAFF_ROLES",
    "STAGE_ROLES",
    "SUBJECT",
    "Act",
    "AnyCommand",
    "AnyEvent",
    "Arrive",
    "Asked",
    "Command",
    "Entry",
    "Event",
    "ForgetMe",
    "Gone",
    "Kind",
    "Leave",
    "Level",
    "NoteAct",
    "Open",
    "QuestionPolicy",
    "Refused",
    "Role",
    "Room",
    "SetState",
    "Settings",
    "SignalKind",
    "Snapshot",
    "StageTruth",
    "State",
    "VoidLinks",
    "Waves",
    "broken_at",
    "decide",
    "due",
    "erased_at",
    "next_due",
    "record_of",
    "reduced_at",
    "retention_for",
    "sees",
    "stage_truth",
    "visible",
]
