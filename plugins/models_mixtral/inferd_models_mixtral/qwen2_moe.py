"""Qwen2-MoE: Qwen2 with many small experts, one that every token uses, and layers without experts.

Shape suffixes: T tokens, D hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from inferd.contracts.model import BuildContext
from inferd.layers import (
    LAYER_TYPES,
    DecoderLM,
    DecoderShape,
    Fields,
    GatedMLP,
    LinearLayer,
    MoE,
    MoEShape,
    Parts,
    unquantized,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QwenMoEShape(MoEShape):
    dense_layers: frozenset[int] = frozenset()  # layers with an MLP
    shared_size: int = 1  # inner size of the expert that every token uses


class SharedMoE(MoE):
    def __init__(self, shape: QwenMoEShape, layer: int, build: BuildContext) -> None:
        super().__init__(shape, layer, build)
        alone = replace(shape, intermediate_size=shape.shared_size)
        name = f"model.layers.{layer}.mlp.shared_expert_gate"
        self.shared_expert = GatedMLP(alone, layer, build, "mlp.shared_expert")
        self.shared_expert_gate = LinearLayer(name, shape.hidden_size, [1], unquantized(build))

    def forward(self, x_TD: Tensor) -> Tensor:
        shared_TD = torch.sigmoid(self.shared_expert_gate(x_TD)) * self.shared_expert(x_TD)
        out_TD: Tensor = super().forward(x_TD) + shared_TD
        return out_TD


def shared_or_dense(shape: QwenMoEShape, layer: int, build: BuildContext) -> SharedMoE | GatedMLP:
    kind = GatedMLP if layer in shape.dense_layers else SharedMoE
    return kind(shape, layer, build)


def qwen_moe_shape(fields: Fields) -> QwenMoEShape:
    """What Qwen2-MoE and Qwen3-MoE have in common."""
    shape = QwenMoEShape.read(fields).with_experts(fields)
    step, dense = fields.count("decoder_sparse_step", 1), fields.get("mlp_only_layers") or []
    if not isinstance(dense, list) or not all(type(layer) is int for layer in dense):
        raise fields.unusable("mlp_only_layers", dense, "a list of layers' numbers")
    sparse = {layer for layer in range(shape.num_layers) if (layer + 1) % step == 0} - {*dense}
    return replace(
        shape,
        expert_size=fields.count("moe_intermediate_size"),
        renormalized=fields.flag("norm_topk_prob"),
        dense_layers=frozenset(range(shape.num_layers)) - sparse,
    )


class Qwen2MoeForCausalLM(DecoderLM):
    parts = Parts(mlp=shared_or_dense)

    @classmethod
    def read_shape(cls, hf: Mapping[str, Any]) -> DecoderShape:
        fields = Fields(
            hf,
            num_key_value_heads=16,
            num_experts=60,
            num_experts_per_tok=4,
            moe_intermediate_size=1408,
            shared_expert_intermediate_size=5632,
        )
        shape = replace(
            qwen_moe_shape(fields),
            qkv_bias=fields.flag("qkv_bias", True),
            shared_size=fields.count("shared_expert_intermediate_size"),
        )
        if not fields.flag("use_sliding_window"):
            return shape
        kinds = fields.per_layer("layer_types", LAYER_TYPES, shape.num_layers)
        if kinds is None:
            below = fields.count("max_window_layers", 28, least=0)
            windowed = [layer % 2 == 0 and layer < below for layer in range(shape.num_layers)]
            return shape.with_window(fields, windowed)
        return shape.with_window(fields, [kind == "sliding_attention" for kind in kinds])
