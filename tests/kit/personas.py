"""People for tests, and a room that they can act in without a server."""

from dataclasses import dataclass, field

import msgspec

from rooms import Arrive, Asked, Command, Entry, Event, Open, Role, Room, SetState, Settings, State, decide

ROLES = {
    "olga": Role.ORGANISER,
    "mika": Role.MODERATOR,
    "ken": Role.MODERATOR,
    "sara": Role.SPEAKER,
    "taro": Role.PRESENTER,
    "aoi": Role.ATTENDEE,
    "ben": Role.ATTENDEE,
    "chie": Role.ATTENDEE,
}


def blinded(who: str) -> str:
    """Give the name under which a person asks in a fully anonymous session."""
    return f"blind-{sorted(ROLES).index(who)}"


@dataclass
class Table:
    """A room, its log, and a clock that moves a second per command."""

    room: Room = field(default_factory=Room)
    log: list[Entry] = field(default_factory=list)
    now: int = 1_000_000

    def asked(self, who: str, *, role: Role | None = None) -> Asked:
        number = len(self.log) + 1
        return Asked(
            person=who,
            role=role or ROLES[who],
            at=self.now,
            id=f"i{number}",
            key=f"k{number}",
            alias=blinded(who),
        )

    def ask(self, who: str, command: Command, *, role: Role | None = None) -> list[Event]:
        """Decide, append, fold; the entry goes through the codec as in a store."""
        self.now += 10_000
        events = decide(self.room, self.asked(who, role=role), command)
        if events:
            entry = Entry(seq=self.room.seq + 1, at=self.now, events=events, key=f"k{len(self.log) + 1}")
            entry = msgspec.json.decode(msgspec.json.encode(entry), type=Entry)
            self.log.append(entry)
            self.room.fold(entry)
        return events


def table(settings: Settings | None = None, *, state: State = State.LIVE, inside: bool = True) -> Table:
    """Open a room in `state` with everybody inside (or only the staff)."""
    made = Table()
    made.ask("olga", Open(session="s1", settings=settings or Settings(title="事例検討会")))
    if state is not State.PUBLISHED:
        made.ask("olga", SetState(state=state))
    for who, role in ROLES.items():
        if inside or role is not Role.ATTENDEE:
            made.ask(who, Arrive(registered=True))
    return made
