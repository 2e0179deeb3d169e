"""inferd plugins why KIND MODEL: each candidate and its reason, for every kind of choice."""

from __future__ import annotations

import json

import pytest

from inferd.cli import main
from inferd.runner.explain import ANSWERS

CONFIG = {
    "architectures": ["FakeForCausalLM"],
    "vocab_size": 320,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
CANDIDATES = """
from inferd.contracts.model import CausalLM
from inferd.contracts.verdict import YES, no
from inferd.errors import UnsupportedModel

class Yes:
    attention_request = CausalLM.attention_request

class Here:
    supports = classmethod(lambda cls, *request: YES)
    detect = classmethod(lambda cls: no("no such device"))
    matches = classmethod(lambda cls, path: no(f"{path.name} is not mine"))

class Not:
    supports = classmethod(lambda cls, *request: no(f"cannot {len(request)}"))
    detect = classmethod(lambda cls: no("no driver"))
    matches = classmethod(lambda cls, path: no("never"))
"""
PLUGIN = """
def add(registry):
    registry.add("here", "{module}:Here", priority="tuned")
    registry.add("not", "{module}:Not", priority="tuned")
    registry.add("lost", "{module}:Lost", priority="tuned")

def hook(kind):
    namespace = {{"add": add}}
    exec(f"def inferd_register_{{kind}}(registry): add(registry)", namespace)
    return hookimpl(namespace[f"inferd_register_{{kind}}"])

for kind in ("ops", "attention", "quantization", "platforms", "loaders", "executors",
             "schedule_policies"):
    globals()[f"inferd_register_{{kind}}"] = hook(kind)

@hookimpl
def inferd_register_models(registry):
    registry.add("FakeForCausalLM", "{module}:Yes")
    registry.add("OtherForCausalLM", "{module}:Yes")
"""


@pytest.fixture
def model(plugins, tmp_path, monkeypatch):
    """A directory with a checkpoint; the plugin `three` offers candidates of every kind."""
    import torch
    from safetensors.torch import save_file

    module = f"{plugins.place.name}_candidates"
    (plugins.place / f"{module}.py").write_text(CANDIDATES)
    plugins.add("three", PLUGIN.format(module=module))
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file({"weight": torch.zeros(1)}, path / "model.safetensors")
    return path


def why(capsys, kind: str, model: str) -> dict[str, tuple[str, str]]:
    """Name -> (yes or no, reason)."""
    assert main(["plugins", "why", kind, model, "--plugins", "three", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["name"]: (row["fits"], row["reason"]) for row in rows}


@pytest.mark.parametrize("kind", ["ops", "attention"])
def test_each_candidate_is_asked_and_the_best_stands_first(model, capsys, kind):
    found = why(capsys, kind, str(model))
    assert found["here"] == ("yes", "")
    assert found["not"] == ("no", "cannot 1")
    assert found["lost"][0] == "no"
    assert "has no attribute 'Lost'" in found["lost"][1]
    assert found["torch"][0] == "yes"
    assert list(found)[-1] == "torch"  # the reference


def test_platforms_and_executors_need_no_model(model, capsys):
    assert why(capsys, "platforms", "nowhere")["not"] == ("no", "no driver")
    assert why(capsys, "platforms", "nowhere")["cpu"][0] == "yes"
    assert why(capsys, "executors", "nowhere")["in_process"] == ("yes", "")
    assert why(capsys, "executors", "nowhere")["here"] == ("no", "chosen by name: --executor")
    assert why(capsys, "schedule_policies", "nowhere")["fcfs"][0] == "yes"
    assert why(capsys, "schedule_policies", "nowhere")["here"][0] == "no"


def test_loaders_say_what_they_find(model, capsys):
    found = why(capsys, "loaders", str(model))
    assert found["safetensors"][0] == "yes"
    assert found["here"] == ("no", "model is not mine")
    assert found["gguf"][0] == "no"


def test_the_checkpoint_names_its_model_and_its_weights(model, capsys):
    models = why(capsys, "models", str(model))
    assert models["FakeForCausalLM"] == ("yes", "")
    assert models["OtherForCausalLM"] == ("no", "the checkpoint is a FakeForCausalLM")
    assert why(capsys, "quantization", str(model))["unquantized"] == ("yes", "")
    quantized = CONFIG | {"quantization_config": {"quant_method": "not"}}
    (model / "config.json").write_text(json.dumps(quantized))
    found = why(capsys, "quantization", str(model))
    assert found["not"] == ("no", "cannot 2")
    assert found["here"] == ("no", "the checkpoint's weights are not")
    assert found["unquantized"][0] == "no"


@pytest.mark.parametrize("kind", ["attention", "ops", "loaders", "models", "quantization"])
def test_a_model_that_is_not_there_is_an_error(model, capsys, kind):
    assert main(["plugins", "why", kind, str(model / "absent"), "--plugins", "three"]) == 2
    assert "there is no model at" in capsys.readouterr().err


def test_a_model_that_cannot_be_read_is_an_error(model, capsys):
    (model / "config.json").write_text("{")
    assert main(["plugins", "why", "attention", str(model), "--plugins", "three"]) == 5
    assert "config.json" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["routes", "nonsense"])
def test_a_kind_without_a_choice_lists_those_with_one(capsys, kind):
    assert main(["plugins", "why", kind]) == 2
    assert ", ".join(ANSWERS) in capsys.readouterr().err
