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
        summary="llmcompressor's: packed integers of 4 and 8 bits, FP8 and int8 W8A8",
    )
    registry.add(
        "int8",
        "inferd_quant_compressed_tensors.method:Int8Method",
        summary="dense weights rounded to int8 when loaded, inputs by token",
    )
