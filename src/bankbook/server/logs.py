"""Structured logs: readable and coloured on a terminal, JSON lines otherwise.

Decides the form of a log line. Must not know what is logged. Proof: tests/server/test_logs.py.
"""

import contextlib
import logging
import sys
from pathlib import Path
from typing import TextIO, cast

import structlog

LEVELS = ("debug", "info", "warning", "error")


def configure_logs(level: str, file: Path | None = None, branch: int | None = None) -> None:
    """Send this process's log lines of `level` and above to `file`, or to standard error.

    Where `branch` is given, every line names it.
    """
    stream = sys.stderr if file is None else file.open("a", encoding="utf-8")
    structlog.configure(
        processors=[
            _naming(branch),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _renderer(stream),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Unfailing(stream))),
        cache_logger_on_first_use=False,
    )


class _Unfailing:
    """A stream that drops what cannot be written: a full disk is no reason to stop serving."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()


def _naming(branch: int | None) -> structlog.types.Processor:
    def name(
        _logger: structlog.types.WrappedLogger, _method: str, event: structlog.types.EventDict
    ) -> structlog.types.EventDict:
        if branch is not None:
            event["branch"] = branch
        return event

    return name


def _renderer(stream: TextIO) -> structlog.types.Processor:
    if stream.isatty():
        return structlog.dev.ConsoleRenderer(colors=True)
    return structlog.processors.JSONRenderer()
