"""Registers GGUF's quantization in place of the one that unpacks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "gguf",
        "inferd_quant_gguf.method:GgufMethod",
        summary="weights stay packed, where an op multiplies them",
        replaces="gguf",
    )
