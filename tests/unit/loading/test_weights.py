"""Weights reach their modules, and what is missing, unexpected or misshapen is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf_files import convert
from safetensors.torch import load_file, save_file

from inferd.contracts.model import CausalLM
from inferd.errors import CheckpointError
from inferd.host.host import Host
from inferd.loading.gguf import GgufLoader
from inferd.loading.safetensors import SafetensorsLoader
from inferd.loading.weights import draw_weights, load_weights
from inferd.testing.drive import build_context
from inferd.testing.tiny import write_checkpoint


def make_model(config: Mapping[str, Any]) -> CausalLM:
    kind = Host.from_selection("all").catalog.models.load(config["architectures"][0])
    build = build_context(config, max_model_len=64, vocab_size=config["vocab_size"])
    model: CausalLM = kind(build)
    return model.eval()


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return write_checkpoint(tmp_path, num_hidden_layers=3)


def change(folder: Path, **tensors: torch.Tensor | None) -> None:
    """Replace, add or (None) remove tensors."""
    found = {**load_file(folder / "model.safetensors"), **tensors}
    kept = {name: tensor for name, tensor in found.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors")


def test_every_weight_arrives(tmp_path: Path, config: dict[str, Any]) -> None:
    model = make_model(config)
    seen: list[int] = []
    loader = SafetensorsLoader(tmp_path)
    report = load_weights(model, loader, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == loader.num_bytes == report.total_bytes(torch.float32)


def test_modules_are_repacked_as_soon_as_they_are_complete(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that unpacked copies do not pile up: at most one layer's wait at a time."""
    model = make_model(config)
    order: list[str] = []
    names = {id(module): name for name, module in model.named_modules()}
    from inferd.layers import LinearLayer

    finish = LinearLayer.finish
    monkeypatch.setattr(
        LinearLayer, "finish", lambda self: (order.append(names[id(self)]), finish(self))[1]
    )
    load_weights(model, _Announced(SafetensorsLoader(tmp_path), order))
    first = order.index("model.layers.0.self_attn.qkv_proj")
    assert order[first - 1].startswith("read model.layers.0.self_attn.")


def test_names_are_checked_before_anything_is_read(tmp_path: Path, config: dict[str, Any]) -> None:
    model = make_model(config)
    change(tmp_path, **{"model.layers.1.mlp.up_proj.weight": None, "model.stray": torch.ones(2)})
    loader = _Announced(SafetensorsLoader(tmp_path), read := [])
    with pytest.raises(CheckpointError, match=r"missing: model\.layers.*up_proj") as caught:
        load_weights(model, loader)
    assert "unexpected: model.stray" in str(caught.value)
    assert not read


class _Announced:
    """A loader that writes down what it yields."""

    def __init__(self, loader: SafetensorsLoader, order: list[str]) -> None:
        self.path, self.name, self.num_bytes = loader.path, loader.name, loader.num_bytes
        self._loader, self._order = loader, order

    def names(self) -> list[str]:
        return self._loader.names()

    def tensors(self) -> Iterator[Any]:
        for tensor in self._loader.tensors():
            self._order.append(f"read {tensor.name}")
            yield tensor


def test_missing_weights_are_named_as_they_are_stored(
    tmp_path: Path, config: dict[str, Any]
) -> None:
    removed = [f"model.layers.{layer}.self_attn.k_proj.bias" for layer in range(3)]
    change(tmp_path, **dict.fromkeys([*removed, "model.norm.weight"]))
    with pytest.raises(CheckpointError) as caught:
        load_weights(make_model(config), SafetensorsLoader(tmp_path))
    assert str(caught.value).splitlines() == [
        f"{tmp_path}: the checkpoint does not fit the model:",
        "  missing: model.layers.*.self_attn.k_proj.bias (3 times)",
        "  missing: model.norm.weight",
    ]
    assert caught.value.exit_code == 5


def test_unexpected_weights_are_grouped(tmp_path: Path, config: dict[str, Any]) -> None:
    extra = {f"model.layers.{layer}.self_attn.q_norm.weight": torch.ones(4) for layer in range(3)}
    ignored = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    change(tmp_path, **extra, **ignored, **{"score.weight": torch.ones(4)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(make_model(config), SafetensorsLoader(tmp_path))
    assert sorted(str(caught.value).splitlines()[1:]) == [
        "  unexpected: model.layers.*.self_attn.q_norm.weight (3 times)",
        "  unexpected: score.weight",
    ]


def test_many_differences_stay_within_a_screen(tmp_path: Path, config: dict[str, Any]) -> None:
    other = {f"x{i}.weight": torch.ones(2) for i in range(400)}
    save_file(other, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="unexpected: 392 more kinds") as caught:
        load_weights(make_model(config), SafetensorsLoader(tmp_path))
    assert len(str(caught.value).splitlines()) < 22


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("model.layers.1.self_attn.q_proj.weight", (96, 71), [96, 72]),
        ("model.layers.0.mlp.down_proj.weight", (96, 72), [72, 96]),
        ("model.layers.2.self_attn.v_proj.bias", (31,), [32]),
        ("model.embed_tokens.weight", (319, 72), [320, 72]),
        ("model.norm.weight", (73,), [72]),
        ("lm_head.weight", (320,), [320, 72]),
    ],
)
def test_a_wrong_shape_is_named(
    tmp_path: Path, config: dict[str, Any], name: str, shape: Any, expected: list[int]
) -> None:
    change(tmp_path, **{name: torch.ones(shape)})
    with pytest.raises(CheckpointError) as caught:
        load_weights(make_model(config), SafetensorsLoader(tmp_path))
    wanted = f"{tmp_path}: {name}: expected shape {expected}, found {list(shape)}"
    assert str(caught.value) == wanted


def test_a_weight_the_module_does_not_take(tmp_path: Path) -> None:
    config = write_checkpoint(tmp_path, num_hidden_layers=1, attention_bias=False)
    change(tmp_path, **{"model.layers.0.self_attn.q_proj.bias": torch.ones(96)})
    with pytest.raises(CheckpointError, match=r"q_proj.bias"):
        load_weights(make_model(config), SafetensorsLoader(tmp_path))


@pytest.mark.parametrize("first", [True, False], ids=["before its weight", "after it"])
def test_a_bias_of_zeros_that_the_module_does_not_take(
    tmp_path: Path, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """auto-gptq stores one for every linear, in another shard than its weight at times."""
    config = write_checkpoint(tmp_path, num_hidden_layers=1, attention_bias=False)
    name = "model.layers.0.self_attn.o_proj.bias"
    change(tmp_path, **{name: torch.zeros(72)})
    loader = SafetensorsLoader(tmp_path)
    ordered = sorted(loader.tensors(), key=lambda tensor: (tensor.name == name) != first)
    monkeypatch.setattr(loader, "tensors", lambda: iter(ordered))
    load_weights(make_model(config), loader)


def test_a_tied_head_needs_no_weights(tmp_path: Path) -> None:
    config = write_checkpoint(tmp_path, num_hidden_layers=1, tie_word_embeddings=True)
    load_weights(make_model(config), SafetensorsLoader(tmp_path))
    load_weights(make_model(config), GgufLoader(convert(tmp_path, config, tmp_path / "m.gguf")))
    untied = {**config, "tie_word_embeddings": False}
    with pytest.raises(CheckpointError, match=r"missing: lm_head.weight"):
        load_weights(make_model(untied), SafetensorsLoader(tmp_path))


def test_a_gguf_file_without_one_of_its_tensors(tmp_path: Path, config: dict[str, Any]) -> None:
    change(tmp_path, **{"model.layers.2.post_attention_layernorm.weight": None})
    path = convert(tmp_path, config, tmp_path / "m.gguf")
    with pytest.raises(CheckpointError) as caught:
        load_weights(make_model(config), GgufLoader(path))
    assert str(caught.value) == (
        f"{path}: the checkpoint does not fit the model:\n"
        "  missing: model.layers.*.post_attention_layernorm.weight"
    )


def test_dummy_weights_depend_on_the_seed_alone(config: dict[str, Any]) -> None:
    def drawn(seed: int) -> torch.Tensor:
        model = make_model(config)
        draw_weights(model, seed, torch.device("cpu"))
        ids = torch.arange(4)
        found: torch.Tensor = model.get_submodule("model.embed_tokens")(ids)
        return found

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))
    assert 0.01 < drawn(1).std() < 0.03
