"""Builds the native fan-out with the package where that is possible, and never fails an install for it.

It takes Linux, a C compiler (`CC`, else `cc`), Python's headers and libcrypto's (`libssl-dev`). Without them
the package is pure Python: `madoi doctor` says which body sends.
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

SOURCE = Path("live/media/native/fanout.c")
TARGET = Path("live/media/_fanout.abi3.so")


class NativeFanout(BuildHookInterface):  # type: ignore[type-arg]  # hatchling's own parameter is of no use here
    """Compiles one file; what it made goes into wheels, and lies in the tree for editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, or say in one line why not."""
        del version
        root = Path(self.root)
        problem = compile_native(root / SOURCE, root / TARGET)
        if problem:
            self.app.display_warning(f"native fan-out not built, the Python body serves: {problem}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"
        build_data["force_include"][str(root / TARGET)] = str(TARGET)


def compile_native(source: Path, target: Path) -> str:
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
            problem = _compile(source, made)
            if not problem:
                made.replace(target)  # a running server keeps the file it has open
    if problem:
        target.unlink(missing_ok=True)
    return problem


def _compile(source: Path, made: Path) -> str:
    command = [
        *shlex.split(os.environ.get("CC") or "cc"),
        *["-std=gnu11", "-O2", "-g0", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra"],
        *shlex.split(os.environ.get("CFLAGS", "")),
        f"-I{sysconfig.get_path('include')}",
        *["-o", str(made), str(source), "-lcrypto"],
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603  # the compiler that the builder chose
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}"
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line] or [f"exit {done.returncode}"]
        return f"{command[0]}: {said[0]}"
    return ""
