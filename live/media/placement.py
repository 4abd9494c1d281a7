"""Which worker is home to a room, and where its next viewer goes: pure, without clock, dice or processes.

Publishers and those behind the curtain go to the room's home; the audience too, until the home has as many
peers as one worker should have, and then to siblings, to which the home relays.
"""

from collections import Counter
from collections.abc import Mapping


class Placement:
    """The plan of one node's media workers, each named by its number from 0.

    What a worker counted of itself is corrected by what was placed there since it was asked, so that three
    hundred joins in one second do not all go to the worker that was empty a second ago.

    Args:
        workers: how many there are; none is alive yet.
        limit: peers on one worker from which on further viewers go to a sibling.
    """

    def __init__(self, workers: int, limit: int) -> None:
        self._limit = limit
        self._alive: set[int] = set()
        self._homes: dict[str, int] = {}
        self._peers: list[Counter[str]] = [Counter() for _ in range(workers)]
        self._since: list[Counter[str]] = [Counter() for _ in range(workers)]

    def came(self, worker: int) -> list[str]:
        """A worker listens, without peers yet; gives the rooms it takes over because their home is dead."""
        self._alive.add(worker)
        self._peers[worker].clear()
        self._since[worker].clear()
        orphans = [room for room, home in self._homes.items() if home not in self._alive]
        self._homes |= dict.fromkeys(orphans, worker)
        return orphans

    def lost(self, worker: int) -> list[str]:
        """A worker died with its peers; gives the rooms that have another home now, if anybody is left."""
        self._alive.discard(worker)
        self._peers[worker].clear()
        self._since[worker].clear()
        if not self._alive:
            return []
        moved = [room for room, home in self._homes.items() if home == worker]
        for room in moved:
            self._homes[room] = self._heir(room)
        return moved

    def home(self, room: str) -> int | None:
        """The room's home, as it is."""
        return self._homes.get(room)

    def find_home(self, room: str) -> int | None:
        """The room's home; one is found for a new room and for one without peers. None: no worker lives."""
        home = self._homes.get(room)
        if home in self._alive and any(peers[room] for peers in self._peers):
            return home
        if self._alive:
            self._homes.pop(room, None)
            self._homes[room] = min(self._alive, key=lambda w: (*self._load(w)[:2], w != home, w))
        return self._homes.get(room)

    def place(self, room: str, *, at_home: bool) -> int | None:
        """Finds the worker of one more peer, and counts it there; None: no worker lives.

        Args:
            room: where it wants to be.
            at_home: it publishes, or may see behind the curtain: what is behind never leaves the home.
        """
        home = self.find_home(room)
        if home is None or home not in self._alive:
            return None
        chosen = home
        if not at_home and self._total(home) >= self._limit:
            chosen = self._sibling(room, home)
        self._peers[chosen][room] += 1
        self._since[chosen][room] += 1
        return chosen

    def asked(self, worker: int) -> None:
        """The worker is being asked for its count: what is placed from now on is not in it."""
        self._since[worker].clear()

    def counted(self, worker: int, peers: Mapping[str, int]) -> None:
        """The worker's answer: peers by room."""
        if worker in self._alive:
            self._peers[worker] = Counter(peers) + self._since[worker]

    def siblings(self, room: str) -> frozenset[int]:
        """Living workers besides the home that have viewers of the room."""
        home = self._homes.get(room)
        return frozenset(worker for worker in self._alive if worker != home and self._peers[worker][room])

    def forget(self, room: str) -> bool:
        """A room is over and needs no home, unless somebody is there; tells whether it was forgotten."""
        if any(peers[room] for peers in self._peers):
            return False
        self._homes.pop(room, None)
        return True

    def occupied(self) -> set[str]:
        """Rooms with peers anywhere."""
        return {room for peers in self._peers for room, count in peers.items() if count > 0}

    def rooms(self, worker: int) -> int:
        """How many rooms a worker is home to."""
        return sum(home == worker for home in self._homes.values())

    def _total(self, worker: int) -> int:
        return self._peers[worker].total()

    def _load(self, worker: int) -> tuple[int, int, int]:
        return self._total(worker), self.rooms(worker), worker

    def _heir(self, room: str) -> int:
        """The worker that has most of the room's viewers already, else the least loaded."""
        return min(self._alive, key=lambda worker: (-self._peers[worker][room], self._load(worker)))

    def _sibling(self, room: str, home: int) -> int:
        """A worker below the limit, preferably one that has the room; without any, the least loaded."""
        free = [worker for worker in self._alive if self._total(worker) < self._limit]
        has = [worker for worker in free if self._peers[worker][room] and worker != home]
        return min(has or free or self._alive, key=self._load)
