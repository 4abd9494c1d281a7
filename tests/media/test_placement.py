"""The plan of rooms and workers, under any sequence of what can happen to it."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from live.media.placement import Placement


def plan(workers: int, limit: int = 100) -> Placement:
    made = Placement(workers, limit)
    for worker in range(workers):
        made.came(worker)
    return made


def test_one_worker_gets_everything() -> None:
    one = plan(1, limit=1)
    assert {one.place(room, at_home=False) for room in "abca"} == {0}
    assert one.siblings("a") == frozenset()


def test_rooms_are_spread_over_workers_by_load() -> None:
    two = plan(2)
    homes = Counter(two.place(f"room {n}", at_home=True) for n in range(10))
    assert homes == {0: 5, 1: 5}


def test_a_room_keeps_its_home_while_somebody_is_there() -> None:
    two = plan(2)
    home = two.place("a", at_home=True)
    for _ in range(20):
        assert two.place("a", at_home=False) == home


def test_beyond_the_limit_only_viewers_go_to_a_sibling() -> None:
    two = plan(2, limit=3)
    home = two.place("a", at_home=True)
    places = [two.place("a", at_home=False) for _ in range(4)]
    assert places == [home, home, 1 - home, 1 - home]
    assert two.siblings("a") == {1 - home}
    assert two.place("a", at_home=True) == home


def test_a_full_node_takes_more_where_the_load_is_least() -> None:
    two = plan(2, limit=1)
    places = Counter(two.place("a", at_home=False) for _ in range(10))
    assert set(places) == {0, 1}
    assert max(places.values()) - min(places.values()) <= 1


def test_what_was_placed_since_the_question_is_not_forgotten_by_its_answer() -> None:
    two = plan(2, limit=3)
    home = two.place("a", at_home=True)
    two.asked(home)
    two.place("a", at_home=False)
    two.place("a", at_home=False)
    two.counted(home, {"a": 1})
    assert two.place("a", at_home=False) == 1 - home


def test_the_worker_with_most_of_the_viewers_inherits_a_room() -> None:
    three = plan(3, limit=2)
    home = three.place("a", at_home=True)
    sibling = next(w for _ in range(3) if (w := three.place("a", at_home=False)) != home)
    three.counted(3 - home - sibling, {"other": 1})
    assert three.lost(home) == ["a"]
    assert three.home("a") == sibling
    assert home not in three.siblings("a")


def test_who_comes_first_takes_over_what_nobody_had() -> None:
    two = plan(2)
    homes = {room: two.place(room, at_home=True) for room in "ab"}
    assert two.lost(homes["a"]) == ["a"]
    assert two.lost(homes["b"]) == []
    assert two.place("a", at_home=False) is None
    assert sorted(two.came(homes["a"])) == ["a", "b"]
    assert two.place("b", at_home=False) == homes["a"]


def test_a_room_that_is_over_is_forgotten_when_the_last_has_left() -> None:
    two = plan(2)
    home = two.place("a", at_home=True)
    assert not two.forget("a")
    two.asked(home)
    two.counted(home, {})
    assert two.forget("a")
    assert two.home("a") is None


happenings = st.lists(
    st.tuples(
        st.sampled_from(["place", "at home", "count", "lost", "came", "forget"]),
        st.integers(0, 2),
        st.sampled_from("abcd"),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(happenings, st.integers(1, 5))
def test_whatever_happens_rooms_live_on_living_workers(events, limit) -> None:
    three = plan(3, limit)
    alive = {0, 1, 2}
    for what, worker, room in events:
        if what in ("place", "at home"):
            chosen = three.place(room, at_home=what == "at home")
            assert (chosen is None) == (not alive)
            if chosen is not None:
                assert chosen in alive
                assert chosen == three.home(room) or what == "place"
                assert chosen == three.home(room) or chosen in three.siblings(room)
        elif what == "count":
            three.asked(worker)
            three.counted(worker, {room: 2})
        elif what == "lost":
            alive.discard(worker)
            three.lost(worker)
        elif what == "came":
            if worker not in alive:
                alive.add(worker)
                three.came(worker)
        else:
            three.forget(room)
        for name in "abcd":
            assert three.siblings(name) <= alive
            assert three.home(name) not in three.siblings(name)
            assert not alive or three.home(name) is None or three.home(name) in alive
