"""GGUF's matrices against gguf's own numpy, and a whole file packed and unpacked."""

from __future__ import annotations

import gguf
import pytest
import torch
from random_blocks import HALVES, blocks

from inferd.contracts.loader import RawTensor
from inferd.layers.gguf_blocks import STORAGE
from inferd.testing import PluginContract
from inferd_quant_gguf.matrix import GgufMatrix, coded


class TestPlugin(PluginContract):
    plugin = "gguf"


@pytest.mark.parametrize("name", HALVES)
def test_codes_stand_for_ggufs_values(name: str) -> None:
    rows_NB = blocks(name, 6, 512)
    kind = gguf.GGMLQuantizationType[name.upper()]
    expected = torch.from_numpy(gguf.quants.dequantize(rows_NB.numpy(), kind))
    weight = coded(STORAGE[f"gguf_{name}"], rows_NB)
    assert weight.shape == (6, 512)
    assert torch.equal(weight.dequantize(torch.float32), expected)


@pytest.mark.parametrize("storage", ["gguf_q4_k", "float16"])
def test_a_tensor_says_what_it_is(storage: str) -> None:
    dense = torch.randn(4, 256).half()
    data = dense if storage == "float16" else blocks("q4_k", 4, 256)
    form = STORAGE.get(storage)
    unpack = None if form is None else (lambda rows: form.unpack(rows.view(-1, form.num_bytes)))
    raw = RawTensor("m.weight", (4, 256), storage, data, unpack)
    matrix = GgufMatrix()
    weight = matrix.weight("m", {"weight": matrix.take("weight", raw)})
    values = weight.bfloat16() if form is None else weight.dequantize(torch.bfloat16)
    assert isinstance(weight, torch.Tensor) == (form is None)
    assert torch.equal(values, raw.unpack(torch.bfloat16))
