"""Registers the quantization method compressed-tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "compressed-tensors",
        "inferd_quant_compressed_tensors.method:CompressedTensorsMethod",
        summary="wNa16 of llmcompressor: packed integers of 4 and 8 bits",
    )
