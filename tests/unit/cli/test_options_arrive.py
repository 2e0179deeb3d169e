"""Options reach every object that a worker and an engine make of a plugin's targets."""

from __future__ import annotations

import pytest
import torch

from inferd.config.engine import EngineConfig
from inferd.contracts.model import ModelConfig
from inferd.engine.engine import Engine
from inferd.host.host import Host
from inferd.loading.checkpoint import open_checkpoint
from inferd.runner.choices import choose_all, choose_platform

TARGETS = """
from inferd.builtin.cpu import CpuPlatform
from inferd.config.base import Options
from inferd.contracts.verdict import YES

class Bits(Options):
    bits: int = 8

class Taker:
    architecture = "test"
    name = "mine"
    supports = classmethod(lambda cls, *request: YES)
    detect = classmethod(lambda cls: YES)
    matches = classmethod(lambda cls, path: YES)
    seen = []

    def __init__(self, *args, options=None):
        self.seen.append(options.bits)

    @classmethod
    def from_config(cls, config, options=None):
        return cls(options=options)

    def ops(self, request):
        return {}

    def start(self):
        from inferd.contracts.executor import WorkerInfo
        return WorkerInfo(64, 100, 8, 16, (("full", None),), {})
"""
PLUGIN = """
INFERD_OPTIONS = "{module}:Bits"

def add(registry):
    registry.add("mine", "{module}:Taker", priority="tuned")

def hook(kind):
    namespace = {{"add": add}}
    exec(f"def inferd_register_{{kind}}(registry): add(registry)", namespace)
    return hookimpl(namespace[f"inferd_register_{{kind}}"])

for kind in ("ops", "attention", "quantization", "platforms", "loaders", "executors",
             "schedule_policies"):
    globals()[f"inferd_register_{{kind}}"] = hook(kind)
"""
HF = {"num_attention_heads": 4, "hidden_size": 64}


@pytest.fixture
def mine(plugins):
    """(configuration, host, what the targets were given)."""
    module = f"{plugins.place.name}_targets"
    (plugins.place / f"{module}.py").write_text(TARGETS)
    plugins.add("taker", PLUGIN.format(module=module))
    config = EngineConfig.of(
        "model",
        plugins="none,taker",
        plugin_options={"taker": {"bits": 4}},
        platform="mine",
        attention_backend="mine",
        quantization="mine",
        executor="mine",
        scheduling_policy="mine",
    )
    host = Host.of(config.plugins)
    return config, host, host.catalog.ops.load("mine").seen


def test_a_worker_passes_them_on(mine):
    config, host, seen = mine
    platform = choose_platform(config, host)
    assert seen == [4]
    model = ModelConfig("AnyForCausalLM", HF, torch.float32, 64, 100)
    choose_all(config, host, platform, model)
    assert seen == [4] * 4  # and ops, attention, quantization


def test_a_loader_gets_them_found_or_named(mine, tmp_path):
    _, host, seen = mine
    open_checkpoint(tmp_path, host.catalog.loaders)
    open_checkpoint(tmp_path, host.catalog.loaders, "mine")
    assert seen == [4, 4]


def test_an_engine_passes_them_to_executor_and_policy(mine):
    config, host, seen = mine
    Engine(config, host).start()
    assert seen == [4, 4]
