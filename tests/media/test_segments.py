"""A kernel or card that refuses UDP segmentation, as some virtual ones do: nothing is lost for it.

The refusal comes from a shared library that stands before libc in a process of its own.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from live.media import fanout

HERE = Path(__file__).parent

PROGRAM = """
import asyncio, json, os, socket, sys
from pylibsrtp import Policy
from live.media.fanout import fanout_body
from live.media.ice import Credentials
from live.media.peer import Peer
from live.media.srtp import Srtp, SrtpKeys
from live.media.udp import Port
from live.sfu import Fanout

async def told(name):
    port = Port(lambda *_: None, lambda: None)
    port.open("127.0.0.1", 0)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(5)
    one, two = os.urandom(28), os.urandom(28)
    profile = Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    peer = Peer("x", "room", "x", Credentials("u", "p"), source="", behind=False, now=0.0)
    peer.srtp, theirs = Srtp(SrtpKeys(profile, two, one)), Srtp(SrtpKeys(profile, one, two))
    peer.paths.chosen = sock.getsockname()
    body = fanout_body(name, port)
    began = port.segments
    whole = []
    for turn in range(2):
        numbers = range(turn * 20, turn * 20 + 20)
        header = lambda n: bytes((0x80, 96)) + n.to_bytes(2) + bytes(7) + b"\\x01"
        sizes = [1200] * 12 + [70, 900, 900, 30, 40, 1000, 1000, 1000]
        packets = [(header(n), os.urandom(size)) for n, size in zip(numbers, sizes)]
        body.send([Fanout(text, [(peer, head)]) for head, text in packets])
        whole += [bytes(theirs.unprotect(sock.recv(3000))) == head + text for head, text in packets]
    said = {"began": began, "whole": all(whole), "segments": port.segments, **port.counts}
    port.close()
    sock.close()
    return said

async def main():
    print(json.dumps([await told(name) for name in sys.argv[1:]]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    made = tmp_path_factory.mktemp("refusing") / "refusing.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, HERE / "refusing.c", "-ldl"], check=True)
    return made


@pytest.mark.parametrize(("code", "kept"), [(errno.EIO, False), (errno.EINVAL, True)])
def test_what_may_not_go_in_segments_goes_singly(library: Path, code: int, kept: bool) -> None:
    """`EIO` (no checksum offload) will never pass; anything else is this message's own fault."""
    bodies = ["python"] if fanout.native is None else ["python", "native"]
    environ = {
        **os.environ,
        "LD_PRELOAD": str(library),
        "REFUSE": str(code),
        "PYTHONPATH": str(HERE.parent.parent),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *bodies],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in json.loads(done.stdout):
        if not said["began"]:
            pytest.skip("no segmentation here")
        assert said["whole"]
        assert said["segments"] is kept
        assert (said["sent"], said["dropped"], said["unsendable"]) == (40, 0, 0)
