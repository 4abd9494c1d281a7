"""The garbage collector looks only at what is young; what it set aside is still freed."""

import asyncio
import gc
import subprocess
import sys
import weakref

import pytest

from live import heap
from tests.kit.polling import until


class Loop:
    """Refers to itself, so that only a collector frees it."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def spared():
    heap.spare_survivors()
    yield
    gc.callbacks.remove(heap._set_aside)
    gc.unfreeze()


@pytest.mark.usefixtures("spared")
@pytest.mark.parametrize("generation", [1, 2])
def test_what_survived_is_not_looked_at_again(generation):
    kept = Loop()
    gc.collect(generation)
    assert not any(one is kept for one in gc.get_objects())
    assert gc.get_freeze_count() > 0


@pytest.mark.usefixtures("spared")
def test_what_came_since_is_collected_as_ever_and_the_rest_by_its_last_reference():
    late = weakref.ref(Loop())
    gc.collect()
    assert late() is None
    held = type("Held", (), {})()
    gone = weakref.ref(held)
    gc.collect()
    del held
    assert gone() is None


@pytest.mark.usefixtures("spared")
async def test_cycles_among_what_was_set_aside_are_found_once_few_are_present(monkeypatch):
    monkeypatch.setattr(heap, "TIDY_SECONDS", 0.01)
    aside, present = Loop(), heap.FEW + 1
    gone = weakref.ref(aside)
    gc.collect()
    del aside
    gc.collect()
    task = asyncio.create_task(heap.tidy(lambda: present))
    await asyncio.sleep(0.2)  # it comes to look twenty times
    assert gone() is not None, "nobody is disturbed"
    present = heap.FEW
    await until(lambda: gone() is None)
    task.cancel()


PROGRAM = """
import gc, time
from live.heap import spare_survivors
if {spares}:
    spare_survivors()
longest, began = [0.0], [0.0]
def clocked(phase, info):
    if phase == "start":
        began[0] = time.perf_counter()
    else:
        longest[0] = max(longest[0], time.perf_counter() - began[0])
gc.callbacks.append(clocked)
held = [[[]] for _ in range(1_000_000)]
print(longest[0])
"""


def longest_pause(spares):
    """Seconds of the longest collection while a process comes to hold two million objects."""
    words = [sys.executable, "-c", PROGRAM.format(spares=spares)]
    return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def test_pauses_do_not_grow_with_what_is_held():
    assert longest_pause(spares=True) < longest_pause(spares=False) / 2
