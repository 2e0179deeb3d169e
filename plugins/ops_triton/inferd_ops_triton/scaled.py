"""Linears of weights of 8 bits (W8A8): per number of tokens one of three ways.

- one token, K a multiple of four: `scaled_gemv` on x as it is, bound by reading the weight;
- many tokens, where torch has a product for the shape (FP8, a scale per row): the library;
- all others: `kernels.scaled`.

Shape suffixes: T tokens, N out features, K in features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear as library

from inferd.contracts.ops import Linear
from inferd.contracts.scaled_formats import E4M3, RoundedInputs, ScaledWeight
from inferd_ops_triton.kernels import norm
from inferd_ops_triton.kernels.activation import act_and_mul
from inferd_ops_triton.kernels.chain import Chain
from inferd_ops_triton.kernels.rounding import round_inputs, round_normed
from inferd_ops_triton.kernels.scaled import multiply
from inferd_ops_triton.kernels.scaled_gemv import scaled_gemv, takes
from inferd_ops_triton.rounded import Rounding, has_fp8, placed
from inferd_ops_triton.tables import Route, scaled_route, table

LIBRARY_MULTIPLE = 16  # of N and K, that torch._scaled_mm takes


class MakeScaled:
    """float32 models have their weights dequantized once, for the library."""

    def __init__(self, dtype: torch.dtype, architecture: str, chain: Chain) -> None:
        self._dtype, self._architecture, self._chain = dtype, architecture, chain
        fp8 = ("fp8_row", "fp8_block") if has_fp8(architecture) else ()
        self.formats = (*fp8, "int8_row")

    def __call__(self, weight: ScaledWeight, bias_N: Tensor | None, /) -> Linear:
        if self._dtype == torch.float32:
            weight_NK = weight.dequantize(self._dtype)
            return lambda x_TK: library(x_TK, weight_NK, bias_N)
        return ScaledLinear(weight, bias_N, self._dtype, self._architecture, self._chain)


class ScaledLinear:
    """Of x as it is, or rounded by `rounding`; by itself, or by one of the ops `fused`."""

    def __init__(
        self,
        weight: ScaledWeight,
        bias_N: Tensor | None,
        dtype: torch.dtype,
        architecture: str,
        chain: Chain,
    ) -> None:
        self.rounding = Rounding.of(weight.inputs, architecture)
        self._weight, self._bias_N = placed(weight, architecture), bias_N
        self._dtype, self._architecture, self._chain = dtype, architecture, chain
        rows = table(architecture)
        self._gemv = Route(*rows["scaled_gemv"]) if takes(self._weight) else None
        self._fours = bool(rows.get("pairs"))
        self._library_from = rows["scaled_library"] if self._fits_library() else None

    def _fits_library(self) -> bool:
        fits = all(size % LIBRARY_MULTIPLE == 0 for size in self._weight.shape)
        by_row, kind = self.rounding.group is None, self._weight.values_NK.dtype
        return by_row and fits and kind == E4M3 and self._dtype == torch.bfloat16

    @property
    def fused(self) -> dict[str, Callable[..., Any]]:
        acts = {act: partial(self._act_and_mul, act) for act in ("silu", "gelu", "gelu_tanh")}
        return {"rms_norm": self._rms_norm, "add_rms_norm": self._add_rms_norm, **acts}

    def is_exact(self, tokens: int) -> bool:
        """Whether so many are multiplied as they are."""
        return tokens == 1 and self._gemv is not None

    def _rms_norm(self, x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor | RoundedInputs:
        if self.is_exact(len(x_TD)):
            return norm.rms_norm(x_TD, weight_D, eps, self._chain)
        return round_normed(x_TD, None, weight_D, eps, self.rounding, self._chain)

    def _add_rms_norm(
        self, x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float
    ) -> tuple[Tensor | RoundedInputs, Tensor]:
        if self.is_exact(len(x_TD)):
            return norm.add_rms_norm(x_TD, residual_TD, weight_D, eps, self._chain)
        rounded = round_normed(x_TD, residual_TD, weight_D, eps, self.rounding, self._chain)
        return rounded, residual_TD

    def _act_and_mul(self, act: str, x_T2I: Tensor) -> Tensor | RoundedInputs:
        if self.is_exact(len(x_T2I)):
            return act_and_mul(x_T2I, act, self._chain)
        return round_inputs(x_T2I, self.rounding, self._chain, act)

    def __call__(self, x: Tensor | RoundedInputs) -> Tensor:
        weight, chain = self._weight, self._chain
        if isinstance(x, Tensor):
            if self._gemv is not None and self.is_exact(len(x)):
                return scaled_gemv(x, weight, self._bias_N, self._gemv, self._fours, chain)
            x = round_inputs(x, self.rounding, chain)
        tokens = len(x.codes_TK)
        if self._library_from is not None and tokens >= self._library_from:
            return self._library(x)
        route = scaled_route(self._architecture, tokens)
        return multiply(x, weight, self._bias_N, route, self._dtype, chain)

    def _library(self, x: RoundedInputs) -> Tensor:
        out_TN: Tensor = torch._scaled_mm(
            x.codes_TK,
            self._weight.values_NK.t(),
            scale_a=x.scales_TG,
            scale_b=self._weight.scales_RG.view(1, -1),
            bias=self._bias_N,
            out_dtype=self._dtype,
            use_fast_accum=True,
        )
        return out_TN
