"""Plugins' stat loggers: each gets the engine's latest statistics at intervals, in its own thread.

A slow one delays nobody, one that raises is dropped with a warning.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd.contracts.stat_logger import StatLogger
    from inferd.types import StepStats

INTERVAL_S = 10.0
CLOSE_S = 1.0  # how long all of them together get to flush


@contextlib.contextmanager
def recording(
    loggers: Sequence[StatLogger],
    read: Callable[[], StepStats],
    warn: Callable[[str], None],
    interval: float = INTERVAL_S,
) -> Iterator[None]:
    """While the block runs; at its end every logger is closed."""
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=_record, args=(logger, read, warn, stop, interval), name=logger.name, daemon=True
        )
        for logger in loggers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        end = time.monotonic() + CLOSE_S
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))


def _record(
    logger: StatLogger,
    read: Callable[[], StepStats],
    warn: Callable[[str], None],
    stop: threading.Event,
    interval: float,
) -> None:
    try:
        while not stop.wait(interval):
            logger.record(read())
        logger.close()
    except Exception as error:  # a plugin's failure must not end the server
        warn(f"stat logger {logger.name!r} is dropped: {type(error).__name__}: {error}")
