"""What a model of transformers asks of attention, learned by running it without numbers.

The model is built on torch's meta device, where tensors have shapes only, and fed three tokens.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import json
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.initialization import no_init_weights

from inferd.contracts.model import ModelConfig
from inferd.errors import UnsupportedModel

from .architecture import find_class
from .head import Given
from .interface import LOOK, LOOK_UNMASKED, SEEN, Mask, Seen

HARMLESS = frozenset(  # arguments of attention that change nothing, or stand in Seen or Mask too
    {
        *("dropout", "position_ids", "cache_position", "use_cache", "output_attentions"),
        *("sliding_window", "is_causal", "output_router_logits"),
    }
)
READS = ("aten::item", "aten::_local_scalar_dense", "aten::is_nonzero")
FEW = 32  # tokens, in place of a window's width where there is none


@dataclass(frozen=True, slots=True)
class AttentionFacts:
    """Of one layer, by the name of its module."""

    name: str
    num_heads: int
    num_kv_heads: int
    head_dim: int  # of queries and keys
    value_dim: int  # at most head_dim
    scale: float
    window: int | None
    soft_cap: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    attention: tuple[AttentionFacts, ...]
    whole: frozenset[str]  # linears whose weight is read by others: they stay as they are
    waits: bool  # the forward reads on the host what the device computed


def facts_of(config: ModelConfig) -> Facts:
    """Raises UnsupportedModel, with the reason, for what cannot run through the interface."""
    return _facts(config.architecture, json.dumps(config.hf, default=dict, sort_keys=True))


@functools.lru_cache(maxsize=8)
def _facts(architecture: str, text: str) -> Facts:
    kind, hf_config = find_class(architecture, json.loads(text))
    try:
        facts = _learn(build_on_meta(kind, hf_config))
    except UnsupportedModel:
        raise
    except Exception as error:  # whatever a model raises that calculates with our mask
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise UnsupportedModel(
            f"{architecture} does not run through transformers' attention interface: {reason}"
        ) from None
    layers = hf_config.num_hidden_layers
    if len(facts.attention) != layers:
        raise UnsupportedModel(
            f"{len(facts.attention)} of {layers} layers of {architecture} call transformers' "
            "attention interface; what the others keep is not known"
        )
    return facts


def build_on_meta(kind: type[Any], hf_config: Any) -> Any:
    hf_config._attn_implementation = hf_config._experts_implementation = LOOK
    with torch.device("meta"), no_init_weights():
        return kind(hf_config).eval()


def base_of(model: Any) -> Any:
    """The part that leads from token ids to hidden states; raises UnsupportedModel."""
    base = getattr(model, model.base_model_prefix, None)
    if base is None or "position_ids" not in inspect.signature(base.forward).parameters:
        raise UnsupportedModel(f"{type(model).__name__} is not told positions (position_ids)")
    if any(hasattr(module, "create_position_ids_from_input_ids") for module in base.modules()):
        raise UnsupportedModel(f"{type(model).__name__} counts positions from its padding token")
    return base


def _learn(model: Any) -> Facts:
    linears = {name: m for name, m in model.named_modules() if type(m) is nn.Linear}
    for linear in linears.values():
        linear.__class__ = _Watched
    _feed(model)
    calls = [(name, getattr(m, SEEN)) for name, m in model.named_modules() if hasattr(m, SEEN)]
    model.config._attn_implementation = LOOK_UNMASKED  # making a mask may wait, and none is made
    waits = _feed(model)
    _feed_head(model)
    return Facts(
        attention=tuple(_attention(name, seen) for name, seen in calls),
        whole=frozenset(name for name, linear in linears.items() if linear.was_read),
        waits=waits,
    )


def _feed(model: Any) -> bool:
    """Run the base of the model; whether it waits for the device."""
    ids_1T = torch.zeros(1, 3, dtype=torch.long, device="meta")
    positions_1T = torch.arange(3, device="meta")[None]
    with torch.inference_mode(), _Guess() as guess:  # type: ignore[no-untyped-call]
        base_of(model)(input_ids=ids_1T, position_ids=positions_1T, use_cache=False)
    return bool(guess.waited)


def _feed_head(model: Any) -> None:
    """Run what follows the base, so that a head that needs more than hidden states fails here."""
    base = base_of(model)
    size = base.get_input_embeddings().embedding_dim
    setattr(model, model.base_model_prefix, Given())
    with torch.inference_mode():
        model(inputs_embeds=torch.empty(1, 3, size, device="meta"), use_cache=False)
    setattr(model, model.base_model_prefix, base)


class _Watched(nn.Linear):
    """Notes whether anything but its own forward wants its weight."""

    was_read = False

    def __getattr__(self, name: str) -> Any:
        if name in ("weight", "bias"):
            self.__dict__["was_read"] = True
        return super().__getattr__(name)

    def forward(self, x: Tensor) -> Tensor:
        return x.new_empty(*x.shape[:-1], self.out_features)


class _Guess(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers what a tensor without numbers cannot: true, nought, or one place."""

    waited = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        if name in READS:
            self.waited = True
            return args[0].dtype == torch.bool
        if name.startswith("aten::nonzero"):
            self.waited = True
            return torch.zeros(1, args[0].dim(), dtype=torch.long, device="meta")
        return func(*args, **(kwargs or {}))


def _attention(name: str, calls: list[Seen]) -> AttentionFacts:
    if len(calls) != 1:
        raise UnsupportedModel(f"{name} attends {len(calls)} times in one step")
    seen = calls[0]
    _, heads, _, size = seen.q_shape
    strange = sorted(set(seen.others) - HARMLESS - {"softcap"})
    if strange or seen.others.get("is_causal") is False:
        what = ", ".join(strange) or "attention that is not causal"
        raise UnsupportedModel(f"{name} wants {what}, which attention backends do not have")
    if seen.v_shape[-1] > size:
        raise UnsupportedModel(f"{name} has values of {seen.v_shape[-1]}, keys of {size} elements")
    return AttentionFacts(
        name=name,
        num_heads=heads,
        num_kv_heads=seen.k_shape[1],
        head_dim=size,
        value_dim=seen.v_shape[-1],
        scale=float(size**-0.5 if seen.scale is None else seen.scale),
        window=_window(name, seen.mask),
        soft_cap=seen.others.get("softcap"),
    )


def _window(name: str, mask: Any) -> int | None:
    """The width that the mask is found to have, at all places where it could have another."""
    if not isinstance(mask, Mask):
        raise UnsupportedModel(f"{name} makes a mask of its own")
    width = mask.width or FEW
    places = [0, 1, 2, width - 1, width, width + 1, 2 * width, 2 * width + 1]
    for query, key in itertools.product(places, places):
        seen = key <= query and (mask.width is None or key > query - width)
        if bool(mask.visible(*map(torch.tensor, (0, 0, query, key)))) != seen:
            raise UnsupportedModel(
                f"{name}: its mask is neither causal nor a window (query {query}, key {key})"
            )
    return mask.width
