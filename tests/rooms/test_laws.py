"""The laws of docs/design.md that need no wire: random sessions, every law after every command."""

import copy

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rooms import (
    COMMANDS,
    EVENTS,
    SUBJECT,
    Arrive,
    ForgetMe,
    Level,
    QuestionPolicy,
    Refused,
    Role,
    Room,
    SetState,
    Settings,
    State,
    decide,
    due,
    polling,
    sees,
    visible,
)
from rooms import Open as OpenSession
from rooms.chat import DeleteMessage, EditMessage, Pin, Post, ReviewHeld, SetChatRules
from rooms.door import Admit, SayAtDoor, TellCard
from rooms.hands import ExpireHands
from rooms.polling import PollForm
from rooms.queue import Approve, Ask, Withdraw
from rooms.stage import ExpireSeat
from tests.kit.mirror import Mirror
from tests.kit.personas import ROLES, Table, blinded

TEXT = st.sampled_from(
    ["先生、境界はどう引きますか？", "同じことで困っています", "ありがとうございます", "x" * 40]
)
PEOPLE = st.sampled_from(sorted(ROLES))
POLICY = st.builds(
    QuestionPolicy, moderated=st.booleans(), anonymity=st.sampled_from(["named", "anonymous", "full"])
)

FORMS = st.builds(
    PollForm,
    text=TEXT,
    kind=st.sampled_from(["single", "multiple", "rating"]),
    options=st.lists(st.sampled_from(["はい", "いいえ", "わからない"]), min_size=2, max_size=3, unique=True),
    results=st.sampled_from(["closed", "voted"]),
)


def known(pool: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(pool) if pool else st.just("nothing")


def strategy(table: Table, command: type) -> st.SearchStrategy:
    """Commands of one class that point, mostly, at things which exist."""
    room = table.room
    questions = list(room.questions.items)
    ids = [*room.chat.messages, *room.chat.held, *questions]
    if command.__module__ == polling.__name__:
        ids = list(room.polls.items)
    options = [option.id for poll in room.polls.items.values() for option in poll.options]
    pools = {
        **dict.fromkeys(("person", "visitor"), PEOPLE),
        **dict.fromkeys(("text", "note", "title", "label"), TEXT),
        **dict.fromkeys(("id", "into"), known(ids)),
        **dict.fromkeys(("to", "addressee"), st.sampled_from(["", "sara", "taro", "aoi"])),
        **dict.fromkeys(("slow", "seconds"), st.sampled_from([None, 5, 60])),
        "ids": st.permutations([one.id for one in room.questions.in_state("next")]),
        "reply_to": st.sampled_from(["", *room.chat.messages]),
        "labels": st.lists(TEXT, max_size=2),
        "state": st.sampled_from([s for s in State if s is not State.CLOSED]),
        "capacity": st.sampled_from([None, 1, 2, 50]),
        "poll": FORMS,
        "choices": st.lists(known(options), max_size=3),
    }
    given_fields = {name: pools[name] for name in command.__struct_fields__ if name in pools}
    made = st.builds(command, **given_fields)
    if "version" in command.__struct_fields__:
        versions = {
            item.id: item.version for item in [*room.questions.items.values(), *room.polls.items.values()]
        }
        return made.map(lambda one: msgspec.structs.replace(one, version=versions.get(one.id, 1)))
    return made


ASKABLE = [*COMMANDS, Arrive, ForgetMe, ExpireHands, ExpireSeat, TellCard]
ORDINARY = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def play(data: st.DataObject, *, length: int = 25) -> Table:
    """Let random people ask random things of a fresh room."""
    table = Table()
    table.ask(
        "olga", OpenSession(session="s", settings=Settings(title="会", capacity=2, qa=data.draw(POLICY)))
    )
    for who in ROLES:
        table.ask(who, Arrive(registered=data.draw(st.booleans())))
    for _ in range(length):
        command = data.draw(st.sampled_from(ASKABLE).flatmap(lambda kind: strategy(table, kind)))
        who = "olga" if isinstance(command, ExpireHands) else data.draw(PEOPLE)
        if isinstance(command, ExpireHands):
            table.now += 70_000
        try:
            table.ask(who, command)
        except Refused as refusal:
            assert refusal.code
    return table


@ORDINARY
@given(st.data())
def test_folding_from_the_start_or_from_any_snapshot_gives_the_same_room(data):
    table = play(data)
    again = Room()
    cut = data.draw(st.integers(0, len(table.log)))
    for entry in table.log:
        if entry.seq == cut + 1:
            again = Room.restore(
                msgspec.json.decode(msgspec.json.encode(again.snapshot()), type=type(again.snapshot()))
            )
        again.fold(entry)
    assert again == table.room
    assert list(again.facts()) == list(table.room.facts())


@ORDINARY
@given(st.data())
def test_taking_words_out_of_the_log_leads_to_the_same_room(data):
    table = play(data, length=40)
    erasing = [(entry.seq, gone) for entry in table.log if (gone := entry.erases())]
    again = Room()
    for entry in table.log:
        bare = entry
        for seq, gone in erasing:
            if entry.seq <= seq:
                bare = bare.without(gone)
                assert bare.without(gone) is bare
        again.fold(bare)
    assert again == table.room


@pytest.mark.parametrize("fate", ["deleted", "dropped", "withdrawn", "forgotten"])
def test_no_entry_holds_the_words_of_what_was_taken_back(fate):
    table, canary = Table(), "わたしのことば"
    table.ask("olga", OpenSession(session="s", settings=Settings(title="会", door="knock")))
    table.ask("ben", Arrive(registered=False))
    table.ask("ben", SayAtDoor(text=f"扉で{canary}"))
    table.ask("olga", SetState(state=State.LIVE))
    table.ask("olga", Admit(person="ben"))
    table.ask("mika", Arrive(registered=True))
    if fate == "dropped":
        table.ask("mika", SetChatRules(hold=True))
    message = table.ask("ben", Post(text=canary))[0].message
    if fate in {"deleted", "forgotten"}:
        table.ask("ben", EditMessage(id=message.id, text=f"もう一度{canary}"))
        table.ask("mika", Pin(id=message.id))
    question = table.ask("ben", Ask(text=f"質問{canary}"))[0].question
    table.ask("mika", Approve(id=question.id, version=1, text=f"直した{canary}"))
    {
        "deleted": lambda: table.ask("mika", DeleteMessage(id=message.id)),
        "dropped": lambda: table.ask("mika", ReviewHeld(id=message.id, post=False)),
        "withdrawn": lambda: table.ask("ben", Withdraw(id=question.id)),
        "forgotten": lambda: table.ask("ben", ForgetMe()),
    }[fate]()
    gone = table.log[-1].erases()
    raw = b"".join(msgspec.json.encode(entry.without(gone)) for entry in table.log).decode()
    left = {
        "deleted": ["扉で", "質問", "直した"],
        "dropped": ["扉で", "質問", "直した"],
        "withdrawn": ["扉で"],
    }
    for before in ("扉で", "もう一度", "質問", "直した"):
        kept = before in left.get(fate, [])
        assert (f"{before}{canary}" in raw) == kept, before
    assert (f'"{canary}"' in raw) == (fate == "withdrawn")


@ORDINARY
@given(st.data())
def test_deciding_changes_nothing(data):
    table = play(data, length=12)
    command = data.draw(st.sampled_from(ASKABLE).flatmap(lambda kind: strategy(table, kind)))
    before = copy.deepcopy(table.room)
    try:
        decide(table.room, table.asked(data.draw(PEOPLE)), command)
    except Refused:
        pass
    assert table.room == before


@ORDINARY
@given(st.data())
def test_who_joins_late_holds_what_those_hold_who_never_left(data):
    table = play(data)
    for who, role in ROLES.items():
        names = frozenset({who, blinded(who)})
        room, mirror, level = Room(), Mirror(), None
        for entry in table.log:
            room.fold(entry)
            now = room.level_of(who, role)
            if now is None:
                level = None
                continue
            if now != level:
                level, mirror = now, Mirror().fold(room.view(now, names))
            else:
                mirror.fold(visible(level, names, entry.events))
        if level is not None:
            late = Mirror().fold(room.view(level, names)).settled()
            assert mirror.settled() == late, who


@ORDINARY
@given(st.data())
def test_an_attendee_is_never_shown_who_asked_unless_the_asker_shows_it(data):
    table = play(data, length=40)
    for event in (event for entry in table.log for event in entry.events):
        if type(event).__name__ in {"QuestionListed", "QuestionUnlisted"}:
            raw = msgspec.json.encode(event).decode()
            filed = table.room.questions.items
            question = event.question if hasattr(event, "question") else None
            if question is not None and not filed[question.id].shown:
                assert not any(f'"{who}"' in raw.replace(f'"addressee":"{who}"', "") for who in ROLES)
            assert "blind-" not in raw


@ORDINARY
@given(st.data())
def test_a_fully_anonymous_question_names_its_asker_nowhere_in_the_log(data):
    table = Table()
    policy = QuestionPolicy(anonymity="full", moderated=data.draw(st.booleans()))
    table.ask("olga", OpenSession(session="s", settings=Settings(title="会", qa=policy)))
    table.ask("olga", COMMANDS[0](state=State.LIVE))
    table.ask("aoi", Arrive(registered=True))
    ask = next(command for command in COMMANDS if command.__name__ == "Ask")
    table.ask("aoi", ask(text="匿名でうかがいます。どうすれば？"))
    assert "aoi" not in msgspec.json.encode(table.log[-1]).decode()


@ORDINARY
@given(st.data(), st.sampled_from(Level))
def test_the_gate_is_one_comparison_and_a_name(data, level):
    for event in (event for entry in play(data, length=8).log for event in entry.events):
        if event.audience == SUBJECT:
            assert sees(level, frozenset({event.to}), event)
            assert not sees(level, frozenset(), event)
        else:
            assert sees(level, frozenset(), event) == (level >= event.audience)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_has_one_audience(event):
    assert event.audience == SUBJECT or event.audience in Level
    assert ("to" in event.__struct_fields__) == (event.audience == SUBJECT)


@ORDINARY
@given(st.data())
def test_any_event_applies_to_a_room_that_knows_nothing_of_it(data):
    for entry in play(data).log:
        for event in entry.events:
            event.apply(Room())


def test_nothing_is_due_in_a_quiet_room():
    assert due(Room(), 0) == []
    assert Role.ATTENDEE in ROLES.values()
