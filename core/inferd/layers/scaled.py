"""Matrices of 8 bits with scales: as checkpoints store them, or made of dense ones when loaded.

Shape suffixes as in inferd.contracts.scaled_formats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from inferd.contracts.scaled_formats import BLOCK, InputFormat, ScaledWeight
from inferd.errors import CheckpointError
from inferd.layers.matrix_format import MatrixFormat, Stored

LEAST = 2.0**-126  # float32 has the inverse of larger scales of inputs


class ScaledMatrix(MatrixFormat):
    """`weight`, its scales under the name `suffix`, and `input_scale` where inputs are `static`.

    A scale is for the tensor, for each row or, with `blocks`, for 128 rows and columns.
    """

    def __init__(
        self, dtype: torch.dtype, suffix: str, *, blocks: bool = False, static: bool = False
    ) -> None:
        self._dtype, self._suffix = dtype, suffix
        self._blocks, self._static = blocks, static

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:  # noqa: ARG002
        storage = str(self._dtype).removeprefix("torch.")
        scales = Stored((), also=((1,), (rows,), (rows, 1)))
        if self._blocks:
            scales = Stored((-(-rows // BLOCK), -(-columns // BLOCK)))
        found = {"weight": Stored((rows, columns), (storage,)), self._suffix: scales}
        return {**found, "input_scale": Stored((), also=((1,),))} if self._static else found

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> ScaledWeight:
        values_NK, scales = stored["weight"], stored[self._suffix].float()
        if not bool((scales.isfinite() & (scales >= 0)).all()):
            raise CheckpointError(f"{name}.{self._suffix} has numbers that are no scale")
        scale = float(stored["input_scale"]) if self._static else None
        if scale is not None and not LEAST < scale < math.inf:
            raise CheckpointError(f"{name}.input_scale is {scale}, which is no scale")
        if self._blocks:
            return ScaledWeight(values_NK, scales, InputFormat(self._dtype, BLOCK), BLOCK)
        scales_N1 = scales.reshape(-1, 1).expand(len(values_NK), 1).contiguous()
        return ScaledWeight(values_NK, scales_N1, InputFormat(self._dtype, scale=scale))


class RoundedMatrix(MatrixFormat):
    """A dense matrix in the checkpoint, rounded with a scale for each row as soon as it is read."""

    def __init__(self, dtype: torch.dtype) -> None:
        self._dtype = dtype

    def tensors(self, name: str, rows: int, columns: int) -> dict[str, Stored]:  # noqa: ARG002
        return {"weight": Stored((rows, columns))}

    def weight(self, name: str, stored: Mapping[str, Tensor]) -> ScaledWeight:  # noqa: ARG002
        return ScaledWeight.by_rows(stored["weight"], self._dtype)
