"""One contract for both bodies of the store."""

import asyncio
import contextlib
import secrets

import pytest

from live.stores import Batch, Position, Row, Saved, StoreAway, Taken, open_store
from tests.kit.polling import until

START = Position(1, 0)


@pytest.fixture
def room():
    return "r-" + secrets.token_hex(4)


async def test_what_was_appended_is_read_in_order(store, room):
    await store.append(room, START, [b"one", b"two"])
    await store.append(room, Position(1, 2), [b"three"])
    assert await store.position(room) == (1, 3)
    assert await store.read(room, 0, 10) == [Row(1, b"one"), Row(2, b"two"), Row(3, b"three")]
    assert await store.read(room, 1, 1) == [Row(2, b"two")]
    assert await store.read(room, 3, 10) == []


async def test_an_unknown_room_is_empty(store, room):
    assert await store.position(room) == START
    assert await store.read(room, 0, 10) == []
    assert await store.snapshot(room) is None
    assert await store.session(room) is None
    assert await store.card(room, "p") is None


@pytest.mark.parametrize("seen", [(1, 0), (1, 2), (2, 1)])
async def test_who_saw_another_tail_appends_nothing(store, room, seen):
    await store.append(room, START, [b"one"])
    with pytest.raises(Taken) as taken:
        await store.append(room, Position(*seen), [b"late", b"later"])
    assert taken.value.tail == (1, 1)
    assert await store.read(room, 0, 10) == [Row(1, b"one")]


async def test_of_racing_writers_exactly_one_wins_each_place(store, room):
    async def write(name):
        seen, written = START, 0
        while written < 10:
            try:
                await store.append(room, seen, [f"{name}{written}".encode()])
                seen, written = Position(seen.epoch, seen.seq + 1), written + 1
            except Taken as taken:
                seen = taken.tail

    await asyncio.gather(*(write(name) for name in "abcd"))
    rows = await store.read(room, 0, 100)
    assert [row.seq for row in rows] == list(range(1, 41))
    for name in b"abcd":
        assert [row.body[1:] for row in rows if row.body[0] == name] == [str(n).encode() for n in range(10)]


async def test_rooms_are_strangers(store, room):
    await store.append(room, START, [b"one"])
    await store.append(room + "x", START, [b"other"])
    assert await store.read(room, 0, 10) == [Row(1, b"one")]


async def test_any_bytes_are_kept(store, room):
    body = bytes(range(256)) * 300
    async with contextlib.aclosing(store.follow(room, START)) as news:
        first = asyncio.ensure_future(anext(news))
        await asyncio.sleep(0)
        await store.append(room, START, [body, b"", b"\n"])
        assert (await first).rows[0].body == body
    assert [row.body for row in await store.read(room, 0, 9)] == [body, b"", b"\n"]


async def test_a_follower_gets_everything_once_and_in_order(store, where, room):
    await store.append(room, START, [b"0"])
    other = await open_store(where)
    heard = []

    async def listen():
        async with contextlib.aclosing(other.follow(room, START)) as news:
            async for batch in news:
                heard.extend(batch.rows)
                if len(heard) == 600:
                    return

    listening = asyncio.create_task(listen())
    for seq in range(1, 300):
        await store.append(room, Position(1, seq), [b"%d" % seq])
    await store.append(room, Position(1, 300), [b"%d" % seq for seq in range(300, 600)])
    await asyncio.wait_for(listening, 10)
    await other.close()
    assert heard == [Row(seq + 1, b"%d" % seq) for seq in range(600)]


async def test_the_newest_snapshot_is_kept(store, room):
    await store.append(room, START, [b"entry"] * 5)
    await store.save_snapshot(room, Position(1, 5), b"five")
    await store.save_snapshot(room, Position(1, 3), b"three")
    assert await store.snapshot(room) == Saved(5, b"five")


async def test_a_snapshot_of_another_edition_or_of_what_is_not_there_is_not_kept(store, room):
    await store.append(room, START, [b"entry"] * 5)
    await store.save_snapshot(room, Position(1, 6), b"from the future")
    await store.save_snapshot(room, Position(2, 5), b"from another epoch")
    assert await store.snapshot(room) is None
    await store.redact(room, Position(1, 5), {}, Saved(4, b"clean"))
    await store.save_snapshot(room, Position(1, 5), b"words that were taken out")
    assert await store.snapshot(room) == Saved(4, b"clean")


async def test_trimming_stops_at_the_snapshot(store, room):
    await store.append(room, START, [b"%d" % n for n in range(1, 11)])
    await store.trim(room, 8)
    assert len(await store.read(room, 0, 99)) == 10, "without a snapshot nothing goes"
    await store.save_snapshot(room, Position(1, 6), b"six")
    await store.trim(room, 4)
    assert (await store.read(room, 0, 1))[0] == Row(5, b"5")
    await store.trim(room, 99)
    assert await store.read(room, 0, 99) == [Row(n, b"%d" % n) for n in range(7, 11)]
    await store.save_snapshot(room, Position(1, 10), b"ten")
    await store.trim(room, 10)
    assert await store.read(room, 0, 99) == []
    assert await store.position(room) == (1, 10)
    await store.append(room, Position(1, 10), [b"11"])
    assert await store.read(room, 10, 99) == [Row(11, b"11")]


async def test_a_follower_that_was_overtaken_by_trimming_is_told(store, room):
    await store.append(room, START, [b"entry"] * 9)
    await store.save_snapshot(room, Position(1, 9), b"nine")
    await store.trim(room, 5)
    async with contextlib.aclosing(store.follow(room, Position(1, 2))) as news:
        assert await anext(news) == Batch(1, ())


async def test_redaction_leaves_no_byte_and_changes_the_epoch(store, room, folder):
    canary = secrets.token_hex(16).encode()
    await store.append(room, START, [b"one", b"<" + canary + b">", b"three"])
    await store.save_snapshot(room, Position(1, 2), canary)
    async with contextlib.aclosing(store.follow(room, Position(1, 3))) as news:
        told = asyncio.ensure_future(anext(news))
        await asyncio.sleep(0)
        moved = await store.redact(room, Position(1, 1), {2: b"gone", 7: b"never"}, Saved(3, b"clean"))
        assert moved == (2, 3)
        assert moved.history == START.history
        assert await asyncio.wait_for(told, 5) == Batch(2, ())
    assert [row.body for row in await store.read(room, 0, 9)] == [b"one", b"gone", b"three"]
    assert await store.snapshot(room) == Saved(3, b"clean")
    with pytest.raises(Taken):
        await store.append(room, Position(1, 3), [b"four"])
    await store.append(room, Position(2, 3), [b"four"])
    await _absent(canary, folder)
    for seen, saved in ((Position(1, 4), 4), (Position(2, 4), 5)):
        with pytest.raises(Taken) as taken:
            await store.redact(room, seen, {1: b"x"}, Saved(saved, b"x"))
        assert taken.value.tail == (2, 4)
    moved = await store.redact(room, Position(2, 4), {}, Saved(4, b""), anew=True)
    assert moved.history == START.history + 1
    assert await store.read(room, 0, 9) == []
    await store.append(room, moved, [b"five"])
    assert await store.read(room, 4, 9) == [Row(5, b"five")]


async def test_a_log_is_restored_as_it_was_in_another_history(store, room):
    rows = [Row(n, b"%d" % n) for n in range(4, 7)]
    await store.put_card(room, "p", b"card")
    assert room in await store.rooms()
    await store.restore(room, Position(3, 6), rows, Saved(3, b"three"))
    tail = await store.position(room)
    assert (tail.seq, tail.history) == (6, START.history + 1)
    assert await store.read(room, 3, 9) == rows
    assert await store.snapshot(room) == Saved(3, b"three")
    await store.append(room, tail, [b"7"])
    await store.restore(room, Position(1, 0), [], None)
    assert (await store.snapshot(room), await store.read(room, 0, 9)) == (None, [])


async def test_stamps_rise_whoever_asks(store, where, room):
    other = store if not isinstance(where, str) else await open_store(where)
    stamps = [await one.stamp(room) for one in (store, other) * 5]
    assert stamps == sorted(set(stamps))
    if other is not store:
        await other.close()


async def test_erasing_and_forgetting_leave_no_byte(store, room, folder):
    canary, name = (secrets.token_hex(16).encode() for _ in range(2))
    await store.append(room, START, [canary])
    await store.put_session(room, canary)
    await store.put_card(room, "p1", name)
    await store.put_card(room, "p2", b"two")
    await store.forget(room, "p1")
    assert await store.cards(room) == {"p2": b"two"}
    await _absent(name, folder)
    await store.erase(room)
    assert await store.position(room) == START
    assert await store.cards(room) == {}
    assert room not in await store.sessions()
    await _absent(canary, folder)


async def _absent(canary, folder):
    async def absent():
        try:
            return not any(canary in path.read_bytes() for path in _files(folder))
        except FileNotFoundError:
            return False  # Redis is changing its files just now

    await until(absent)


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("temp-")]


async def test_cards_and_the_index(store, room):
    await store.put_card(room, "p1", b"a")
    await store.put_card(room, "p1", b"b")
    await store.put_card(room, "p2", b"c")
    await store.put_session(room, b"line")
    assert await store.card(room, "p1") == b"b"
    assert await store.cards(room) == {"p1": b"b", "p2": b"c"}
    assert await store.cards(room, ["p2", "p3"]) == {"p2": b"c"}
    assert await store.cards(room, []) == {}
    assert await store.session(room) == b"line"
    assert (await store.sessions())[room] == b"line"
    await store.erase(room)
    assert await store.session(room) is None


async def test_a_line_of_the_index_changes_only_from_what_was_seen(store, room):
    assert not await store.swap_session(room, b"", b"a"), "a line that is not there cannot be changed"
    await store.put_session(room, b"a")
    assert not await store.swap_session(room, b"b", b"c")
    swapped = await asyncio.gather(*(store.swap_session(room, b"a", b"%d" % n) for n in range(10)))
    assert sorted(swapped) == [False] * 9 + [True]
    assert await store.session(room) == b"%d" % swapped.index(True)
    await store.erase(room)
    assert not await store.swap_session(room, b"%d" % swapped.index(True), b"a")


async def test_a_card_changes_only_from_what_was_seen_and_a_forgotten_one_stays_away(store, room):
    await store.put_card(room, "p1", b"a")
    await store.put_card(room, "p2", b"a")
    assert not await store.swap_card(room, "p1", b"b", b"c")
    swapped = await asyncio.gather(*(store.swap_card(room, "p1", b"a", b"%d" % n) for n in range(10)))
    assert sorted(swapped) == [False] * 9 + [True]
    assert await store.cards(room) == {"p1": b"%d" % swapped.index(True), "p2": b"a"}
    await store.forget(room, "p2")
    assert not await store.swap_card(room, "p2", b"a", b"b")
    assert await store.card(room, "p2") is None


async def test_a_claim_is_granted_once(store, room):
    granted = await asyncio.gather(*(store.claim_once(room, 30) for _ in range(10)))
    assert sorted(granted) == [False] * 9 + [True]


async def test_facts_and_claims_run_out(store, room):
    await store.put_fact(room, b"v", 0.05)
    assert await store.claim_once(room, 0.05)

    async def over():
        return await store.fact(room) is None and await store.claim_once(room, 5)

    await until(over)


async def test_of_racing_holders_one_holds_until_it_lets_go(store, room):
    held = await asyncio.gather(*(store.hold(room, name, 30) for name in (b"a", b"b", b"c")))
    assert set(held) == {held[0]}
    other = b"b" if held[0] == b"a" else b"a"
    assert await store.hold(room, held[0], 30) == held[0]
    await store.let_go(room, other)
    assert await store.hold(room, other, 30) == held[0]
    await store.let_go(room, held[0])
    assert await store.hold(room, other, 0.05) == other

    async def over():
        return await store.hold(room, held[0], 30) == held[0]

    await until(over)


async def test_what_is_held_can_be_listed_and_held_elsewhere_for_as_long(store, room):
    await store.hold(f"{room}:a", b"one", 60)
    await store.hold(f"{room}:b", b"two", 0.05)
    await store.hold(f"other:{room}", b"three", 60)

    async def one():
        found = await store.holds(f"{room}:")
        return found if len(found) == 1 else None

    (held,) = await until(one)
    assert (held.key, held.holder) == (f"{room}:a", b"one")
    assert 50 < held.seconds <= 60
    await store.hold(held.key, b"another", held.seconds)
    assert [one.holder for one in await store.holds(f"{room}:")] == [b"one"]


async def test_leases_last_as_long_as_they_are_renewed(store, room):
    await store.lease(room, ["a", "b"], 30)
    await store.lease(room, ["b", "c"], 0.05)
    await store.release(room, ["zz"])
    assert "a" in await store.leases(room)

    async def alone():
        return await store.leases(room) == {"a"}

    await until(alone)
    await store.release(room, ["a"])
    assert await store.leases(room) == set()


async def test_the_secret_is_made_once(store, where):
    other = await open_store(where)
    assert len(await store.secret()) == 32
    assert await other.secret() == await store.secret()
    await other.close()


async def test_a_closed_or_unreachable_store_says_so(tmp_path):
    store = await open_store(tmp_path)
    await store.check()
    await store.close()
    with pytest.raises(StoreAway):
        await store.check()
    with pytest.raises(StoreAway):
        await open_store("redis://127.0.0.1:1/0")
    (tmp_path / "file").touch()
    with pytest.raises(StoreAway):
        await open_store(tmp_path / "file")


async def test_a_whisper_reaches_who_listens_now_and_is_not_kept(store, room):
    heard = []

    async def listen():
        async with contextlib.aclosing(store.whispers(room)) as whispers:
            async for body in whispers:
                heard.append(body)  # noqa: PERF401 - it never ends

    listening = asyncio.create_task(listen())
    other = asyncio.create_task(_listen_elsewhere(store, room + "x"))

    async def whispered():
        await store.whisper(room, b"psst")
        return heard

    await until(whispered)
    assert set(heard) == {b"psst"}
    assert await store.position(room) == START
    for task in (listening, other):
        task.cancel()
    await asyncio.gather(listening, other, return_exceptions=True)


async def _listen_elsewhere(store, room):
    async with contextlib.aclosing(store.whispers(room)) as whispers:
        async for body in whispers:
            raise AssertionError(body)
