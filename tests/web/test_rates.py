from hypothesis import given, settings
from hypothesis import strategies as st

from live.web import rates
from live.web.origins import origin_of
from live.web.rates import Rates


@given(st.integers(1, 20), st.lists(st.integers(0, 5000), max_size=60))
@settings(max_examples=60, deadline=None)
def test_nobody_acts_more_often_than_allowed_and_waiting_helps(per_minute, pauses):
    table, now, acts = Rates(per_minute), 0, []
    for pause in pauses:
        now += pause
        wait = table.take("a", now)
        if wait == 0:
            acts.append(now)
        else:
            assert Rates.wait(table, "a", now + wait) == 0
    for at in acts:
        assert sum(at - 60_000 < other <= at for other in acts) <= 2 * per_minute


def test_one_key_does_not_take_anothers_turn():
    table = Rates(1)
    assert table.take("a", 0) == 0
    assert table.take("b", 0) == 0
    assert table.take("a", 0) > 0


def test_the_table_keeps_its_size(monkeypatch):
    monkeypatch.setattr(rates, "PLACES", 10)
    table = Rates(1)
    for number in range(100):
        table.take(str(number), 0)
    assert len(table._buckets) == 10


def test_origins_are_written_as_browsers_write_them():
    assert origin_of("https://Madoi.Example:443/path") == "https://madoi.example"
    assert origin_of("http://localhost:8000") == "http://localhost:8000"
    assert origin_of("http://user@h:80/") == "http://h"
