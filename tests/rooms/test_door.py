"""The door: who was put out, or was never let in, is inside by the staff's word alone (decision 4)."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rooms import Arrive, ForgetMe, Level, Refused, Role, Room, SetState, Settings, State
from rooms.door import Admit, AdmitAll, Filed, Knock, Leave, Remove, SendBack, Standing, Unblock
from rooms.vocabulary import AnyEvent
from tests.kit.personas import Table, table

GUESTS = {
    "aoi": (Role.ATTENDEE, False),
    "ben": (Role.ATTENDEE, True),
    "sara": (Role.SPEAKER, True),
    "ken": (Role.MODERATOR, True),
}
"""Role on the ticket, and whether it is a personal one."""
GUEST = st.sampled_from(sorted(GUESTS))
OWN = st.sampled_from([Arrive, Leave, Knock, ForgetMe])
BY_STAFF = st.one_of(
    st.builds(Admit, person=GUEST),
    st.just(AdmitAll()),
    st.builds(SendBack, person=GUEST),
    st.builds(Remove, person=GUEST, block=st.booleans()),
    st.builds(Unblock, person=GUEST),
    st.builds(SetState, state=st.sampled_from([State.DOORS, State.BACKSTAGE, State.LIVE])),
)
STEPS = st.lists(
    st.one_of(st.tuples(GUEST, OWN), st.tuples(st.just("olga"), BY_STAFF)), min_size=1, max_size=30
)


class Witness:
    """What the staff have said about everybody, kept without a look at the room's own memory."""

    def __init__(self, made: Table) -> None:
        self.made, self.refused, self.been = made, set(), set()

    def sees(self, who, command, role=None):
        """Ask, and check that nobody came in who may not."""
        before = set(self.made.room.door.inside())
        try:
            changed = self.made.ask(who, command, role=role)
        except Refused:
            return
        fresh = set(self.made.room.door.inside()) - before
        if not isinstance(command, Admit | AdmitAll):
            for person in fresh & GUESTS.keys():
                of, registered = GUESTS[person]
                known = of is not Role.ATTENDEE or registered or person in self.been
                assert person not in self.refused, f"{person} was put out"
                assert known or self.made.room.session.settings.door == "open", f"{person} never was let in"
        self.refused -= fresh
        self.been |= fresh
        if changed and isinstance(command, Remove | SendBack):
            self.refused.add(command.person)
            self.been.discard(command.person)
        for person in self.refused:
            for role_of in Role:
                assert self.made.room.level_of(person, role_of) in {None, Level.EVERYONE}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.sampled_from(["knock", "open"]), st.integers(1, 3), st.booleans())
def test_who_was_put_out_or_never_let_in_is_inside_by_the_staffs_word_alone(steps, door, capacity, other):
    made = table(Settings(title="会", door=door, capacity=capacity), state=State.PUBLISHED, inside=False)
    witness = Witness(made)
    for who, step in steps:
        if who == "olga":
            witness.sees(who, step)
            continue
        role, registered = GUESTS[who]
        command = step(registered=registered) if step is Arrive else step()
        witness.sees(who, command, role)
        if other and step is Arrive and registered:  # the same person comes by a ticket of another role
            for second in (Role.SPEAKER, Role.MODERATOR):
                witness.sees(who, command, second)


def settled(steps, door="knock", role=Role.ATTENDEE, registered=False):
    """Play steps of `aoi` (by role) and of the staff; give where aoi stands."""
    made = table(Settings(title="会", door=door), inside=False)
    for step in steps:
        by_staff = isinstance(step, Admit | SendBack | Remove | Unblock)
        command = Arrive(registered=registered) if isinstance(step, Arrive) else step
        made.ask("mika" if by_staff else "aoi", command, role=None if by_staff else role)
    return made, made.room.door.people["aoi"].standing


COME, OUT, BACK = Arrive(), Remove(person="aoi"), SendBack(person="aoi")
BLOCK = Remove(person="aoi", block=True)


@pytest.mark.parametrize(
    ("steps", "stands"),
    [
        ([COME, Leave(), COME], "waiting"),
        ([COME, ForgetMe(), COME], "waiting"),
        ([COME, Admit(person="aoi"), OUT, COME, Leave(), COME], "waiting"),
        ([COME, Admit(person="aoi"), OUT, COME, ForgetMe(), COME], "waiting"),
        ([COME, BACK, Knock(), Leave(), COME], "waiting"),
        ([COME, BACK, COME], "sent_back"),
        ([COME, Admit(person="aoi"), Leave(), COME], "inside"),
        ([COME, BACK, Knock(), Admit(person="aoi"), Leave(), COME], "inside"),
        ([COME, BLOCK, Unblock(person="aoi"), COME, Leave(), COME], "waiting"),
    ],
)
def test_leaving_undoes_no_removal_and_no_wait(steps, stands):
    assert settled(steps)[1] == stands


@pytest.mark.parametrize("go", [Leave(), ForgetMe()])
def test_a_personal_ticket_undoes_no_removal_by_leaving_either(go):
    made, stands = settled([COME, OUT, COME, go, COME], registered=True)
    assert stands == "waiting"
    made.ask("olga", SetState(state=State.BACKSTAGE))
    assert not made.room.door.is_inside("aoi")


def test_a_removed_speaker_who_is_sent_back_is_not_on_stage_by_coming_again():
    made, stands = settled([COME, OUT, COME, BACK, COME], role=Role.SPEAKER, registered=True)
    assert stands == "sent_back"
    assert "aoi" not in made.room.stage.seats
    made.ask("aoi", Knock(), role=Role.SPEAKER)
    made.ask("mika", Admit(person="aoi"))
    assert "aoi" in made.room.stage.seats


def test_who_leaves_while_the_room_is_full_and_was_inside_comes_back_when_there_is_room():
    made = table(Settings(title="会", capacity=1), inside=False)
    made.ask("ben", Arrive())
    made.ask("mika", Admit(person="ben"))
    made.ask("ben", Leave())
    made.ask("chie", Arrive(registered=True))
    made.ask("ben", Arrive())
    assert made.room.door.people["ben"].standing is Standing.WAITING
    made.ask("ben", Leave())
    made.ask("chie", Leave())
    made.ask("ben", Arrive())
    assert made.room.door.people["ben"].standing is Standing.INSIDE


@pytest.mark.parametrize("standing", ["inside", "left", "removed", "sent_back", "waiting"])
def test_a_log_from_before_there_were_verdicts_folds_and_lets_nobody_in_by_leaving(standing):
    made = table(inside=False)
    old = {"id": "aoi", "role": "attendee", "standing": standing, "registered": False, "at": 1}
    filed = msgspec.json.decode(msgspec.json.encode({"t": "person_filed", "person": old}), type=AnyEvent)
    assert isinstance(filed, Filed)
    filed.apply(made.room)
    assert Room.restore(made.room.snapshot()) == made.room
    for command in (Arrive(), Knock(), Leave(), Arrive()):
        try:
            made.ask("aoi", command)
        except Refused as refusal:
            assert refusal.code == "removed"
    assert made.room.door.is_inside("aoi") == (standing == "inside")


def test_the_staff_alone_see_a_verdict():
    made = table()
    events = made.ask("mika", Remove(person="aoi"))
    assert [type(event) for event in events if "refused" in repr(event).lower()] == [Filed]
    assert Filed.audience is Level.STAFF
