"""What a matrix takes once it is loaded, told by a few rows of it that are drawn and repacked.

Shape suffixes: K in features, N out features.
"""

from __future__ import annotations

from collections.abc import Container

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import Drawn
from inferd.contracts.weight_formats import Weight
from inferd.layers.matrix_format import MatrixFormat

ROWS = 32  # of a sample: whole words of any number of bits


def kept_bytes(
    form: MatrixFormat, shape: tuple[int, int], packed: Container[str], dtype: torch.dtype
) -> int:
    """Dense in `dtype` where its format is not in `packed`.

    What a format keeps is per row or per matrix, so that samples of two sizes tell any number of
    rows. Raises UnsupportedModel for a shape that it cannot have.
    """
    rows, columns = shape
    if rows <= 2 * ROWS:
        return sampled_bytes(form, shape, packed, dtype)
    form.tensors("", rows, columns)  # refuses what samples would not
    one, two = (sampled_bytes(form, (n, columns), packed, dtype) for n in (ROWS, 2 * ROWS))
    return one + (two - one) * (rows - ROWS) // ROWS


def sampled_bytes(
    form: MatrixFormat, shape: tuple[int, int], packed: Container[str], dtype: torch.dtype
) -> int:
    weight = sample(form, *shape)
    if isinstance(weight, Tensor) or weight.format not in packed:
        return shape[0] * shape[1] * dtype.itemsize
    return weight.num_bytes


def sample(form: MatrixFormat, rows: int, columns: int) -> Weight | Tensor:
    """What is kept of a dummy."""
    generator, kept = torch.Generator().manual_seed(0), {}
    for suffix, stored in form.tensors("", rows, columns).items():
        drawn = form.draw(suffix, rows, columns, generator)
        storage, data = drawn or Drawn("float32", torch.zeros(stored.shape))
        kept[suffix] = form.take(suffix, RawTensor(suffix, tuple(data.shape), storage, data))
    return form.weight("", kept)
