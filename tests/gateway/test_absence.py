"""How long a seat is kept for somebody whose line is lost."""

import pytest

from live.gateway.absence import Absences
from live.gateway.host import SERVER
from live.protocol.frames import Publication, Stage
from rooms import Level
from rooms.stage import BringOn, TakeOff
from tests.kit.personas import table
from tests.kit.polling import until

SARA = {"v0": Publication("sara", "camera"), "a0": Publication("sara", "microphone")}
THERE = Stage(slots=SARA, lines={"sara": 3})
AWAY = Stage(slots=SARA, lines={"sara": 0}, away=["sara"])
SILENT = Stage(slots=SARA)
"""She has stopped camera and microphone on purpose."""
NOBODY = Stage(gone=["w1"])
"""The media worker has been replaced."""


def told(*frames):
    """Absences that were told one frame a second, and the time of the last one."""
    absences, room = Absences(), table().room
    for at, frame in enumerate(frames):
        absences.told(frame, room, at * 1000)
    return absences, room, (len(frames) - 1) * 1000


@pytest.mark.parametrize("frame", [AWAY, NOBODY], ids=["lost", "worker replaced"])
def test_the_seat_is_kept_for_two_minutes(frame):
    absences, room, lost = told(THERE, frame)
    assert absences.over(room, lost + 119_000) == []
    absences.told(frame, room, lost + 119_500)
    assert absences.over(room, lost + 121_000) == ["sara"]


@pytest.mark.parametrize("frame", [AWAY, NOBODY], ids=["lost", "worker replaced"])
def test_who_comes_back_in_time_keeps_the_seat(frame):
    absences, room, lost = told(THERE, frame)
    absences.told(THERE, room, lost + 119_000)
    assert absences.over(room, lost + 121_000) == []
    absences.told(AWAY, room, lost + 130_000)
    assert absences.over(room, lost + 249_000) == []
    assert absences.over(room, lost + 251_000) == ["sara"]


def test_who_was_away_before_the_worker_was_replaced_is_away_from_then_on():
    absences, room, last = told(THERE, AWAY, NOBODY)
    assert absences.over(room, last + 119_500) == ["sara"]


@pytest.mark.parametrize(
    "frames",
    [
        (THERE, SILENT),
        (THERE, SILENT, NOBODY),
        (Stage(slots={"screen": Publication("sara", "screen")}, lines={"sara": 3}), NOBODY),
        (NOBODY,),
    ],
    ids=["stopped", "stopped before the worker was replaced", "ended a screen", "never published"],
)
def test_who_publishes_nothing_on_purpose_is_not_away(frames):
    absences, room, last = told(*frames)
    assert absences.over(room, last + 3_600_000) == []


def test_the_time_backstage_does_not_count():
    made, absences = table(), Absences()
    made.ask("mika", TakeOff(person="sara"))
    absences.told(AWAY, made.room, 0)
    assert absences.over(made.room, 500_000) == []
    made.ask("mika", BringOn(person="sara"))
    assert absences.over(made.room, 619_000) == []
    assert absences.over(made.room, 621_000) == ["sara"]


async def test_a_node_frees_the_seat_and_tells_the_staff(node):
    session = await node.session()
    async with node.viewer(session, "speaker:sara"), node.viewer(session, "moderator:mika") as mika:
        host = await node.hub._host(session)
        await until(lambda: "sara" in host.room.stage.seats)
        node.hub.signal(session, {Level.ADMITTED: Stage(), Level.STAGE: AWAY})
        now = host._setting.clock()
        await host.tick(now + 119_000)
        await host.ask(SERVER, BringOn(person="sara"))  # what was wished before is decided by then
        assert "sara" in host.room.stage.seats
        await host.tick(now + 121_000)
        act = (await mika.holds(lambda mirror: "sara" not in mirror.seats and mirror.acts))[-1]
        assert (act.what, act.about, act.by) == ("expire_seat", "sara", SERVER.person)
