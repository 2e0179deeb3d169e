"""PUBLIC: the layers models are made of. They know their weights, ops and place in TP."""

from __future__ import annotations

from inferd.layers.activation import ActAndMul
from inferd.layers.attention import Attention
from inferd.layers.embedding import Embedding, LMHead
from inferd.layers.layer import Layer
from inferd.layers.linear import LinearLayer
from inferd.layers.norm import RMSNorm
from inferd.layers.rotary import Rotary

__all__ = [
    "ActAndMul",
    "Attention",
    "Embedding",
    "LMHead",
    "Layer",
    "LinearLayer",
    "RMSNorm",
    "Rotary",
]
