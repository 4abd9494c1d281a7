"""Builds the native bodies with the package where that is possible, and never fails an install for it.

Both take Linux, a C compiler (`CC`, else `cc`) and Python's headers; media's fan-out takes libcrypto's too
(`libssl-dev`). What cannot be built is served by its body in Python: `madoi doctor` says which are in use.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

EXTENSIONS = {
    "live/media/native/fanout.c": ("live/media/_fanout.abi3.so", ["-lcrypto"]),
    "live/gateway/native/broadcast.c": ("live/gateway/_broadcast.abi3.so", []),
}
"""By source: what it becomes, and the libraries that this takes."""


class NativeBodies(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own parameter is of no use here
    """Compiles each file; what it made goes into wheels, and lies in the tree for editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, or say in one line why not."""
        del version
        root = Path(self.root)
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        for source, (target, libraries) in EXTENSIONS.items():
            problem = compile_native(root / source, root / target, libraries)
            if problem:
                self.app.display_warning(f"{source} not built, Python serves in its place: {problem}")
                continue
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"
            build_data["force_include"][str(root / target)] = target


def compile_native(source: Path, target: Path, libraries: list[str]) -> str:
    """Compile `source` into `target`, which is gone if that fails.

    Returns:
        Why it could not be done, in one line; empty when it was.
    """
    problem = ""
    if not sys.platform.startswith("linux") or sysconfig.get_config_var("Py_GIL_DISABLED"):
        problem = "only for Linux and a Python with its lock"
    else:
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            made = Path(folder) / target.name
            problem = _compile(source, made, libraries)
            if not problem:
                made.replace(target)  # a running server keeps the file it has open
    if problem:
        target.unlink(missing_ok=True)
    return problem


def _compile(source: Path, made: Path, libraries: list[str]) -> str:
    command = [
        *shlex.split(os.environ.get("CC") or "cc"),
        *["-std=gnu11", "-O2", "-g0", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"],
        *shlex.split(os.environ.get("CFLAGS", "")),
        f"-I{sysconfig.get_path('include')}",
        *["-o", str(made), str(source), *libraries],
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603  # the compiler that the builder chose
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or [f"exit {done.returncode}"]
        return f"{command[0]}: {said[0]}"
    return ""
