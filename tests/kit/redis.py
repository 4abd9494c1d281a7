"""Real Redis for tests: a server, a master with replicas and sentinels, a cluster. Own ports, own folders."""

import contextlib
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import redis

PATIENT_MS = 60_000
"""For so long a busy machine may keep a server from answering before a sentinel calls it dead."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def waited(condition, within=20.0):
    """Wait, in a thread or before a loop runs, until `condition()` is true; errors of Redis mean not yet."""
    deadline = time.monotonic() + within
    while True:
        with contextlib.suppress(redis.RedisError, OSError):
            if answer := condition():
                return answer
        assert time.monotonic() < deadline, "Redis did not get there"
        time.sleep(0.02)


class RedisServer:
    """Started with `start`, ended by its own process id; may be killed and started again on the same data."""

    def __init__(self, folder: Path, *options: str, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "RedisServer":
        options = f"--port {self.port} --bind 127.0.0.1 --dir {self.folder} --logfile redis.log"
        options += " --appendonly yes --appendfsync always --maxmemory-policy noeviction"
        options += " --repl-diskless-sync-delay 0 --shutdown-timeout 0"
        # With signals as Python has them, a file that may not grow is an error to Redis, as a full disk is.
        command = ["redis-server", *options.split(), "--save", "", *self.options]
        self._process = subprocess.Popen(command, restore_signals=False)
        waited(self._answers)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "redis.log").read_text()
        with socket.create_connection(("127.0.0.1", self.port), 0.2) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")

    def ask(self, *command):
        """One command, from outside of any loop's clients."""
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            return client.execute_command(*command)

    def info(self, section: str) -> dict:
        with redis.Redis(port=self.port, socket_timeout=5) as client:
            return client.info(section)

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """Let it answer nothing: SIGSTOP."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """End a pause: SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process is gone."""
        return self._process is None or self._process.poll() is not None

    def fill_disk(self, room: int = 20_000) -> None:
        """Let none of its files grow by more than so many bytes."""
        assert self._process is not None
        written = max(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (written + room, resource.RLIM_INFINITY))

    def empty_disk(self) -> None:
        """End `fill_disk`; a server that is started anew has all the space that there is."""
        assert self._process is not None
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, unlimited)

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            self._process.wait()


class Replicated:
    """A master, one replica, and a sentinel that makes the replica master when the master is gone."""

    SERVICE = "madoi"

    def __init__(self, folder: Path) -> None:
        self.master = RedisServer(folder / "a")
        self.replica = RedisServer(folder / "b", "--replicaof", "127.0.0.1", str(self.master.port))
        self._folder = folder
        self._port = free_port()
        self._sentinel: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self._port}/{self.SERVICE}"

    def start(self) -> "Replicated":
        self.master.start()
        self.replica.start()
        waited(self.linked)
        # Linked is not fed yet: a master that did not see the first acknowledgement waits for the next one,
        # a second later, and a replica that takes over within that second knows nothing at all.
        self.master.ask("SET", "fed", "yes")
        waited(lambda: self.replica.ask("GET", "fed"))
        conf = self._folder / "sentinel.conf"
        conf.write_text(
            f"port {self._port}\nbind 127.0.0.1\ndir {self._folder}\nlogfile sentinel.log\n"
            f"sentinel monitor {self.SERVICE} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.SERVICE} {PATIENT_MS}\n"
            f"sentinel failover-timeout {self.SERVICE} 3000\n"
        )
        self._sentinel = subprocess.Popen(["redis-server", conf, "--sentinel"])
        waited(lambda: self._ask_sentinel("SENTINEL", "REPLICAS", self.SERVICE))
        with contextlib.suppress(redis.ResponseError):  # before 7.0 it takes longer to tell two masters apart
            self._ask_sentinel("SENTINEL", "DEBUG", "INFO-PERIOD", "500", "PUBLISH-PERIOD", "750")
        return self

    def linked(self) -> bool:
        """Whether the replica has had a copy of everything and holds a line to the master."""
        return self.replica.info("replication").get("master_link_status") == "up"

    def cut_replica(self) -> None:
        """Let the replica have all so far and hear nothing more; sentinels and clients go on with both."""
        so_far = self.master.info("replication")["master_repl_offset"]
        waited(lambda: self.replica.info("replication")["slave_repl_offset"] >= so_far)
        self.master.ask("ACL", "SETUSER", "default", "-psync", "-sync")
        self.master.ask("CLIENT", "KILL", "TYPE", "replica")
        waited(lambda: not self.linked())

    def fail_over(self) -> None:
        """Let the sentinel notice that the master is gone, and wait until the replica is the master."""
        self._ask_sentinel("SENTINEL", "SET", self.SERVICE, "down-after-milliseconds", "500")
        waited(self._failed_over, 30)
        self._ask_sentinel("SENTINEL", "SET", self.SERVICE, "down-after-milliseconds", str(PATIENT_MS))

    def _failed_over(self) -> bool:
        _, port = self._ask_sentinel("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.SERVICE)
        return int(port) == self.replica.port and self.replica.info("replication")["role"] == "master"

    def _ask_sentinel(self, *command):
        with redis.Redis(port=self._port, socket_timeout=5) as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        if self._sentinel is not None:
            self._sentinel.kill()
            self._sentinel.wait()
        self.replica.kill()
        self.master.kill()


class RedisCluster:
    """Three masters that share the slots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [RedisServer(folder / str(n), *options, port=_port_with_bus()) for n in range(3)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[:2])

    def start(self) -> "RedisCluster":
        for node in self.nodes:
            node.start()
        for n, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            node.ask("CLUSTER", "ADDSLOTS", *range(n * 16384 // 3, (n + 1) * 16384 // 3))
            node.ask("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        waited(lambda: all(self._ready(node) for node in self.nodes))
        return self

    @staticmethod
    def _ready(node: RedisServer) -> bool:
        answer = node.ask("CLUSTER", "INFO")
        said = (
            answer
            if isinstance(answer, dict)
            else dict(line.split(":") for line in answer.decode().split() if ":" in line)
        )
        return said["cluster_state"] == "ok" and int(said["cluster_known_nodes"]) == 3

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()


def _port_with_bus() -> int:
    while True:
        port = free_port()
        with contextlib.suppress(OSError, OverflowError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port + 10_000))
            return port
