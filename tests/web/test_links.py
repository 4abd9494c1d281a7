"""Who a link lets in, how often, and what ends when it is void; OWASP ASVS 5.0 7.4, 8.3, 9.2."""

import asyncio
from types import SimpleNamespace

import httpx
import pytest

from live.demo.line import Line
from live.demo.pictures import Picture
from live.demo.whip import Peer
from live.stores import StoreAway
from live.telemetry import Numbers
from live.web.desk import PROGRAM, Bearer, Desk
from live.web.operation import Access
from live.web.problems import Problem
from live.web.routes import operations
from rooms import Role
from tests.kit.polling import until
from tests.web.test_socket import hello


def browser(server):
    return httpx.Client(base_url=server.url, headers={"Origin": server.url}, timeout=20)


def enter(page, session, ticket, **who):
    return page.post(f"/api/sessions/{session}/enter", json={"ticket": ticket, **who})


@pytest.mark.parametrize("role", ["organiser", "moderator", "speaker", "presenter"])
def test_asvs_9_2_a_staff_link_belongs_to_the_first_browser_that_opens_it(server, made, role):
    ticket = server.ticket(made.id, role, "佐藤 先生")
    with browser(server) as first, browser(server) as second:
        seat = enter(first, made.id, ticket).json()
        refused = enter(second, made.id, ticket)
        assert (refused.status_code, refused.json()["code"]) == (409, "link_used")
        assert not second.cookies
        assert enter(first, made.id, ticket).json() == seat
        first.post(f"/api/sessions/{made.id}/leave")
        assert first.get(f"/api/sessions/{made.id}/me").status_code == 401
        assert enter(first, made.id, ticket).json() == seat, "who left comes back by the same link"


async def test_asvs_9_2_a_link_that_a_browser_opened_is_no_programs_key(server, made):
    ticket = server.ticket(made.id, "speaker", "佐藤 先生")
    with browser(server) as page:
        assert enter(page, made.id, ticket).status_code == 200
        assert await hello(server, made.id, ticket) == 4500
        assert page.get(f"/api/sessions/{made.id}/me").status_code == 200
    refused = server.ask("GET", f"/api/sessions/{made.id}/me", ticket=ticket)
    assert refused.json()["code"] == "link_used"


async def test_asvs_9_2_a_programs_key_opens_no_browser_but_the_program_again(server, made):
    ticket = server.ticket(made.id, "moderator", "録画係")
    for _ in range(2):
        assert (await hello(server, made.id, ticket))["t"] == "welcome"
    with browser(server) as page:
        assert enter(page, made.id, ticket).json()["code"] == "link_used"


async def test_a_link_whose_first_use_broke_off_opens_for_the_same_browser_alone(store):
    """Whatever is written when the server dies, it is enough for the one and nothing for others."""

    class Dying:
        def __getattr__(self, name):
            async def last(*args):
                await getattr(store, name)(*args)
                raise StoreAway("the server died after its first write")

            return last

    bearer = Bearer("p-sato", Role.SPEAKER, registered=True)
    with pytest.raises(StoreAway):
        await Desk.bind(SimpleNamespace(store=Dying()), "ticket", bearer, "browser:first")
    desk = SimpleNamespace(store=store)
    for _ in range(2):
        await Desk.bind(desk, "ticket", bearer, "browser:first")
        for other in ("browser:second", PROGRAM):
            with pytest.raises(Problem) as refused:
                await Desk.bind(desk, "ticket", bearer, other)
            assert refused.value.body.code == "link_used"


def test_fifty_browsers_at_once_are_one(server, made):
    ticket = server.ticket(made.id, "moderator", "司会")

    async def all_at_once():
        async def one():
            async with httpx.AsyncClient(base_url=server.url, timeout=60) as page:
                return (await enter(page, made.id, ticket)).status_code

        return await asyncio.gather(*(one() for _ in range(50)))

    assert sorted(asyncio.run(all_at_once())) == [200] + 49 * [409]


def test_a_second_device_gets_a_link_of_its_own_for_the_same_person(server, made):
    place = f"/api/sessions/{made.id}/tickets"
    one = server.ask("POST", place, {"role": "speaker", "name": "佐藤"}).json()
    again = {"role": "speaker", "name": "佐藤", "person": one["person"]}
    two = server.ask("POST", place, again).json()
    with browser(server) as desk, browser(server) as phone:
        seats = [enter(desk, made.id, one["ticket"]).json(), enter(phone, made.id, two["ticket"]).json()]
    assert seats[0] == seats[1]
    moderator = server.ticket(made.id, "moderator", "司会")
    assert server.ask("POST", place, again, moderator).json()["code"] == "role_refused"
    assert server.ask("POST", place, again | {"role": "moderator"}).json()["code"] == "no_such_person"
    assert server.ask("POST", place, again | {"person": "p-nobody"}).json()["code"] == "no_such_person"


async def test_asvs_7_4_2_voiding_links_cuts_sockets_and_media_and_new_links_work(server):
    made = server.make_session("無効", door="open")
    server.move(made.id, "live")
    speaker, attendee = server.ticket(made.id, "speaker", "佐藤"), server.ticket(made.id, "attendee", "甲")
    lines = [Line(server.url, made.id, ticket) for ticket in (speaker, attendee, made.ticket("moderator"))]
    for line in lines:
        await line.open()
    async with httpx.AsyncClient(base_url=server.url, timeout=20) as client:
        peer = Peer(client, speaker)
        await peer.publish(made.id, Picture(0))
        await until(lambda: peer.connection.connectionState == "connected")
        links = server.ask("POST", f"/api/sessions/{made.id}/links").json()
        async with asyncio.timeout(20):
            assert {await line.closed() for line in lines} == {4500}
        await until(lambda: peer.connection.connectionState in ("closed", "failed"))
        for ticket in (speaker, attendee, made.ticket("moderator")):
            assert await hello(server, made.id, ticket) == 4500
        welcome = await hello(server, made.id, links["moderator"].partition("#t=")[2])
        assert welcome["t"] == "welcome"
        await peer.connection.close()
    for line in lines:
        await line.close()


async def test_asvs_8_3_1_a_moderator_who_is_removed_is_no_staff_over_http_either(server):
    """Above all: makes no ticket to come back by under another id."""
    made = server.make_session("司会の交代", door="open")
    server.move(made.id, "live")
    ticket = server.ticket(made.id, "moderator", "司会")
    organiser = Line(server.url, made.id, server.ticket(made.id, "organiser", "主催"))
    moderator = Line(server.url, made.id, ticket)
    await organiser.open()
    await moderator.open()
    bodies = {"tickets": {"role": "moderator", "name": "戻る"}, "state": {"state": "after"}}
    staff = [one for one in operations(Numbers()) if one.access is Access.STAFF]
    assert {"tickets", "state", "export"} <= {one.path.rpartition("/")[2] for one in staff}
    assert server.ask("GET", f"/api/sessions/{made.id}/export", None, ticket).status_code == 200
    assert (await organiser.do("remove", person=moderator.you["id"]))["t"] == "done"
    for one in staff:
        body = bodies.get(one.path.rpartition("/")[2])
        refused = server.ask(one.method, one.path.replace("{id}", made.id), body, ticket)
        assert (refused.status_code, refused.json()["code"]) == (403, "removed"), one.path
    assert server.ask("GET", f"/api/sessions/{made.id}", None).json()["state"] == "live"
    await organiser.close()
    await moderator.close()
