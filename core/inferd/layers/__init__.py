"""PUBLIC: the layers models are made of. They know their weights, ops and place in TP."""

from __future__ import annotations

from inferd.layers.activation import ActAndMul, Activation
from inferd.layers.alibi import alibi_slopes
from inferd.layers.attention import Attention, LatentAttention
from inferd.layers.blocks import (
    Block,
    ParallelBlock,
    Parts,
    PostNormBlock,
    PreNormBlock,
    SandwichBlock,
    TwoNormParallelBlock,
)
from inferd.layers.decoder import GATE_UP, QKV, Decoder, DecoderLM
from inferd.layers.embedding import Embedding, LMHead
from inferd.layers.expert_bank import ExpertBank, ExpertList
from inferd.layers.fields import Fields
from inferd.layers.head_order import head_order
from inferd.layers.layer import Layer
from inferd.layers.linear import LinearLayer
from inferd.layers.mlp import MLP, GatedMLP
from inferd.layers.moe import MoE, StackedMoE
from inferd.layers.moe_shape import MoEShape
from inferd.layers.norm import LayerNorm, RMSNorm
from inferd.layers.packed_method import unquantized
from inferd.layers.rope_config import rope_of_kind, rotated_size
from inferd.layers.rotary import AngleRotary, NoRotary, Rotary
from inferd.layers.router import GroupMoE, GroupShape, grouped_or_dense
from inferd.layers.self_attention import NormedAttention, QKNormAttention, SelfAttention
from inferd.layers.shape import LAYER_TYPES, DecoderShape
from inferd.layers.weight import check_suffix, unpack_checked

__all__ = [
    "GATE_UP",
    "LAYER_TYPES",
    "MLP",
    "QKV",
    "ActAndMul",
    "Activation",
    "AngleRotary",
    "Attention",
    "Block",
    "Decoder",
    "DecoderLM",
    "DecoderShape",
    "Embedding",
    "ExpertBank",
    "ExpertList",
    "Fields",
    "GatedMLP",
    "GroupMoE",
    "GroupShape",
    "LMHead",
    "LatentAttention",
    "Layer",
    "LayerNorm",
    "LinearLayer",
    "MoE",
    "MoEShape",
    "NoRotary",
    "NormedAttention",
    "ParallelBlock",
    "Parts",
    "PostNormBlock",
    "PreNormBlock",
    "QKNormAttention",
    "RMSNorm",
    "Rotary",
    "SandwichBlock",
    "SelfAttention",
    "StackedMoE",
    "TwoNormParallelBlock",
    "alibi_slopes",
    "check_suffix",
    "grouped_or_dense",
    "head_order",
    "rope_of_kind",
    "rotated_size",
    "unpack_checked",
    "unquantized",
]
