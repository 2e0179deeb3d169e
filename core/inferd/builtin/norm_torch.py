"""Norms of TorchOps.

Shape suffixes as in inferd.contracts.ops.
"""

from __future__ import annotations

import torch
from torch import Tensor


def rms_norm(x_TD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    """In float32, as the models were trained; rounded once, before the weight."""
    x = x_TD.float()
    x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps)
    return x.to(x_TD.dtype) * weight_D


def add_rms_norm(
    x_TD: Tensor, residual_TD: Tensor, weight_D: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    total_TD = x_TD + residual_TD
    return rms_norm(total_TD, weight_D, eps), total_TD
