"""Mixtures of experts from GGUF files, packed, say what transformers says on dequantized weights.

Ops that multiply by what a weight stands for stand in for compiled ones: in float32 all is exact.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from bench.mixture_gguf import Kind
from mixtures import EXPERTS, FAMILIES, HIDDEN, INNER, LAYERS, joined, write_both
from packed_answers import FORMATS, answers, check_answers
from safetensors.torch import load_file

from inferd.cli import main
from inferd.loading.gguf import GgufLoader

pytest.importorskip("inferd_models_gpt")
pytest.importorskip("inferd_models_mixtral")
pytest.importorskip("inferd_quant_gguf")
UNPACKED = "none,models_gpt,models_mixtral"
PACKED = f"{UNPACKED},gguf"
Q4_K_M = {"blk.1.ffn_down": Kind.Q6_K, "blk.1.attn_v": Kind.Q6_K, "output.": Kind.Q6_K}
CASES = {  # what tensors with such a name are, and all others
    "llama": ({"ffn_down": Kind.Q8_0}, Kind.Q4_1),
    "qwen2moe": ({"blk.0": Kind.Q5_K, "ffn_down": Kind.Q4_0}, Kind.Q8_0),
    "qwen3moe": (Q4_K_M, Kind.Q4_K),
    "gpt-oss": ({"exps": Kind.MXFP4}, Kind.Q8_0),
}
BECOME = {  # formats of their experts
    "llama": {"w4_m", "w8_g"},
    "qwen2moe": {"w8_m", "w4_g", "w8_g"},
    "qwen3moe": {"w4_m", "w8_g"},
    "gpt-oss": {"w8_g"},
}
SIZES = {  # bits of a value: its code, and the numbers of its group
    Kind.Q4_0: 4 + 16 / 32,
    Kind.Q4_1: 4 + 32 / 32,
    Kind.Q8_0: 8 + 16 / 32,
    Kind.Q4_K: 4 + 64 / 32,
    Kind.Q5_K: 8 + 64 / 32,
    Kind.Q6_K: 8 + 32 / 16,
    Kind.MXFP4: 8 + 32 / 32,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("mixtures")
    return {arch: write_both(folder / arch, arch, *case) for arch, case in CASES.items()}


@pytest.mark.parametrize("arch", FAMILIES)
def test_the_loader_yields_what_the_directory_has(files: dict[str, Path], arch: str) -> None:
    found = {raw.name: raw.unpack(torch.float32) for raw in GgufLoader(files[arch]).tensors()}
    found = joined(found) if arch == "gpt-oss" else found
    expected = load_file(files[arch].with_suffix("") / "model.safetensors")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("arch", FAMILIES)
def test_packed_ones_say_what_transformers_says(
    files: dict[str, Path], arch: str, exact_ops: set[str]
) -> None:
    assert check_answers(files[arch], PACKED) == dict.fromkeys(FORMATS, "packed")
    assert exact_ops == BECOME[arch]


@pytest.mark.parametrize("arch", FAMILIES)
def test_unpacked_ones_do_so_too(files: dict[str, Path], arch: str) -> None:
    assert check_answers(files[arch], UNPACKED) == {}


@pytest.mark.usefixtures("exact_ops")
def test_a_layer_whose_gate_and_up_differ_is_dequantized(tmp_path: Path) -> None:
    kinds = {"blk.1.ffn_up_exps": Kind.Q6_K, **Q4_K_M}
    path = write_both(tmp_path / "m", "qwen3moe", kinds, Kind.Q4_K)
    expected = dict.fromkeys(FORMATS, "packed") | {"experts of 1 layer": "dequantized when loaded"}
    assert check_answers(path, PACKED) == expected


@pytest.mark.parametrize("arch", FAMILIES)
@pytest.mark.usefixtures("exact_ops")
def test_they_take_what_their_formats_take(
    files: dict[str, Path], arch: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the same model of which nothing is packed; and `inferd plan` knows it."""
    _, packed = answers(files[arch], PACKED)
    words = ["--json", "--dtype", "float32", "--plugins", PACKED]
    assert main(["plan", str(files[arch]), *words]) == 0
    assert json.loads(capsys.readouterr().out)["weight_bytes"] == packed["weight_bytes"]
    saved = 0.0
    for raw in GgufLoader(files[arch]).tensors():
        if raw.storage.startswith("gguf") and "embed" not in raw.name:
            bits = SIZES[Kind[raw.storage.removeprefix("gguf_").upper()]]
            saved += math.prod(raw.shape) * (4 - bits / 8)
    _, dense = answers(files[arch], UNPACKED)
    assert dense["weight_bytes"] - packed["weight_bytes"] == saved
    assert saved > LAYERS * EXPERTS * 3 * HIDDEN * INNER * (4 - SIZES[Kind.Q6_K] / 8)
