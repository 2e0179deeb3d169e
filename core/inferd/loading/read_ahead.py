"""Mapped files, brought into memory by several threads before they are needed.

What is mapped is read page by page when it is touched, one page after the other; a disk, and still
more a network, has bandwidth for many. Nothing is copied: weights go from these pages to their
place. Where the system has no such call, pages are read when they are touched.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

POPULATE_READ = 22  # MADV_POPULATE_READ, Linux 5.14 and newer
THREADS = 8
AHEAD = 1 << 30  # bytes that may wait in memory for their turn
PIECE = 1 << 24  # bytes that one thread fetches at a time


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a mapping, which stays open as long as this does."""

    data: mmap.mmap
    start: int
    size: int


def read_ahead(
    spans: Iterable[Span], fetch: Callable[[Span], None] | None = None
) -> Iterator[Span]:
    """The spans in their order, each when `fetch`, unless said `populate`, has read it."""
    fetch = fetch or populate
    asked: deque[tuple[Span, list[Future[None]]]] = deque()
    waiting = 0  # bytes of them
    pool = ThreadPoolExecutor(THREADS, "inferd-read")
    try:
        for span in spans:
            while asked and waiting + span.size > AHEAD:
                ready = _next(asked)
                yield ready
                waiting -= ready.size
            asked.append((span, [pool.submit(fetch, piece) for piece in _pieces(span)]))
            waiting += span.size
        while asked:
            yield _next(asked)
    finally:
        pool.shutdown(cancel_futures=True)


def _next(asked: deque[tuple[Span, list[Future[None]]]]) -> Span:
    span, pieces = asked.popleft()
    for piece in pieces:
        piece.result()
    return span


def _pieces(span: Span) -> Iterator[Span]:
    for start in range(span.start, span.start + span.size, PIECE):
        yield Span(span.data, start, min(PIECE, span.start + span.size - start))


def populate(span: Span) -> None:
    """What fails here is read when it is touched, and what is wrong with it is said then."""
    madvise = getattr(ctypes.CDLL(None), "madvise", None) if os.name == "posix" else None
    if madvise is None:
        return
    address = ctypes.addressof(ctypes.c_char.from_buffer(span.data, span.start))
    first = address // mmap.PAGESIZE * mmap.PAGESIZE
    size = address + span.size - first
    madvise(ctypes.c_void_p(first), ctypes.c_size_t(size), POPULATE_READ)
