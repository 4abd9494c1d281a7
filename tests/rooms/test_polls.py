"""Polls: the machine as a table, and what must hold of every ballot however people press."""

from collections import Counter

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rooms import Level, Refused, Role, Room, State, visible
from rooms.door import Leave, Remove
from rooms.polling import (
    CastBallot,
    ClosePoll,
    DraftPoll,
    DropPoll,
    EditPoll,
    OpenPoll,
    PollForm,
    ReopenPoll,
    ShowResults,
)
from rooms.polls import BallotCast, PollListed, may_see_results
from rooms.session import SetState
from tests.kit.mirror import Mirror
from tests.kit.personas import ROLES, blinded, table

TEA = PollForm(text="どちらにしますか", options=["お茶", "珈琲", "白湯"])
SEVERAL = PollForm(text="いくつでも", kind="multiple", options=["朝", "昼", "夜"], least=2, most=2)
SCALE = PollForm(text="どのくらい", kind="rating", scale=5, low="まったく", high="とても")
VOTERS = ["sara", "taro", "aoi", "ben", "chie"]


def drafted(made, form=TEA, who="mika"):
    made.ask(who, DraftPoll(poll=form))
    return next(reversed(made.room.polls.items))


def step(made, kind, which, who="mika", **fields):
    return made.ask(who, kind(id=which, version=made.room.polls.items[which].version, **fields))


def opened(made, form=TEA):
    poll = drafted(made, form)
    step(made, OpenPoll, poll)
    return poll


def options(made, poll):
    return [option.id for option in made.room.polls.items[poll].options]


def refused(made, who, command):
    with pytest.raises(Refused) as refusal:
        made.ask(who, command)
    return refusal.value.code, refusal.value.at


WAYS = {
    "draft": [],
    "open": [(OpenPoll, {})],
    "closed": [(OpenPoll, {}), (ClosePoll, {"show": False})],
    "shown": [(OpenPoll, {}), (ClosePoll, {})],
    "hidden again": [(OpenPoll, {}), (ClosePoll, {}), (ShowResults, {"on": False})],
}
LEADS = {
    (EditPoll, "draft"): ("draft", False),
    (DropPoll, "draft"): None,
    (OpenPoll, "draft"): ("open", False),
    (ClosePoll, "open"): ("closed", True),
    (ShowResults, "closed"): ("closed", True),
    (ShowResults, "shown"): ("closed", True),
    (ShowResults, "hidden again"): ("closed", True),
    (ReopenPoll, "closed"): ("open", False),
}
REFUSALS = {(ReopenPoll, "shown"): "results_shown", (ReopenPoll, "hidden again"): "results_shown"}


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("kind", [EditPoll, DropPoll, OpenPoll, ClosePoll, ShowResults, ReopenPoll])
def test_every_transition_leads_where_the_machine_says_or_is_refused(kind, state):
    made = table()
    poll = drafted(made)
    for way, fields in WAYS[state]:
        step(made, way, poll, **fields)
    fields = {"poll": SCALE} if kind is EditPoll else {}
    if (kind, state) in LEADS:
        step(made, kind, poll, **fields)
        now = made.room.polls.items.get(poll)
        assert (now and (now.state, now.shown)) == LEADS[kind, state]
    else:
        with pytest.raises(Refused, match=REFUSALS.get((kind, state), "wrong_state")):
            step(made, kind, poll, **fields)


@pytest.mark.parametrize("kind", [EditPoll, DropPoll, OpenPoll])
def test_an_old_version_is_a_conflict_that_names_who_came_first(kind):
    made = table()
    poll = drafted(made)
    step(made, EditPoll, poll, who="ken", poll=SCALE)
    with pytest.raises(Refused) as refusal:
        made.ask("mika", kind(id=poll, version=1, **({"poll": TEA} if kind is EditPoll else {})))
    assert (refusal.value.code, refusal.value.at, refusal.value.by) == ("conflict", 2, "ken")


def test_one_poll_is_open_at_a_time_and_numbers_count_those_that_were_opened():
    made = table()
    unused, first, second = drafted(made), drafted(made), drafted(made, SCALE)
    step(made, OpenPoll, first)
    with pytest.raises(Refused) as refusal:
        step(made, OpenPoll, second, who="ken")
    assert (refusal.value.code, refusal.value.at, refusal.value.by) == ("poll_taken", 1, "mika")
    step(made, ClosePoll, first, show=False)
    step(made, OpenPoll, second)
    with pytest.raises(Refused, match="poll_taken"):
        step(made, ReopenPoll, first)
    step(made, DropPoll, unused)
    assert [(poll.id, poll.number) for poll in made.room.polls.listed()] == [(first, 1), (second, 2)]


def test_a_poll_whose_results_voters_saw_anyway_may_be_opened_again_with_its_ballots():
    made = table()
    poll = opened(made, msgspec.structs.replace(TEA, results="voted"))
    made.ask("aoi", CastBallot(id=poll, choices=options(made, poll)[:1]))
    step(made, ClosePoll, poll)
    step(made, ReopenPoll, poll)
    assert (made.room.polls.items[poll].shown, made.room.polls.voters(poll)) == (False, 1)


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"text": ""}, "too_short"),
        ({"text": "長" * 201}, "too_long"),
        ({"text": "\u202e\u0000 \n"}, "too_short"),
        ({"options": []}, "bad_options"),
        ({"options": ["はい"]}, "bad_options"),
        ({"options": [str(number) for number in range(11)]}, "bad_options"),
        ({"options": ["はい", " "]}, "too_short"),
        ({"options": ["はい", "長" * 81]}, "too_long"),
        ({"options": ["Yes", "no", " YES\u200e "]}, "same_option"),
        ({"options": ["はい", "は\u200bい"]}, "same_option"),
        ({"options": ["é", "e\u2060\u0301"]}, "same_option"),
        ({"options": ["はい", "\u3164"]}, "too_short"),
        ({"kind": "multiple", "least": 0}, "bad_choice_limits"),
        ({"kind": "multiple", "least": 3, "most": 2}, "bad_choice_limits"),
        ({"kind": "multiple", "most": 4}, "bad_choice_limits"),
        ({"kind": "multiple", "most": -1}, "bad_choice_limits"),
        ({"kind": "rating", "scale": 2}, "bad_scale"),
        ({"kind": "rating", "scale": 11}, "bad_scale"),
        ({"kind": "rating", "high": "長" * 21}, "too_long"),
    ],
)
def test_a_form_that_makes_no_poll_is_refused(form, code):
    made = table()
    assert refused(made, "mika", DraftPoll(poll=msgspec.structs.replace(TEA, **form)))[0] == code


def test_texts_are_cleaned_a_scale_makes_its_options_and_only_a_scale_has_ends():
    made = table()
    poll = made.room.polls.items[
        drafted(made, PollForm(text=" A\u202eB\n C ", options=["か\u3099", "x"], low="a", high="b"))
    ]
    assert (poll.text, poll.options[0].text, poll.low, poll.high) == ("AB C", "が", "", "")
    scale = made.room.polls.items[drafted(made, msgspec.structs.replace(SCALE, options=["ignored"]))]
    assert [option.text for option in scale.options] == ["1", "2", "3", "4", "5"]
    assert (scale.low, scale.high) == ("まったく", "とても")


def test_ids_of_options_are_the_rooms_own_and_change_with_the_options():
    made = table()
    poll, other = drafted(made), drafted(made)
    before = options(made, poll)
    assert len({*before, *options(made, other)}) == 6
    step(made, EditPoll, poll, poll=msgspec.structs.replace(TEA, text="飲みもの"))
    assert options(made, poll) == before
    step(made, EditPoll, poll, poll=msgspec.structs.replace(TEA, options=["お茶", "珈琲"]))
    assert not set(options(made, poll)) & set(before)


def test_an_edit_that_changes_nothing_makes_no_entry_and_there_is_room_for_fifty():
    made = table()
    poll = drafted(made)
    assert step(made, EditPoll, poll, poll=TEA) == []
    for _ in range(49):
        drafted(made)
    assert refused(made, "mika", DraftPoll(poll=TEA)) == ("too_many_polls", 50)


def test_a_ballot_names_options_of_the_very_poll_that_is_open():
    made = table()
    closed, draft = opened(made), drafted(made)
    foreign = options(made, closed)
    step(made, ClosePoll, closed)
    poll = opened(made, SEVERAL)
    own = options(made, poll)
    for box, choices, code in [
        ("nothing", own, "no_such_poll"),
        (draft, options(made, draft)[:1], "no_such_poll"),
        (closed, foreign[:1], "poll_closed"),
        (poll, foreign[:2], "no_such_option"),
        (poll, [own[0], foreign[0]], "no_such_option"),
        (poll, [own[0], "朝"], "no_such_option"),
        (poll, [""], "no_such_option"),
        (poll, own, "too_many_choices"),
        (poll, own[:1], "too_few_choices"),
        (poll, [own[0], own[0]], "too_few_choices"),
    ]:
        assert refused(made, "aoi", CastBallot(id=box, choices=choices))[0] == code
    made.ask("aoi", CastBallot(id=poll, choices=[own[2], own[0]]))
    assert made.room.polls.tally(poll) == {own[0]: 1, own[1]: 0, own[2]: 1}


def test_the_staff_conduct_the_vote_and_do_not_vote():
    made = table()
    poll = opened(made)
    for who in ("olga", "mika", "ken"):
        assert refused(made, who, CastBallot(id=poll, choices=options(made, poll)[:1]))[0] == "forbidden"


@pytest.mark.parametrize("results", ["closed", "voted"])
@pytest.mark.parametrize("voted", [False, True])
@pytest.mark.parametrize("level", [Level.ADMITTED, Level.STAGE, Level.STAFF])
def test_results_are_hidden_until_the_setting_says(results, voted, level):
    made = table()
    poll = drafted(made, msgspec.structs.replace(TEA, results=results))
    staff = level is Level.STAFF
    seen = []
    for kind, fields in [
        (None, {}),
        (OpenPoll, {}),
        (ClosePoll, {"show": False}),
        (ShowResults, {}),
        (ShowResults, {"on": False}),
    ]:
        if kind:
            step(made, kind, poll, **fields)
        seen.append(may_see_results(made.room.polls.items[poll], level, voted=voted))
    assert seen == [False, results == "voted" and (voted or staff), staff, True, staff]


def test_a_draft_is_the_staffs_alone():
    made = table()
    poll = drafted(made, PollForm(text="下書きの問い", options=["あ", "い"]))
    for who in VOTERS:
        room = made.room
        seen = visible(
            room.level_of(who, ROLES[who]),
            frozenset({who, blinded(who)}),
            [*room.facts(), *step_events(made)],
        )
        assert poll not in repr(seen)
        assert "下書きの問い" not in repr(seen)


def step_events(made):
    return [event for entry in made.log for event in entry.events]


BALLOT = st.tuples(st.sampled_from(VOTERS), st.lists(st.integers(0, 4), max_size=3))
STAFF_ACT = st.sampled_from(["draft", "open", "close", "close quietly", "show", "hide", "reopen", "leave"])


def play(data, *, length=30):
    """Let people vote and change their minds while the staff open, close and show."""
    made = table()
    forms = st.sampled_from([TEA, SEVERAL, SCALE, msgspec.structs.replace(TEA, results="voted")])
    opened(made, data.draw(forms))
    for _ in range(length):
        polls = list(made.room.polls.items)
        poll = data.draw(st.sampled_from(polls))
        act = data.draw(st.one_of(BALLOT, BALLOT, BALLOT, STAFF_ACT))
        own = options(made, poll)
        commands = {
            "draft": DraftPoll(poll=data.draw(forms)),
            "open": OpenPoll(id=poll, version=made.room.polls.items[poll].version),
            "close": ClosePoll(id=poll, version=made.room.polls.items[poll].version),
            "close quietly": ClosePoll(id=poll, version=made.room.polls.items[poll].version, show=False),
            "show": ShowResults(id=poll, version=made.room.polls.items[poll].version),
            "hide": ShowResults(id=poll, version=made.room.polls.items[poll].version, on=False),
            "reopen": ReopenPoll(id=poll, version=made.room.polls.items[poll].version),
            "leave": Remove(person=data.draw(st.sampled_from(VOTERS))),
        }
        try:
            if isinstance(act, str):
                made.ask("mika", commands[act])
            else:
                who, places = act
                made.ask(who, CastBallot(id=poll, choices=[own[place % len(own)] for place in places]))
        except Refused as refusal:
            assert refusal.code
    return made


LAW = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@LAW
@given(st.data())
def test_what_is_counted_is_one_ballot_per_person_and_the_last_one(data):
    made = play(data)
    last = {}
    for event in step_events(made):
        if isinstance(event, BallotCast):
            last[event.id, event.to] = event.choices
    for poll in made.room.polls.items.values():
        ballots = [choices for (box, _), choices in last.items() if box == poll.id and choices]
        counted = made.room.polls.tally(poll.id)
        assert made.room.polls.voters(poll.id) == len(ballots)
        assert {option: count for option, count in counted.items() if count} == Counter(
            option for choices in ballots for option in choices
        )
        assert all(poll.least <= len(choices) <= poll.most for choices in ballots)
        if poll.kind != "multiple":
            assert sum(counted.values()) == len(ballots)


@LAW
@given(st.data())
def test_no_ballot_is_cast_but_on_an_open_poll(data):
    room, state = Room(), {}
    for entry in play(data).log:
        for event in entry.events:
            if isinstance(event, BallotCast):
                assert state[event.id] == "open"
                assert set(event.choices) <= {option.id for option in room.polls.items[event.id].options}
            if isinstance(event, PollListed):
                state[event.poll.id] = event.poll.state
        room.fold(entry)


@LAW
@given(st.data())
def test_a_box_compacted_is_the_same_box_and_a_late_comer_holds_the_own_ballots_alone(data):
    made = play(data)
    again = Room.restore(made.room.snapshot())
    assert again.polls == made.room.polls
    assert list(again.polls.facts()) == list(made.room.polls.facts())
    for who in VOTERS:
        level = made.room.level_of(who, ROLES[who])
        if level is None:
            continue
        names = frozenset({who, blinded(who)})
        assert made.room.view(level, names) == visible(level, names, made.room.facts(recent=80))
        late = Mirror().fold(made.room.view(level, names))
        own = {
            box: ballots[blinded(who)]
            for box, ballots in made.room.polls.ballots.items()
            if blinded(who) in ballots
        }
        assert late.ballots == own
        assert not late.polls


@LAW
@given(st.data())
def test_nothing_that_anybody_is_shown_joins_a_person_and_a_choice(data):
    """Law 7 for ballots: whoever looks, staff included, finds no voter but themselves."""
    made = play(data)
    everything = [*step_events(made), *made.room.facts()]
    for event in everything:
        if isinstance(event, BallotCast):
            raw = msgspec.json.encode(event).decode()
            assert not any(f'"{who}"' in raw for who in ROLES), "a ballot carries a blinded name"
    for who, role in ROLES.items():
        level = made.room.level_of(who, role)
        if level is None:
            continue
        seen = msgspec.json.encode(visible(level, frozenset({who, blinded(who)}), everything)).decode()
        assert not any(blinded(other) in seen for other in ROLES if other != who)


def test_leaving_and_being_removed_keep_the_ballot_and_the_end_keeps_the_results():
    made = table()
    poll = opened(made)
    for who in ("aoi", "ben"):
        made.ask(who, CastBallot(id=poll, choices=options(made, poll)[:1]))
    made.ask("aoi", Leave())
    made.ask("mika", Remove(person="ben"))
    made.ask("olga", SetState(state=State.AFTER))
    step(made, ClosePoll, poll)
    assert made.room.polls.voters(poll) == 2
    made.ask("olga", SetState(state=State.CLOSED))
    assert Room.restore(made.room.snapshot()).polls.tally(poll)[options(made, poll)[0]] == 2
    assert Role.ATTENDEE in ROLES.values()
