"""Mxfp4Method: experts in MXFP4, everything else as it is."""

from __future__ import annotations

from inferd.layers.matrix_format import DenseFormat, MatrixFormat
from inferd.layers.packed_method import PackedMethod
from inferd_quant_mxfp4.matrix import Mxfp4Matrix


class Mxfp4Method(PackedMethod):
    """As gpt-oss is published: attention, router, embedding and head are in bfloat16."""

    name = "mxfp4"

    def formats(self) -> list[str]:
        return ["w8_g"]

    def matrix(self, name: str) -> MatrixFormat:
        return Mxfp4Matrix() if ".experts" in f".{name}" else DenseFormat()
