"""Logs and numbers. Neither ever carries a ticket, a token, a name or what somebody wrote.

Logs are events with fields (structlog), as text for people or one JSON object per line; field values are
escaped, so nobody can forge a line. Numbers are Prometheus metrics of this process.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from structlog.tracebacks import ExceptionDictTransformer as _Traceback

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
    """The metrics of one server, in a registry of their own: two servers can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "madoi_http_requests",
            "HTTP requests by status class",
            ["method", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "madoi_http_seconds", "Time to answer an HTTP request", registry=self.registry,
            buckets=(0.005, 0.02, 0.1, 0.5, 2.0),
        )  # fmt: skip
        self.gauges: dict[str, Gauge] = {}

    def show(self, name: str, says: str, value: float, **labels: str) -> None:
        """Set a gauge, made at its first value; a name always comes with the same labels."""
        if name not in self.gauges:
            self.gauges[name] = Gauge(f"madoi_{name}", says, list(labels), registry=self.registry)
        (self.gauges[name].labels(**labels) if labels else self.gauges[name]).set(value)
