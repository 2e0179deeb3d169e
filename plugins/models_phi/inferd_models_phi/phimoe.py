"""Phi-3.5-MoE: layer norms, biases, and two experts, each weighed among those close to it.

Shape suffixes: T tokens, D hidden, M experts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.errors import UnsupportedModel
from inferd.layers import (
    Decoder,
    DecoderLM,
    DecoderShape,
    Fields,
    LayerNorm,
    MoE,
    MoEShape,
    Parts,
    Rotary,
)
from inferd.layers.rope_config import Rope

CHOSEN = 2  # experts of a token, whatever the configuration says


@dataclass(frozen=True, slots=True, kw_only=True)
class PhimoeShape(MoEShape):
    margin: float = 0.0  # how far below the best an expert may be, relatively, to share its weight


class SparseMixer(MoE):
    """Router of arXiv:2409.12136, as it is without training."""

    def __init__(self, shape: PhimoeShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        self._margin = shape.margin

    def forward(self, x_TD: Tensor) -> Tensor:
        logits_TM = self.gate(x_TD)
        first = _best(logits_TM, logits_TM, self._margin)
        rest_TM = logits_TM.scatter(-1, first[0], -math.inf)
        second = _best(rest_TM, logits_TM, self._margin)
        chosen_TC, weights_TC = (
            torch.cat(pair, dim=-1) for pair in zip(first, second, strict=True)
        )
        out_TD: Tensor = self.experts(x_TD, chosen_TC, weights_TC)
        return out_TD


def _best(among_TM: Tensor, logits_TM: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """The best expert [T, 1], and its share among those within the margin."""
    best_T1, chosen_T1 = among_TM.max(dim=-1, keepdim=True)
    size_TM = logits_TM.abs().clamp(min=best_T1)
    far_TM = (best_T1 - among_TM) / size_TM > 2 * margin
    shares_TM = among_TM.masked_fill(far_TM, -math.inf).softmax(-1)
    return chosen_T1, shares_TM.gather(-1, chosen_T1)


class PhimoeDecoder(Decoder):
    def rotaries(self, shape: DecoderShape, build: BuildContext) -> Sequence[Rotary]:
        hf = stretched(build.config.hf, build.config.max_model_len)
        rotary = Rotary(shape.head_dim, build, hf=hf, theta=shape.theta)
        return [rotary] * shape.num_layers


def stretched(hf: Mapping[str, Any], served: int) -> Mapping[str, Any]:
    """What the rotary layer reads: longrope as transformers computes it for this family.

    Its frequencies are those for short texts whatever the length, and `short_mscale` or
    `long_mscale` scales cos and sin; fixed for the served length, as longrope is elsewhere.
    """
    rope = Rope.read(hf, 2, served)
    if rope.kind == "default":
        return hf
    if rope.kind != "longrope":
        raise UnsupportedModel(f"rope_type {rope.kind!r} is not supported; known: longrope")
    short = rope.parameters.get("short_factor")
    return {
        "max_position_embeddings": rope.trained,
        "rope_theta": rope.theta,
        "rope_parameters": {
            "rope_type": "longrope",
            "original_max_position_embeddings": rope.original,
            "short_factor": short,
            "long_factor": short,
            "attention_factor": rope.number(
                "long_mscale" if served > rope.original else "short_mscale"
            ),
        },
    }


class PhimoeForCausalLM(DecoderLM):
    names = {
        "block_sparse_moe": "mlp",
        "w1": "gate_proj",
        "w3": "up_proj",
        "w2": "down_proj",
    }
    parts = Parts(norm=LayerNorm, mlp=SparseMixer)
    decoder = PhimoeDecoder

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            {"num_experts": "num_local_experts"},
            rms_norm_eps=1e-5,
            num_key_value_heads=8,
            num_experts=16,
            num_experts_per_tok=2,
            sliding_window=None,
        )
        shape = PhimoeShape.read(fields).with_experts(fields)
        if shape.num_chosen != CHOSEN:
            raise fields.unusable("num_experts_per_tok", shape.num_chosen, f"{CHOSEN}")
        bias = fields.flag("attention_bias")
        shape = replace(
            shape,
            expert_size=shape.intermediate_size,
            margin=fields.number("router_jitter_noise", 0.01),
            qkv_bias=bias,
            o_bias=bias,
            head_bias=fields.flag("lm_head_bias"),
        )
        return shape.with_window(fields, [True] * shape.num_layers)
