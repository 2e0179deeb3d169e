"""Schemes of 8 bits whose inputs are rounded, too: FP8 and int8 (W8A8), stored plain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from inferd.contracts.scaled_formats import BLOCK, E4M3
from inferd.layers.scaled import ScaledMatrix
from inferd_quant_compressed_tensors.keys import Checked, check, unusable

FORMATS = ("float-quantized", "int-quantized", "naive-quantized")
DTYPES = {"float": E4M3, "int": torch.int8}
DYNAMIC = {"tensor": "token", "channel": "token", "block": "group"}  # inputs, by weights


@dataclass(frozen=True, slots=True)
class EightBits:
    """How the matrices of one group of the configuration are stored."""

    dtype: torch.dtype
    blocks: bool
    static: bool  # one scale for all inputs of a matrix
    targets: tuple[str, ...]

    @property
    def format(self) -> str:
        return f"{'fp8' if self.dtype == E4M3 else 'int8'}_{'block' if self.blocks else 'row'}"

    def matrix(self) -> ScaledMatrix:
        return ScaledMatrix(self.dtype, "weight_scale", blocks=self.blocks, static=self.static)

    @classmethod
    def read(cls, name: str, group: Mapping[str, Any]) -> EightBits:
        """Raises UnsupportedModel for what is not read."""
        weights, inputs = group.get("weights") or {}, group.get("input_activations") or {}
        kind, strategy = weights.get("type"), weights.get("strategy")
        check(name, _weights(weights))
        static = not inputs.get("dynamic", False)
        wanted = "tensor" if static else DYNAMIC[str(strategy)]
        check(
            name,
            (
                ("input_activations.type", inputs.get("type"), (kind,)),
                ("input_activations.num_bits", inputs.get("num_bits"), (8,)),
                ("input_activations.symmetric", inputs.get("symmetric", True), (True,)),
                ("input_activations.strategy", inputs.get("strategy"), (wanted,)),
                ("output_activations", group.get("output_activations"), (None,)),
            ),
        )
        blocks = strategy == "block"
        if blocks and static:
            raise unusable(f"{name}.input_activations.dynamic", False, "true, with blocks")
        if blocks and inputs.get("group_size") != BLOCK:
            size = inputs.get("group_size")
            raise unusable(f"{name}.input_activations.group_size", size, str(BLOCK))
        return cls(DTYPES[str(kind)], blocks, static, tuple(group.get("targets") or ()))


def _weights(weights: Mapping[str, Any]) -> Checked:
    blocks = weights.get("strategy") == "block"
    known = ("tensor", "channel") if weights.get("type") == "int" else tuple(DYNAMIC)
    return (
        ("weights.type", weights.get("type"), tuple(DTYPES)),
        ("weights.num_bits", weights.get("num_bits"), (8,)),
        ("weights.symmetric", weights.get("symmetric", True), (True,)),
        ("weights.strategy", weights.get("strategy"), known),
        (
            "weights.block_structure",
            weights.get("block_structure") if blocks else None,
            ([BLOCK, BLOCK],) if blocks else (None,),
        ),
    )
