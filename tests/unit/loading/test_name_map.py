"""Names of checkpoints and modules, by whole components."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from inferd.loading.name_map import NameMap


def name_map(names: Mapping[str, str], **packed: tuple[str, ...]) -> NameMap:
    return NameMap(SimpleNamespace(names=names, packed=packed))


NAMES = {
    "transformer.h": "model.layers",
    "h": "model.layers",
    "attn": "self_attn",
    "attn.c_attn": "self_attn.qkv_proj",
    "ln_f": "norm",
}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("transformer.h.0.attn.c_attn.weight", "model.layers.0.self_attn.qkv_proj.weight"),
        ("transformer.h.11.attn.c_proj.bias", "model.layers.11.self_attn.c_proj.bias"),
        ("h.3.attn.c_attn.weight", "model.layers.3.self_attn.qkv_proj.weight"),
        ("x.h2.attn2.ln_f_2.weight", "x.h2.attn2.ln_f_2.weight"),
        ("lm_head.weight", "lm_head.weight"),
    ],
)
def test_whole_components_are_replaced_and_the_longest_first(theirs: str, ours: str) -> None:
    module, suffix, part = name_map(NAMES).place(theirs)
    assert (f"{module}.{suffix}", part) == (ours, 0)


def test_back_to_the_first_spelling() -> None:
    found = name_map(NAMES).stored("model.layers.3.self_attn.qkv_proj", "weight", 0)
    assert found == "transformer.h.3.attn.c_attn.weight"


def test_parts_of_a_fused_module() -> None:
    names = name_map({"layers": "model.layers"}, gate_up=("gate", "up"))
    assert names.place("layers.2.up.scales") == ("model.layers.2.gate_up", "scales", 1)
    assert names.parts("model.layers.2.gate_up") == ("layers.2.gate", "layers.2.up")
    assert names.parts("model.layers.2.down") == ("layers.2.down",)
    assert names.stored("model.layers.2.gate_up", "scales", 1) == "layers.2.up.scales"


def test_without_names_nothing_changes() -> None:
    assert name_map({}).place("h.weight") == ("h", "weight", 0)
    assert name_map({}).stored("model.h", "weight", 0) == "model.h.weight"
