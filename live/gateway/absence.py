"""Who on stage has lost the line, and since when: a seat is kept for `SEAT_KEPT_MS`."""

from live.protocol.frames import Stage
from rooms import Room
from rooms.stage import SEAT_KEPT_MS


class Absences:
    """One room's absences, by what the media plane tells of its stage. Times are milliseconds since 1970."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._there: set[str] = set()

    def told(self, stage: Stage, room: Room, now: int) -> None:
        """Take what those behind the curtain are told.

        A media worker that has replaced another one knows nobody who was there: whose face or voice was there
        and who has no slot any more is away, too. One who stops on purpose keeps the slot.
        """
        slots = {slot.person for slot in stage.slots.values()}
        vanished = (self._there | self._since.keys()) - slots
        away = {*stage.away, *(vanished & room.stage.seats.keys())}
        shown = {slot.person for slot in stage.slots.values() if slot.source != "screen"}
        self._since = {person: self._since.get(person, now) for person in away}
        self._there = (shown & stage.lines.keys()) - away

    def over(self, room: Room, now: int) -> list[str]:
        """Tell whose seats have been kept for long enough; backstage, there is none to keep."""
        seats = room.stage.seats
        self._since = {person: at if person in seats else now for person, at in self._since.items()}
        return [person for person, at in self._since.items() if now - at >= SEAT_KEPT_MS]
