"""Linears of dense weights: per number of tokens the kernel that the table names.

Shape suffixes: T tokens, N out features, K in features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from types import ModuleType

from torch import Tensor
from torch.nn.functional import linear as library

from inferd.contracts.ops import GatedLinear, Linear
from inferd_ops_triton.kernels.chain import Chain
from inferd_ops_triton.kernels.gemv import gemv
from inferd_ops_triton.kernels.skinny import skinny
from inferd_ops_triton.tables import GatedTiles, Route, by_tokens, routes, table

KERNELS: dict[str, Callable[..., Tensor]] = {"gemv": gemv, "skinny": skinny}


class DenseLinear:
    """The weight is used as it is: nothing is packed or copied."""

    def __init__(
        self, weight_NK: Tensor, bias_N: Tensor | None, *, architecture: str, chain: Chain
    ) -> None:
        size, inner = weight_NK.shape
        chosen = routes(architecture, size, inner, weight_NK.element_size())
        self._linear = routed(weight_NK, bias_N, chosen, chain)
        row = table(architecture).get("gated")
        self.gated = {} if row is None or bias_N is not None else gated(weight_NK, row)

    def __call__(self, x_TK: Tensor) -> Tensor:
        return self._linear(x_TK)


def routed(
    weight_NK: Tensor, bias_N: Tensor | None, chosen: dict[int, Route], chain: Chain
) -> Linear:
    """The linear of this weight, with a route per bucket of tokens."""
    plans = by_tokens(chosen)
    if bias_N is not None:
        bias_N = bias_N.contiguous()

    def linear(x_TK: Tensor) -> Tensor:
        tokens = x_TK.shape[0]
        route = plans[tokens] if tokens < len(plans) else None
        if route is None:
            return library(x_TK, weight_NK, bias_N)
        return KERNELS[route.kernel](x_TK, weight_NK, bias_N, route, chain)

    return linear


def gated(weight_NK: Tensor, row: list[int]) -> dict[str, GatedLinear]:
    """Of gate and up in one matrix: products that are activated before they are written."""
    launch = _gated()
    if launch is None or not launch.takes(weight_NK):
        return {}
    tiles = GatedTiles(*row)
    return {
        act: GatedLinear(
            partial(launch.suits, weight_NK, tiles), launch.gated(weight_NK, act, tiles)
        )
        for act in launch.ACTIVATIONS
    }


@lru_cache
def _gated() -> ModuleType | None:
    """kernels.launch_gated, where this Triton's Gluon has what it uses."""
    try:
        from inferd_ops_triton.kernels import launch_gated
    except ImportError:
        return None
    return launch_gated if launch_gated.AVAILABLE else None
