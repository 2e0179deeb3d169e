"""Which mixtures of experts an op of inferd can compute: found by what they do.

Shape suffixes: T tokens, I inner.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from inferd.contracts.model import BuildContext

from .weights import ExpertsWeights


def activation_of(module: Any, build: BuildContext) -> str | None:
    """The key of Ops.act_and_mul that does what the experts do between their products.

    None where they have biases, other layouts or other steps than a gated MLP.
    """
    own = {name for name, _ in module.named_parameters(recurse=False)}
    plain = {"has_gate": True, "has_bias": False, "is_transposed": False, "is_concatenated": True}
    if own != set(ExpertsWeights.NAMES) or any(
        getattr(module, name, None) is not value for name, value in plain.items()
    ):
        return None
    if getattr(module, "has_post_expert_norm", False):
        return None
    x_T2I = torch.linspace(-3, 3, 64, dtype=torch.float32, device=build.device).view(4, 16)
    wanted = module._apply_gate(x_T2I)
    for name, act_and_mul in build.ops.act_and_mul.items():
        if torch.allclose(act_and_mul(x_T2I.clone()), wanted, atol=1e-5):
            return name
    return None


def experts_of(model: nn.Module) -> dict[str, nn.Module]:
    """By name, the modules that transformers lets others compute."""
    return {name: m for name, m in model.named_modules() if _is_open(m)}


def _is_open(module: nn.Module) -> bool:
    return all(
        hasattr(module, name) for name in ("is_concatenated", "is_transposed", "_apply_gate")
    )
