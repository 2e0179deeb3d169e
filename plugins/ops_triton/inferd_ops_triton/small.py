"""The ops beside linears: how each is started, by its number of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from inferd_ops_triton.kernels import activation, embedding, norm, rope
from inferd_ops_triton.kernels.chain import ALONE, WAYS

Ways = Sequence[tuple[int, str]]  # (tokens, at most, way); rising


def small_ops(ways: Mapping[str, Ways]) -> dict[str, object]:
    """Ops that `ways` does not name, and more tokens than it names, start alone."""
    act_ways = ways.get("act_and_mul", ())
    acts = activation.ACTIVATIONS
    return {
        "rms_norm": sized(norm.rms_norm, ways.get("rms_norm", ())),
        "add_rms_norm": sized(norm.add_rms_norm, ways.get("add_rms_norm", ())),
        "act_and_mul": {act: sized(activation.act_and_mul, act_ways, act=act) for act in acts},
        "embedding": sized(embedding.embedding, ways.get("embedding", ())),
        "rope_kv_write": sized(rope.rope_kv_write, ways.get("rope_kv_write", ())),
    }


def sized(op: Callable[..., Any], ways: Ways, **fixed: str) -> Callable[..., Any]:
    """`op`, started as `ways` says of its first argument's number of tokens."""
    alone = partial(op, chain=ALONE, **fixed)
    started = [(most, partial(op, chain=WAYS[way], **fixed)) for most, way in ways]
    if not started:
        return alone

    def chosen(x: Any, *rest: Any) -> Any:
        tokens = x.shape[0]
        for most, variant in started:
            if tokens <= most:
                return variant(x, *rest)
        return alone(x, *rest)

    return chosen
