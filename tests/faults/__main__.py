"""`make faults`: the suite by itself, with what it found as the last line, in JSON.

    {"faults": scenes, "lost": items, "duplicated": items, "controls_caught": controls}

Ends with pytest's exit code: not zero if any invariant did not hold or a negative control went unnoticed; and
with 1 if the whole suite took longer than it may.
"""

import json
import sys
import time

import pytest

LIMIT_SECONDS = 300
"""How long two cores that have nothing else to do may take for everything."""
SCENES = [
    *(f"tests/faults/test_{part}.py" for part in ("nodes", "redis", "model", "lines", "media")),
    # Scenes that live with what they are about.
    "tests/stores/test_durability.py::test_the_embedded_store_loses_nothing_to_kill",
    "tests/stores/test_durability.py::test_redis_loses_nothing_to_kill_and_readers_are_told",
    "tests/stores/test_durability.py::test_a_follower_misses_nothing_when_announcements_are_lost",
    "tests/stores/test_full_disk.py",
    "tests/media/test_fleet.py::test_a_killed_home_is_inherited_by_the_sibling",
    "tests/media/test_fleet.py::test_a_killed_sibling_costs_only_its_viewers",
]


class Tally:
    """Adds up what the scenes recorded."""

    def __init__(self):
        self.found = {"faults": 0, "lost": 0, "duplicated": 0, "controls_caught": 0}

    def pytest_runtest_logreport(self, report):
        if report.when != "call":
            return
        recorded = [value for name, value in report.user_properties if name == "faults"]
        controls = [value for value in recorded if value[0] == "control"]
        self.found["controls_caught"] += report.passed and len(controls)
        self.found["faults"] += not controls
        for kind, lost, duplicated in recorded:
            if kind == "fault":
                self.found["lost"] += lost
                self.found["duplicated"] += duplicated


if __name__ == "__main__":
    tally, began = Tally(), time.monotonic()
    code = pytest.main(["--numprocesses", "2", "--durations", "8", *(sys.argv[1:] or SCENES)], [tally])
    took = time.monotonic() - began
    print(f"{took:.0f} s, of {LIMIT_SECONDS} at most")  # noqa: T201 - what it is for
    print(json.dumps(tally.found), flush=True)  # noqa: T201 - what it is for
    sys.exit(code or took > LIMIT_SECONDS)
