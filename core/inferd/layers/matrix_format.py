"""How checkpoints store one matrix: its tensors by suffix, and the weight that they are.

Shape suffixes: K in features, N out features, B bytes of a row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inferd.contracts.bit_strings import pack_bits
from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import Drawn
from inferd.contracts.weight_formats import GroupedWeight, Weight
from inferd.errors import CheckpointError
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
