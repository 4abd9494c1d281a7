"""A room end to end: real sockets, both stores."""

import asyncio
import contextlib
import secrets
import time

import msgspec
import pytest

import rooms.room
from live.gateway import writing
from live.gateway.host import SERVER
from live.gateway.hub import Hub
from live.gateway.viewing import Caller
from live.protocol.codes import Close
from live.protocol.frames import (
    AskPage,
    Card,
    Done,
    Hello,
    Ping,
    Publication,
    Refused,
    Signal,
    Stage,
    Tally,
    Typing,
)
from live.stores import Position, Row, StoreAway, open_store
from rooms import Level, Role, SetState, State
from rooms import Refused as Refusal
from rooms.chat import DeleteMessage, EditMessage, Post, SetChatRules
from rooms.door import Admit, Arrive, Leave, Remove, Standing
from rooms.polling import CastBallot, ClosePoll, DraftPoll, OpenPoll, PollForm, ShowResults
from rooms.queue import Approve, Ask, Vote, Withdraw
from rooms.session import ChangeSettings
from tests.kit.polling import until
from tests.kit.rooms import Gateway, authenticate, gateway
from tests.kit.way import Way


async def test_a_message_reaches_everybody_once_with_its_authors_card(node):
    session = await node.session()
    async with (
        node.viewer(session, "attendee:saki") as saki,
        node.viewer(session, "attendee:ken") as ken,
        node.viewer(session, "moderator:mio") as mio,
    ):
        done = await saki.do(Post(text="こんばんは"))
        assert isinstance(done, Done)
        for viewer in (saki, ken, mio):
            await viewer.reached(done.seq)
            assert viewer.texts == ["こんばんは"]
            assert viewer.cards["saki"].name == "saki-san"
        assert saki.welcome.you.level is Level.ADMITTED
        assert mio.welcome.you.level is Level.STAFF


async def test_who_resumes_holds_what_a_viewer_holds_who_never_left(node):
    session = await node.session()
    async with node.viewer(session, "attendee:ken") as ken, node.viewer(session, "moderator:mio") as mio:
        saki = await node.viewer(session, "attendee:saki").connect()
        await saki.do(Post(text="one"))
        await saki.drop()
        asked = await ken.do(Ask(text="これはどう考えればよいですか"))
        await mio.reached(asked.seq)
        (question,) = mio.mirror.board.values()
        await mio.do(Approve(id=question.id, version=question.version))
        done = await ken.do(Post(text="two"))
        await saki.connect()
        await saki.reached(done.seq)
        assert (saki.snapshots, saki.resumes) == (1, 1)
        async with node.viewer(session, "attendee:saki2") as fresh:
            assert saki.texts == ken.texts == fresh.texts == ["one", "two"]
            assert saki.mirror.listed == fresh.mirror.listed != {}
            assert saki.cards.keys() >= {"ken", "saki"}
        await saki.drop()


async def test_a_stranger_who_knocks_leaves_and_comes_again_waits_still(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:saki?") as saki:
        assert saki.welcome.you.level is Level.EVERYONE
        assert isinstance(await saki.do(Leave()), Done)
        await saki.drop()
        await saki.connect()
        assert saki.welcome.you.level is Level.EVERYONE
        assert (await saki.do(Post(text="中からです"))).why == "not_admitted"
        await mio.holds(lambda room: room.filed["saki"].standing is Standing.WAITING)
        await mio.do(Admit(person="saki"))
        await saki.holds(lambda room: "mio" in room.people)
        await saki.do(Leave())
        await saki.drop()
        await saki.connect()
        assert saki.welcome.you.level is Level.ADMITTED


async def test_a_position_of_another_history_or_level_gets_a_snapshot(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio:
        saki = await node.viewer(session, "attendee:saki").connect()
        seq, epoch = saki.seq, saki.epoch
        await saki.drop()
        hello = Hello(v=1, ticket="attendee:saki", epoch=epoch + 8, seq=seq)
        async with node.viewer(session, "attendee:saki", hello=hello) as other:
            assert (other.snapshots, other.resumes) == (1, 0)
        hello = Hello(v=1, ticket="attendee:saki", epoch=epoch, seq=seq + 1000)
        async with node.viewer(session, "attendee:saki", hello=hello) as ahead:
            assert (ahead.snapshots, ahead.resumes) == (1, 0)
        assert mio.epoch != epoch


async def test_another_history_gives_everybody_the_room_anew(node):
    session = await node.session()
    store = node.hub._store
    async with node.viewer(session, "attendee:saki") as saki:
        done = await saki.do(Post(text="忘れてほしい"))
        await saki.reached(done.seq)
        (row,) = await store.read(session, done.seq - 1, 1)
        other = row.body.replace("忘れてほしい".encode(), b"-")
        await store.restore(
            session,
            Position(1, done.seq),
            [*await store.read(session, 0, done.seq - 1), Row(done.seq, other)],
            None,
        )
        await saki.holds(lambda _: saki.texts == ["-"])
        assert saki.snapshots == 2


async def test_words_that_are_deleted_leave_the_store_and_nobody_has_to_start_over(node):
    session, store, canary = await node.session(), node.hub._store, f"c{secrets.token_hex(8)}"
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:ken") as ken:
        saki = await node.viewer(session, "attendee:saki").connect()
        await saki.drop()
        await ken.do(Post(text=f"first {canary}"))
        question = await ken.do(Ask(text=f"question {canary}"))
        await mio.reached(question.seq)
        (asked,) = mio.mirror.board.values()
        (message,) = mio.mirror.messages.values()
        await ken.do(EditMessage(id=message.id, text=f"again {canary}"))
        at = node.hub._find(session).log.position
        room = node.hub._find(session).room
        await store.save_snapshot(session, at, msgspec.json.encode(room.snapshot()))
        await mio.do(DeleteMessage(id=message.id))
        await ken.do(Withdraw(id=asked.id))

        async def gone():
            rows = await store.read(session, 0, 999)
            saved = await store.snapshot(session)
            return not any(canary.encode() in body for body in (saved.body, *(row.body for row in rows)))

        await until(gone)
        position = await store.position(session)
        assert position.epoch > at.epoch
        assert position.history == at.history
        done = await mio.do(Post(text="on we go"))
        await asyncio.gather(mio.reached(done.seq), ken.reached(done.seq))
        assert (mio.snapshots, ken.snapshots) == (1, 1)
        await saki.connect()
        await saki.reached(done.seq)
        assert (saki.snapshots, saki.resumes) == (1, 1)
        assert canary not in saki.said()
        assert saki.texts == ken.texts == ["", "on we go"]
        await saki.drop()
    async with Gateway(store) as again:
        assert list((await again.hub.room(session)).facts()) == list((await node.hub.room(session)).facts())


async def test_words_are_taken_out_by_the_next_node_when_the_first_one_dies(where):
    canary = f"c{secrets.token_hex(8)}"
    async with gateway(where) as node:
        session = await node.session()
        async with node.viewer(session, "moderator:mio") as mio:
            await mio.do(Post(text=canary))
            message = (await mio.holds(lambda room: list(room.messages.values())))[0]
            await mio.do(DeleteMessage(id=message.id))
    store = await open_store(where)
    rows = await store.read(session, 0, 99)
    if any(canary.encode() in row.body for row in rows):  # else it was quicker than its end
        async with Gateway(store) as node:
            await node.hub.room(session)

            async def gone():
                return not any(canary.encode() in row.body for row in await store.read(session, 0, 99))

            await until(gone)
    await store.close()


async def test_who_was_away_for_long_is_paged_in_and_for_longer_gets_a_snapshot(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio:
        saki = await node.viewer(session, "attendee:saki").connect()
        await saki.drop()
        rules = [SetChatRules(slow=n % 600 + 1) for n in range(2100)]
        await asyncio.gather(*(node.hub.ask(session, SERVER, rule) for rule in rules))
        await mio.reached(2102)
        await saki.connect()
        await saki.reached(2102)
        assert (saki.snapshots, saki.resumes) == (1, 1)
        frames = [frame for frame in saki.frames if frame.startswith('{"t":"events"')]
        assert len(frames) >= 1076 // 256
        assert saki.mirror.settled().one["chat"] == mio.mirror.settled().one["chat"]
        await saki.drop()
        saki.seq = 100
        await node.hub._store.trim(session, 500)
        assert (await node.hub._store.read(session, 0, 1))[0].seq == 501
        await saki.connect()
        assert saki.snapshots == 2
        saki.mirror.settled()
        await saki.drop()


async def test_a_storm_of_deep_resumes_is_paged_a_few_at_a_time(node, monkeypatch):
    monkeypatch.setattr("live.gateway.hub.PAGING", 2)
    await node.hub.close()
    node.hub = node._socket._hub = Hub(node.hub._store)
    await node.hub.start()
    session = await node.session()
    crowd = [await node.viewer(session, f"attendee:p{n}").connect() for n in range(8)]
    for viewer in crowd:
        await viewer.drop()
    await asyncio.gather(
        *(node.hub.ask(session, SERVER, SetChatRules(slow=n % 600 + 1)) for n in range(1500))
    )
    tail = (await node.hub.room(session)).seq
    await asyncio.gather(*(viewer.connect() for viewer in crowd))
    await asyncio.gather(*(viewer.reached(tail) for viewer in crowd))
    assert all((viewer.snapshots, viewer.resumes) == (1, 1) for viewer in crowd)
    for viewer in crowd:
        await viewer.drop()


async def test_a_person_who_is_forgotten_leaves_no_word_and_no_name(node):
    session, store, canary = await node.session(), node.hub._store, f"c{secrets.token_hex(8)}"
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:saki") as saki:
        await saki.do(Post(text=canary))
        asked = await saki.do(Ask(text=f"question {canary}"))
        await mio.reached(asked.seq)
        await node.hub.forget(session, Caller("saki", Role.ATTENDEE))
        assert await saki.gone() == Close.REMOVED
        await mio.holds(lambda room: [message.deleted for message in room.messages.values()] == ["author"])
        assert [question.state for question in mio.mirror.board.values()] == ["withdrawn"]
        assert await store.card(session, "saki") is None

        async def gone():
            return not any(canary.encode() in row.body for row in await store.read(session, 0, 99))

        await until(gone)


async def test_a_log_is_trimmed_below_its_snapshot_and_the_room_stays_whole(where, monkeypatch):
    monkeypatch.setattr(writing, "KEPT", 100)
    async with gateway(where) as node:
        session, store = await node.session(), node.hub._store
        async with node.viewer(session, "attendee:saki") as saki:
            await saki.do(Post(text="first"))
            for _ in range(2):
                rules = [SetChatRules(slow=n % 600 + 1) for n in range(250)]
                await asyncio.gather(*(node.hub.ask(session, SERVER, rule) for rule in rules))

            async def trimmed():
                rows = await store.read(session, 0, 1)
                return rows[0].seq > 100

            await until(trimmed)
            saved, first = await store.snapshot(session), (await store.read(session, 0, 1))[0].seq
            assert first == saved.seq - 100 + 1
        facts = list((await node.hub.room(session)).facts())
    async with gateway(where) as again:
        room = await again.hub.room(session)
        assert list(room.facts()) == facts
        assert [stay.person for stay in room.attendance.stays()] == ["saki"]
        assert [message.text for message in room.chat.messages.values()] == ["first"]


async def test_the_newer_of_two_seats_holds_whatever_the_nodes_clocks_say(where):
    store, other = await open_store(where), await open_store(where)
    async with Gateway(store) as ahead, Gateway(other) as behind:
        ahead.now += 3_600_000
        session = await ahead.session()
        async with (
            ahead.viewer(session, "moderator:saki") as first,
            behind.viewer(session, "moderator:saki") as second,
        ):
            assert await first.gone() == Close.TAKEN_OVER
            assert isinstance(await second.do(Post(text="here")), Done)
            assert second.closed is None
    await store.close()
    await other.close()


async def test_a_failover_that_lost_a_part_is_told_to_who_had_it(own_redis):
    async with gateway(own_redis.url) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:saki") as saki:
            await saki.do(Post(text="kept"))
            here = (await node.hub.room(session)).seq
            lost = await saki.do(Post(text="lost"))
            await saki.reached(lost.seq)
            # As a copy that never had the last entry: another server, an older tail.
            own_redis.ask("XDEL", f"log:{{{session}}}", f"{lost.seq}-0")
            own_redis.ask("XSETID", f"log:{{{session}}}", f"{here}-0")
            own_redis.ask("HSET", f"meta:{{{session}}}", "seq", here, "run", "another")
            await until(lambda: saki.welcome.lost == 1)
            assert saki.texts == ["kept"]
            assert (await saki.do(Post(text="after"))).seq == here + 1


async def test_a_nonce_is_answered_once_even_by_another_server_process(where):
    nonce = secrets.token_hex(8)
    async with gateway(where) as node:
        session = await node.session()
        async with node.viewer(session, "attendee:saki") as saki:
            first = await saki.do(Post(text="once"), nonce)
            again = await saki.do(Post(text="once"), nonce)
            assert first.seq == again.seq
    async with gateway(where) as node, node.viewer(session, "attendee:saki") as saki:
        assert (await saki.do(Post(text="once"), nonce)).seq == first.seq
        await saki.do(Post(text="twice"))
        await saki.holds(lambda _: saki.texts == ["once", "twice"])


async def test_what_may_have_been_answered_long_ago_is_not_done_again(node, monkeypatch):
    monkeypatch.setattr("rooms.room.ANSWERS_KEPT", 10)
    session, nonce = await node.session(), secrets.token_hex(8)
    async with node.viewer(session, "attendee:saki") as saki:
        since = saki.welcome.seq
        first = await saki.do(Post(text="once"), nonce)
        await asyncio.gather(*(node.hub.ask(session, SERVER, SetChatRules(slow=n + 1)) for n in range(9)))
        assert (await saki.do(Post(text="once"), nonce, since=since)).seq == first.seq
        await node.hub.ask(session, SERVER, SetChatRules(slow=0))
        again = await saki.do(Post(text="once"), nonce, since=since)
        assert (type(again), again.why) == (Refused, "unsure")
        # What can only have been asked later is new; and an older page does not say since when.
        late = await saki.do(Post(text="late"), since=first.seq)
        assert isinstance(late, Done)
        assert isinstance(await saki.do(Post(text="once"), nonce), Done)
        await saki.holds(lambda _: saki.texts == ["once", "late", "once"])


async def test_what_had_nothing_to_do_does_nothing_when_it_is_repeated_late(node, monkeypatch):
    monkeypatch.setattr(writing, "NOTHINGS", 2)
    session, nonce = await node.session(), secrets.token_hex(8)
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:saki") as saki:
        await mio.do(ChangeSettings(moderated=False))
        await saki.do(Ask(text="どう声をかけますか？"))
        (question,) = await mio.holds(lambda mirror: list(mirror.listed))
        await mio.do(Vote(id=question))
        assert (await mio.do(Vote(id=question), nonce)).seq == 0
        await mio.do(Vote(id=question, on=False))
        for _ in range(3):  # asked without a nonce, so never again: nothing has to be remembered
            assert await node.hub.ask(session, SERVER, SetState(state=State.LIVE)) == 0
        assert (await mio.do(Vote(id=question), nonce)).seq == 0
        assert not (await node.hub.room(session)).questions.voters


async def test_of_two_racing_moderators_one_wins_and_the_other_learns_who(node):
    session = await node.session()
    async with (
        node.viewer(session, "moderator:mio") as mio,
        node.viewer(session, "moderator:rei") as rei,
        node.viewer(session, "attendee:saki") as saki,
    ):
        asked = await saki.do(Ask(text="これはどう考えればよいですか"))
        await asyncio.gather(mio.reached(asked.seq), rei.reached(asked.seq))
        (question,) = mio.mirror.board.values()
        command = Approve(id=question.id, version=question.version)
        outcomes = await asyncio.gather(mio.do(command), rei.do(command))
        (won,) = [one for one in outcomes if isinstance(one, Done)]
        (lost,) = [one for one in outcomes if isinstance(one, Refused)]
        assert (lost.why, lost.at, lost.by) == (
            "conflict",
            question.version + 1,
            "mio" if won is outcomes[0] else "rei",
        )


async def test_two_nodes_on_one_store_keep_one_history(where):
    store, other = await open_store(where), await open_store(where)
    async with Gateway(store) as here, Gateway(other) as there:
        session = await here.session()
        async with (
            here.viewer(session, "moderator:saki") as saki,
            there.viewer(session, "moderator:ken") as ken,
        ):
            answers = await asyncio.gather(
                *(viewer.do(Post(text=f"{viewer.ticket}{n}")) for viewer in (saki, ken) for n in range(8))
            )
            assert len({answer.seq for answer in answers}) == 16
            await asyncio.gather(*(viewer.reached(max(a.seq for a in answers)) for viewer in (saki, ken)))
            assert saki.texts == ken.texts
            assert len(saki.texts) == 16
            await until(lambda: "ken" in saki.cards and "saki" in ken.cards)
            async with there.viewer(session, "moderator:saki"):
                assert await saki.gone() == Close.TAKEN_OVER
    await store.close()
    await other.close()


async def test_signals_are_counted_across_nodes(where):
    store, other = await open_store(where), await open_store(where)
    if store.__class__.__name__ == "EmbeddedStore":
        await other.close()
        other = store  # one process, by design
    async with Gateway(store) as here, Gateway(other) as there:
        session = await here.session()
        crowd = [
            await node.viewer(session, f"attendee:p{n}").connect() for n, node in enumerate((here, there) * 3)
        ]
        for viewer in crowd:
            await viewer.send(Signal(kind="empathy"))
        await until(lambda: all(one.signals.waves == {"empathy": 6} for one in crowd))
        await until(lambda: all(one.signals.online == 6 for one in crowd))
        for viewer in crowd:
            await viewer.drop()
    await store.close()
    await other.close()


async def test_a_second_tab_takes_the_place_of_the_first(node):
    session = await node.session()
    async with (
        node.viewer(session, "attendee:saki") as first,
        node.viewer(session, "attendee:saki") as second,
    ):
        assert await first.gone() == Close.TAKEN_OVER
        assert isinstance(await second.do(Post(text="here")), Done)


async def test_admission_gives_more_of_the_room_and_removal_ends_it(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:saki?") as saki:
        assert saki.welcome.you.level is Level.EVERYONE
        refused = await saki.do(Post(text="let me in"))
        assert refused.why == "not_admitted"
        await mio.do(Post(text="inside"))
        assert saki.texts == []
        await mio.do(Admit(person="saki"))
        await until(lambda: saki.snapshots == 2)
        assert saki.welcome.you.level is Level.ADMITTED
        assert saki.texts == ["inside"]
        await mio.do(Remove(person="saki"))
        assert await saki.gone(1) == Close.REMOVED
        assert mio.mirror.filed["saki"].standing is Standing.REMOVED
        await saki.connect()
        assert saki.welcome.you.level is Level.EVERYONE
        await mio.holds(lambda room: room.filed["saki"].standing is Standing.WAITING)
        await mio.do(Remove(person="saki", block=True))
        assert await saki.gone(1) == Close.REMOVED
        await saki.connect()
        assert await saki.gone() == Close.REMOVED


async def test_nobody_below_the_staff_hears_the_staff(node):
    session = await node.session()
    canary = secrets.token_hex(8)
    async with (
        node.viewer(session, "moderator:mio") as mio,
        node.viewer(session, "speaker:abe") as abe,
        node.viewer(session, "attendee:saki") as saki,
        node.viewer(session, "attendee:ken?") as ken,
    ):
        staff = await mio.do(Post(text=canary, channel="staff"))
        await mio.holds(lambda _: canary in mio.texts)
        await abe.do(Post(text=f"b{canary}", channel="backstage"))
        done = await mio.do(Post(text="for all"))
        await asyncio.gather(*(one.reached(done.seq) for one in (abe, saki)))
        assert isinstance(staff, Done)
        assert canary not in saki.said() + ken.said()
        assert f"b{canary}" in abe.said()
        assert f'"{canary}' not in abe.said()
        page = await page_of(saki, "staff")
        assert (page.events, page.more) == ([], False)


async def page_of(viewer, channel, **where):
    viewer._ref += 1
    ref = viewer._ref
    await viewer.send(AskPage(ref=ref, channel=channel, **where))
    return await until(lambda: viewer.answers.get(ref))


async def test_history_is_paged_both_ways(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio:
        for n in range(12):
            await mio.do(Post(text=str(n)))
        await mio.holds(lambda _: len(mio.texts) == 12)
        ids = list(mio.mirror.messages)
        page = await page_of(mio, "main", before=ids[6], limit=4)
        assert ([event.message.text for event in page.events], page.more) == (["2", "3", "4", "5"], True)
        page = await page_of(mio, "main", after=ids[8], limit=10)
        assert ([event.message.text for event in page.events], page.more) == (["9", "10", "11"], False)


async def test_the_end_closes_every_socket_for_good(node):
    session = await node.session()
    async with node.viewer(session, "attendee:saki") as saki, node.viewer(session, "moderator:mio") as mio:
        await mio.do(SetState(state=State.CLOSED))
        assert await saki.gone() == await mio.gone() == Close.ENDED
        assert saki.mirror.one["state"][0] is State.CLOSED
        await saki.connect()
        assert await saki.gone() == Close.ENDED


async def test_signals_are_aggregated_and_never_shown_for_few(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio:
        crowd = [await node.viewer(session, f"attendee:p{n}").connect() for n in range(5)]
        for viewer in crowd[:4]:
            await viewer.send(Signal(kind="nod"))
        await crowd[0].send(Typing())
        await until(lambda: mio.signals.typing == ["p0"] and mio.signals.online == 6)
        assert mio.signals.waves == {}
        # On no path: not live, not to who comes later or again, and nothing of it is in the log.
        fifth = await node.viewer(session, "attendee:fifth").connect()
        await crowd[0].drop()
        await crowd[0].connect()
        await until(lambda: mio.signals.online == 7)
        assert not any('"nod"' in viewer.said() for viewer in (mio, fifth, *crowd))
        rows = await node.hub._store.read(session, 0, 1000)
        assert not any(b'"nod"' in row.body for row in rows)
        await fifth.do(Leave())
        for viewer in crowd:
            await viewer.send(Signal(kind="nod"))
        await until(lambda: mio.signals.waves == crowd[0].signals.waves == {"nod": 5})
        assert crowd[0].signals.present is None
        assert mio.signals.present == ["mio", "p0", "p1", "p2", "p3", "p4"]
        await crowd[4].do(Leave())
        await until(lambda: mio.signals.waves == {})
        assert not any("p4" in frame for frame in crowd[0].frames if '"signals"' in frame)
        await crowd[0].do(Post(text="said"))
        await until(lambda: mio.signals.typing == [])
        for viewer in crowd:
            await viewer.drop()
        late = await node.viewer(session, "attendee:p9").connect()
        await until(lambda: late.signals.online == 6)
        await late.drop()


async def test_vote_counts_move_for_all_and_may_be_the_staffs_only(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio, node.viewer(session, "attendee:aki") as aki:
        await mio.do(ChangeSettings(moderated=False))
        await mio.do(Ask(text="どう声をかけますか？"))
        question = (await aki.holds(lambda room: list(room.listed.values())))[0].id
        await aki.do(Vote(id=question))
        await until(lambda: aki.signals.votes == mio.signals.votes == {question: 1})
        late = await node.viewer(session, "attendee:late").connect()
        await until(lambda: late.signals.votes == {question: 1})
        await mio.do(ChangeSettings(counts_hidden=True))
        await until(lambda: late.signals.votes == {} and mio.signals.votes == {question: 1})
        await aki.do(Vote(id=question, on=False))
        await until(lambda: mio.signals.votes == {})
        assert "aki" not in late.said()[-400:]
        await late.drop()


async def test_a_polls_counts_reach_whom_its_setting_lets_see_them(node):
    session = await node.session()
    async with (
        node.viewer(session, "moderator:mio") as mio,
        node.viewer(session, "speaker:abe") as abe,
        node.viewer(session, "attendee:aki") as aki,
        node.viewer(session, "attendee:ben") as ben,
    ):
        everybody = [mio, abe, aki, ben]

        async def counted(poll, voters, **counts):
            """Everybody knows how many voted; who is named here the counts, the others none."""
            for viewer in everybody:
                name = viewer.welcome.you.id
                expected = Tally(poll=poll, voters=voters, counts=counts.get(name))
                await until(lambda v=viewer, e=expected: v.tallies.get(poll) == e)

        # Hidden until closed: the staff know no more than anybody.
        await mio.do(DraftPoll(poll=PollForm(text="続けますか", options=["はい", "いいえ"])))
        poll = await mio.holds(lambda mirror: next(iter(mirror.polls), None))
        yes, no = (option.id for option in mio.mirror.polls[poll].options)
        await mio.do(OpenPoll(id=poll, version=1))
        assert isinstance(await aki.do(CastBallot(id=poll, choices=[yes])), Done)
        await aki.do(CastBallot(id=poll, choices=[no]))
        await ben.do(CastBallot(id=poll, choices=[no]))
        await counted(poll, 2)
        await mio.do(ClosePoll(id=poll, version=2, show=False))
        result = {yes: 0, no: 2}
        await counted(poll, 2, mio=result)
        await mio.do(ShowResults(id=poll, version=3))
        await counted(poll, 2, mio=result, abe=result, aki=result, ben=result)
        await mio.do(ShowResults(id=poll, version=4, on=False))
        await counted(poll, 2, mio=result)

        # Hidden until voted: whose ballot is in the box sees them, and no longer when it is taken out.
        await mio.do(DraftPoll(poll=PollForm(text="どのくらい", kind="rating", scale=3, results="voted")))
        scale = await mio.holds(lambda mirror: next((one for one in mirror.polls if one != poll), None))
        one, two, three = (option.id for option in mio.mirror.polls[scale].options)
        await mio.do(OpenPoll(id=scale, version=1))
        await aki.do(CastBallot(id=scale, choices=[three]))
        result = {one: 0, two: 0, three: 1}
        await counted(scale, 1, mio=result, aki=result)
        await aki.do(CastBallot(id=scale, choices=[]))
        await ben.do(CastBallot(id=scale, choices=[three]))
        everybody.append(late := await node.viewer(session, "attendee:late").connect())
        await counted(scale, 1, mio=result, ben=result)

        # Who comes later, or back, is told the same; the own ballot too, and nobody's else.
        await ben.drop()
        await ben.connect()
        await counted(scale, 1, mio=result, ben=result)
        await counted(poll, 2, mio={yes: 0, no: 2})
        assert ben.mirror.ballots == {poll: (no,), scale: (three,)}
        assert late.mirror.ballots == {}
        for viewer in everybody:
            others = [other.welcome.you.alias for other in everybody if other is not viewer]
            assert not any(alias in viewer.said() for alias in others)
        await late.drop()


async def test_counts_are_published_twice_a_second_however_fast_people_vote(node):
    session = await node.session()
    async with node.viewer(session, "moderator:mio") as mio, contextlib.AsyncExitStack() as stack:
        form = PollForm(text="?", options=["a", "b"], results="voted")
        await mio.do(DraftPoll(poll=form))
        poll = await mio.holds(lambda mirror: next(iter(mirror.polls), None))
        chosen = mio.mirror.polls[poll].options[0].id
        await mio.do(OpenPoll(id=poll, version=1))
        crowd = [await stack.enter_async_context(node.viewer(session, f"attendee:p{n}")) for n in range(20)]
        began = time.monotonic()
        await asyncio.gather(*(viewer.do(CastBallot(id=poll, choices=[chosen])) for viewer in crowd))
        await until(lambda: poll in mio.tallies and mio.tallies[poll].voters == 20)
        frames = sum('"t":"tally"' in frame for frame in mio.frames)
        assert frames <= 5 * (time.monotonic() - began) + 3


async def test_a_notice_has_a_front_and_a_back_and_waits_for_who_comes_later(node):
    session = await node.session()
    front, behind = Stage(speaking="abe"), Stage(slots={"v0": Publication("ito", "camera")})
    async with node.viewer(session, "attendee:saki") as saki, node.viewer(session, "attendee:kay?") as kay:
        node.hub.signal(session, {Level.ADMITTED: front, Level.STAGE: behind})
        async with node.viewer(session, "speaker:abe") as abe:
            await until(lambda: saki.stage == front and abe.stage == behind)
        await kay.send(Ping(at=1))
        await until(lambda: any("pong" in frame for frame in kay.frames))
        assert kay.stage is None


async def test_the_http_side_asks_listens_and_reads(node):
    heard = []
    node.hub.on_change(lambda _session, _room: 1 / 0)
    node.hub.on_change(lambda session, room: heard.append((session, room.seq)))
    session = await node.session()
    room = await node.hub.room(session)
    assert room.session.state is State.LIVE
    assert heard == [(session, 1), (session, 2)]
    assert await node.hub.ask(session, SERVER, SetState(state=State.LIVE)) == 0
    with pytest.raises(Refusal, match="bad_transition"):
        await node.hub.ask(session, SERVER, SetState(state=State.PUBLISHED))
    assert (await node.hub.room("unknown")).session.id == ""
    async with node.viewer(session, "attendee:saki") as saki:
        await node.hub.put_card(session, Card("saki", "佐木", "attendee"))
        await until(lambda: saki.cards["saki"].name == "佐木")
        await node.hub.erase(session)
        assert await saki.gone() == Close.ENDED
    assert (await node.hub.room(session)).session.id == ""


async def test_a_deploy_asks_everybody_to_come_back(node):
    session = await node.session()
    viewers = [await node.viewer(session, f"attendee:p{n}").connect() for n in range(5)]
    await node.hub.drain(0.2)
    assert [await viewer.gone() for viewer in viewers] == [Close.RESTARTING] * 5
    late = await node.viewer(session, "attendee:p9").connect()
    assert await late.gone() == Close.RESTARTING


async def test_a_long_log_is_snapshotted_and_read_back(where):
    async with gateway(where) as node:
        session = await node.session()
        rules = [SetChatRules(slow=n + 1) for n in range(205)]
        await asyncio.gather(*(node.hub.ask(session, SERVER, rule) for rule in rules))
        saved = await until(lambda: node.hub._store.snapshot(session))
        assert saved.seq >= 200
        before = await node.hub.room(session)
    async with gateway(where) as node:
        room = await node.hub.room(session)
        assert room.chat.rules.slow == 205
        assert list(room.facts()) == list(before.facts())


async def test_a_name_that_changes_reaches_those_at_other_nodes_and_those_who_are_away(where):
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(gateway(where))
        # The embedded store is for one server; two hubs of one process share it all the same.
        two = await stack.enter_async_context(Gateway(one.hub._store))
        session = await one.session(door="knock")
        ken = await stack.enter_async_context(one.viewer(session, "attendee:ken"))
        mio = await stack.enter_async_context(two.viewer(session, "moderator:mio"))
        kay = await stack.enter_async_context(two.viewer(session, "attendee:kay?"))
        saki = await two.viewer(session, "attendee:saki").connect()
        await until(lambda: {"ken", "kay"} <= mio.cards.keys() and "ken" in saki.cards)
        await saki.drop()
        await one.hub.put_card(session, Card("ken", "健", Role.ATTENDEE))
        await two.hub.put_card(session, Card("kay", "渓", Role.ATTENDEE))
        await until(lambda: mio.cards["ken"].name == ken.cards["ken"].name == "健")
        await until(lambda: mio.cards["kay"].name == kay.cards["kay"].name == "渓")
        await saki.connect()
        assert saki.cards["ken"].name == "健"
        assert (saki.snapshots, saki.resumes) == (1, 1)
        # Who stands at the door is nobody's business but the staff's, and who is inside not the visitor's.
        assert not {"kay"} & (saki.cards.keys() | ken.cards.keys())
        assert "ken" not in kay.cards
        assert "健" not in kay.said()
        assert "渓" not in ken.said() + saki.said()
        # The same name again is no news.
        seq = (await one.hub.room(session)).seq
        await two.hub.put_card(session, Card("ken", "健", Role.ATTENDEE))
        assert (await one.hub.room(session)).seq == seq
        # Nor does the log hold a name.
        rows = await one.hub._store.read(session, 0, 999)
        assert not any(name.encode() in row.body for name in ("健", "渓") for row in rows)
        await saki.drop()


@pytest.mark.parametrize(
    ("torn", "heard"), [("put_card", True), ("append", False), ("append", True), ("swap_card", False)]
)
async def test_a_name_that_was_kept_and_not_told_is_told_when_its_bearer_comes_again(
    where, torn, heard, monkeypatch
):
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", 0.3)
    async with contextlib.AsyncExitStack() as stack:
        two = await stack.enter_async_context(gateway(where))
        store = two.hub._store
        way = Way(store)
        one = await stack.enter_async_context(Gateway(way))
        session = await two.session()
        kay = await stack.enter_async_context(one.viewer(session, "attendee:kay"))
        mio = await stack.enter_async_context(two.viewer(session, "moderator:mio"))
        async with one.viewer(session, "attendee:ken"):
            await until(lambda: "ken" in kay.cards and "ken" in mio.cards)
        way.cut_at(torn, heard=heard)
        with pytest.raises((StoreAway, Refusal)):
            await one.hub.put_card(session, Card("ken", "健", Role.ATTENDEE))
        monkeypatch.setattr("tests.kit.rooms.authenticate", _as_the_store_has_it(store))
        three = await stack.enter_async_context(Gateway(store))
        await stack.enter_async_context(three.viewer(session, "attendee:ken"))
        way.mend()
        await until(lambda: mio.cards["ken"].name == kay.cards["ken"].name == "健")
        assert await store.card(session, "ken") == msgspec.json.encode(Card("ken", "健", Role.ATTENDEE))
        # From now on it is no news.
        seq = (await two.hub.room(session)).seq
        for node in (one, two, three):
            await node.hub.put_card(session, Card("ken", "健", Role.ATTENDEE))
        assert (await two.hub.room(session)).seq == seq


def _as_the_store_has_it(store):
    """Authenticates as the desk does: the name is that on the card."""

    async def named(session, ticket):
        caller = await authenticate(session, ticket)
        card = msgspec.json.decode(await store.card(session, caller.person), type=Card)
        return msgspec.structs.replace(caller, name=card.name)

    return named


async def test_who_was_cut_off_and_wants_the_old_name_after_all_keeps_it(where):
    async with contextlib.AsyncExitStack() as stack:
        two = await stack.enter_async_context(gateway(where))
        store = two.hub._store
        way = Way(store)
        one = await stack.enter_async_context(Gateway(way))
        session = await two.session()
        async with one.viewer(session, "attendee:ken"), two.viewer(session, "moderator:mio") as mio:
            await until(lambda: "ken" in mio.cards)
            way.cut_at("put_card", heard=True)
            with pytest.raises(StoreAway):
                await one.hub.put_card(session, Card("ken", "健", Role.ATTENDEE))
            await two.hub.put_card(session, Card("ken", "ken-san", Role.ATTENDEE))
            way.mend()
            assert msgspec.json.decode(await store.card(session, "ken"), type=Card).name == "ken-san"
            await until(lambda: mio.cards["ken"].name == "ken-san" and "card_changed" in mio.said())


async def test_what_may_have_been_done_before_the_answer_was_lost_is_not_done_again_much_later(
    where, monkeypatch
):
    monkeypatch.setattr(rooms.room, "ANSWERS_KEPT", 4)
    async with contextlib.AsyncExitStack() as stack:
        two = await stack.enter_async_context(gateway(where))
        way = Way(two.hub._store)
        one = await stack.enter_async_context(Gateway(way))
        session = await two.session()
        mio = Caller("mio", Role.MODERATOR, "mio-san")
        await one.hub.room(session)
        way.cut_at("append", heard=True)
        posting = asyncio.create_task(one.hub.ask(session, mio, Post(text="一度だけ"), "nonce"))
        await until(lambda: two.hub._find(session).room.chat.messages)
        for n in range(5):
            await two.hub.ask(session, SERVER, SetChatRules(slow=n + 1))
        way.mend()
        with pytest.raises(Refusal, match="unsure"):
            await posting
        assert len((await two.hub.room(session)).chat.messages) == 1


async def test_asvs_1_1_1_who_takes_a_name_like_the_staffs_is_marked_for_all(node):
    session = await node.session()
    async with node.viewer(session, "attendee:rnio") as eve, node.viewer(session, "attendee:aoi") as aoi:
        await until(lambda: "rnio" in eve.cards)
        assert not eve.cards["rnio"].alike
        async with node.viewer(session, "moderator:mio"):
            for viewer in (eve, aoi):
                await until(lambda viewer=viewer: viewer.cards["rnio"].alike)
                assert not viewer.cards["aoi"].alike
            async with node.viewer(session, "attendee:ＭＩＯ") as again:
                await until(lambda: again.cards["ＭＩＯ"].alike)


async def test_asvs_2_3_4_fifty_who_come_at_once_share_ten_places(where):
    async with contextlib.AsyncExitStack() as stack:
        shared = str(where).startswith(("redis", "unix"))  # the embedded store is for one server
        nodes = [await stack.enter_async_context(gateway(where)) for _ in range(1 + shared)]
        session = await nodes[0].session(capacity=10)

        async def arrive(number):
            caller = Caller(f"p{number}", Role.ATTENDEE, f"人{number}", registered=True)
            with contextlib.suppress(Refusal):
                await nodes[number % len(nodes)].hub.ask(session, caller, Arrive(registered=True))

        await asyncio.gather(*(arrive(number) for number in range(50)))
        for node in nodes:
            assert len((await node.hub.room(session)).door.inside()) == 10
