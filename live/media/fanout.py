"""Sending one packet to many viewers: a port with two bodies, in C and in Python."""

import importlib
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Literal, Protocol, TypeVar

from live.media.control import MediaRefused
from live.media.ice import Changes
from live.media.peer import Peer
from live.media.srtp import RUN_LIMIT, SrtpError, Template
from live.media.udp import Port
from live.sfu import Fanout
from live.sfu.contract import Cast, Head

#: Datagrams that the kernel takes in one call (UDP_MAX_SEGMENTS).
_SEGMENTS = 64

#: Bytes of a fixed RTP header.
_HEADER = 12

H = TypeVar("H")

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
        return sum(self._send_source(source, group) for source, group in sources.items())

    def _send_source(self, source: str, group: Sequence[Fanout[Peer]]) -> int:
        cast = group[0].cast
        if cast is not None and all(fanout.cast is cast for fanout in group):
            packets = [(fanout.head, fanout.body) for fanout in group if fanout.head is not None]
            return self._send_cast(cast, source, packets)
        queues: dict[Peer, list[tuple[bytes, bytes]]] = {}
        for fanout in group:
            for peer, header in fanout.headers:
                queues.setdefault(peer, []).append((header, fanout.body))
        return sum(self._send_queue(peer, source, queue) for peer, queue in queues.items())

    def _send_cast(self, cast: Cast[Peer], source: str, packets: Sequence[tuple[Head, bytes]]) -> int:
        """Sends everybody the same bodies; what does not depend on the viewer is done once."""
        templates: dict[int, list[Template]] = {}
        went = 0
        for peer, row in cast.viewers:
            srtp, address = peer.srtp, peer.paths.chosen
            if srtp is None or address is None:
                continue
            tag = srtp.tag_length
            if tag not in templates:
                templates[tag] = list(_templates(packets, tag))
            for template in templates[tag]:
                try:
                    sealed = srtp.seal_template(template, row)
                except SrtpError:
                    continue
                if template.count == 1:
                    self._port.send(sealed, address, source)
                else:
                    self._port.send_segments(sealed, template.size, address, source)
                went += template.count
        return went

    def _send_queue(self, peer: Peer, source: str, queue: Sequence[tuple[bytes, bytes]]) -> int:
        srtp, address = peer.srtp, peer.paths.chosen
        if srtp is None or address is None:
            return 0
        went = 0
        for run in _runs(queue, srtp.tag_length):
            size = _HEADER + len(run[0][1]) + srtp.tag_length
            try:
                self._port.send_segments(srtp.seal_run(run), size, address, source)
            except SrtpError:
                continue
            went += len(run)
        return went


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


def _templates(packets: Sequence[tuple[Head, bytes]], tag: int) -> Iterator[Template]:
    for run in _runs(packets, tag):
        try:
            yield Template(run, tag)
        except SrtpError:  # of an impossible length: nobody gets it
            continue


def _runs(packets: Sequence[tuple[H, bytes]], tag: int) -> Iterator[Sequence[tuple[H, bytes]]]:
    """Headers, or what they are made of, and bodies, in runs as UDP segmentation wants them."""
    start = 0
    while start < len(packets):
        end = _run_end(packets, start, tag)
        yield packets[start:end]
        start = end


def _run_end(packets: Sequence[tuple[object, bytes]], start: int, tag: int) -> int:
    """Where the run that begins at `start` ends: after a shorter packet, before a longer one or a limit."""
    size = len(packets[start][1])
    limit = min(start + _SEGMENTS, start + RUN_LIMIT // (size + _HEADER + tag), len(packets))
    for at in range(start + 1, limit):
        if len(packets[at][1]) != size:
            return at + 1 if len(packets[at][1]) < size else at
    return max(limit, start + 1)
