"""Registers the quantization method awq."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "awq",
        "inferd_quant_awq.method:AwqMethod",
        summary="AWQ: 4 bits in groups, layout GEMM",
    )
