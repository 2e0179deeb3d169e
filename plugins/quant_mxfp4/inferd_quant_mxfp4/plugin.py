"""Registers the quantization method mxfp4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "mxfp4",
        "inferd_quant_mxfp4.method:Mxfp4Method",
        summary="gpt-oss' experts: 4-bit floats, a power of two for each 32",
    )
