"""Names of checkpoints and modules, by whole components."""

from __future__ import annotations

import pytest

from inferd.loading.name_map import NameMap

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
    assert NameMap(NAMES).ours(theirs) == ours


def test_back_to_the_first_spelling() -> None:
    ours = "model.layers.3.self_attn.qkv_proj.weight"
    assert NameMap(NAMES).theirs(ours) == "transformer.h.3.attn.c_attn.weight"


def test_without_names_nothing_changes() -> None:
    assert NameMap({}).ours("model.h.weight") == NameMap({}).theirs("model.h.weight")
