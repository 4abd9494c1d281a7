"""Logs and numbers. Neither ever carries a ticket, a token, a name or what somebody wrote.

Logs are events with fields (structlog), as text for people or one JSON object per line; field values are
escaped, so nobody can forge a line. Numbers are Prometheus metrics of this process.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from structlog.tracebacks import ExceptionDictTransformer as _Traceback

from live.protocol.codes import WIRE_REFUSALS, Close

log: structlog.stdlib.BoundLogger = structlog.get_logger("madoi")

_SECRET_FIELDS = frozenset({"ticket", "token", "cookie", "authorization", "sdp", "text", "name", "secret"})


def configure(level: str, *, as_json: bool) -> None:
    """Set up logging for this process, uvicorn's own lines included.

    Args:
        level: `debug`, `info`, `warning` or `error`.
        as_json: one JSON object per line, for collectors.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _hide,
    ]
    # Both ways of writing a traceback leave local variables out: tickets and people's words are among them.
    last: list[Any] = (
        [
            structlog.processors.ExceptionRenderer(_Traceback(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.root.handlers = [handler]
    logging.root.setLevel(level.upper())
    for noisy in ("uvicorn.access", "aioice", "aiortc", "websockets"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(max(logging.root.level, logging.WARNING))


def _hide(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for field in _SECRET_FIELDS & event.keys():
        event[field] = "(hidden)"
    return event


class Numbers:
    """The metrics of one server, in a registry of their own: two servers can live in one process.

    Labels take few values, all of them known beforehand; none is a session's or a person's.

    Attributes:
        requests: HTTP requests, by method and status class.
        seconds: how long they took.
        commands: commands of people and of the clock, by outcome: `done`, or the refusal's code.
        append: how long the store took to keep a batch of commands.
        append_failures: batches that the store did not take because it was away.
        closes: sockets that ended, by close code.
        resumes: people who came into a room, by how they were brought up to date: `new`, `ring`, `pages`,
            `snapshot`.
        unread: whispers of other servers that this one cannot read, for one of them is newer.
        lag: how late the event loop was.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("http_requests", "HTTP requests by status class", "method", "status")
        self.seconds = self._histogram(
            "http_seconds", "Time to answer an HTTP request", 0.005, 0.02, 0.1, 0.5, 2.0
        )
        self.commands = self._counter("commands", "Commands, by `done` or the refusal's code", "outcome")
        self.append = self._histogram(
            "append_seconds",
            "Time until the store has kept a batch of commands",
            *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 4.0),
        )
        self.append_failures = self._counter("append_failures", "Batches that a store did not take")
        self.closes = self._counter("closes", "Sockets that ended, by close code", "code")
        self.resumes = self._counter("resumes", "People brought up to date, by how", "kind")
        self.unread = self._counter("whispers_unread", "Whispers of other servers that cannot be read here")
        self.lag = self._histogram("loop_lag_seconds", "How late the event loop was", 0.01, 0.05, 0.2, 1.0)
        for code in Close:
            self.closes.labels(str(int(code)))
        for kind in ("new", "ring", "pages", "snapshot"):
            self.resumes.labels(kind)
        for outcome in ("done", *WIRE_REFUSALS):
            self.commands.labels(outcome)
        self.gauges: dict[str, Gauge] = {}

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"madoi_{name}", says, labels, registry=self.registry)

    def _histogram(self, name: str, says: str, *buckets: float) -> Histogram:
        return Histogram(f"madoi_{name}", says, registry=self.registry, buckets=buckets)

    def show(self, name: str, says: str, value: float, **labels: str) -> None:
        """Set a gauge, made at its first value; a name always comes with the same labels."""
        if name not in self.gauges:
            self.gauges[name] = Gauge(f"madoi_{name}", says, list(labels), registry=self.registry)
        (self.gauges[name].labels(**labels) if labels else self.gauges[name]).set(value)

    def text(self) -> str:
        """Everything, in Prometheus' text format 0.0.4."""
        return generate_latest(self.registry).decode()


_SAMPLE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? ", re.DOTALL)


def merged(texts: Mapping[int, str]) -> str:
    """Put the metrics of several processes together, each sample with the label `process`.

    Args:
        texts: by the process's number, each in the text format 0.0.4.
    """
    families: dict[str, list[str]] = {}
    family = ""
    for number, text in texts.items():
        for line in text.splitlines():
            if line.startswith("# HELP "):
                family = line.split(" ", 3)[2]
            lines = families.setdefault(family, [])
            if line.startswith("#"):
                if line not in lines:
                    lines.append(line)
            elif found := _SAMPLE.match(line):
                labels = f'process="{number}"' + (f",{found[2]}" if found[2] else "")
                lines.append(f"{found[1]}{{{labels}}} {line[found.end() :]}")
    return "".join(f"{line}\n" for lines in families.values() for line in lines)
