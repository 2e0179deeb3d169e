"""Weights are in memory once: what is allocated while a sharded checkpoint is loaded."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.profiler import ProfilerActivity, profile

from inferd.host.host import Host
from inferd.loading.safetensors import INDEX, SafetensorsLoader
from inferd.loading.weights import load_weights
from inferd.testing.drive import build_context
from inferd.testing.tiny import write_checkpoint

LAYERS = 8
WIDE = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": LAYERS}


def shard(folder: Path, files: int) -> None:
    """Tensors in turn, so that the parts of a layer come from all files."""
    tensors = load_file(folder / "model.safetensors")
    names = [f"model-{i:05}-of-{files:05}.safetensors" for i in range(1, files + 1)]
    weight_map = dict(zip(tensors, itertools.cycle(names), strict=False))
    for name in names:
        save_file({t: v for t, v in tensors.items() if weight_map[t] == name}, folder / name)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    (folder / "model.safetensors").unlink()


def load(folder: Path, config: dict[str, Any], dtype: torch.dtype) -> tuple[int, int]:
    """The most bytes of tensors that there were at a time, and those of the model."""
    kind = Host.from_selection("all").catalog.models.load(config["architectures"][0])
    build = build_context(config, max_model_len=64, vocab_size=config["vocab_size"], dtype=dtype)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        report = load_weights(kind(build), SafetensorsLoader(folder))
    events = [e for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    sizes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(itertools.accumulate(sizes)), report.total_bytes(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_more_than_a_layer_is_there_twice(tmp_path, dtype):
    config = write_checkpoint(tmp_path, **WIDE)
    shard(tmp_path, 4)
    peak, total = load(tmp_path, config, dtype)
    assert 0.9 * total <= peak <= total * (1 + 2 / LAYERS)  # some tensors stay in their file
