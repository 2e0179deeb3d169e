"""Compiling many variants of kernels at once, before they are measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

from triton.runtime._async_compile import AsyncCompileMode


class Compiling:
    """Stands for a kernel: compiles what would be launched."""

    def __init__(self, kernel: object) -> None:
        self._kernel = kernel

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., object]:
        return lambda *args, **sizes: self._kernel.warmup(*args, grid=grid, **sizes)


def compile_all(
    kernels: list[tuple[ModuleType, str]], calls: Iterable[Callable[[], object]]
) -> None:
    """On all cores at once; what does not compile is left for the measurement to find."""
    kept = [getattr(module, name) for module, name in kernels]
    for (module, name), kernel in zip(kernels, kept, strict=True):
        setattr(module, name, Compiling(kernel))
    with ThreadPoolExecutor(16) as pool, AsyncCompileMode(pool, ignore_errors=True):
        for call in calls:
            call()
    for (module, name), kernel in zip(kernels, kept, strict=True):
        setattr(module, name, kernel)
