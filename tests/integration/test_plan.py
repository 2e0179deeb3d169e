"""inferd plan counts the bytes of weights that loading then finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from inferd import LLM
from inferd.cli import main
from inferd.testing.tiny import write_checkpoint

SIZES = {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 2}
DYNAMIC = {r".*\.k_proj": {"bits": 8}, r"-:.*\.1\..*down_proj": {}}
METHODS: dict[str, dict[str, Any]] = {
    "awq": {"bits": 4, "group_size": 32},
    "gptq": {"bits": 4, "group_size": -1, "desc_act": False, "sym": False, "dynamic": DYNAMIC},
    "fp8": {"modules_to_not_convert": ["layers.1.mlp"]},
    "squeezellm": {"wbits": 4},
}


def planned(capsys: pytest.CaptureFixture[str], model: str, *words: str) -> int:
    assert main(["plan", model, "--json", *words]) == 0
    num_bytes: int = json.loads(capsys.readouterr().out)["weight_bytes"]
    return num_bytes


def loaded(model: str, **options: Any) -> int:
    with LLM(model, max_model_len=64, skip_tokenizer_init=True, **options) as llm:
        num_bytes: int = llm.info.summary["weight_bytes"]
        return num_bytes


@pytest.mark.parametrize("plugins", ["all", "no:gguf"])
def test_a_gguf_file(capsys: pytest.CaptureFixture[str], plugins: str) -> None:
    """Packed with scales and minima, a head of other blocks, a dense embedding; or unpacked."""
    assert planned(capsys, "smollm2", "--plugins", plugins) == loaded("smollm2", plugins=plugins)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", METHODS)
def test_formats(capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, dtype: str) -> None:
    """Dummies are repacked as what a checkpoint has."""
    pytest.importorskip(f"inferd_quant_{name}")
    config = write_checkpoint(tmp_path, **SIZES) | {"torch_dtype": dtype}
    stored = {"quant_method": name, **METHODS[name]}
    (tmp_path / "config.json").write_text(json.dumps(config | {"quantization_config": stored}))
    plugins = f"none,llama,{name}"
    found = planned(capsys, str(tmp_path), "--plugins", plugins)
    assert found == loaded(str(tmp_path), plugins=plugins, load_format="dummy")
