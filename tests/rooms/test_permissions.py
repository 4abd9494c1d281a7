"""Who has lost a right decides nothing by it; who may do what at all is in `test_matrix.py`."""

import copy

import msgspec
import pytest

from rooms import COMMANDS, Refused, Role, State, decide
from rooms.door import Filed, Standing
from rooms.polling import PollForm
from rooms.session import VoidLinks
from tests.kit.personas import ROLES, table

EXAMPLE = {str: "x", int: 1, bool: True}
CHOICES = {
    "state": State.LIVE,
    "source": "camera",
    "reaction": "nod",
    "reason": "duplicate",
    "reach": "udp",
    "labels": [],
    "ids": [],
    "choices": [],
    "poll": PollForm(text="?", kind="rating"),
}


def example(command):
    fields = {}
    for info in msgspec.structs.fields(command):
        if info.required:
            fields[info.name] = CHOICES[info.name] if info.name in CHOICES else EXAMPLE[info.type]
    return command(**fields)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda kind: kind.__name__)
def test_a_role_that_the_ticket_does_not_carry_helps_nobody(command):
    made = table(inside=False)
    if command.at_the_door:
        return
    with pytest.raises(Refused) as refusal:
        decide(made.room, made.asked("aoi"), example(command))
    assert refusal.value.code in {"not_admitted", "forbidden"}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("out", ["removed", "blocked", "voided"])
def test_asvs_8_3_2_who_was_put_out_decides_nothing_by_the_role_held_before(command, role, out):
    made = table()
    who = next(name for name, has in ROLES.items() if has is role)
    generation = None
    if out == "voided":
        made.ask("olga", VoidLinks(generation=2))
        generation = 1
    else:
        known = made.room.door.people[who]
        standing = Standing.REMOVED if out == "removed" else Standing.BLOCKED
        Filed(person=msgspec.structs.replace(known, standing=standing)).apply(made.room)
    before = copy.deepcopy(made.room)
    with pytest.raises(Refused) as refusal:
        decide(made.room, msgspec.structs.replace(made.asked(who), generation=generation), example(command))
    assert refusal.value.code == ("bad_ticket" if out == "voided" else "removed")
    assert made.room == before


@pytest.mark.parametrize("command", COMMANDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("role", Role)
def test_nothing_is_decided_after_the_end(command, role):
    made = table()
    made.ask("olga", COMMANDS[0](state=State.CLOSED))
    who = next(name for name, has in ROLES.items() if has is role)
    with pytest.raises(Refused) as refusal:
        made.ask(who, example(command))
    assert refusal.value.code == ("ended" if role in command.needs else "forbidden")
