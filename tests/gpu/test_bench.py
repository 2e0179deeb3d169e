"""inferd bench on a GPU: what is replayed there, and what only a GPU's trace has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hardware import PLATFORM

from inferd.cli import main
from inferd.testing.tiny import write_checkpoint

pytestmark = pytest.mark.gpu
SHAPE = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64, "num_attention_heads": 8}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("model")
    write_checkpoint(folder, "LlamaForCausalLM", seed=1, max_position_embeddings=2048, **SHAPE)
    return str(folder)


def bench(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["bench", *words, "--json"]) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert values["platform"] == PLATFORM
    return values


def test_a_step_is_its_kernels(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--batch-size", "1", "32", "--attention", "32x512", "1x1000+7x64", "--prefill", "1500"]
    values = bench(capsys, "roofline", "--model", model, *sizes, "--input-len", "256")
    for step in [*values["decode"], values["prefill"]]:
        assert all(part["ms"] > 0 for part in step["parts"].values())
        assert step["sum_ms"] < 3 * step["step_ms"]
    assert values["copy_gb_per_s"] > 100 and values["matmul_tflop_per_s"] > 10


def test_a_trace_has_the_devices_kernels(
    model: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "trace.json"
    sizes = ["--batch-size", "16", "--input-len", "100", "--num-iters", "20", "--mixed", "32"]
    values = bench(capsys, "profile", "--model", model, *sizes, "--trace", str(file))
    assert 0 < values["gpu_busy"] <= 1 and values["kernels"]
    assert values["host_ms_per_step"] > 0 and file.stat().st_size > 0


def test_a_start_with_no_compiled_kernel_takes_longer(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    values = bench(capsys, "startup", "--model", model, "--cold", "--num-iters", "1")
    assert values["cold_over_warm_s"] > 0
    assert values["phases_s"]["recording"] > 0
