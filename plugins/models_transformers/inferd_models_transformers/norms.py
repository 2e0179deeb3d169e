"""Norms that an op of inferd can compute: found by what they do.

Shape suffixes: R rows, T tokens, D normed.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inferd.contracts.model import BuildContext
from inferd.layers import Layer

EPS = ("variance_epsilon", "eps")  # what transformers' norms call it


class TokenNorm(Layer):
    """In place of a norm by root mean square: all leading dimensions are tokens to it."""

    def __init__(self, weight_D: nn.Parameter, eps: float, build: BuildContext) -> None:
        super().__init__()
        self.weight, self._eps, self._norm = weight_D, eps, build.ops.rms_norm

    def forward(self, x: Tensor) -> Tensor:
        out_TD = self._norm(x.reshape(-1, x.shape[-1]), self.weight, self._eps)
        return out_TD.view(x.shape)


def replace_norms(model: nn.Module, build: BuildContext) -> None:
    """Each kind is tried once, on numbers of its own."""
    found: dict[tuple[Any, ...], bool] = {}
    for name, module in list(model.named_modules()):
        eps, weight_D = _eps(module), module._parameters.get("weight")
        if eps is None or weight_D is None or weight_D.dtype != build.config.dtype:
            continue
        kind = (type(module), eps, tuple(weight_D.shape))
        if kind not in found:
            found[kind] = _is_rms_norm(module, eps)
        if found[kind]:
            model.set_submodule(name, TokenNorm(weight_D, eps, build))


def _eps(module: nn.Module) -> float | None:
    own = [name for name, _ in module.named_parameters()]
    values = [value for name in EPS if isinstance(value := getattr(module, name, None), float)]
    return values[0] if own == ["weight"] and values else None


def _is_rms_norm(module: nn.Module, eps: float) -> bool:
    trial: Any = copy.deepcopy(module)
    generator = torch.Generator().manual_seed(0)
    size = trial.weight.shape
    trial.weight = nn.Parameter(torch.rand(size, generator=generator) + 0.5, requires_grad=False)
    x_RTD = torch.randn(2, 3, *size, generator=generator)
    try:
        made = trial(x_RTD)
    except Exception:  # it takes something else
        return False
    return isinstance(made, Tensor) and torch.allclose(
        made, F.rms_norm(x_RTD, tuple(size), trial.weight, eps), atol=1e-5
    )
