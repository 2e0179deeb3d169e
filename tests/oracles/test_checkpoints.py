"""Checkpoints of gptqmodel and llmcompressor say what their numbers, dequantized in float64, say.

128 does not divide SmolLM2's 576 inputs: groups are of 64 and of 32.
Shape suffixes: T tokens, K in features, N out features.
"""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from bench.scoring import perplexity, scored
from explicit import dense
from safetensors.torch import load_file, save_file

from inferd.contracts.loader import RawTensor
from inferd.contracts.quantization import LinearSpec
from inferd.host.host import Host
from inferd.testing import reference
from inferd.testing.drive import installed_ops
from inferd.testing.numbers import DTYPES, check_rounded

pytestmark = pytest.mark.oracles
MADE = (
    "--to gptq --group-size 64",
    "--to gptq --group-size 32 --act-order",
    "--to gptq --group-size 64 --bits 8",
    "--to awq --group-size 64",
    "--to fp8",
    "--to fp8-static",
    "--to fp8-block",
    "--to int8",
)
MOST = 0.005  # of the perplexity


@pytest.fixture(params=MADE)
def packed(request, quantized):
    """A checkpoint's folder, its tensors, and what its configuration says of them."""
    folder = quantized(request.param)
    config = json.loads((folder / "config.json").read_text())
    return folder, load_file(folder / "model.safetensors"), config["quantization_config"]


@pytest.fixture
def unpacked(packed, tmp_path):
    """What the checkpoint stands for, in float32."""
    folder, tensors, stored = packed
    for path in (*folder.glob("tokenizer*"), folder / "generation_config.json"):
        shutil.copy(path, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config["quantization_config"]
    config["torch_dtype"] = config["dtype"] = "float32"
    (tmp_path / "config.json").write_text(json.dumps(config))
    floats = {name: tensor.float().contiguous() for name, tensor in dense(tensors, stored).items()}
    save_file(floats, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_linear_of_a_layer_is_within_the_table(packed, dtype):
    """The bounds of docs/reference/quantization.md."""
    _, tensors, stored = packed
    method = Host().catalog.quantization.load(stored["quant_method"]).from_config(stored)
    layer = {name: tensor for name, tensor in tensors.items() if ".layers.7." in name}
    for name, weight_NK in dense(layer, stored).items():
        if weight_NK.dim() == 2:
            linear = loaded(method, name.removesuffix(".weight"), weight_NK.shape, layer, dtype)
            for tokens in (1, 9):
                draw = torch.Generator().manual_seed(tokens)
                x_TK = torch.randn(tokens, weight_NK.shape[1], generator=draw).to(DTYPES[dtype])
                expected_TN = reference.linear(x_TK, weight_NK, None)
                check_rounded(f"{name}, {tokens} tokens", linear(x_TK), expected_TN, dtype)


def loaded(method, name, shape, tensors, dtype):
    """The linear that the method makes of a matrix."""
    rows, columns = shape
    device = torch.device("cpu")
    spec = LinearSpec(name, columns, (rows,), False, DTYPES[dtype], device, (name,))
    linear = method.create(spec, installed_ops("cpu", DTYPES[dtype]))
    for full, tensor in tensors.items():
        module, _, suffix = full.rpartition(".")
        if module == name:
            storage = str(tensor.dtype).removeprefix("torch.")
            linear.load(suffix, 0, RawTensor(full, tuple(tensor.shape), storage, tensor))
    return linear.finish()


def test_the_model_says_what_its_numbers_say(packed, unpacked, prompts):
    texts = prompts[32:40]
    expected, continued = scored(unpacked, texts, "float32")
    exact, same = scored(packed[0], texts, "float32")
    rounded, _ = scored(packed[0], texts, "bfloat16")
    assert (exact - expected).abs().max() < 1e-3
    assert same == continued
    dense_perplexity, found = perplexity(expected), perplexity(rounded)
    print(f"perplexity {found:.4f}, of float64 dequantization {dense_perplexity:.4f}")
    assert abs(found / dense_perplexity - 1) < MOST
