"""Linears of dense weights: per number of tokens the kernel that the table names.

Shape suffixes: T tokens, N out features, K in features.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import linear as library

from inferd.contracts.ops import Linear
from inferd_ops_triton.kernels.chain import Chain
from inferd_ops_triton.kernels.gemv import gemv
from inferd_ops_triton.kernels.skinny import skinny
from inferd_ops_triton.tables import Route, by_tokens, routes

KERNELS: dict[str, Callable[..., Tensor]] = {"gemv": gemv, "skinny": skinny}


def make_linear(
    weight_NK: Tensor, bias_N: Tensor | None, *, architecture: str, chain: Chain
) -> Linear:
    """The weight is used as it is: nothing is packed or copied."""
    size, inner = weight_NK.shape
    chosen = routes(architecture, size, inner, weight_NK.element_size())
    return routed(weight_NK, bias_N, chosen, chain)


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
