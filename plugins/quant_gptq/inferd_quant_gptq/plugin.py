"""Registers the quantization method gptq."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "gptq",
        "inferd_quant_gptq.method:GptqMethod",
        summary="GPTQ: 2, 3, 4 and 8 bits, groups, act-order",
    )
