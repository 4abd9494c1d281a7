"""The native bodies under AddressSanitizer and UBSan: their contracts hold, and no byte is touched amiss."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Body(NamedTuple):
    """A native body.

    Attributes:
        source: its one file.
        module: what it is imported as.
        contract: the tests that hold it to its word, and which of them.
        uses: a line of Python that does with `module` what goes wrong if `right` becomes `wrong`.
        seen: what AddressSanitizer calls that.
    """

    source: str
    module: str
    contract: tuple[str, str]
    uses: str
    right: str
    wrong: str
    seen: str


BODIES = {
    "fanout": Body(
        "live/media/native/fanout.c",
        "live.media._fanout",
        (
            "tests/media/test_fanout.py",
            "refuses_what or native and (in_order or connect_late or wrap_of or byte_for or midway or tcp)",
        ),
        "print(len(module.Sealer(bytes(16), bytes(12)).seal(b'\\x80' + bytes(11), bytes(1000))))",
        "uint8_t packet[LONGEST + TAG];",
        "uint8_t packet[1000];",
        "stack-buffer-overflow",
    ),
    "broadcast": Body(
        "live/gateway/native/broadcast.c",
        "live.gateway._broadcast",
        ("tests/gateway/test_broadcast.py", "told_with or once or refuses_what or native and overtakes"),
        "print(module.send([-1] * 40, b'x'))",
        "(size_t)(count ? count : 1) * sizeof *lines",
        "sizeof *lines",
        "heap-buffer-overflow",
    ),
}

#: Puts the extension named first in the place of the built one, before anything imports that.
INSTEAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location(sys.argv[2], sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules[sys.argv[2]] = module
"""

RUNS_CONTRACT = """
import pytest
options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", sys.argv[4]]
sys.exit(pytest.main([*options, sys.argv[3]]))
"""


def _compiled(source: Path, made: Path) -> Path:
    command = ["gcc", "-std=gnu11", "-O1", "-g", "-fPIC", "-shared", "-fvisibility=hidden"]
    command += ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command += [f"-I{sysconfig.get_path('include')}", "-o", str(made), str(source), "-lcrypto"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return made


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"], check=True, capture_output=True, text=True
    ).stdout.strip()
    environ = os.environ | {"LD_PRELOAD": library, "ASAN_OPTIONS": "detect_leaks=0", "PYTHONPATH": str(ROOT)}
    environ["PYTHONMALLOC"] = "malloc"  # which the sanitizer watches
    return subprocess.run(
        [sys.executable, "-c", INSTEAD + program, *arguments],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def _sanitizes(folder: Path) -> bool:
    if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
        return False
    try:
        for name, body in BODIES.items():
            _compiled(ROOT / body.source, folder / f"{name}.so")
    except subprocess.CalledProcessError:
        return False
    body = BODIES["fanout"]
    return _run(body.uses, str(folder / "fanout.so"), body.module).returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sanitizers")
    if not _sanitizes(folder):
        pytest.skip("gcc, its sanitizers or libcrypto's headers are not here")
    return folder


@pytest.mark.parametrize("name", BODIES)
def test_the_contract_holds_and_nothing_is_touched_amiss(folder, name) -> None:
    body = BODIES[name]
    said = _run(RUNS_CONTRACT, str(folder / f"{name}.so"), body.module, *body.contract)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "passed" in said.stdout


@pytest.mark.parametrize("name", BODIES)
def test_a_mistake_would_be_seen(folder, name) -> None:
    body = BODIES[name]
    source = folder / f"{name}-wrong.c"
    text = (ROOT / body.source).read_text()
    source.write_text(text.replace(body.right, body.wrong))
    assert source.read_text() != text
    said = _run(body.uses, str(_compiled(source, folder / f"{name}-wrong.so")), body.module)
    assert said.returncode != 0
    assert f"AddressSanitizer: {body.seen}" in said.stderr
