"""Mxfp4Method: experts in MXFP4, everything else as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from inferd.contracts.ops import Ops
from inferd.contracts.quantization import (
    ExpertsMethod,
    ExpertsSpec,
    LinearMethod,
    LinearSpec,
    QuantizationMethod,
)
from inferd.layers.packed import DenseFormat, PackedLinear
from inferd_quant_mxfp4.experts import Mxfp4Experts


class Mxfp4Method(QuantizationMethod):
    """As gpt-oss is published: attention, router, embedding and head are in bfloat16."""

    name = "mxfp4"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:  # noqa: ARG003 - nothing varies
        return cls()

    def formats(self) -> list[str]:
        return ["mxfp4"]

    def create(self, spec: LinearSpec, ops: Ops) -> LinearMethod:
        return PackedLinear(spec, ops, [DenseFormat()] * len(spec.out_features))

    def create_experts(self, spec: ExpertsSpec, ops: Ops) -> ExpertsMethod:
        return Mxfp4Experts(spec, ops)
