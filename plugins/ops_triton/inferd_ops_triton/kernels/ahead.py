"""Compiling ahead: what many launches need, several at once, before any of them runs."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from triton import AsyncCompileMode
from triton.runtime.jit import JITFunction

MOST_THREADS = 16  # the compiler is half Python, which more threads only make wait


@contextmanager
def compiling_only() -> Iterator[None]:
    """Launches of this process compile what they would run, beside each other, and run nothing.

    A launch like one before it, as every layer's is, costs a look into a set. On leaving, the
    kernels are loaded: a recording that came first upon one could not.
    """
    launch = JITFunction.run
    seen: set[Hashable] = set()
    kernels: list[Any] = []

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:  # noqa: ARG001
        like = (id(self), *map(_kind, args), *((name, _kind(options[name])) for name in options))
        if like not in seen:
            seen.add(like)
            kernels.append(launch(self, *args, grid=grid, warmup=True, **options))

    JITFunction.run = compile_only
    try:
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            with AsyncCompileMode(pool, ignore_errors=True):  # _load meets them
                yield
            list(pool.map(_load, kernels))
    finally:
        JITFunction.run = launch


def _kind(value: Any) -> Hashable:
    """What a kernel may be compiled for."""
    return (value.dtype, value.data_ptr() % 16) if isinstance(value, Tensor) else value


def _load(kernel: Any) -> None:
    """Onto the device, with its launcher, which is compiled too."""
    (kernel.result() if hasattr(kernel, "result") else kernel).run  # noqa: B018 - loads
