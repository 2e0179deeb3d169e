"""What transformers' models call instead of attention: to be looked at, or to run.

transformers finds an attention function by the name in a configuration's `_attn_implementation`,
and by the same name what makes masks. The functions here find their state on the calling module.

Shape suffixes: T tokens, H query heads, G KV heads, E head size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

LOOK, LOOK_UNMASKED, RUN = "inferd_look", "inferd_look_unmasked", "inferd"
SEEN, PAGED, EXPERTS = "inferd_seen", "inferd_paged", "inferd_experts"  # attributes of modules


@dataclass(frozen=True, slots=True)
class Mask:
    """In place of a mask: which keys a query sees. A model that calculates with it fails."""

    visible: Callable[..., Any]  # (row, head, query, key), as transformers' mask functions
    width: int | None  # of a window

    def __getitem__(self, places: tuple[Any, ...]) -> Mask:
        """Of all queries and keys, as where a model could leave some out and does not."""
        whole = (slice(None), slice(0, None))
        if not all(place in whole for place in places):
            raise TypeError(f"a part of a mask: {places}")
        return self


@dataclass(frozen=True, slots=True)
class Seen:
    """One call of attention."""

    q_shape: tuple[int, ...]  # [1, H, T, E]
    k_shape: tuple[int, ...]  # [1, G, T, E]
    v_shape: tuple[int, ...]
    mask: Any
    scale: float | None
    others: dict[str, Any]  # arguments that are set


def look(
    module: nn.Module,
    q_1HTE: Tensor,
    k_1GTE: Tensor,
    v_1GTE: Tensor,
    attention_mask: Any = None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Note what is asked; the result has the right shape and nothing in it."""
    said = {name: value for name, value in others.items() if value is not None}
    q, k, v = (tuple(tensor.shape) for tensor in (q_1HTE, k_1GTE, v_1GTE))
    seen = Seen(q, k, v, attention_mask, scaling, said)
    setattr(module, SEEN, [*getattr(module, SEEN, ()), seen])
    _, heads, tokens, _ = q_1HTE.shape
    return v_1GTE.new_empty(1, tokens, heads, v_1GTE.shape[-1]), None


def run(
    module: nn.Module, q_1HTE: Tensor, k_1GTE: Tensor, v_1GTE: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, None]:
    """What the mask and the other arguments say was seen before, and is in the layer."""
    out_1THE: Tensor = getattr(module, PAGED)(q_1HTE, k_1GTE, v_1GTE)
    return out_1THE, None


def look_mask(mask_function: Callable[..., Any], local_size: int | None = None, **_: Any) -> Mask:
    return Mask(mask_function, local_size)


def look_experts(_: nn.Module, x_TD: Tensor, *__: Any) -> Tensor:
    return x_TD.new_empty(x_TD.shape)


def run_experts(module: nn.Module, x_TD: Tensor, chosen_TC: Tensor, weights_TC: Tensor) -> Tensor:
    out_TD: Tensor = getattr(module, EXPERTS)(x_TD, chosen_TC, weights_TC)
    return out_TD


AttentionInterface.register(LOOK, look)
AttentionInterface.register(LOOK_UNMASKED, look)
AttentionInterface.register(RUN, run)
AttentionMaskInterface.register(LOOK, look_mask)  # under the other names none is made
ALL_EXPERTS_FUNCTIONS.register(LOOK, look_experts)
ALL_EXPERTS_FUNCTIONS.register(RUN, run_experts)
