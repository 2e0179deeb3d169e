"""Architectures that no plugin has by name against transformers, without code for any of them."""

from __future__ import annotations

from typing import Any

import pytest
from architectures import CLOSE, CONFIGS, FEW

from inferd.host.host import Host
from inferd.testing import PluginContract
from inferd.testing.one_thread import OneThread
from inferd.testing.oracle import Oracle, ask
from inferd.testing.parity import SAME, WAYS, distance, load
from inferd.testing.served import check_greedy
from inferd.testing.tiny import BASE
from inferd_models_transformers.model import TransformersForCausalLM

LENGTH = 96  # tokens of a prompt: more than any window and original length
LEAST_SPREAD, LEAST_FAVOURITES = 1.0, 3.0  # as ModelContract asks


class TestPlugin(PluginContract):
    plugin = "models_transformers"


def oracle_of(architecture: str) -> Oracle:
    fields: dict[str, Any] = {**BASE, **CONFIGS[architecture], "architectures": [architecture]}
    return ask(architecture, {k: v for k, v in fields.items() if v is not None}, LENGTH)


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=[] if name in FEW else [pytest.mark.slow]) for name in CONFIGS],
)
class TestParity(OneThread):
    def test_the_oracle_can_tell(self, architecture):
        oracle = oracle_of(architecture)
        assert oracle.spread >= LEAST_SPREAD
        assert oracle.favourites >= LEAST_FAVOURITES

    @pytest.mark.parametrize("way", WAYS)
    def test_logits(self, architecture, way):
        oracle = oracle_of(architecture)
        found = distance(load(TransformersForCausalLM, oracle), oracle, way)
        assert found < SAME, f"logits differ by {found:.1e} standard deviations"

    def test_greedy_tokens_before_and_after_a_prefix_hit(self, architecture, tmp_path):
        check_greedy(tmp_path, architecture, oracle_of(architecture))


def test_there_are_many_and_none_is_native():
    native = {entry.name for entry in Host.from_selection("all").catalog.models}
    assert CLOSE.keys() < CONFIGS.keys()
    assert len(CONFIGS) - len(CLOSE) >= 25
    assert not native & CONFIGS.keys()
