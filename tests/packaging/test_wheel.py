"""The wheel carries the built client; an sdist builds a wheel on a machine without Node."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A clean copy of the source with a client in it, whatever was built before."""
    tree = tmp_path_factory.mktemp("source") / "madoi"
    ignore = shutil.ignore_patterns("node_modules", "client", "__pycache__", "*.egg-info", "*.so")
    for name in ("live", "rooms", "static", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=ignore)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "CHANGELOG.md", "Makefile", ".gitignore"):
        shutil.copy(ROOT / name, tree / name)
    client = tree / "live/web/client"
    (client / "assets").mkdir(parents=True)
    (client / "index.html").write_text("<!doctype html>")
    (client / "assets/index-abc.js").write_text("export {}")
    return tree


def build(tree: Path, out: Path, *what: str, **environment: str) -> Path:
    """Build without network and with a PATH on which there is neither Node nor a compiler."""
    environ = {**os.environ, "PATH": str(Path(sys.executable).parent), **environment}
    command = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--skip-dependency-check",
        "--outdir",
        out,
        *what,
        tree,
    ]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.iterdir())


def test_the_wheel_carries_code_client_and_command(tree, tmp_path):
    wheel = zipfile.ZipFile(build(tree, tmp_path / "out", "--wheel"))
    names = set(wheel.namelist())
    assert {
        "live/cli.py",
        "rooms/core.py",
        "live/web/client/index.html",
        "live/web/client/assets/index-abc.js",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "static/"))]
    entry_points = next(name for name in names if name.endswith("entry_points.txt"))
    assert "madoi = live.cli:main" in wheel.read(entry_points).decode()


def test_an_sdist_becomes_the_same_wheel_without_node(tree, tmp_path):
    archive = build(tree, tmp_path / "sdist", "--sdist")
    with tarfile.open(archive) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
        assert {"live/web/client/index.html", "static/package.json", "pyproject.toml", "README.md"} <= names
        native = {"live/media/native/fanout.c", "live/gateway/native/broadcast.c"}
        assert {"hatch_build.py"} | native <= names
        assert not [name for name in names if "node_modules" in name or "__pycache__" in name]
        sdist.extractall(tmp_path / "unpacked", filter="data")
    unpacked = next((tmp_path / "unpacked").iterdir())
    wheel = zipfile.ZipFile(build(unpacked, tmp_path / "wheel", "--wheel"))
    assert "live/web/client/index.html" in wheel.namelist()


def test_a_compiler_that_fails_makes_a_wheel_for_everybody(tree, tmp_path):
    wheel = build(tree, tmp_path / "out", "--wheel", CC="/bin/false")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".so", ".c"))]


@pytest.mark.skipif(
    not (shutil.which("cc") and Path("/usr/include/openssl/evp.h").exists()),
    reason="no compiler, or no libssl-dev",
)
def test_a_compiler_makes_a_wheel_of_this_platform_whose_native_bodies_load(tree, tmp_path):
    wheel = build(tree, tmp_path / "out", "--wheel", PATH=os.environ["PATH"], CC="cc", CFLAGS="-Werror")
    assert f"-cp311-abi3-{sysconfig.get_platform().replace('-', '_')}" in wheel.name
    fanout, broadcast = (
        loaded(name, wheel, tree, tmp_path) for name in ("live/media/_fanout", "live/gateway/_broadcast")
    )
    assert len(fanout.Sealer(bytes(16), bytes(12)).seal(bytes(12), b"body")) == 12 + 4 + 16
    assert broadcast.send([-1], b"body") == [(0, 0)]


def loaded(name: str, wheel: Path, tree: Path, folder: Path) -> ModuleType:
    """Load an extension out of a wheel; nothing is left of it in the tree."""
    zipfile.ZipFile(wheel).extract(f"{name}.abi3.so", folder)
    (tree / f"{name}.abi3.so").unlink()
    return module_from_spec(spec_from_file_location(Path(name).name, folder / f"{name}.abi3.so"))


@pytest.mark.skipif(not shutil.which("cc"), reason="no compiler")
def test_without_libcrypto_rooms_still_have_their_native_body(tree, tmp_path):
    headers = tmp_path / "openssl"
    headers.mkdir()
    (headers / "evp.h").write_text("#error not here\n")
    wheel = build(tree, tmp_path / "out", "--wheel", PATH=os.environ["PATH"], CC="cc", CFLAGS=f"-I{tmp_path}")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "live/gateway/_broadcast.abi3.so" in names
    assert "live/media/_fanout.abi3.so" not in names
    (tree / "live/gateway/_broadcast.abi3.so").unlink()
