"""Compiling ahead: what many launches need, several at once, before any of them runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from types import SimpleNamespace
from typing import Any

from torch import Tensor
from triton import AsyncCompileMode
from triton.runtime import build
from triton.runtime.jit import JITFunction

MOST_THREADS = 16  # the compiler is half Python, which more threads only make wait


@contextmanager
def compiling_only() -> Iterator[None]:
    """Launches of this process compile what they would run, beside each other, and run nothing.

    A launch like one before it, as every layer's is, costs a look into a set. On leaving, the
    kernels are loaded: a recording that came first upon one could not.
    """
    launch, parse, load = JITFunction.run, JITFunction.parse, build._load_module_from_path
    seen: set[Hashable] = set()
    kernels: list[Any] = []

    def compile_only(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:  # noqa: ARG001
        like = (id(self), *map(_kind, args), *((name, _kind(options[name])) for name in options))
        if like not in seen:
            seen.add(like)
            kernels.append(launch(self, *args, grid=grid, warmup=True, **options))

    JITFunction.run, JITFunction.parse = compile_only, _one_at_a_time(parse)
    build._load_module_from_path = _apart(load)
    try:
        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            with AsyncCompileMode(pool, ignore_errors=True):  # _load meets them
                yield
            list(pool.map(_load, kernels))
    finally:
        JITFunction.run, JITFunction.parse = launch, parse
        build._load_module_from_path = load


def _one_at_a_time(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Python 3.11 counts the depth of syntax trees once for all threads that make some.

    So one of two that are made at the same time may fail: "recursion depth mismatch".
    """
    lock = Lock()

    def parse_alone(self: Any) -> Any:
        with lock:
            return parse(self)

    return parse_alone


def _apart(load: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
    """A module's names as they are when it is loaded, and one load at a time.

    Triton 3.6's launchers are extension modules of one name. Python loads one that it has seen
    before into whichever of that name came last: a thread that has just loaded this one, and has
    yet to ask it for its function, would get another kernel's.
    """
    lock = Lock()

    def load_apart(name: str, path: str) -> Any:
        with lock:
            return SimpleNamespace(**vars(load(name, path)))

    return load_apart


def _kind(value: Any) -> Hashable:
    """What a kernel may be compiled for."""
    if isinstance(value, Tensor):
        return value.dtype, value.data_ptr() % 16
    if hasattr(value, "block_shape"):  # a tensor descriptor
        return _kind(value.base), *value.block_shape, repr(value.layout)
    known: Hashable = value
    return known


def _load(kernel: Any) -> None:
    """Onto the device, with its launcher, which is compiled too."""
    (kernel.result() if hasattr(kernel, "result") else kernel).run  # noqa: B018 - loads
