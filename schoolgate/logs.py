"""Logs: one JSON line per event on stderr, or coloured text where stderr is a terminal.

Nothing here may stop or slow the filter: lines go through a bounded queue to a thread of their own, so that a full
disk, a closed stderr or a reader that has stopped reading costs lines (which are counted) and nothing else.
Operational events carry no personal data; what names addresses and hosts is logged at debug only.
"""

import atexit
import logging
import os
import queue
import sys
import threading
from typing import Any, TextIO

import structlog
import structlog.tracebacks
from structlog.typing import EventDict, Processor

_QUEUE_LINES = 10_000
_CLOSE_SECONDS = 1.0
_STDERR = 2
# Without the values of variables: they name people.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


class LineWriter:
    """Writes lines to a file descriptor from its own thread; when that lags or fails, lines are dropped."""

    def __init__(self, descriptor: int = _STDERR, capacity: int = _QUEUE_LINES) -> None:
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="log writer", daemon=True)
        self._thread.start()
        self.dropped = 0

    def write(self, line: str) -> None:
        """Queue one line; never blocks and never raises."""
        try:
            self._lines.put_nowait(line.encode("utf-8", "backslashreplace") + b"\n")
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what is queued, for at most a second."""
        try:
            self._lines.put(None, timeout=_CLOSE_SECONDS)
        except queue.Full:
            return
        self._thread.join(_CLOSE_SECONDS)

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:  # full disk, closed pipe: the filter goes on without logs
                self.dropped += 1


class _Logger:
    """What structlog calls with a finished line; one method for every level."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, message: str) -> None:
        self._writer.write(message)

    debug = info = warning = error = critical = exception = log = msg


class _Handler(logging.Handler):
    """Carries the standard library's log records (mitmproxy, uvicorn, asyncio) into the same stream."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - a record that cannot be formatted is dropped, not the connection
            self._writer.dropped += 1


def configure(
    level: str, component: str, writer: LineWriter | None = None, stream: TextIO | None = None
) -> LineWriter:
    """Send every log of this process to stderr in one form; return the writer, which counts what it dropped."""
    stream = stream or sys.stderr
    writer = writer or LineWriter()
    atexit.register(writer.close)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _order(component),
    ]
    if stream is not None and stream.isatty():
        rendering: list[Processor] = [structlog.dev.ConsoleRenderer(timestamp_key="ts")]
    else:
        rendering = [_TRACEBACKS, structlog.processors.JSONRenderer()]
    threshold = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[*shared, *rendering],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Logger(writer),
        cache_logger_on_first_use=True,
    )
    _route_standard_library(shared, rendering, threshold, writer)
    return writer


def _order(component: str) -> Processor:
    """Put the fields that every line has in front, so that lines read alike."""

    def order(_: Any, __: str, event: EventDict) -> EventDict:
        first = {key: event.pop(key) for key in ("ts", "level") if key in event}
        return {**first, "component": component, "event": event.pop("event", ""), **event}

    return order


def _route_standard_library(
    shared: list[Processor], rendering: list[Processor], threshold: int, writer: LineWriter
) -> None:
    handler = _Handler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(threshold, logging.INFO))
    # These name people's addresses and the hosts they visit at info and warning: debug only.
    private = logging.INFO if threshold <= logging.DEBUG else logging.ERROR
    for name in ("mitmproxy", "hpack", "asyncio"):
        logging.getLogger(name).setLevel(private)
    # What keeps it from listening is raised as well, and said in one line.
    logging.getLogger("mitmproxy.addons.proxyserver").setLevel(max(private, logging.CRITICAL))
    for name in ("uvicorn", "watchfiles", "alembic"):  # every start and every change: we say that ourselves
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(capture=True)
