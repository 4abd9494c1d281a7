"""What is installed in production is what was locked; OWASP ASVS 5.0 15.1.2 and 15.2."""

import json
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text("utf-8")
LOCKED = re.findall(r"^([a-z0-9._-]+)==(\S+)(.*)\\$", LOCK, re.MULTILINE)
PIP_AUDIT = {
    "clean": '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}',
    "vulnerable": '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}]}',
    "skipped": '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}',
    "no answer": "oops",
}
NPM = {
    "clean": '{"vulnerabilities": {}}',
    "vulnerable": '{"vulnerabilities": {"b": {"severity": "high"}}}',
    "no answer": '{"message": "405"}',
}


def test_every_runtime_package_is_locked_with_hashes_and_names_no_registry():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = {re.split(r"[\[<>=~!; ]", one)[0].lower() for one in wanted}
    assert names <= {name for name, _, _ in LOCKED}
    assert len(re.findall(r"^\S+==", LOCK, re.MULTILINE)) == len(LOCKED)
    for block in re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block
    assert "://" not in LOCK
    assert "index-url" not in LOCK


def test_the_image_installs_nothing_but_the_lock_and_runs_as_nobody_special():
    image = (ROOT / "Dockerfile").read_text("utf-8").rpartition("\nFROM ")[2]
    assert "--require-hashes --no-deps -r /requirements.lock" in image
    assert re.search(r"pip install .*--no-deps /wheels", image)
    assert "USER 10001" in image
    assert "!requirements.lock" in (ROOT / ".dockerignore").read_text("utf-8").splitlines()


@pytest.mark.parametrize("folder", ["static", "tests/obs"])
def test_npm_packages_are_locked_with_hashes(folder):
    packages = json.loads((ROOT / folder / "package-lock.json").read_text("utf-8"))["packages"]
    assert all("integrity" in one for path, one in packages.items() if path)


@pytest.mark.parametrize(
    ("python", "npm", "code"),
    [
        ("clean", "clean", 0),
        ("vulnerable", "clean", 1),
        ("clean", "vulnerable", 1),
        ("vulnerable", "no answer", 1),
        ("skipped", "clean", 2),
        ("no answer", "clean", 2),
        ("clean", "no answer", 2),
    ],
)
def test_asvs_15_2_1_what_was_not_audited_is_not_clean(tmp_path, python, npm, code):
    for name, says in (("pip-audit", PIP_AUDIT[python]), ("npm", NPM[npm])):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'.'\n{says}\n.\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/audit", tmp_path / "pip-audit"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert ("NOT AUDITED" in done.stdout) is ("no answer" in (python, npm) or python == "skipped")
