"""What the stage's lines measure, for those who look after it."""

from __future__ import annotations

from dataclasses import dataclass

from live.sfu.contract import P, Source
from live.sfu.layer import Layer

COUNTERS = (
    "keyframes_refused",
    "malformed",
    "nacks_answered",
    "nacks_missed",
    "nacks_refused",
    "nacks_repeated",
    "nacks_sent",
    "over_cap",
    "padding_sent",
    "plis_sent",
    "received",
    "relayed_again",
    "rembs",
    "repaired",
    "switch_ms",
    "switches",
    "transport_feedbacks",
    "unknown_peer",
    "unknown_ssrc",
)
"""What a router counts from its start on, as `Router.stats` names it."""
GAUGES = ("bitrate_in", "layers", "pauses", "publications", "viewers")
"""What a router tells of the moment."""


@dataclass(frozen=True, slots=True)
class StreamMeasure:
    """One stream that arrives from a publisher.

    Attributes:
        source: What it shows.
        rid: Its layer's name, None without layers.
        bitrate: Bits per second of payload.
        loss: Fraction lost on the way here in the last second, 0-1.
        jitter: Seconds (RFC 3550 §6.4.1).
    """

    source: Source
    rid: str | None
    bitrate: int
    loss: float
    jitter: float


@dataclass(frozen=True, slots=True)
class LineMeasure:
    """One publishing person's line.

    Attributes:
        person: Whose.
        quality: 3 good, 2 fair, 1 poor, 0 lost.
        round_trip: Seconds, as the person's own watching told; None when it has not.
        streams: What arrives, lowest layer first; silent layers are left out.
    """

    person: str
    quality: int
    round_trip: float | None
    streams: tuple[StreamMeasure, ...]


def measure(layer: Layer[P]) -> StreamMeasure:
    """Measure one layer."""
    reception = layer.reception
    source = layer.publication.spec.source
    jitter = reception.jitter / layer.clock
    return StreamMeasure(source, layer.rid, int(layer.rate), reception.fraction / 256, jitter)
