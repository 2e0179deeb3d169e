"""Pages of the KV cache, taken from the system before a request needs them.

Memory that is written for the first time is fetched page by page. A prompt of 512 tokens of SmolLM2
writes 2,880 pages, and took 170 ms instead of 188 once they were there (2 cores of an AMD EPYC, a
virtual machine, where a page took 9 us beside other work, 2026-11-26).
Large pages, which numpy asks for, made it 209 and 225 ms beside 161 and 171, decoding no faster:
to find one the system moves others, and a request waits for 2 MiB to be cleared (2026-11-27).
The blocks that are handed out first are fetched at once, in a thread, while the server starts; the
first step waits for what is left. Beside it the first prompts took 320 ms.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

PAGE = 4096
SMALL = 15  # MADV_NOHUGEPAGE
POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, Linux 5.14 and newer
SHARE = 8  # a part of the cache stays as it is: a machine has other uses for its memory
MOST_BYTES = 16 << 20  # of a layer
PIECE = 1 << 17  # bytes: meanwhile no other thread of the process may map memory


def give_way() -> None:
    """To all other threads, where threads have priorities of their own: to the first requests."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)


class Pages:
    """One thread, in the order of the calls. Nothing happens where the system has no such call."""

    def __init__(self) -> None:
        self._madvise = getattr(ctypes.CDLL(None), "madvise", None)
        self._thread = ThreadPoolExecutor(1, "inferd-pages", initializer=give_way)
        self._asked: list[Future[int]] = []

    def fetch(self, memory: Tensor) -> Future[int]:
        """The first pages of a layer's cache; the future has the number of their bytes."""
        start = -(-memory.data_ptr() // PAGE) * PAGE
        self._advise(start, (memory.data_ptr() + memory.nbytes - start) // PAGE * PAGE, SMALL)
        self._asked.append(self._thread.submit(self._populate, memory, start))
        return self._asked[-1]

    def wait(self) -> None:
        """Until all that was asked for is there: beside steps it would take longer than they do."""
        while self._asked:
            self._asked.pop().result()

    def _populate(self, memory: Tensor, start: int) -> int:
        size = min(memory.nbytes // SHARE, MOST_BYTES) // PAGE * PAGE
        for done in range(0, size, PIECE):
            if not self._advise(start + done, min(PIECE, size - done), POPULATE_WRITE):
                return done
        return size

    def _advise(self, start: int, size: int, advice: int) -> bool:
        if self._madvise is None:
            return False
        return bool(self._madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice) == 0)
