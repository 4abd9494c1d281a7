"""The door, the stage, chat and hands, rule by rule."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rooms import (
    COMMANDS,
    Arrive,
    Level,
    Refused,
    Role,
    SetState,
    Settings,
    State,
    due,
    next_due,
    stage_truth,
    visible,
)
from rooms.acts import ActRecorded
from rooms.chat import DeleteMessage, EditMessage, Pin, Post, React, ReviewHeld, SetChatRules
from rooms.door import (
    Admit,
    AdmitAll,
    Filed,
    Knock,
    Leave,
    Mute,
    Person,
    Reach,
    Remove,
    SayAtDoor,
    SendBack,
    Standing,
    TellReach,
    Unblock,
)
from rooms.hands import AnswerInvitation, Invite, LowerHand, RaiseHand, SetHands
from rooms.room import Room, decide
from rooms.signals import FEWEST, KINDS, WINDOW_MS, Waves
from rooms.stage import (
    BringOn,
    ExpireSeat,
    LiftVeil,
    MuteSource,
    SetTimer,
    Spotlight,
    StepDown,
    StopEverything,
    TakeOff,
)
from rooms.text import clean, clean_name, graphemes
from tests.kit.personas import ROLES, table


def standing(made, who):
    return made.room.door.people[who].standing


def names(events):
    return [type(event).__name__ for event in events]


def test_a_registered_person_waits_until_the_doors_open_and_then_needs_no_knock():
    made = table(state=State.PUBLISHED)
    assert standing(made, "aoi") == "waiting"
    made.ask("olga", SetState(state=State.DOORS))
    assert standing(made, "aoi") == "inside"


def test_coming_early_does_not_bypass_the_lobby():
    made = table(state=State.PUBLISHED, inside=False)
    made.ask("aoi", Arrive())
    made.ask("olga", SetState(state=State.DOORS))
    assert standing(made, "aoi") == "waiting"


def test_the_capacity_holds_whoever_admits():
    made = table(Settings(title="会", capacity=2), inside=False)
    for who in ("aoi", "ben", "chie"):
        made.ask(who, Arrive(registered=who != "chie"))
    assert made.room.door.inside(Role.ATTENDEE) == ["aoi", "ben"]
    for command in (Admit(person="chie"), AdmitAll()):
        with pytest.raises(Refused, match="full"):
            made.ask("mika", command)
    made.ask("aoi", Leave())
    made.ask("mika", AdmitAll())
    assert made.room.door.inside(Role.ATTENDEE) == ["ben", "chie"]


def test_the_line_at_the_door_has_an_end_and_who_stands_in_it_keeps_the_place():
    made = table(inside=False)
    for who in ("aoi", "ben"):
        made.ask(who, Arrive(most_waiting=2))
    with pytest.raises(Refused, match="full") as refused:
        made.ask("chie", Arrive(most_waiting=2))
    assert refused.value.at == 2
    assert "chie" not in made.room.door.people
    assert made.ask("aoi", Arrive(most_waiting=2)) == []
    made.ask("sara", Arrive(registered=True, most_waiting=2))
    assert standing(made, "sara") == "inside", "who need not wait is not concerned"
    made.ask("mika", Admit(person="ben"))
    made.ask("chie", Arrive(most_waiting=2))
    assert made.room.door.waiting() == ["aoi", "chie"]


def test_a_person_sent_back_may_knock_again_and_a_blocked_one_may_not():
    made = table(inside=False)
    made.ask("aoi", Arrive())
    made.ask("aoi", SayAtDoor(text="遅れてすみません"))
    made.ask("mika", SayAtDoor(visitor="aoi", text="少しお待ちください"))
    made.ask("mika", SendBack(person="aoi", text="次回お願いします"))
    made.ask("aoi", Knock())
    made.ask("mika", Admit(person="aoi"))
    made.ask("mika", Remove(person="aoi", block=True))
    assert made.room.level_of("aoi", Role.ATTENDEE) is None
    with pytest.raises(Refused, match="removed"):
        made.ask("aoi", Knock())
    made.ask("olga", Unblock(person="aoi"))
    assert standing(made, "aoi") == "removed"
    made.ask("aoi", Arrive(registered=True))
    assert standing(made, "aoi") == "waiting"


def test_who_was_removed_does_not_walk_in_again_whatever_the_role():
    made = table()
    made.ask("mika", Remove(person="sara"))
    made.ask("sara", Arrive(registered=True))
    assert standing(made, "sara") == "waiting"
    assert made.room.level_of("sara", Role.SPEAKER) is Level.EVERYONE
    assert "sara" not in made.room.stage.seats
    made.ask("mika", Admit(person="sara"))
    assert "sara" in made.room.stage.seats
    made.ask("olga", Remove(person="ken"))
    with pytest.raises(Refused, match="removed"):
        made.ask("ken", Arrive(registered=True))
    assert made.room.level_of("ken", Role.MODERATOR) is None


def test_what_is_said_at_the_door_reaches_the_visitor_and_the_staff_only():
    made = table(inside=False)
    made.ask("ben", Arrive(registered=True))
    made.ask("aoi", Arrive())
    events = made.ask("aoi", SayAtDoor(text="入れますか"))
    assert visible(Level.ADMITTED, frozenset({"ben"}), events) == []
    assert len(visible(Level.EVERYONE, frozenset({"aoi"}), events)) == 1
    with pytest.raises(Refused, match="forbidden"):
        made.ask("ben", SayAtDoor(text="x", visitor="aoi"))


def test_moderators_cannot_remove_each_other_and_nobody_removes_the_organiser():
    made = table()
    for who, whom in (("mika", "ken"), ("mika", "olga")):
        with pytest.raises(Refused, match="forbidden"):
            made.ask(who, Remove(person=whom))
    with pytest.raises(Refused, match="not_yourself"):
        made.ask("mika", Remove(person="mika"))
    made.ask("olga", Remove(person="ken"))
    assert made.room.level_of("ken", Role.MODERATOR) is None


@pytest.mark.parametrize("state", State)
def test_the_curtain_is_open_only_while_live(state):
    made = table(state=State.LIVE)
    if state is not State.LIVE:
        made.room.session.state = state
    assert stage_truth(made.room).open == (state is State.LIVE)


def test_experts_sit_on_stage_and_staff_behind_it():
    made = table()
    truth = stage_truth(made.room)
    assert truth.on_stage == ["sara", "taro"]
    assert set(truth.backstage) == {"olga", "mika", "ken"}
    made.ask("mika", TakeOff(person="sara"))
    assert "sara" in stage_truth(made.room).backstage
    made.ask("mika", BringOn(person="sara"))
    assert stage_truth(made.room).on_stage == ["taro", "sara"]
    with pytest.raises(Refused, match="not_backstage"):
        made.ask("mika", BringOn(person="aoi"))


def test_an_attendee_comes_on_stage_by_consent_and_goes_back():
    made = table()
    made.ask("aoi", RaiseHand())
    made.ask("mika", Invite(person="aoi"))
    assert "aoi" not in stage_truth(made.room).backstage
    made.ask("aoi", AnswerInvitation(accept=True))
    assert "aoi" in stage_truth(made.room).backstage
    assert made.room.level_of("aoi", Role.ATTENDEE) is Level.ADMITTED
    made.ask("mika", BringOn(person="aoi"))
    assert "aoi" in stage_truth(made.room).on_stage
    made.ask("aoi", StepDown())
    truth = stage_truth(made.room)
    assert "aoi" not in truth.on_stage + truth.backstage


def test_a_seat_that_expires_leaves_an_expert_backstage_and_an_attendee_in_the_audience():
    made = table()
    made.ask("mika", Invite(person="aoi"))
    made.ask("aoi", AnswerInvitation(accept=True))
    made.ask("mika", BringOn(person="aoi"))
    for person in ("sara", "aoi"):
        events = made.ask("olga", ExpireSeat(person=person))
        acts = [event.act for event in events if isinstance(event, ActRecorded)]
        assert [(act.what, act.about) for act in acts] == [("expire_seat", person)]
        assert made.ask("olga", ExpireSeat(person=person)) == []
    truth = stage_truth(made.room)
    assert truth.on_stage == ["taro"]
    assert "sara" in truth.backstage
    assert "aoi" not in truth.backstage
    made.ask("mika", BringOn(person="sara"))
    assert stage_truth(made.room).on_stage == ["taro", "sara"]


def test_a_seat_of_somebody_who_is_not_on_stage_does_not_expire():
    made = table()
    made.ask("mika", Invite(person="aoi"))
    made.ask("aoi", AnswerInvitation(accept=True))
    assert made.ask("olga", ExpireSeat(person="aoi")) == []
    with pytest.raises(Refused, match="forbidden"):
        made.ask("sara", ExpireSeat(person="taro"))
    assert ExpireSeat not in COMMANDS


def test_an_invitation_expires_and_a_refusal_is_for_the_staff():
    made = table()
    made.ask("mika", Invite(person="aoi"))
    assert next_due(made.room) is not None
    late = made.now + 61_000
    assert due(made.room, made.now) == []
    [expire] = due(made.room, late)
    made.now = late
    made.ask("olga", expire)
    assert made.room.hands.hands == {}
    with pytest.raises(Refused, match="no_invitation"):
        made.ask("aoi", AnswerInvitation(accept=True))
    made.ask("mika", Invite(person="ben"))
    refused = made.ask("ben", AnswerInvitation(accept=False))
    assert visible(Level.ADMITTED, frozenset({"chie"}), refused) == []


def test_hands_keep_their_order_and_close():
    made = table()
    for who in ("chie", "aoi", "ben"):
        made.ask(who, RaiseHand())
    made.ask("aoi", LowerHand())
    assert list(made.room.hands.hands) == ["chie", "ben"]
    with pytest.raises(Refused, match="forbidden"):
        made.ask("aoi", LowerHand(person="ben"))
    made.ask("mika", SetHands(open=False))
    assert made.room.hands.hands == {}
    with pytest.raises(Refused, match="hands_closed"):
        made.ask("aoi", RaiseHand())


def test_stopping_everything_is_one_entry():
    made = table()
    events = made.ask("mika", StopEverything())
    assert names(events).count("SourceMuted") == 2
    truth = stage_truth(made.room)
    assert truth.veiled
    assert truth.muted == {"sara": ["microphone"], "taro": ["microphone"]}
    with pytest.raises(Refused, match="chat_closed"):
        made.ask("aoi", Post(text="何が起きましたか"))
    made.ask("mika", LiftVeil())
    made.ask("mika", MuteSource(person="sara", source="microphone", on=False))
    assert stage_truth(made.room).muted == {"taro": ["microphone"]}


def test_spotlight_and_timer_have_bounds():
    made = table()
    made.ask("mika", Spotlight(person="sara"))
    with pytest.raises(Refused, match="not_on_stage"):
        made.ask("mika", Spotlight(person="aoi"))
    with pytest.raises(Refused, match="bad_duration"):
        made.ask("mika", SetTimer(seconds=99_999))
    made.ask("mika", SetTimer(seconds=60, label="残り"))
    assert made.room.stage.timer.until == made.now + 60_000


def test_slow_mode_tells_the_wait_and_spares_experts_and_staff():
    made = table()
    made.ask("mika", SetChatRules(slow=30))
    made.ask("aoi", Post(text="一つ目"))
    with pytest.raises(Refused) as refusal:
        made.ask("aoi", Post(text="二つ目"))
    assert refusal.value.wait == 20_000
    for who in ("sara", "sara", "mika", "mika"):
        made.ask(who, Post(text="どうぞ"))


def test_a_held_message_is_seen_by_its_author_and_the_staff_until_reviewed():
    made = table()
    made.ask("mika", SetChatRules(hold=True))
    events = made.ask("aoi", Post(text="確認をお願いします"))
    assert names(visible(Level.ADMITTED, frozenset({"ben"}), events)) == []
    assert names(visible(Level.ADMITTED, frozenset({"aoi"}), events)) == ["YoursHeld"]
    held = next(iter(made.room.chat.held))
    made.ask("ken", ReviewHeld(id=held, post=True))
    assert made.room.chat.messages[held].text == "確認をお願いします"
    made.ask("aoi", Post(text="もう一つ"))
    made.ask("ken", ReviewHeld(id=next(iter(made.room.chat.held)), post=False))
    assert made.room.chat.held == {}


def test_deleting_leaves_a_placeholder_without_words():
    made = table()
    made.ask("aoi", Post(text="消したい言葉"))
    message = next(iter(made.room.chat.messages))
    made.ask("ben", React(id=message, reaction="nod"))
    made.ask("mika", Pin(id=message))
    with pytest.raises(Refused, match="forbidden"):
        made.ask("ben", DeleteMessage(id=message))
    made.ask("mika", DeleteMessage(id=message))
    gone = made.room.chat.messages[message]
    assert (gone.text, gone.deleted, gone.reactions, gone.pinned) == ("", "staff", {}, False)
    with pytest.raises(Refused, match="deleted"):
        made.ask("aoi", EditMessage(id=message, text="戻す"))


def test_a_reaction_tells_the_change_alone_and_a_snapshot_tells_who():
    made = table()
    made.ask("aoi", Post(text="はじめまして"))
    made.ask("sara", Post(text="段取りの確認です", channel="backstage"))
    main, backstage = made.room.chat.messages
    sizes = []
    for number in range(200):
        made.room.door.people[f"p{number}"] = Person(f"p{number}", Role.ATTENDEE, Standing.INSIDE, True, 1)
        asked = msgspec.structs.replace(made.asked("aoi"), person=f"p{number}")
        (event,) = decide(made.room, asked, React(id=main, reaction="heart"))
        event.apply(made.room)
        event.apply(made.room)
        sizes.append(len(msgspec.json.encode(event)))
    assert max(sizes) < 100
    made.room.door.people = {who: one for who, one in made.room.door.people.items() if who in ROLES}
    assert made.room.chat.messages[main].reactions == {"heart": [f"p{n}" for n in range(200)]}
    made.ask("aoi", React(id=main, reaction="nod"))
    assert made.ask("aoi", React(id=main, reaction="nod")) == []
    made.ask("aoi", React(id=main, reaction="nod", on=False))
    assert list(made.room.chat.messages[main].reactions) == ["heart"]
    told = made.ask("sara", React(id=backstage, reaction="nod"))
    assert visible(Level.ADMITTED, frozenset({"aoi"}), told) == []
    assert Room.restore(made.room.snapshot()).chat.messages == made.room.chat.messages
    made.ask("mika", DeleteMessage(id=main))
    event.apply(made.room)
    assert made.room.chat.messages[main].reactions == {}


def test_channels_keep_to_their_circle():
    made = table()
    backstage = made.ask("sara", Post(text="段取りの確認です", channel="backstage"))
    staff = made.ask("mika", Post(text="スタッフだけ", channel="staff"))
    assert visible(Level.ADMITTED, frozenset({"aoi"}), backstage + staff) == []
    assert len(visible(Level.STAGE, frozenset({"sara"}), backstage + staff)) == 1
    for who, channel in (("aoi", "backstage"), ("sara", "staff")):
        with pytest.raises(Refused, match="forbidden"):
            made.ask(who, Post(text="x", channel=channel))
    secret = next(message.id for message in made.room.chat.messages.values() if message.channel == "staff")
    with pytest.raises(Refused, match="no_such_message"):
        made.ask("aoi", React(id=secret, reaction="nod"))


def test_history_pages_both_ways():
    made = table()
    for number in range(130):
        made.ask("mika", Post(text=f"{number}"))
    events, more = made.room.page(Level.ADMITTED, "main", limit=50)
    assert ([events[0].message.text, events[-1].message.text], more) == (["80", "129"], True)
    events, more = made.room.page(Level.ADMITTED, "main", before=events[0].message.id, limit=100)
    assert (events[0].message.text, len(events), more) == ("0", 80, False)
    events, more = made.room.page(Level.ADMITTED, "main", after=events[-1].message.id, limit=20)
    assert (events[0].message.text, len(events), more) == ("80", 20, True)
    assert made.room.page(Level.ADMITTED, "staff") == ([], False)


def test_muting_silences_and_is_told():
    made = table()
    events = made.ask("mika", Mute(person="aoi"))
    assert "YouWereMuted" in names(visible(Level.ADMITTED, frozenset({"aoi"}), events))
    with pytest.raises(Refused, match="muted"):
        made.ask("aoi", Post(text="聞こえますか"))
    with pytest.raises(Refused, match="forbidden"):
        made.ask("mika", Mute(person="ken"))


@pytest.mark.parametrize("old", State)
@pytest.mark.parametrize("new", State)
def test_a_closed_session_stays_closed_and_the_rest_follows_the_table(old, new):
    made = table()
    made.room.session.state = old
    try:
        made.ask("olga", SetState(state=new))
    except Refused as refusal:
        assert refusal.code in {"bad_transition", "ended"}
    assert old is not State.CLOSED or made.room.session.state is State.CLOSED


def test_signals_are_never_shown_below_five_people():
    waves = Waves()
    for number in range(4):
        waves.add("nod", f"p{number}", 0)
        waves.add("nod", f"p{number}", 1)
    everybody = {f"p{number}" for number in range(5)}
    assert waves.counts(2, everybody.__contains__) == {}
    waves.add("nod", "p4", 2)
    assert waves.counts(3, everybody.__contains__) == {"nod": 5}
    assert waves.counts(3, (everybody - {"p2"}).__contains__) == {}, "who has left no longer counts"
    waves.add("nod", "p2", 4)
    assert waves.counts(WINDOW_MS + 1, everybody.__contains__) == {}


@given(
    st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 12), st.integers(0, 3_000)), min_size=1, max_size=120
    ),
    st.sets(st.integers(0, 12)),
)
def test_a_signals_number_is_at_least_five_people_who_are_inside_and_sent_it_lately(sent, inside):
    waves, now, last = Waves(), 0, {}
    for kind, person, pause in sent:
        now += pause
        waves.add(kind, str(person), now)
        last[kind, person] = now
        shown = waves.counts(now, lambda one: int(one) in inside)
        last = {(what, who): at for (what, who), at in last.items() if who in inside and now - at < WINDOW_MS}
        people = {what: {who for kind_of, who in last if kind_of == what} for what in KINDS}
        assert shown == {what: len(who) for what, who in people.items() if len(who) >= FEWEST}


@given(st.text(max_size=400))
def test_any_text_is_cleaned_or_refused(text):
    try:
        kept = clean(text, most=50)
    except Refused as refusal:
        assert refusal.code in {"too_short", "too_long"}
    else:
        assert 1 <= graphemes(kept) <= 50
        assert clean(kept, most=50) == kept


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("  山田\u3000花子 ", "山田 花子"), ("a\u202eb", "ab"), ("司\u200b会", "司会"), ("が", "が")],
)
def test_names_are_one_visible_line(typed, kept):
    assert clean_name(typed) == kept


def test_characters_are_counted_as_people_see_them():
    assert graphemes("👩‍👩‍👧🇯🇵が👍🏽") == 4
    assert len(ROLES) == 8


def test_how_media_reaches_a_person_is_told_to_the_staff_once_per_change():
    made = table()
    first = made.ask("aoi", TellReach(reach=Reach.RELAY))
    assert [type(event) for event in first] == [Filed]
    assert all(event.audience is Level.STAFF for event in first)
    assert made.room.door.people["aoi"].reach is Reach.RELAY
    assert made.ask("aoi", TellReach(reach=Reach.RELAY)) == []
    assert table(inside=False).ask("aoi", TellReach(reach=Reach.NONE)) == []
