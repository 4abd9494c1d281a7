"""What every scene of the fault suite is judged by, and how `make faults` learns of it."""

import random

import pytest

from tests.kit.accounts import examine

SEED = 20


class Scene:
    """One fault: `judge` asserts that all invariants held, `caught` that the accounts see when one cannot."""

    def __init__(self, name, record):
        self.name, self.seed, self._record = name, SEED, record
        self.dice = random.Random(SEED)  # noqa: S311 - repeatable is the point

    async def judge(self, store, session, people):
        verdict = await examine(store, session, people, f"{self.name} (seed {self.seed})")
        self._tell("fault", verdict)
        assert verdict, f"\n{verdict}"
        assert verdict.acknowledged
        return verdict

    async def caught(self, store, session, people):
        """A negative control: what protects is switched off, so something must be found."""
        verdict = await examine(store, session, people, f"{self.name} (seed {self.seed})")
        assert verdict.lost or verdict.duplicated, f"nothing was noticed\n{verdict}"
        self._tell("control", verdict)
        return verdict

    def _tell(self, kind, verdict):
        self._record("faults", (kind, len(verdict.lost), len(verdict.duplicated)))


@pytest.fixture
def scene(request, record_property):
    return Scene(request.node.name, record_property)
