"""A node's way to its real store, which tests can cut: the store's port with a door in it."""

import asyncio
import contextlib
import inspect

from live.stores import StoreAway


class Way:
    """Passes every question on, until it is `cut`; then there is no answer, whether or not the store heard.

    Args:
        store: the real one, perhaps shared with other nodes.
    """

    def __init__(self, store):
        self._store = store
        self._open, self._heard = asyncio.Event(), True
        self._last = None
        self.mend()

    def cut(self, *, heard):
        """Let no answer through from now on.

        Args:
            heard: the store still gets, and does, what is asked.
        """
        self._open.clear()
        self._heard = heard

    def cut_at(self, question, *, heard):
        """Be cut as soon as this is asked for.

        Args:
            question: a name in the port.
            heard: the store still gets that question, and those after it.
        """
        self._last = (question, heard)

    def mend(self):
        """Let everything through again."""
        self._open.set()
        self._heard, self._last = True, None

    @property
    def whole(self):
        """Whether questions are answered."""
        return self._open.is_set()

    def __getattr__(self, name):
        question = getattr(self._store, name)
        return self._stream(question) if inspect.isasyncgenfunction(question) else self._ask(question)

    def _ask(self, question):
        async def asked(*args, **options):
            if self._last is not None and self._last[0] == question.__name__:
                self.cut(heard=self._last[1])
            answer = await question(*args, **options) if self._heard else None
            if not self._open.is_set():
                raise StoreAway("the way is cut")
            return answer

        return asked

    def _stream(self, follow):
        """News wait at a cut, as they do where a line is only silent."""

        async def followed(*args):
            async with contextlib.aclosing(follow(*args)) as news:
                async for one in news:
                    await self._open.wait()
                    yield one

        return followed
