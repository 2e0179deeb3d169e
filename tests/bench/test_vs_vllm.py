"""The GPU benchmark end to end on a tiny shape, on the CPU, with inferd alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--shape", "tiny", "--requests", "0.02", "--reps", "1")
EVERY = ("w1", "w3", "batch", "ttft", "prefill", "sampled", "served", "startup")


def run(tmp_path, module, *flags):
    environment = {**os.environ, "INFERD_CACHE": str(tmp_path), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", module, *flags, "--json", str(tmp_path / "found.json")],
        cwd=ROOT,
        env=environment | {"CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_section_has_its_figures(tmp_path):
    flags = (*SMALL, "--rates", "64", "--runs", "1", "--log", str(tmp_path / "log"))
    done = run(tmp_path, "bench.vs_vllm", *EVERY, *flags)
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["problems"] == [], done.stdout + done.stderr
    sections = found["engines"]["inferd"]
    assert sections.keys() >= {"start", "w1", "w3", "batch128", "ttft", "prefill", "startup"}
    assert sections["w1"]["out_tok_s"] > 0
    assert sections["sampled"].keys() >= {"greedy_ms", "sampled_ratio", "logprobs_ratio"}
    assert sections["startup"].keys() >= {"over_torch_s", "cold_over_warm_s", "engine_phase_s"}
    served = sections["served64"]
    assert served["requests"] == 26 and served["failed"] == 0
    assert 1 <= served["tokens_per_piece"] < 8  # a busy front end sends what has come together
    assert done.returncode == 0 and "served64 ttft_p99_ms" in done.stdout


def test_a_peer_that_cannot_start_is_a_problem_with_its_log(tmp_path):
    flags = (*SMALL, "--only", "vllm", "--peer-python", sys.executable, "--peer-path", "nowhere")
    done = run(tmp_path, "bench.vs_vllm", "ttft", *flags, "--log", str(tmp_path / "log"))
    assert done.returncode == 1
    assert "vllm, ttft: exit code 1" in done.stdout and "No module named" in done.stdout


@pytest.mark.parametrize("still", [(), ("--still",)])
def test_the_hosts_parts_of_a_step_add_up(tmp_path, still):
    flags = ("--shape", "tiny", "--batch", "2", "--context", "8", "--steps", "4")
    done = run(tmp_path, "bench.gpu.host", *flags, *still)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["parts_ms"].keys() >= {"schedule", "inputs and launches", "commit"}
    assert min(found["parts_ms"].values()) > 0
    assert sum(found["parts_ms"].values()) == pytest.approx(found["host_ms"], abs=1e-3)
