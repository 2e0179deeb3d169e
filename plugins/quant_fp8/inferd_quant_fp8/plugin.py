"""Registers the quantization method fp8."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inferd.plugin import Registry, hookimpl

if TYPE_CHECKING:
    from inferd.contracts.quantization import QuantizationMethod


@hookimpl
def inferd_register_quantization(registry: Registry[QuantizationMethod]) -> None:
    registry.add(
        "fp8",
        "inferd_quant_fp8.method:Fp8Method",
        summary="FP8 of DeepSeek, Qwen and vLLM; dense weights rounded when loaded",
    )
