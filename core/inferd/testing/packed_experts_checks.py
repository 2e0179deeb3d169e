"""Checks of experts whose weights stay packed, against `dequantize` of these in float64.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inferd.contracts.weight_formats import Weight
from inferd.testing import reference
from inferd.testing.draw import Draw
from inferd.testing.numbers import check_close
from inferd.testing.packed_checks import SCALED, to_device
from inferd.testing.packed_weights import draw_grouped, draw_minimum, draw_scaled

EXPERTS, CHOSEN = 5, 2
TOKENS = (1, 7, 70)  # of the last an expert has more than 16


class Matrix(NamedTuple):
    """How a matrix of all experts is stored."""

    format: str
    group: int = 0
    order: bool = False  # act-order, another one for every second expert

    def draw(self, seed: int, rows: int, columns: int) -> list[Weight]:
        """One for each expert."""
        seeds, shape = range(seed, seed + EXPERTS), (rows, columns)
        if self.format in SCALED:
            return [draw_scaled(each, self.format, shape) for each in seeds]
        bits = int(self.format[1])
        if self.format.endswith("_m"):
            return [draw_minimum(each, bits, (*shape, self.group)) for each in seeds]
        return [
            draw_grouped(each, bits, (*shape, self.group), order=self.order and each % 2 == 0)
            for each in seeds
        ]


class Case(NamedTuple):
    hidden: int
    inner: int
    gate_up: Matrix
    down: Matrix
    activation: str = "silu"
    biased: bool = False
    needed: bool = True  # a maker that has the formats may not decline it


CASES = (
    Case(256, 96, Matrix("w4_g", 128), Matrix("w4_g", 32)),
    Case(160, 96, Matrix("w8_g", 80), Matrix("w4_m", 32), "clamped_swiglu", biased=True),
    Case(96, 144, Matrix("w4_m", 32), Matrix("w8_m", 16), "gelu_tanh"),
    Case(64, 72, Matrix("w4_g", 32), Matrix("w4_g", 24), needed=False),
    Case(64, 32, Matrix("w4_g", 32, order=True), Matrix("w4_g", 32, order=True), biased=True),
    Case(320, 144, Matrix("fp8_block"), Matrix("fp8_row"), biased=True),
    Case(160, 80, Matrix("int8_row"), Matrix("fp8_block")),
)


def packed_experts(ops: Mapping[str, Any], dtype: str, device: torch.device) -> None:
    """Groups of several sizes, rests of all sizes, two formats of one op, act-order, biases.

    FP8 and int8 are held to inputs as they are. Some experts are chosen by many tokens, the last
    one by none.
    """
    for case in _cases(ops.get("packed_experts", {})):
        _check(ops, case, dtype, device)


def _cases(offered: Mapping[str, Any]) -> Iterator[Case]:
    for case in CASES:
        first, second = (offered.get(each.format) for each in (case.gate_up, case.down))
        if first is not None and first is second:
            yield case


def _check(ops: Mapping[str, Any], case: Case, dtype: str, device: torch.device) -> None:
    draw, (hidden, inner) = Draw(dtype, device), case[:2]
    gate_up, down = case.gate_up.draw(0, 2 * inner, hidden), case.down.draw(50, hidden, inner)
    biases = (draw(EXPERTS, 2 * inner), draw(EXPERTS, hidden)) if case.biased else (None, None)
    matrices = [
        (torch.stack([each.dequantize(torch.float64) for each in weights]), _on_cpu(bias))
        for weights, bias in zip((gate_up, down), biases, strict=True)
    ]

    def act(x_T2I: Tensor) -> Tensor:
        return reference.act_and_mul(case.activation, x_T2I.cpu()).to(x_T2I)

    placed = ([to_device(each, device) for each in weights] for weights in (gate_up, down))
    make = ops["packed_experts"][case.gate_up.format]
    apply = make(*placed, case.activation, act, *biases)
    if apply is None:
        assert not case.needed, f"{case}: declined, and its formats are offered"
        return
    for tokens in TOKENS:
        x_TD = draw(tokens, hidden)
        chosen_TC = draw(tokens, EXPERTS - 1, shift=0.5).float().argsort(1)[:, :CHOSEN]
        weights_TC = draw(tokens, CHOSEN, scale=0.2, shift=0.5)
        args = x_TD.cpu(), chosen_TC.cpu(), weights_TC.cpu()
        expected_TD = reference.experts(*args, case.activation, *matrices)
        found_TD = apply(x_TD, chosen_TC, weights_TC)
        check_close(f"{case}, {tokens} tokens", found_TD, expected_TD, dtype)


def _on_cpu(bias: Tensor | None) -> Tensor | None:
    return None if bias is None else bias.cpu()
