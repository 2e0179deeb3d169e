"""Player: calls that were kept, in one launch."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import partial

from inferd_cpu_numba import runtime
from inferd_cpu_numba.runtime import Called

LINE = 64  # bytes: calls do not share lines, nor do their counters


class Player:
    """Compiles when it is made."""

    def __init__(self, compiler: runtime.Compiler) -> None:
        from inferd_cpu_numba.kernels import parallel, play

        run = compiler.function(parallel.RUN, play.run, nogil=True)
        self._run = partial(run, runtime.launcher(), compiler.body(play.make_play()))
        self._asked = tuple(map(runtime.address_of, ("omp_get_num_threads", "sched_yield")))

    def program(self, calls: Sequence[Called]) -> Program:
        """On as many threads as the call that wants most; they meet where one needs another."""
        return Program(calls, self._run, self._asked)


class Program:
    """What `kernels.play` reads, with the arguments of every call in memory of their own."""

    def __init__(
        self, calls: Sequence[Called], run: Callable[[int, int], None], asked: Sequence[int]
    ) -> None:
        self.calls = len(calls)
        size = max(-(-len(call.frame) // LINE) * LINE for call in calls)
        self._frames = ctypes.create_string_buffer(size * len(calls) + LINE)
        first = -(-ctypes.addressof(self._frames) // LINE) * LINE
        numbers = []
        for number, call in enumerate(calls):
            address, shared = first + number * size, call.threads > 1
            ctypes.memmove(address, call.frame, len(call.frame))
            later = number + 1 < len(calls) and calls[number + 1].threads > 1
            numbers += [call.body, address, shared, shared or later]
        self._program = (ctypes.c_int64 * len(numbers))(*numbers)
        arguments = (0, 0, ctypes.addressof(self._program), len(calls), 0, *asked)
        self._frame = (ctypes.c_int64 * len(arguments))(*arguments)
        self._run, self._threads = run, max(call.threads for call in calls)

    def __call__(self) -> None:
        self._run(self._threads, ctypes.addressof(self._frame))
