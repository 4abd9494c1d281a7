"""What those who come back are sent is made once for many, and never holds what is for one alone."""

from rooms.chat import Post
from rooms.queue import Ask
from tests.kit.rooms import gateway


async def test_who_comes_back_gets_what_all_of_the_level_get_or_what_is_theirs(where):
    async with gateway(where) as node:
        session = await node.session()
        async with (
            node.viewer(session, "attendee:ann") as ann,
            node.viewer(session, "attendee:ben") as ben,
            node.viewer(session, "attendee:cat") as cat,
            node.viewer(session, "moderator:mia") as mia,
        ):
            head = (await mia.do(Post(text="先に"))).seq
            for viewer in (ann, ben, cat):
                await viewer.reached(head)
            await ben.drop()
            await cat.drop()
            own = "アンだけの質問ではないでしょうか"
            await ann.do(Ask(text=own))
            done = await mia.do(Post(text="あとで"))
            await ann.reached(done.seq)
            # Ann is cut with the position of the others: to her alone her question comes again.
            await ann.drop()
            ann.seq = ben.seq = cat.seq = head
            ann.mirror.own.clear()
            for viewer in (ben, ann, cat):
                await viewer.connect()
                await viewer.reached(done.seq)
                assert viewer.resumes == 1
            assert [question.text for question in ann.mirror.own.values()] == [own]
            for other in (ben, cat):
                assert own not in other.said()
                assert other.texts == ["先に", "あとで"]
            host = node.hub._find(session)
            assert len(host._telling.replays._ready) == 1, "made once for Ben and Cat"
