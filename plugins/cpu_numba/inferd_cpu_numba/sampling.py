"""Ops of the sampler. Logits are in the model's dtype, or in float32 once something changed them.

Shape suffixes: N rows, M of them with a mask, V vocabulary, W words of 32 tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from inferd.contracts.noise import token_words
from inferd_cpu_numba import runtime


class _ByDtype:
    """A body for each dtype that logits may have."""

    def __init__(
        self,
        compiler: runtime.Compiler,
        bits: int,
        make: Callable[[int], Callable[[int], None]],
        kinds: str,
    ) -> None:
        self._calls = {
            dtype: compiler.call(make(size), kinds)
            for dtype, size in runtime.BITS.items()
            if size in (bits, 32)
        }


class Mask(_ByDtype):
    def __init__(self, compiler: runtime.Compiler, bits: int) -> None:
        from inferd_cpu_numba.kernels import mask

        super().__init__(compiler, bits, mask.make_mask, mask.MASK)

    def __call__(self, logits_NV: Tensor, words_MW: Tensor, places_M: Tensor) -> None:
        self._calls[logits_NV.dtype](
            threads_for_rows(len(places_M)),
            logits_NV.data_ptr(),
            logits_NV.stride(0),
            logits_NV.shape[1],
            words_MW.data_ptr(),
            words_MW.stride(0),
            places_M.data_ptr(),
            len(places_M),
        )


class _Picked(_ByDtype):
    """The largest of something, by row."""

    _scratch: int  # float32 of a row

    def _pick(self, logits_NV: Tensor, *more: int) -> tuple[Tensor, Tensor]:
        rows, size = logits_NV.shape
        best_N, ids_N = torch.empty(rows), torch.empty(rows, dtype=torch.int64)
        scratch = torch.empty(rows * self._scratch)
        self._calls[logits_NV.dtype](
            threads_for_rows(rows),
            logits_NV.data_ptr(),
            logits_NV.stride(0),
            rows,
            size,
            best_N.data_ptr(),
            ids_N.data_ptr(),
            scratch.data_ptr(),
            *more,
        )
        return best_N, ids_N


class Argmax(_Picked):
    def __init__(self, compiler: runtime.Compiler, bits: int) -> None:
        from inferd_cpu_numba.kernels import argmax

        super().__init__(compiler, bits, argmax.make_argmax, argmax.ARGMAX)
        self._scratch = argmax.ROWS

    def __call__(self, logits_NV: Tensor) -> tuple[Tensor, Tensor]:
        return self._pick(logits_NV)


class Draw(_Picked):
    def __init__(self, compiler: runtime.Compiler, bits: int) -> None:
        from inferd_cpu_numba.kernels import argmax, draw

        super().__init__(compiler, bits, draw.make_draw, draw.DRAW)
        self._scratch = argmax.ROWS

    def __call__(
        self, logits_NV: Tensor, temperature_N: Tensor, keys_N: Tensor, positions_N: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self._pick(
            logits_NV,
            words_of(logits_NV.shape[1]).data_ptr(),
            keys_N.data_ptr(),
            keys_N.stride(0),
            positions_N.data_ptr(),
            temperature_N.data_ptr(),
            temperature_N.stride(0),
        )


def threads_for_rows(rows: int) -> int:
    return 1 if rows == 1 else torch.get_num_threads()


@cache
def words_of(vocab_size: int) -> Tensor:
    """int32 [V]"""
    return torch.from_numpy(token_words(vocab_size))
