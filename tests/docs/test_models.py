"""What docs/reference/models.md says of all architectures holds for each of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from models_page import PLUGINS, contracts, module_at, native_variants, other_variants

from inferd.contracts.attention import AttentionRequest, supports
from inferd.contracts.model import ANY, ModelConfig
from inferd.host.host import Host
from inferd.host.selection import Selection

NATIVE, OTHERS = native_variants(), other_variants()
CATALOG = Host(Selection.parse("all")).catalog
PUBLISHED = {
    name: found
    for path in sorted(PLUGINS.glob("models_*/tests/test_published_configs.py"))
    for name, found in module_at(path).PUBLISHED.items()
}


def request_of(kind, architecture, hf) -> AttentionRequest:
    """In bfloat16 on a GPU of NVIDIA's."""
    config = ModelConfig(architecture, hf, torch.bfloat16, 96, hf["vocab_size"])
    return kind.attention_request(config, "cuda", 16)


def test_every_architecture_has_a_contract_which_changes_every_field_it_reads():
    ours = (e.name for e in CATALOG.models if e.target.startswith("inferd_models_"))
    assert set(ours) - {ANY} == contracts().keys()


@pytest.mark.parametrize("architecture", [*NATIVE, *OTHERS])
def test_on_a_gpu_triton_takes_it(architecture):
    native = architecture in NATIVE
    kind = CATALOG.models.load(architecture if native else ANY)
    triton = CATALOG.attention.load("triton")
    for hf in (NATIVE if native else OTHERS)[architecture]:
        verdict = supports(triton, request_of(kind, architecture, hf))
        assert verdict, verdict.reason


@pytest.mark.parametrize("name", PUBLISHED)
def test_on_a_gpu_triton_takes_heads_of_published_sizes(name):
    kind, hf, *_ = PUBLISHED[name]
    verdict = supports(CATALOG.attention.load("triton"), request_of(kind, name, hf))
    assert verdict, verdict.reason
