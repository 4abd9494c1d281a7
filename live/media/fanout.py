"""Sending one packet to many viewers: a port with two bodies, in C and in Python."""

import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Literal, Protocol

from live.media.control import MediaRefused
from live.media.ice import Changes
from live.media.peer import Peer
from live.media.srtp import RUN_LIMIT, SrtpError
from live.media.udp import Port
from live.sfu import Fanout

#: Datagrams that the kernel takes in one call (UDP_MAX_SEGMENTS).
_SEGMENTS = 64

#: Bytes of a fixed RTP header.
_HEADER = 12

#: What the extension must say it was made for: one that was compiled of older source would send nothing.
INTERFACE = 3

native: ModuleType | None = None
"""The extension that `hatch_build.py` makes of `native/fanout.c`; None where it is not built."""

native_problem = ""
"""Why `native` is None."""

try:
    native = importlib.import_module("live.media._fanout")
    if getattr(native, "INTERFACE", 1) != INTERFACE:
        native, native_problem = None, "it was compiled for another version: `make run` compiles it anew"
except ImportError as error:
    native_problem = str(error)


def fanout_body(name: Literal["auto", "native", "python"], port: Port) -> "FanoutBody":
    """The body of a name; `auto` is the native one where it is built.

    Raises:
        MediaRefused: `fanout_not_built`.
    """
    if name != "python" and native is not None:
        return NativeFanout(port, native)
    if name == "native":
        raise MediaRefused("fanout_not_built", 503)
    return PythonFanout(port)


class FanoutBody(Protocol):
    """What rewrites, protects and sends. Bodies differ in speed only; one contract test holds for all."""

    name: str

    @property
    def room(self) -> int:
        """Bytes that may be sent now without making anything wait: 0 while something waits for the kernel."""

    def send(self, fanouts: Sequence[Fanout[Peer]]) -> int:
        """Sends every packet to every peer that is connected, each stream's in order; gives how many went."""

    def forget(self, source: str) -> None:
        """Drops what of a publication waits sealed for the kernel."""


class PythonFanout:
    """Protects in place on one preallocated buffer; a viewer's runs of equal size go by one call.

    A run's packets have one length, only the last may be shorter, as UDP segmentation has it.
    """

    name = "python"

    def __init__(self, port: Port) -> None:
        self._port = port

    @property
    def room(self) -> int:
        """See `FanoutBody`."""
        return 0 if self._port.waits else self._port.room

    def forget(self, source: str) -> None:
        """See `FanoutBody`."""
        self._port.forget(source)

    def send(self, fanouts: Sequence[Fanout[Peer]]) -> int:
        """See `FanoutBody`."""
        sources: dict[str, list[Fanout[Peer]]] = {}
        for fanout in fanouts:
            sources.setdefault(fanout.source, []).append(fanout)
        went = 0
        for source, group in sources.items():
            for peer, queue in _queues(group):
                went += self._send_queue(peer, source, queue)
        return went

    def _send_queue(self, peer: Peer, source: str, queue: Sequence[tuple[bytes, bytes]]) -> int:
        srtp, address = peer.srtp, peer.paths.chosen
        if srtp is None or address is None:
            return 0
        went = start = 0
        while start < len(queue):
            end = _run_end(queue, start, srtp.tag_length)
            header, body = queue[start]
            try:
                if end - start == 1:
                    self._port.send(srtp.seal(header, body), address, source)
                else:
                    size = len(header) + len(body) + srtp.tag_length
                    self._port.send_segments(srtp.seal_run(queue[start:end]), size, address, source)
                went += end - start
            except SrtpError:
                pass
            start = end
        return went


def _queues(group: Sequence[Fanout[Peer]]) -> Iterator[tuple[Peer, list[tuple[bytes, bytes]]]]:
    """Each viewer's headers and bodies, in order."""
    cast, heads = group[0].cast, [fanout.head for fanout in group if fanout.head is not None]
    if cast is not None and all(fanout.cast is cast for fanout in group):
        bodies = [fanout.body for fanout in group]
        for peer, headers in cast.headers(heads):
            yield peer, list(zip(headers, bodies, strict=True))
        return
    queues: dict[Peer, list[tuple[bytes, bytes]]] = {}
    for fanout in group:
        for peer, header in fanout.headers:
            queues.setdefault(peer, []).append((header, fanout.body))
    yield from queues.items()


class NativeFanout:
    """Seals with libcrypto and sends many datagrams with one call, without Python's lock (`native/fanout.c`).

    Peers without 128-bit GCM are served by the Python body. Those on TCP are sealed natively, as they may
    have been on UDP before, and sent one packet at a time.

    Args:
        port: where it goes out.
        module: the extension.
    """

    name = "native"

    def __init__(self, port: Port, module: ModuleType) -> None:
        self._port = port
        self._module = module
        self._python = PythonFanout(port)

    @property
    def room(self) -> int:
        """See `FanoutBody`."""
        return self._python.room

    def forget(self, source: str) -> None:
        """See `FanoutBody`."""
        self._port.forget(source)

    def send(self, fanouts: Sequence[Fanout[Peer]]) -> int:
        """See `FanoutBody`."""
        fanouts = list(fanouts)
        went, foreign = self._send(fanouts)
        fresh: list[Fanout[Peer]] = []
        strange: list[Fanout[Peer]] = []
        for peer, header, body, place in foreign:
            srtp, source = peer.srtp, fanouts[place].source
            if srtp is None:
                continue
            if srtp.session_key is None:
                strange.append(Fanout(body, [(peer, header)], source))
            elif srtp.sealer is None:
                fresh.append(Fanout(body, [(peer, header)], source))
            else:
                went += self._send_sealed(peer, header, body, source)
        for peer in {peer: None for fanout in fresh for peer, _ in fanout.headers}:
            if peer.srtp is not None and peer.srtp.session_key is not None:
                peer.srtp.sealer = self._module.Sealer(*peer.srtp.session_key)
        return went + (self.send(fresh) if fresh else 0) + (self._python.send(strange) if strange else 0)

    def _send(self, fanouts: list[Fanout[Peer]]) -> tuple[int, list[tuple[Peer, bytes, bytes, int]]]:
        """Sends to those whom the extension can serve; gives how many went, and what is for others."""
        port = self._port
        went, sent, unsendable, dropped, segments, left, foreign = self._module.send(
            fanouts, *port.descriptors, port.segments, port.waits, port.room, Changes.count
        )
        port.segments = bool(segments)
        port.counts["sent"] += sent
        port.counts["unsendable"] += unsendable
        port.counts["dropped"] += dropped
        for datagram, address, place in left:
            port.send(datagram, address, fanouts[place].source)
        return went, foreign

    def _send_sealed(self, peer: Peer, header: bytes, body: bytes, source: str) -> int:
        address, sealer = peer.paths.chosen, peer.srtp.sealer if peer.srtp else None
        if address is None or not isinstance(sealer, self._module.Sealer):
            return 0
        try:
            self._port.send(sealer.seal(header, body), address, source)
        except ValueError:
            return 0
        return 1


def _run_end(queue: Sequence[tuple[bytes, bytes]], start: int, tag: int) -> int:
    """Where the run that begins at `start` ends: after a shorter packet, before a longer one or a limit."""
    size = len(queue[start][1])
    limit = min(start + _SEGMENTS, start + RUN_LIMIT // (size + _HEADER + tag), len(queue))
    for at in range(start + 1, limit):
        if len(queue[at][1]) != size:
            return at + 1 if len(queue[at][1]) < size else at
    return max(limit, start + 1)
