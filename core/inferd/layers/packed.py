"""PackedLinear: a LinearMethod from a description of how one matrix is stored.

Parts of a layer may be stored differently: those that can be one weight become one, others are
multiplied on their own and their results put side by side.
Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inferd.contracts.bit_strings import pack_bits
from inferd.contracts.loader import RawTensor
from inferd.contracts.ops import Linear, Ops
from inferd.contracts.quantization import Drawn, LinearMethod, LinearSpec
from inferd.contracts.weight_formats import DENSE, GroupedWeight, Weight
from inferd.errors import CheckpointError
from inferd.layers.planned import kept_bytes
from inferd.layers.weight import check_suffix

FLOATS = ("float16", "bfloat16", "float32")
DUMMY_SCALE = 2e-3  # of what is drawn at most


class Stored(NamedTuple):
    """One tensor of a checkpoint as it must be."""

    shape: tuple[int, ...]  # -1: any number
    storage: tuple[str, ...] = FLOATS  # any of these
    also: tuple[tuple[int, ...], ...] = ()  # other shapes that it may have


def fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether it is that shape, in which -1 stands for any number."""
    pairs = zip(shape, wanted, strict=False)
    return len(shape) == len(wanted) and all(size in (found, -1) for found, size in pairs)


def check_stored(takes: Mapping[str, Stored], suffix: str, tensor: RawTensor) -> None:
    """Raises CheckpointError for a tensor that `takes`, by suffix, does not have so."""
    check_suffix(suffix, tensor, tuple(takes))
    wanted, found = takes[suffix], tuple(tensor.shape)
    fitting = any(fits(found, shape) for shape in (wanted.shape, *wanted.also))
    if not fitting or tensor.storage not in wanted.storage:
        raise CheckpointError(
            f"{tensor.name}: expected {' or '.join(wanted.storage)} {list(wanted.shape)}, "
            f"found {tensor.storage} {list(found)}"
        )


class MatrixFormat(ABC):
    """How a checkpoint stores one matrix [N, K]."""

    @abstractmethod
    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:
        """By suffix; raises UnsupportedModel, naming the matrix, for a shape it cannot have."""

    def take(self, suffix: str, tensor: RawTensor) -> Tensor:  # noqa: ARG002
        """What is kept of one of `tensors`, which has been checked."""
        return tensor.data

    def draw(
        self, suffix: str, rows: int, columns: int, generator: torch.Generator
    ) -> Drawn | None:
        """A random one of `tensors`: any integers, small scales. None: any floats will do."""
        shape, (storage, *_), _ = self.tensors("", rows, columns)[suffix]
        dtype: torch.dtype = getattr(torch, storage)
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        if dtype.is_floating_point:
            return Drawn(storage, torch.rand(shape, **options).mul_(DUMMY_SCALE).to(dtype))
        ends = torch.iinfo(dtype)
        return Drawn(storage, torch.randint(ends.min, ends.max, shape, dtype=dtype, **options))

    @abstractmethod
    def weight(self, name: str, stored: Mapping[str, Tensor]) -> Weight | Tensor:
        """From all of `tensors`; raises CheckpointError for values that contradict each other."""


class DenseFormat(MatrixFormat):
    """What a method leaves as it is."""

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:  # noqa: ARG002
        return {"weight": Stored((rows, columns))}

    def draw(self, suffix: str, rows: int, columns: int, generator: torch.Generator) -> None:
        """Floats."""

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> Tensor:  # noqa: ARG002
        return stored["weight"]


def sorted_by_group(weight: GroupedWeight, group_K: Tensor, name: str) -> GroupedWeight:
    """With the columns of each group beside each other, where they were as the inputs are.

    `group_K` is each input's group. Raises CheckpointError, naming it, for groups of several sizes.
    """
    size = weight.group_size
    expected_K = torch.arange(len(group_K), device=group_K.device) // size
    if torch.equal(group_K, expected_K.to(group_K.dtype)):
        return weight
    order_K = torch.argsort(group_K, stable=True)
    if not torch.equal(group_K[order_K], expected_K.to(group_K.dtype)):
        raise CheckpointError(f"{name}: its groups are not of {size} inputs each")
    packed_NB = pack_bits(weight.codes()[:, order_K], weight.bits)
    return replace(weight, packed_NB=packed_NB, order_K=order_K)


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
