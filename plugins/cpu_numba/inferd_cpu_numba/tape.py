"""Tape: a step's calls, kept while they run, to run again with other contents.

Compiled calls that follow each other become one program (`player.py`). What torch's own operators
did is done again by them, into the memory that they had: it takes them as long as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Lock, get_ident
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from inferd.contracts.platform import CannotRecord
from inferd_cpu_numba.arena import Arena
from inferd_cpu_numba.player import Player
from inferd_cpu_numba.runtime import Call, Called

aten = torch.ops.aten
FRESH = {aten.empty.memory_format, aten.empty_like.default, aten.new_empty.default}
BY_VALUES = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
ONE_AT_A_TIME = Lock()  # two engines of a process record in threads of their own
READING = {Tensor.tolist, Tensor.numpy, Tensor.__array__}  # torch's operators do not see these


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Made once per recording. `outputs` is what the recorded function returned."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Else the first operator imports 800 modules of torch.compile: 0.9 s and 100 MB."""
        return False

    def __init__(self, arena: Arena, player: Player) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._arena, self._player = arena, player
        self._thread = get_ident()
        self._calls: list[Called] = []  # since the last part
        self._parts: list[Callable[[], object]] = []
        self.outputs: Sequence[Tensor] = ()

    def record(self, run: Callable[[], Sequence[Tensor]]) -> None:
        self._arena.begin()
        with ONE_AT_A_TIME:
            Call.keep = self._add
            try:
                with _NoReading(), self:
                    self.outputs = run()
            finally:
                Call.keep = None
        self._end_program()

    def replay(self) -> Sequence[Tensor]:
        for part in self._parts:
            part()
        return self.outputs

    def _add(self, called: Called) -> None:
        """Calls of other threads are not this step's."""
        if get_ident() == self._thread:
            self._calls.append(called)

    def _end_program(self) -> None:
        if self._calls:
            self._parts.append(self._player.program(self._calls))
            self._calls = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if func in FRESH:
            return self._arena.empty(result.shape, result.dtype)
        if BY_VALUES & set(func.tags) and not _by_integers(func, args):
            raise CannotRecord(f"what {func} returns depends on values")
        if func._schema.is_mutable:
            self._repeat(partial(func, *args, **kwargs))
            return result
        if func.is_view and _shares(result, args[0]):
            return result
        return self._kept(partial(func, *args, **kwargs), result)

    def _repeat(self, part: Callable[[], object]) -> None:
        self._end_program()
        self._parts.append(part)

    def _kept(self, make: Callable[[], Any], result: Any) -> Any:
        """The result in memory that making it again writes to."""
        several = isinstance(result, (tuple, list))
        made = tuple(result) if several else (result,)
        if not all(isinstance(each, Tensor) for each in made):
            raise CannotRecord(f"{make} returns more than tensors")
        kept = tuple(self._arena.empty(each.shape, each.dtype).copy_(each) for each in made)

        def again() -> None:
            new = make()
            for target, each in zip(kept, new if several else (new,), strict=True):
                target.copy_(each)

        self._repeat(again)
        return kept if several else kept[0]


class _NoReading(TorchFunctionMode):
    """Values that Python reads are others the next time."""

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in READING:
            raise CannotRecord(f"{func.__name__} reads values")
        return func(*args, **(kwargs or {}))


def _by_integers(func: Any, args: Sequence[Any]) -> bool:
    """Indexing depends on values where a mask is the index."""
    if func is not aten.index.Tensor:
        return False
    return all(index is None or index.dtype != torch.bool for index in args[1])


def _shares(result: Any, source: Tensor) -> bool:
    """A view for sure: some operators copy where they must."""
    first = result[0] if isinstance(result, (tuple, list)) else result
    same: bool = first.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()
    return same
