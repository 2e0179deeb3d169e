"""Compiling for this CPU, keeping what was compiled, and calling it on torch's threads."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from inferd.config.paths import cache_dir
from inferd.contracts.verdict import YES, Verdict, no

log = logging.getLogger("inferd.cpu_numba")
BITS = {torch.float32: 32, torch.bfloat16: 16}


def supports(platform: str, dtype: torch.dtype) -> Verdict:
    """What holds for all that is compiled here."""
    if platform != "cpu":
        return no(f"made for CPUs, this is {platform}")
    if dtype not in BITS:
        return no(f"computes in bfloat16 and float32, not {dtype}")
    if not launcher():
        return no("this torch brings no OpenMP runtime with GOMP_parallel to share threads with")
    return YES


def has_pairs() -> bool:
    """Whether this CPU has products of bfloat16 in pairs."""
    from llvmlite.binding import get_host_cpu_features

    return bool(get_host_cpu_features().get("avx512bf16"))


@cache
def multiplies_pairs() -> bool:
    """Whether those are the fastest that it has.

    Intel's cores do 32 of them in two cycles, and 64 of float32: 155 against 319 billion operations
    a second (2 cores of an Emerald Rapids, 2026-11-27).
    """
    from llvmlite.binding import get_host_cpu_name

    return has_pairs() and get_host_cpu_name().startswith("znver")


@cache
def address_of(function: str) -> int:
    """0 where this process has no such function."""
    found = getattr(ctypes.CDLL(None), function, None)
    return 0 if found is None else ctypes.cast(found, ctypes.c_void_p).value or 0


def launcher() -> int:
    """The call with which torch's own operators spread over its threads."""
    return address_of("GOMP_parallel")


class Compiler:
    """Compiled functions live as long as this object.

    They are kept in inferd's cache directory, in a folder of their own for every version of numba
    and of the kernels; numba itself tells CPUs apart. Where nothing can be written, or the disk is
    full, each process compiles anew.
    """

    def __init__(self) -> None:
        self._kept: list[Any] = []
        self._folder = _folder()

    def body(self, function: Callable[..., None], **options: Any) -> int:
        """Address of a `void(int64)`, compiled now."""
        from numba import cfunc

        made = self._made(partial(cfunc, "void(int64)", error_model="numpy", **options), function)
        self._kept.append(made)
        address: int = made.address
        return address

    def function(self, signature: Any, function: Callable[..., Any], **options: Any) -> Any:
        """Called from Python."""
        from numba import njit

        return self._made(partial(njit, signature, error_model="numpy", **options), function)

    def _made(self, declare: Callable[..., Any], function: Callable[..., Any]) -> Any:
        """What could not be written is compiled again, and from then on nothing is kept."""
        with _kept_in(self._folder) as keep:
            try:
                return declare(cache=keep)(function)
            except OSError as error:
                if not keep:
                    raise
                _warn(self._folder, error.strerror)
                self._folder = None
        return declare()(function)

    def call(self, function: Callable[..., None], kinds: str, **options: Any) -> Call:
        """A body with its arguments; `kinds` as struct has them: 3qd, three int64 and a float."""
        from inferd_cpu_numba.kernels import parallel

        run = self.function(parallel.RUN, parallel.run, nogil=True)
        return Call(partial(run, launcher()), self.body(function, **options), kinds)


class Called(NamedTuple):
    body: int  # address
    threads: int
    frame: bytes  # its arguments, after two counters


class Call:
    """A compiled body and room for its arguments. Lets go of Python's lock while it runs.

    With threads=1 it costs 0.6 us more than the work (AMD EPYC, 2026-11-26).
    """

    keep: ClassVar[Callable[[Called], None] | None] = None
    """Told of every call while a step is recorded."""

    def __init__(self, run: Callable[[int, int, int], None], body: int, kinds: str) -> None:
        layout = struct.Struct(f"=2q{kinds}")
        self._frame = ctypes.create_string_buffer(layout.size)
        self._pack = partial(layout.pack_into, self._frame, 0, 0, 0)  # the counters begin at zero
        self._run, self._body, self._address = run, body, ctypes.addressof(self._frame)

    def __call__(self, threads: int, *arguments: float) -> None:
        self._pack(*arguments)
        if Call.keep is not None:
            Call.keep(Called(self._body, threads, self._frame.raw))
        self._run(self._body, threads, self._address)


class Room:
    """The same memory for every call: fresh pages cost more than most work."""

    def __init__(self) -> None:
        self._room = torch.empty(0, dtype=torch.uint8)

    def bytes(self, size: int) -> Tensor:
        """At least so many. A step that is recorded has its own."""
        if Call.keep is not None:
            return torch.empty(size, dtype=torch.uint8)
        if self._room.numel() < size:
            self._room = torch.empty(size, dtype=torch.uint8)
        return self._room


@cache
def _folder() -> Path | None:
    sources = sorted((Path(__file__).parent / "kernels").glob("*.py"))
    digest = hashlib.sha256(version("numba").encode())
    for source in sources:
        digest.update(source.read_bytes())
    folder = cache_dir() / "numba" / digest.hexdigest()[:16]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        _warn(folder, error.strerror)
        return None
    return folder


@cache
def _warn(folder: Path | None, why: str | None) -> None:
    """Once in a process."""
    log.warning("what is compiled cannot be kept in %s: %s", folder, why)


@contextmanager
def _kept_in(folder: Path | None) -> Iterator[bool]:
    """numba asks its configuration where to keep a function when that is declared."""
    from numba import config

    before = config.CACHE_DIR
    config.CACHE_DIR = str(folder or before)
    try:
        yield folder is not None
    finally:
        config.CACHE_DIR = before
