"""The question machine of the product contract, section 4: as a table, and rule by rule."""

import msgspec
import pytest

from rooms import ForgetMe, QuestionPolicy, Refused, Room, Settings, decide, visible
from rooms.chat import DeleteMessage, Post
from rooms.door import Mute
from rooms.queue import (
    Address,
    Answer,
    Approve,
    Ask,
    ClaimQuestion,
    ConvertMessage,
    Decline,
    Merge,
    OrderNext,
    PutBack,
    Queue,
    Reopen,
    ReturnQuestion,
    Revise,
    SetQuestionRules,
    Take,
    Vote,
    Withdraw,
)
from rooms.session import ChangeSettings
from tests.kit.personas import blinded, table

TEXT = "境界線の引き方を教えてください"


def asked(made, who="aoi", text=TEXT, **fields):
    made.ask(who, Ask(text=text, **fields))
    return next(reversed(made.room.questions.items))


def version(made, question):
    return made.room.questions.items[question].version


def step(made, kind, question, who="mika", **fields):
    return made.ask(who, kind(id=question, version=version(made, question), **fields))


TO = {
    "pending": [],
    "returned": [(ReturnQuestion, {"reason": "other", "note": "もう少し詳しく"})],
    "declined": [(Decline, {"reason": "duplicate"})],
    "open": [(Approve, {})],
    "next": [(Approve, {}), (Queue, {})],
    "live": [(Approve, {}), (Queue, {}), (Take, {})],
    "answered": [(Approve, {}), (Queue, {}), (Take, {}), (Answer, {})],
}
LEADS = {
    (Approve, "pending"): "open",
    (ReturnQuestion, "pending"): "returned",
    (Decline, "pending"): "declined",
    (Decline, "returned"): "declined",
    (Decline, "open"): "declined",
    (Decline, "next"): "declined",
    (Queue, "open"): "next",
    (PutBack, "next"): "open",
    (PutBack, "live"): "next",
    (Take, "open"): "live",
    (Take, "next"): "live",
    (Answer, "open"): "answered",
    (Answer, "next"): "answered",
    (Answer, "live"): "answered",
    (Answer, "answered"): "answered",
    (Reopen, "answered"): "open",
    (Reopen, "declined"): "open",
}
KINDS = [Approve, ReturnQuestion, Decline, Queue, PutBack, Take, Answer, Reopen]


@pytest.mark.parametrize("state", TO)
@pytest.mark.parametrize("kind", KINDS)
def test_every_transition_leads_where_the_machine_says_or_is_refused(kind, state):
    made = table()
    question = asked(made)
    for way, fields in TO[state]:
        step(made, way, question, **fields)
    assert made.room.questions.items[question].state == state
    fields = {"reason": "duplicate"} if kind in {ReturnQuestion, Decline} else {}
    if (kind, state) in LEADS:
        step(made, kind, question, **fields)
        assert made.room.questions.items[question].state == LEADS[kind, state]
    else:
        with pytest.raises(Refused, match="wrong_state"):
            step(made, kind, question, **fields)


def test_an_old_version_is_a_conflict_that_names_who_came_first():
    made = table()
    question = asked(made)
    step(made, Approve, question, who="ken")
    with pytest.raises(Refused) as refusal:
        made.ask("mika", Decline(id=question, version=1, reason="duplicate"))
    assert (refusal.value.code, refusal.value.at, refusal.value.by) == ("conflict", 2, "ken")


def test_a_claim_warns_for_a_minute_and_changes_no_version():
    made = table()
    question = asked(made)
    step(made, ClaimQuestion, question, who="ken")
    assert version(made, question) == 1
    with pytest.raises(Refused) as refusal:
        step(made, ClaimQuestion, question)
    assert (refusal.value.code, refusal.value.by) == ("claimed", "ken")
    made.now += 60_000
    step(made, ClaimQuestion, question)
    step(made, Approve, question)
    assert made.room.questions.items[question].claim is None


def test_the_asker_always_sees_the_own_question_and_alone_sees_why_it_was_declined():
    made = table()
    question = asked(made)
    step(made, Decline, question, reason="other", note="個人が特定されるおそれ")
    room = made.room
    own = visible(room.level_of("aoi", "attendee"), frozenset({"aoi"}), room.facts())
    other = visible(room.level_of("ben", "attendee"), frozenset({"ben"}), room.facts())
    assert [event.question.note for event in own if type(event).__name__ == "OwnQuestionChanged"]
    assert question not in repr(other)


def test_at_most_one_is_live_and_five_are_next():
    made = table()
    made.room.questions.items.clear()
    questions = []
    for _ in range(7):
        questions.append(asked(made))
        step(made, Approve, questions[-1])
    for question in questions[:5]:
        step(made, Queue, question)
    with pytest.raises(Refused, match="next_full"):
        step(made, Queue, questions[5])
    step(made, Take, questions[1], who="sara")
    with pytest.raises(Refused, match="live_taken"):
        step(made, Take, questions[2], who="taro")
    line = [questions[index] for index in (4, 3, 2, 0)]
    made.ask("ken", OrderNext(ids=line))
    assert [one.id for one in made.room.questions.in_state("next")] == line
    with pytest.raises(Refused, match="conflict"):
        made.ask("ken", OrderNext(ids=line[:-1]))


@pytest.mark.parametrize(
    ("anonymity", "named", "staff_know", "public"),
    [
        ("named", False, "aoi", "aoi"),
        ("anonymous", False, "aoi", ""),
        ("anonymous", True, "aoi", "aoi"),
        ("full", False, "", ""),
    ],
)
def test_who_may_see_the_name(anonymity, named, staff_know, public):
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity=anonymity)))
    question = asked(made, named=named)
    events = step(made, Approve, question)
    filed = next(event for event in events if type(event).__name__ == "QuestionFiled")
    listed = next(event for event in events if type(event).__name__ == "QuestionListed")
    assert (filed.question.author, listed.question.author) == (staff_know, public)


def test_a_fully_anonymous_question_cannot_show_a_name_and_belongs_to_a_blinded_one():
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity="full")))
    with pytest.raises(Refused, match="names_not_kept"):
        asked(made, named=True)
    question = asked(made)
    assert made.room.questions.owners[question] == blinded("aoi")
    made.ask("aoi", Withdraw(id=question))
    assert made.room.questions.items[question].state == "withdrawn"


def test_one_vote_each_revocable_and_not_for_ones_own():
    made = table()
    question = asked(made)
    step(made, Approve, question)
    with pytest.raises(Refused, match="own_question"):
        made.ask("aoi", Vote(id=question))
    for who in ("ben", "ben", "chie"):
        made.ask(who, Vote(id=question))
    assert made.room.questions.votes(question) == 2
    made.ask("ben", Vote(id=question, on=False))
    assert made.room.questions.votes(question) == 1
    assert all(event.audience == "subject" for event in made.ask("ben", Vote(id=question)))


def test_merging_counts_every_voter_once_and_the_asker_too():
    made = table()
    target, other = asked(made), asked(made, who="ben")
    for question in (target, other):
        step(made, Approve, question)
    made.ask("chie", Vote(id=target))
    made.ask("chie", Vote(id=other))
    made.ask("aoi", Vote(id=other))
    step(made, Merge, other, into=target)
    assert made.room.questions.voters[target] == {"chie", "ben"}
    assert made.room.questions.items[other].state == "merged"
    with pytest.raises(Refused, match="no_such_question"):
        step(made, Merge, target, into=target)


def test_a_returned_question_waits_again_after_its_revision():
    made = table()
    question = asked(made)
    step(made, ReturnQuestion, question, reason="other", note="短く")
    with pytest.raises(Refused, match="no_such_question"):
        made.ask("ben", Revise(id=question, text=TEXT))
    made.ask("aoi", Revise(id=question, text="短くしました、お願いします"))
    revised = made.room.questions.items[question]
    assert (revised.state, revised.note, revised.text) == ("pending", "", "短くしました、お願いします")


def test_closed_stops_asking_and_keeps_votes_while_frozen_stops_both():
    made = table()
    question = asked(made)
    step(made, Approve, question)
    made.ask("mika", SetQuestionRules(closed=True))
    with pytest.raises(Refused, match="questions_closed"):
        asked(made, who="ben")
    made.ask("ben", Vote(id=question))
    made.ask("mika", SetQuestionRules(frozen=True))
    with pytest.raises(Refused, match="questions_closed"):
        made.ask("chie", Vote(id=question))


@pytest.mark.parametrize(
    ("text", "code"), [("短い", "too_short"), ("あ" * 301, "too_long"), ("\u202e" * 9, "too_short")]
)
def test_length_is_counted_in_characters_that_people_see(text, code):
    with pytest.raises(Refused, match=code):
        asked(table(), text=text)


def test_asking_is_bounded_per_person():
    made = table()
    for _ in range(5):
        asked(made)
    with pytest.raises(Refused) as refusal:
        asked(made)
    assert (refusal.value.code, refusal.value.at) == ("too_many_waiting", 5)
    made.ask("mika", Mute(person="ben"))
    with pytest.raises(Refused, match="muted"):
        asked(made, who="ben")


def test_asking_twice_in_a_moment_says_how_long_to_wait():
    made = table()
    asked(made)
    made.now -= 9_000
    with pytest.raises(Refused) as refusal:
        asked(made)
    assert refusal.value.code == "too_fast"
    assert refusal.value.wait == 4_000


def test_an_expert_passes_a_question_to_the_colleague():
    made = table()
    question = asked(made, addressee="sara")
    step(made, Approve, question)
    step(made, Address, question, who="sara", to="taro")
    assert made.room.questions.items[question].addressee == "taro"
    with pytest.raises(Refused, match="no_such_speaker"):
        step(made, Address, question, who="sara", to="aoi")
    with pytest.raises(Refused, match="forbidden"):
        step(made, Address, question, who="aoi", to="sara")


def test_a_private_answer_reaches_the_asker_only():
    made = table()
    question = asked(made)
    step(made, Approve, question)
    events = step(made, Answer, question, who="sara", how="private", text="個別にお答えします")
    shown = {type(event).__name__: repr(event) for event in events}
    assert "個別に" in shown["OwnQuestionChanged"]
    assert "個別に" not in shown["QuestionListed"]
    with pytest.raises(Refused, match="too_short"):
        step(made, Answer, question, how="private")


def test_a_chat_message_becomes_a_question_once():
    made = table()
    made.ask("aoi", Post(text="これは質問なのですが、どうでしょう"))
    message = next(iter(made.room.chat.messages))
    made.ask("mika", ConvertMessage(id=message))
    assert made.ask("ken", ConvertMessage(id=message)) == []
    assert made.room.questions.owners[message] == "aoi"
    assert not made.room.questions.items[message].shown


@pytest.mark.parametrize("who", ["olga", "ken", "sara", "taro", "aoi"])
def test_a_fully_anonymous_asker_is_named_nowhere_whatever_the_role_and_whatever_is_done(who):
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity="full")))
    before = len(made.log)
    question = asked(made, who=who)
    step(made, ReturnQuestion, question, reason="other", note="もう少し短く")
    made.ask(who, Revise(id=question, text=f"{TEXT}（短く）"))
    step(made, ReturnQuestion, question, reason="duplicate")
    made.ask(who, Withdraw(id=question))
    written = msgspec.json.encode([made.log[before:], list(made.room.questions.facts())]).decode()
    assert f'"{who}"' not in written
    assert '"mika"' in written, "what the staff did stands in it"
    assert [each.by for each in made.room.questions.items[question].steps] == ["", "mika", "", "mika", ""]


def without_words(made):
    """Give the log as the store keeps it once everything has gone that is due to go."""
    gone = [(entry.seq, entry.erases()) for entry in made.log]
    kept = made.log
    for seq, of in gone:
        kept = [entry.without(of) if entry.seq <= seq else entry for entry in kept]
    return msgspec.json.encode([kept, list(made.room.facts())]).decode()


@pytest.mark.parametrize("anonymity", ["named", "anonymous", "full"])
@pytest.mark.parametrize("deleted", [False, True])
def test_forgetting_reaches_the_question_that_was_made_of_a_message(anonymity, deleted):
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity=anonymity)))
    for who, words in (("aoi", "わたしの言葉です"), ("ben", "ほかの人の言葉です")):
        made.ask(who, Post(text=words))
        made.ask("mika", ConvertMessage(id=next(reversed(made.room.chat.messages))))
    mine, others = made.room.questions.items
    if deleted:
        made.ask("aoi", DeleteMessage(id=mine))
    made.ask("aoi", ForgetMe())
    assert "わたしの言葉" not in without_words(made)
    assert made.room.questions.items[mine].state == "withdrawn"
    assert made.room.questions.items[others].text == "ほかの人の言葉です"


@pytest.mark.parametrize("anonymity", ["named", "anonymous", "full"])
def test_what_was_said_to_the_asker_alone_goes_with_the_question(anonymity):
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity=anonymity)))
    privately, publicly, declined, returned = (asked(made, text=f"{TEXT}{n}") for n in range(4))
    for question in (privately, publicly):
        step(made, Approve, question)
    step(made, Answer, privately, how="private", text="あなたにだけの答え")
    step(made, Answer, publicly, how="text", text="みなさんへの答え")
    step(made, Decline, declined, reason="other", note="あなたにだけの理由")
    step(made, ReturnQuestion, returned, reason="other", note="あなたにだけの願い")
    assert without_words(made).count("あなたにだけ") > 0, "nothing goes before"
    made.ask("aoi", Withdraw(id=returned))
    made.ask("aoi", ForgetMe())
    left = without_words(made)
    assert "あなたにだけ" not in left
    assert TEXT not in left
    assert "みなさんへの答え" in left
    with pytest.raises(Refused, match="wrong_state"):
        step(made, Answer, privately, how="private", text="もう読む人がいない答え")


ANONYMITY = ("named", "anonymous", "full")


@pytest.mark.parametrize("told", ANONYMITY)
@pytest.mark.parametrize("holds", ANONYMITY)
@pytest.mark.parametrize("named", [False, True])
def test_a_question_is_asked_only_where_it_hides_as_much_as_its_asker_was_told(told, holds, named):
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity=told)))
    made.ask("olga", ChangeSettings(anonymity=holds))
    before = made.room.snapshot()
    less = ANONYMITY.index(holds) < ANONYMITY.index("named" if named else told)
    if less or (named and holds == "full"):
        with pytest.raises(Refused, match="policy_changed" if less else "names_not_kept"):
            asked(made, named=named, anonymity=told)
        assert made.room.snapshot() == before
    else:
        question = made.room.questions.items[asked(made, named=named, anonymity=told)]
        assert question.shown == (holds == "named" or named)


def test_a_form_of_unknown_age_counts_on_the_best_that_was_ever_promised():
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity="anonymous")))
    asked(made)
    for anonymity in ("full", "named"):
        made.ask("olga", ChangeSettings(anonymity=anonymity))
    with pytest.raises(Refused, match="policy_changed"):
        asked(made)
    again = Room.restore(made.room.snapshot())
    with pytest.raises(Refused, match="policy_changed"):
        decide(again, made.asked("ben"), Ask(text=TEXT))
    assert made.room.questions.items[asked(made, anonymity="named")].shown
    made.ask("olga", ChangeSettings(anonymity="full"))
    assert made.room.questions.items[asked(made)].author == ""
