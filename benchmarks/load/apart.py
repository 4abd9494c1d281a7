"""Two machines in one: the server on the first core, everything behind its network card on the second.

On the loopback the sender does the receivers' work too: the kernel takes each datagram in to the viewer's
socket before `sendmsg` returns. Here the two are joined by a pair of virtual network cards. The viewers' card
is polled by a kernel thread of its own, which is kept on the second core like the load client, as another
machine's would be there.
"""

from __future__ import annotations

import array
import fcntl
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

from tests.kit.namespaces import Namespace

SERVER, VIEWERS = "10.9.0.1", "10.9.0.2"
_INSIDE = "MADOI_BENCH_APART"
_SIOCETHTOOL, _SET_TSO, _SET_GRO = 0x8946, 0x1F, 0x2C  # linux/sockios.h, linux/ethtool.h


def go() -> None:
    """Begins this program anew on the second core, in a network of its own; returns when it has been."""
    if _INSIDE in os.environ:
        return
    mount = 'mount -t sysfs sysfs /sys && ip link set lo up && exec taskset --cpu-list 1 "$@"'
    os.environ[_INSIDE] = "1"
    words = ["unshare", "--net", "--mount", "sh", "-c", mount, "sh", sys.executable, *sys.argv]
    os.execvp("unshare", words)  # noqa: S606  # ourselves


def server_side() -> Namespace:
    """The network that servers are to be started in; ours, the viewers', is at the other end of its line."""
    far = Namespace()
    far.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(os.getpid()))
    far.run("ip", "address", "add", f"{SERVER}/24", "dev", "near")
    far.run("ip", "link", "set", "near", "up")
    for words in (["address", "add", f"{VIEWERS}/24", "dev", "far"], ["link", "set", "far", "up"]):
        subprocess.run(["ip", *words], check=True)
    far.do(lambda: _set("near", _SET_TSO, 0))
    _set("far", _SET_GRO, 1)
    _poll_by_thread("far", core=1)
    return far


def _set(device: str, feature: int, value: int) -> None:
    """A virtual card is polled where it may join what it receives (GRO), and TCP's segments need not be."""
    wanted = array.array("B", struct.pack("II", feature, value))
    request = struct.pack("16sQ16x", device.encode(), wanted.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)


def _poll_by_thread(device: str, core: int) -> None:
    """The thread goes before everything else on its core, as a card's interrupt does."""
    Path(f"/sys/class/net/{device}/threaded").write_text("1")
    for process in Path("/proc").glob("[0-9]*"):
        if (process / "comm").read_text().startswith(f"napi/{device}-"):
            os.sched_setaffinity(int(process.name), {core})
            os.sched_setscheduler(int(process.name), os.SCHED_FIFO, os.sched_param(1))
