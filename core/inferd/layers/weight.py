"""Dense weights that a module loads as they are, or in another order."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from inferd.contracts.loader import RawTensor
from inferd.errors import CheckpointError


def check_suffix(suffix: str, tensor: RawTensor, known: tuple[str, ...] = ("weight",)) -> None:
    """Raises CheckpointError for anything else: a norm's bias, an embedding's scales."""
    if suffix not in known:
        raise CheckpointError(
            f"{tensor.name}: its module has no {suffix!r}, it takes {' and '.join(known)}"
        )


def unpack_checked(tensor: RawTensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """The tensor's values in `dtype`; raises CheckpointError when its shape is another."""
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"{tensor.name}: expected shape {list(shape)}, found {list(tensor.shape)}"
        )
    return tensor.unpack(dtype)


def reordered(tensor: RawTensor, order_N: Tensor | None) -> RawTensor:
    """With the rows that `order_N` names, packed or not; as it is where their number is another.

    What takes it then says that its shape is wrong.
    """
    if order_N is None or not tensor.shape or tensor.shape[0] != len(order_N):
        return tensor
    rows = tensor.data.view(tensor.shape[0], -1)[order_N.to(tensor.data.device)]
    return replace(tensor, data=rows.view(-1, *tensor.data.shape[1:]))
