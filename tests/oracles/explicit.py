"""What stands in a quantized checkpoint, in float64, by its format's specification alone.

Shape suffixes: K in features, N out features, G groups of K.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK = 128  # inputs and outputs to a scale
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # outputs of a word, from its lowest bits on
Tensors = Mapping[str, Tensor]  # of one matrix, by suffix


def codes(words: Tensor, bits: int) -> Tensor:
    """Each row as one string of bits, lowest first: int64 [rows, values]."""
    raw = np.unpackbits(words.contiguous().numpy().view(np.uint8), axis=1, bitorder="little")
    fields = raw.reshape(len(words), -1, bits).astype(np.int64)
    return torch.from_numpy(fields @ (1 << np.arange(bits)))


def gptq(stored: Tensors, config: Mapping[str, Any]) -> Tensor:
    """Version 1: a zero point is one more than what is stored."""
    bits, group_K = config["bits"], stored["g_idx"].long()
    codes_NK = codes(stored["qweight"].T, bits)
    zeros_GN = codes(stored["qzeros"], bits) + 1
    scales_GN = stored["scales"].double()
    return (codes_NK - zeros_GN[group_K].T) * scales_GN[group_K].T


def awq(stored: Tensors, config: Mapping[str, Any]) -> Tensor:
    def unpacked(words: Tensor) -> Tensor:
        fields = codes(words, 4).view(len(words), -1, 8)
        outputs = torch.empty_like(fields)
        outputs[:, :, list(AWQ_ORDER)] = fields
        return outputs.flatten(1)

    size = config["group_size"]
    zeros_KN = unpacked(stored["qzeros"]).repeat_interleave(size, 0)
    scales_KN = stored["scales"].double().repeat_interleave(size, 0)
    return ((unpacked(stored["qweight"]) - zeros_KN) * scales_KN).T


def scaled(stored: Tensors, config: Mapping[str, Any]) -> Tensor:
    """FP8 and int8 of compressed-tensors: a scale for the matrix, a row or a block."""
    weight_NK, scale = stored["weight"].double(), stored["weight_scale"].double()
    if scale.numel() == 1:
        return weight_NK * scale.view(())
    rows, columns = weight_NK.shape
    if scale.shape == (rows, 1):
        return weight_NK * scale
    whole = scale.repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
    return weight_NK * whole[:rows, :columns]


DEQUANTIZE: dict[str, Callable[[Tensors, Mapping[str, Any]], Tensor]] = {
    "gptq": gptq,
    "awq": awq,
    "compressed-tensors": scaled,
}


def dense(tensors: Tensors, config: Mapping[str, Any]) -> dict[str, Tensor]:
    """A whole checkpoint's tensors as they would stand without quantization, in float64."""
    dequantize = DEQUANTIZE[config["quant_method"]]
    found, packed = {}, dict[str, dict[str, Tensor]]()
    for name, tensor in tensors.items():
        module, _, suffix = name.rpartition(".")
        if module.endswith("_proj"):
            packed.setdefault(module, {})[suffix] = tensor
        else:
            found[name] = tensor.double()
    for module, stored in packed.items():
        found[f"{module}.weight"] = dequantize(stored, config)
    return found
