"""The native fan-out under AddressSanitizer and UBSan: its contract holds, and no byte is touched amiss."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "live/media/native/fanout.c"
CONTRACT = "refuses_what or native and (in_order or connect_late or wrap_of or byte_for or midway or tcp)"

#: Puts the extension named first in the place of the built one, before anything imports that.
INSTEAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("live.media._fanout", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["live.media._fanout"] = module
"""

RUNS_CONTRACT = """
import pytest
options = ["-q", "-n", "0", "-p", "no:cacheprovider", "-k", sys.argv[2]]
sys.exit(pytest.main([*options, "tests/media/test_fanout.py"]))
"""

SEALS = "print(len(module.Sealer(bytes(16), bytes(12)).seal(b'\\x80' + bytes(11), bytes(1000))))"


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
    return subprocess.run(
        [sys.executable, "-c", INSTEAD + program, *arguments],
        cwd=ROOT, env=environ, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def _sanitizes(folder: Path) -> bool:
    if not sys.platform.startswith("linux") or shutil.which("gcc") is None:
        return False
    try:
        made = _compiled(SOURCE, folder / "try.so")
    except subprocess.CalledProcessError:
        return False
    return _run(SEALS, str(made)).returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sanitizers")
    if not _sanitizes(folder):
        pytest.skip("gcc, its sanitizers or libcrypto's headers are not here")
    return folder


def test_the_contract_holds_and_nothing_is_touched_amiss(folder) -> None:
    said = _run(RUNS_CONTRACT, str(folder / "try.so"), CONTRACT)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "passed" in said.stdout


def test_a_mistake_would_be_seen(folder) -> None:
    source = folder / "wrong.c"
    text = SOURCE.read_text()
    source.write_text(text.replace("uint8_t packet[LONGEST + TAG];", "uint8_t packet[1000];"))
    assert source.read_text() != text
    said = _run(SEALS, str(_compiled(source, folder / "wrong.so")))
    assert said.returncode != 0
    assert "AddressSanitizer: stack-buffer-overflow" in said.stderr
