"""Whom a room's host knows by name: cards lie beside the log, and entries say whose have changed."""

import asyncio
from collections.abc import Callable, Collection
from typing import Final, Protocol

import msgspec

from live.gateway.viewing import Caller, Cards, StoredCard
from live.gateway.writing import Log
from live.protocol.frames import Card
from live.stores import Store, StoreAway
from rooms import Entry, Refused
from rooms.door import CardAtDoorChanged, CardChanged, Filed, Forgotten, TellCard

STORE_AGAIN_SECONDS: Final = 0.5
"""When a store that did not answer is asked again."""


class Ask(Protocol):
    """Asks a command of the server's own; raises `rooms.Refused`."""

    async def __call__(self, command: TellCard, nonce: str = "", since: int | None = None) -> int:
        """See `Do` for `nonce` and `since`."""


class Acquaintances:
    """The cards of a room's people, as this node knows them.

    Args:
        log: The room's.
        store: Where the cards lie.
        fresh: Makes an identifier that nobody can guess.
        ask: Asks what tells everybody that a card has changed.
        learned: Called when a card is another one than before, or gone.

    Attributes:
        cards: Those that are known.
        strangers: Whose card has to be fetched, by the number of the newest entry that says so.
    """

    def __init__(
        self, log: Log, store: Store, fresh: Callable[[], str], ask: Ask, learned: Callable[[], None]
    ) -> None:
        self.cards = Cards({})
        self.strangers: dict[str, int] = {}
        self._log = log
        self._store = store
        self._fresh = fresh
        self._ask = ask
        self._learned = learned
        self._untold: dict[str, bytes] = {}  # changed cards, as the store has them
        self._strange = asyncio.Event()
        self._meeting = asyncio.Lock()

    async def load(self) -> None:
        """Read everybody's card.

        Raises:
            StoreAway: The store does not answer.
        """
        found = await self._store.cards(self._log.session)
        self.cards = Cards({person: msgspec.json.decode(body, type=Card) for person, body in found.items()})
        for person, body in found.items():
            self._note_untold(person, body)

    async def run(self, met: Callable[[], None]) -> None:
        """Meet strangers as soon as they are heard of, and call `met` each time, until cancelled."""
        while True:
            await self._strange.wait()
            try:
                await self._meet_some()
            except StoreAway:
                await asyncio.sleep(STORE_AGAIN_SECONDS)
            else:
                if not self.strangers:
                    self._strange.clear()
                met()

    # -- what the log says of people ---------------------------------------------------------------

    def hear(self, entry: Entry, own: bool) -> None:
        """Note whose card has to be fetched, and by which entry: a newer one asks for a newer card."""
        for event in entry.events:
            match event:
                case Filed(person) if not own:
                    self.strangers[person.id] = entry.seq
                case CardChanged(person) | CardAtDoorChanged(person):
                    self.strangers[person] = entry.seq
                case Forgotten(person):
                    self.strangers.pop(person, None)
                    self.cards.by_id.pop(person, None)
                    self._untold.pop(person, None)
                    self._learned()
                case _:
                    pass
        if self.strangers:
            self._strange.set()

    def forget_all(self) -> None:
        """The room was read anew past entries that were never heard: everybody in it is a stranger again."""
        people = self._log.room.door.people
        others = {one: card for one, card in self.cards.by_id.items() if one not in people}
        self.cards, self.strangers = Cards(others), dict.fromkeys(people, self._log.room.seq)
        self._learned()
        if self.strangers:
            self._strange.set()

    def names_a_stranger(self, entry: Entry) -> bool:
        """Whether an entry makes known, or new, a card that has not been fetched."""
        for event in entry.events:
            match event:
                case Filed(person):
                    found = person.id
                case CardChanged(person) | CardAtDoorChanged(person):
                    found = person
                case _:
                    continue
            if found in self.strangers:
                return True
        return False

    # -- fetching cards ----------------------------------------------------------------------------

    async def meet_strangers(self) -> None:
        """Fetch the cards of people who came in by another node, or whose cards have changed.

        Raises:
            StoreAway: The store does not answer; they stay strangers.
        """
        while self.strangers:
            await self._meet_some()

    async def _meet_some(self) -> None:
        """Fetch the cards of the strangers of this moment; of some there may be newer ones already."""
        asked = dict(self.strangers)
        await self._meet(asked)
        for person, seq in asked.items():
            if self.strangers.get(person) == seq:
                del self.strangers[person]

    async def _meet(self, people: Collection[str]) -> None:
        strange = self.strangers.keys() & people
        async with self._meeting:  # of two answers the later one is the newer
            found = await self._store.cards(self._log.session, people)
            for person, body in found.items():
                self._note_untold(person, body)
                card = msgspec.json.decode(body, type=Card)
                forgotten = person in strange and person not in self.strangers
                # An entry that says that a card has changed comes with it, whatever was known here before.
                if (person in strange or card != self.cards.by_id.get(person)) and not forgotten:
                    self._learn(card)

    def _learn(self, card: Card) -> None:
        self.cards.put(card)
        self._learned()

    # -- changing a card ---------------------------------------------------------------------------

    async def put(self, card: Card) -> None:
        """Keep a person's card and show it to who has heard of the person, at every node and on resume.

        A card that has changed is an entry of the log, without the card: whoever hears of it fetches the card
        as it is then, also this node, so that of two changes at once all end with the one that the store has.
        Until the entry is there the stored card carries a mark: if anything fails in between, the person's
        next greeting makes up for it, at whatever node.

        Raises:
            StoreAway: The store does not answer.
            rooms.Refused: There is too much to do, or the store did not answer in time; ask again.
        """
        if card.id in self._log.room.door.people:
            await self._meet({card.id})  # the store may have one of which no node has heard
        await self._change(card)

    async def named(self, caller: Caller) -> Caller:
        """Keep the caller's card, or fill in the caller from it.

        Raises:
            StoreAway: The store does not answer.
            rooms.Refused: As `put` does.
        """
        if caller.name:
            await self._change(caller.card)
            return caller
        await self._meet({caller.person})
        await self._tell_untold()
        card = self.cards.by_id.get(caller.person)
        if card is None:
            return caller
        return msgspec.structs.replace(caller, name=card.name, profession=card.profession)

    async def _change(self, card: Card) -> None:
        for one in self.cards.marked(card):
            if self.cards.by_id.get(one.id) != one:
                await self._keep(one)
        await self._tell_untold()

    async def _keep(self, card: Card) -> None:
        stored = StoredCard(**msgspec.structs.asdict(card))
        if card.id in self._log.room.door.people:
            stored = msgspec.structs.replace(stored, untold=self._fresh(), since=self._log.room.seq)
        body = msgspec.json.encode(stored)
        await self._store.put_card(self._log.session, card.id, body)
        self._note_untold(card.id, body)
        if not stored.untold:
            self._learn(card)

    def _note_untold(self, person: str, body: bytes) -> None:
        if msgspec.json.decode(body, type=StoredCard).untold:
            self._untold[person] = body
        else:
            self._untold.pop(person, None)

    async def _tell_untold(self) -> None:
        """Tell of the cards of which the store says that nobody has been told.

        Raises:
            StoreAway: The store does not answer; some may be told again, which changes nothing.
            rooms.Refused: As `put` does.
        """
        if self._untold:
            await self._meet(tuple(self._untold))  # another node may have told meanwhile
        for person, body in tuple(self._untold.items()):
            await self._tell(msgspec.json.decode(body, type=StoredCard))
            told = msgspec.json.encode(msgspec.json.decode(body, type=Card))
            await self._store.swap_card(self._log.session, person, body, told)
            if self._untold.get(person) == body:
                del self._untold[person]

    async def _tell(self, card: StoredCard) -> None:
        command = TellCard(person=card.id)
        try:
            await self._ask(command, card.untold, card.since)
        except Refused as refused:
            if refused.code != "unsure":
                raise
            await self._ask(command)
