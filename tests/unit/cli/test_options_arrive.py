"""Options reach every object that a worker and an engine make of a plugin's targets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "runner"))

from fake_model import HashModel, make_runner

from inferd.config.engine import EngineConfig
from inferd.contracts.model import ModelConfig
from inferd.engine.engine import Engine
from inferd.execution.in_process import InProcessExecutor
from inferd.host.host import Host
from inferd.loading.checkpoint import open_checkpoint
from inferd.runner.build import build
from inferd.runner.choices import choose_all, choose_platform

TARGETS = """
from inferd.builtin.cpu import CpuPlatform
from inferd.config.base import Options
from inferd.contracts.model import CausalLM
from inferd.contracts.verdict import YES

class Bits(Options):
    bits: int = 8

class Taker:
    architecture = "test"
    device = None
    needs_host = False
    prepare = synchronize = lambda self, *request: None
    preferred_dtype = lambda self, stored: stored
    name = "mine"
    supports = classmethod(lambda cls, *request: YES)
    detect = classmethod(lambda cls: YES)
    matches = classmethod(lambda cls, path: YES)
    attention_request = CausalLM.attention_request
    names, packed, seen = {}, {}, []

    def __init__(self, *args, options=None):
        self.seen.append(options.bits)

    @classmethod
    def from_config(cls, config, options=None):
        made = cls(options=options)
        cls.seen[-1] = f"from_config {options.bits}"
        return made

    @classmethod
    def columns(cls):
        return {}

    def ops(self, request):
        return {}

    def start(self):
        from inferd.contracts.executor import WorkerInfo
        return WorkerInfo(64, 100, 8, 16, (("full", None),), {})
"""
PLUGIN = """
INFERD_OPTIONS = "{module}:Bits"

def add(registry):
    registry.add("mine", "{module}:Taker", priority="tuned", summary="takes options")

def hook(kind):
    namespace = {{"add": add}}
    exec(f"def inferd_register_{{kind}}(registry): add(registry)", namespace)
    return hookimpl(namespace[f"inferd_register_{{kind}}"])

for kind in ("ops", "attention", "quantization", "platforms", "loaders", "executors",
             "schedule_policies", "logits_processors", "models"):
    globals()[f"inferd_register_{{kind}}"] = hook(kind)
"""
HF = {"num_attention_heads": 4, "hidden_size": 64}
CHECKPOINT = HF | {
    "architectures": ["mine"],
    "vocab_size": 100,
    "num_hidden_layers": 2,
    "max_position_embeddings": 64,
}


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
    assert seen == [4, 4, 4, "from_config 4"]  # and ops, attention, quantization


def test_a_model_gets_them(mine, tmp_path):
    config, host, seen = mine
    (tmp_path / "config.json").write_text(json.dumps(CHECKPOINT))
    model = config.model.model_copy(update={"model": str(tmp_path), "load_format": "dummy"})
    with pytest.raises(AttributeError, match="Taker"):  # it is no model
        build(config.model_copy(update={"model": model}), host)
    assert seen == [4, 4, 4, "from_config 4", 4]


def test_a_logits_processor_gets_them(mine, monkeypatch):
    _, host, seen = mine
    make_runner(monkeypatch, HashModel(), host.catalog.logits_processors)
    assert seen == [4]


def test_a_worker_in_the_engines_process_makes_its_host_with_them(mine, monkeypatch):
    config, host, _ = mine
    monkeypatch.setattr("inferd.runner.model_runner.ModelRunner", lambda _, its_host: its_host)
    executor = InProcessExecutor(config, host.resolved)
    its_host = executor._build()
    assert its_host.loaded == host.loaded
    assert its_host.options_of("taker").bits == 4


def test_a_loader_gets_them_found_or_named(mine, tmp_path):
    _, host, seen = mine
    open_checkpoint(tmp_path, host.catalog.loaders)
    open_checkpoint(tmp_path, host.catalog.loaders, "mine")
    assert seen == [4, 4]


def test_an_engine_passes_them_to_executor_and_policy(mine):
    config, host, seen = mine
    Engine(config, host).start()
    assert seen == [4, 4]
