"""DeepSeek from GGUF files, old and new, says what transformers says on the dequantized weights."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from bench.mixture_gguf import Kind
from latent_keys import Case
from latents import write_both
from packed_answers import FORMATS, answers, check_answers
from safetensors.torch import load_file

from inferd.cli import main
from inferd.loading.gguf import GgufLoader

pytest.importorskip("inferd_models_deepseek")
pytest.importorskip("inferd_quant_gguf")
UNPACKED = "none,models_deepseek"
PACKED = f"{UNPACKED},gguf"
CASES = {  # as published models and the files of them differ
    "V2-Lite, old": Case(
        sigmoid=False, compressed=False, halves=False, groups=False, yarn=True, kind=Kind.Q8_0
    ),
    "V2, new": Case(
        sigmoid=False, compressed=True, halves=True, groups=True, yarn=True, kind=Kind.Q4_K
    ),
    "V3, old": Case(
        sigmoid=True, compressed=True, halves=False, groups=True, yarn=True, kind=Kind.F16
    ),
    "Moonlight, new": Case(
        sigmoid=True,
        compressed=False,
        halves=True,
        groups=False,
        yarn=False,
        kind=Kind.Q4_K,
        down=Kind.Q6_K,
    ),
}
BECOME: dict[str, set[str]] = {  # formats of their experts
    "V2-Lite, old": {"w8_g"},
    "V2, new": {"w4_m"},
    "V3, old": set(),
    "Moonlight, new": {"w4_m", "w8_g"},
}
BITS = {"gguf_q8_0": 8 + 16 / 32, "gguf_q4_k": 4 + 64 / 32, "gguf_q6_k": 8 + 32 / 16}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("deepseek")
    return {
        name: write_both(folder / name.replace(", ", "-"), case) for name, case in CASES.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_the_loader_yields_what_the_directory_has(files: dict[str, Path], name: str) -> None:
    loader, folder = GgufLoader(files[name]), files[name].with_suffix("")
    found = {raw.name: raw.unpack(torch.float32) for raw in loader.tensors()}
    expected = load_file(folder / "model.safetensors")
    assert found.keys() == expected.keys()
    for tensor, value in expected.items():
        assert torch.equal(found[tensor], value), tensor
    unread = {"torch_dtype", "bos_token_id", "eos_token_id"}
    config = json.loads((folder / "config.json").read_text())
    differ = {key: loader.config[key] for key in config.keys() - unread}
    assert differ == {key: config[key] for key in differ}


@pytest.mark.parametrize("name", CASES)
def test_packed_ones_say_what_transformers_says(
    files: dict[str, Path], name: str, exact_ops: set[str]
) -> None:
    formats = check_answers(files[name], PACKED)
    assert formats == (dict.fromkeys(FORMATS, "packed") if BECOME[name] else {})
    assert exact_ops == BECOME[name]


@pytest.mark.parametrize("name", CASES)
def test_unpacked_ones_do_so_too(files: dict[str, Path], name: str) -> None:
    assert check_answers(files[name], UNPACKED) == {}


@pytest.mark.parametrize("plugins", [PACKED, UNPACKED])
@pytest.mark.parametrize("name", ["V2-Lite, old", "Moonlight, new"])
@pytest.mark.usefixtures("exact_ops")
def test_plan_knows_what_they_take(
    files: dict[str, Path], name: str, plugins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """kv_b_proj is dense, whatever it was; all else takes what its format takes."""
    _, summary = answers(files[name], plugins)
    words = ["--json", "--dtype", "float32", "--plugins", plugins]
    assert main(["plan", str(files[name]), *words]) == 0
    assert json.loads(capsys.readouterr().out)["weight_bytes"] == summary["weight_bytes"]
    taken = 0.0
    for raw in GgufLoader(files[name]).tensors():
        packs = plugins == PACKED and "embed_tokens" not in raw.name
        bits = BITS.get(raw.storage, 32) if packs else 32
        taken += math.prod(raw.shape) * bits / 8
    assert summary["weight_bytes"] == taken
