"""Registers the quantization method squeezellm."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "squeezellm",
        "inferd_quant_squeezellm.method:SqueezeMethod",
        summary="SqueezeLLM: tables of 8 and 16 values per row, sparse outliers",
    )
