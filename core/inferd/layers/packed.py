"""PackedLinear: a LinearMethod from a description of how one matrix is stored.

Parts of a layer may be stored differently: those that can be one weight become one, others are
multiplied on their own and their results put side by side.
Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Linear, Ops
from inferd.contracts.quantization import Drawn, LinearMethod, LinearSpec
from inferd.contracts.weight_formats import DENSE, Weight
from inferd.layers.matrix_format import MatrixFormat, Stored, check_stored
from inferd.layers.planned import kept_bytes


class PackedLinear(LinearMethod):
    """`formats` has one for each part."""

    def __init__(self, spec: LinearSpec, ops: Ops, formats: Sequence[MatrixFormat]) -> None:
        self._spec, self._ops, self._formats = spec, ops, formats
        self._loaded: dict[tuple[str, int], Tensor] = {}
        self._takes = [
            form.tensors(spec.stored_name(part), rows, spec.in_features)
            | ({"bias": Stored((rows,))} if spec.bias else {})
            for part, (rows, form) in enumerate(zip(spec.out_features, formats, strict=True))
        ]

    def expected(self) -> dict[tuple[str, int], tuple[int, ...]]:
        return {
            (suffix, part): stored.shape
            for part, takes in enumerate(self._takes)
            for suffix, stored in takes.items()
        }

    def load(self, suffix: str, part: int, tensor: RawTensor) -> None:
        check_stored(self._takes[part], suffix, tensor)
        data = self._formats[part].take(suffix, tensor)
        self._loaded[suffix, part] = data.to(self._spec.device)

    def draw(self, suffix: str, part: int, generator: torch.Generator) -> Drawn | None:
        form, rows = self._formats[part], self._spec.out_features[part]
        if suffix == "bias":
            return None
        return form.draw(suffix, rows, self._spec.in_features, generator)

    def kept_bytes(self) -> int:
        spec, packed = self._spec, self._ops.linear
        matrices = sum(
            kept_bytes(form, (rows, spec.in_features), packed, spec.dtype)
            for rows, form in zip(spec.out_features, self._formats, strict=True)
        )
        return matrices + sum(spec.out_features) * spec.dtype.itemsize * spec.bias

    def missing(self) -> list[str]:
        left = self.expected().keys() - self._loaded.keys()
        return [f"{suffix} of part {part}" for suffix, part in sorted(left)]

    def finish(self) -> Linear:
        parts = range(len(self._formats))
        weights, bias_N = [self._weight(part) for part in parts], self._bias(parts)
        self._loaded.clear()
        runs, linears, start = _joined(weights), [], 0
        self.num_bytes = sum(map(_num_bytes, runs)) + (0 if bias_N is None else bias_N.nbytes)
        for weight in runs:
            rows = weight.shape[0]
            bias = None if bias_N is None else bias_N[start : start + rows].contiguous()
            kind = DENSE if isinstance(weight, Tensor) else weight.format
            linears.append(self._ops.linear[kind](weight, bias))
            start += rows
        return linears[0] if len(linears) == 1 else _side_by_side(linears)

    def _weight(self, part: int) -> Weight | Tensor:
        """Dense where the format has no op."""
        stored = {suffix: self._loaded[suffix, part] for suffix in self._takes[part]}
        weight = self._formats[part].weight(self._spec.stored_name(part), stored)
        order_N = self._spec.order(part)
        if order_N is not None:
            order_N = order_N.to(self._spec.device)
            weight = weight[order_N] if isinstance(weight, Tensor) else weight.rows(order_N)
        if isinstance(weight, Tensor):
            return weight.to(self._spec.dtype)
        return weight if weight.format in self._ops.linear else weight.dequantize(self._spec.dtype)

    def _bias(self, parts: range) -> Tensor | None:
        if not self._spec.bias:
            return None
        ordered = [
            bias if (order := self._spec.order(part)) is None else bias[order.to(bias.device)]
            for part, bias in ((part, self._loaded["bias", part]) for part in parts)
        ]
        return torch.cat(ordered).to(self._spec.dtype)


def _joined(weights: Sequence[Any]) -> list[Any]:
    """Neighbours that can be one weight, as one."""
    runs: list[list[Any]] = []
    for weight in weights:
        if runs and _join(runs[-1][0], weight):
            runs[-1].append(weight)
        else:
            runs.append([weight])
    return [
        torch.cat(run) if isinstance(run[0], Tensor) else run[0].joined(run[1:]) for run in runs
    ]


def _num_bytes(weight: Weight | Tensor) -> int:
    return weight.nbytes if isinstance(weight, Tensor) else weight.num_bytes


def _join(first: Any, other: Any) -> bool:
    if isinstance(first, Tensor):
        return isinstance(other, Tensor)
    return bool(first.joins(other))


def _side_by_side(linears: Sequence[Linear]) -> Linear:
    def linear(x_TK: Tensor) -> Tensor:
        return torch.cat([each(x_TK) for each in linears], dim=-1)

    return linear
