"""What an organiser takes along names nobody whom the session's policy hides."""

import msgspec
import pytest

from live.protocol.frames import Card
from live.web.exports import _Book, _questions
from rooms import QuestionPolicy, Settings
from rooms.queue import Ask, ReturnQuestion, Revise, Withdraw
from tests.kit.personas import ROLES, table


@pytest.mark.parametrize("who", ["olga", "ken", "sara", "taro", "aoi"])
def test_a_fully_anonymous_asker_is_not_in_the_export_by_what_became_of_the_question(who):
    made = table(Settings(title="会", qa=QuestionPolicy(anonymity="full")))
    made.ask(who, Ask(text="境界線の引き方を教えてください"))
    question = next(iter(made.room.questions.items))
    made.ask("mika", ReturnQuestion(id=question, version=1, reason="duplicate"))
    made.ask(who, Revise(id=question, text="境界線の引き方を教えてください、短く"))
    made.ask(who, Withdraw(id=question))
    book = _Book({name: Card(name, f"{name}-san", role) for name, role in ROLES.items()})
    exported = msgspec.json.encode(list(_questions(made.room, book))).decode()
    assert who not in exported
    assert "mika-san" in exported
