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
from inferd_ops_triton.kernels.activation import ACTIVATIONS, TURN, act_and_mul
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
        self.gated: dict[str, GatedLinear] = {}
        if bias_N is None:
            row = table(architecture).get("gated")
            many = {} if row is None else gated_many(weight_NK, row)
            self.gated = gated_few(weight_NK, self._linear, chosen, chain, many)

    def __call__(self, x_TK: Tensor) -> Tensor:
        return self._linear(x_TK)


def routed(
    weight_NK: Tensor,
    bias_N: Tensor | None,
    chosen: dict[int, Route],
    chain: Chain,
    act: str | None = None,
    otherwise: Linear | None = None,
) -> Linear:
    """The linear of this weight, with a route per bucket of tokens; others: the library."""
    plans = by_tokens(chosen)
    if bias_N is not None:
        bias_N = bias_N.contiguous()
    if otherwise is None:
        otherwise = partial(library, weight=weight_NK, bias=bias_N)

    def linear(x_TK: Tensor) -> Tensor:
        tokens = x_TK.shape[0]
        route = plans[tokens] if tokens < len(plans) else None
        if route is None:
            return otherwise(x_TK)
        return KERNELS[route.kernel](x_TK, weight_NK, bias_N, route, chain, act)

    return linear


def gated_few(
    weight_NK: Tensor,
    linear: Linear,
    chosen: dict[int, Route],
    chain: Chain,
    many: dict[str, GatedLinear],
) -> dict[str, GatedLinear]:
    """Of gate and up in one matrix: `many`, and those of few tokens.

    They are of the kernels of `chosen` that have all of K, and rows of both gate and up; these
    activate before they write.
    """
    few = {n: route for n, route in chosen.items() if route.parts == 1 and route.block_n > 1}
    if not few or weight_NK.shape[0] % (2 * TURN.value):
        return many
    counts = {tokens for tokens, route in enumerate(by_tokens(few)) if route is not None}

    def made(act: str) -> GatedLinear:
        # what no kernel does in one; no number of tokens suits it
        apart = GatedLinear(lambda _: False, lambda x_TK: act_and_mul(linear(x_TK), act))
        more = many.get(act, apart)
        return GatedLinear(
            lambda tokens: tokens in counts or more.suits(tokens),
            routed(weight_NK, None, few, chain, act, more.multiply),
        )

    return {act: made(act) for act in ACTIVATIONS}


def gated_many(weight_NK: Tensor, row: list[int]) -> dict[str, GatedLinear]:
    """The same of many tokens, by one kernel for all their numbers."""
    launch = _launch_gated()
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
def _launch_gated() -> ModuleType | None:
    """kernels.launch_gated, where this Triton's Gluon has what it uses."""
    try:
        from inferd_ops_triton.kernels import launch_gated
    except ImportError:
        return None
    return launch_gated if launch_gated.AVAILABLE else None
