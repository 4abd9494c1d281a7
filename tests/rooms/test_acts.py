"""The chain of staff acts; OWASP ASVS 5.0 16.4.2: logs are protected from modification."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms import COMMANDS, STAFF_ROLES, QuestionPolicy, Refused, Settings
from rooms.acts import ACTS_KEPT, AGAIN_MS, Act, ActRecorded, Acts, NoteAct, broken_at
from rooms.chat import DeleteMessage, Post
from rooms.hands import LowerHand, RaiseHand
from rooms.room import Room
from rooms.session import ChangeSettings, LinksVoided, SetState, State, VoidLinks
from rooms.stage import SetTimer, Spotlight
from tests.kit.personas import table
from tests.rooms.test_laws import ORDINARY, play


def chain(count, session="s"):
    acts = Acts()
    for n in range(count):
        acts.acts.append(acts.chained(session, Act(id=f"i{n}", by="mio", what="admit", about=f"p{n}", at=n)))
    return acts.acts


@given(st.data(), st.integers(2, 12))
def test_asvs_16_4_2_a_changed_act_is_found(data, count):
    acts = chain(count)
    at = data.draw(st.integers(0, count - 1))
    field = data.draw(st.sampled_from(["id", "by", "what", "about", "at", "chain"]))
    old = getattr(acts[at], field)
    acts[at] = msgspec.structs.replace(acts[at], **{field: old + 1 if field == "at" else old + "x"})
    assert broken_at("s", acts) == at


@given(st.data(), st.integers(3, 12))
def test_asvs_16_4_2_an_act_taken_out_put_in_or_moved_is_found(data, count):
    acts = chain(count)
    at = data.draw(st.integers(0, count - 2))
    assert broken_at("s", acts[:at] + acts[at + 1 :]) == at
    assert broken_at("s", [*acts[: at + 1], *acts[at:]]) == at + 1
    assert broken_at("s", [*acts[:at], acts[at + 1], acts[at], *acts[at + 2 :]]) == at


def test_a_chain_of_another_session_does_not_pass_and_a_whole_one_does():
    assert broken_at("s", chain(5)) is None
    assert broken_at("s", []) is None
    assert broken_at("t", chain(5)) == 0


def test_the_chain_goes_on_when_the_oldest_are_forgotten():
    room = Room()
    for act in chain(ACTS_KEPT + 5):
        ActRecorded(act=act).apply(room)
    assert len(room.acts.acts) == ACTS_KEPT
    assert broken_at("s", room.acts.acts) is None
    again = Acts(list(room.acts.acts))
    assert [event.act for event in again.facts()] == room.acts.acts
    del room.acts.acts[7]
    assert broken_at("s", [room.acts.acts[0], *room.acts.acts]) == 1


def test_what_the_staff_do_in_a_room_makes_a_whole_chain_also_after_a_restart():
    made = table()
    made.ask("mika", SetState(state=State.AFTER))
    made.ask("olga", VoidLinks(generation=2))
    acts = made.room.acts.acts
    assert [act.what for act in acts][-2:] == ["set_state", "void_links"]
    assert broken_at("s1", acts) is None
    again = Room.restore(made.room.snapshot())
    assert again.acts.head == made.room.acts.head
    assert again.session.generation == 2


def test_links_are_voided_once_and_never_back():
    made = table()
    assert isinstance(made.ask("olga", VoidLinks(generation=3))[0], LinksVoided)
    assert made.ask("olga", VoidLinks(generation=3)) == made.ask("olga", VoidLinks(generation=2)) == []
    assert made.room.session.generation == 3


UNRECORDED: dict[str, str] = {}
"""Commands of the staff that are no act, and why; none so far."""


def test_every_command_of_the_staff_is_an_act_or_says_why_not():
    for command in COMMANDS:
        if command.needs <= STAFF_ROLES:
            assert bool(command.act) != (command.__name__ in UNRECORDED), command
    acts = [command.act for command in COMMANDS if command.act]
    assert len(acts) == len(set(acts)) > 30


def whats(made):
    return [(act.by, act.what, act.about) for act in made.room.acts.acts]


def test_what_the_staff_do_to_others_is_an_act_and_what_one_does_to_oneself_is_none():
    made = table()
    for who in ("aoi", "mika"):
        made.ask(who, Post(text="ことば"))
    first, second = made.room.chat.messages
    for who in ("aoi", "ben"):
        made.ask(who, RaiseHand())
    made.room.acts.acts.clear()
    made.ask("mika", DeleteMessage(id=second))
    made.ask("ben", LowerHand(person="ben"))
    assert whats(made) == []
    made.ask("mika", DeleteMessage(id=first))
    made.ask("ken", LowerHand(person="aoi"))
    made.ask("mika", Spotlight(person="sara"))
    made.ask("mika", SetTimer(seconds=60, label="見出し"))
    assert whats(made) == [
        ("mika", "delete_message", first),
        ("ken", "lower_hand", "aoi"),
        ("mika", "spotlight", "sara"),
        ("mika", "set_timer", ""),
    ]
    assert made.ask("mika", DeleteMessage(id=first)) == [], "nothing happens twice"


def test_taking_anonymity_away_does_not_look_like_a_new_title():
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity="full")))
    made.room.acts.acts.clear()
    made.ask("mika", ChangeSettings(title="ほかの会"))
    made.ask("mika", ChangeSettings(anonymity="named", moderated=True, door="open"))
    made.ask("olga", ChangeSettings(capacity=30, counts_hidden=True, starts_at=1, moderated=False))
    assert [about for _by, _what, about in whats(made)] == [
        "title",
        "door=open anonymity=named",
        "starts_at capacity=30 moderated=false counts_hidden=true",
    ]


@ORDINARY
@given(st.data())
def test_asvs_16_2_5_no_act_holds_what_somebody_wrote(data):
    for act in play(data, length=40).room.acts.acts:
        # What people write in these rooms is Japanese, or forty times one letter; ids and settings are not.
        assert re.fullmatch(r"[a-z0-9_= ]*", act.about), act
        assert "x" * 40 not in act.about


def test_what_is_done_beside_the_room_is_in_the_chain_also_after_the_end_and_once_a_minute():
    made = table()
    made.ask("mika", NoteAct(what="make_ticket", person="p-new"))
    made.ask("mika", SetState(state=State.AFTER))
    made.ask("olga", SetState(state=State.CLOSED))
    began = made.now
    while made.now < began + 3 * AGAIN_MS:
        made.ask("olga", NoteAct(what="export"))
    made.ask("mika", NoteAct(what="export"))
    acts = [(act.by, act.what, act.about) for act in made.room.acts.acts if act.what != "set_state"]
    assert acts[0] == ("mika", "make_ticket", "p-new")
    assert acts[1:-1] == [("olga", "export", "")] * 3
    assert acts[-1] == ("mika", "export", "")
    assert broken_at("s1", made.room.acts.acts) is None
    with pytest.raises(Refused, match="forbidden"):
        made.ask("aoi", NoteAct(what="export"))
