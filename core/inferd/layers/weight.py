"""One dense weight that a module loads as it is, and the only tensor that it has."""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.errors import CheckpointError


def check_suffix(suffix: str, tensor: RawTensor) -> None:
    """Raises CheckpointError for anything but a weight: a norm's bias, an embedding's scales."""
    if suffix != "weight":
        raise CheckpointError(f"{tensor.name}: its module has no {suffix!r}, it takes weight")


def unpack_checked(tensor: RawTensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor's values in `dtype`; raises CheckpointError when its shape is another."""
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"{tensor.name}: expected shape {list(shape)}, found {list(tensor.shape)}"
        )
    return tensor.unpack(dtype)
