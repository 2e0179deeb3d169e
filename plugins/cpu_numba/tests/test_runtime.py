"""Compiling: for whom, when, and where it is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from inferd.contracts.attention import AttentionRequest
from inferd.contracts.ops import OpRequest
from inferd_cpu_numba import runtime
from inferd_cpu_numba.attention import NumbaAttention
from inferd_cpu_numba.ops import NumbaOps

OP = """
import torch
from inferd.contracts.ops import OpRequest
from inferd_cpu_numba.ops import NumbaOps
ops = NumbaOps().ops(OpRequest("cpu", "any", torch.float32))
print(ops["act_and_mul"]["silu"](torch.ones(1, 32)).sum().item())
"""


def run(code: str, **environment: str) -> str:
    return outputs(code, **environment)[0].strip()


def outputs(code: str, **environment: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, done.stderr


def test_nothing_imports_numba_before_it_is_chosen():
    modules = "inferd_cpu_numba.plugin, inferd_cpu_numba.attention, inferd_cpu_numba.ops"
    assert run(f"import sys, {modules}; print('numba' in sys.modules)") == "False"


def test_a_second_process_finds_what_the_first_compiled(tmp_path):
    first = run(OP, INFERD_CACHE=str(tmp_path))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    assert len(kept) >= 10
    assert run(OP, INFERD_CACHE=str(tmp_path)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")} == kept


def test_a64_a_cache_that_cannot_be_written_is_done_without_and_told_of_once(tmp_path):
    (tmp_path / "file").write_text("")
    printed, told = outputs(OP, INFERD_CACHE=str(tmp_path / "file"))
    assert float(printed) == pytest.approx(11.697, abs=0.01)
    assert told.count("cannot be kept in") == 1


FULL = """
import resource
from inferd_cpu_numba import runtime
from inferd_cpu_numba.kernels import parallel
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # compiled code is longer
for _ in range(2):
    compiler = runtime.Compiler()
    print(compiler.function(parallel.RUN, parallel.run, nogil=True).signatures != [])
"""


def test_a64_a_full_disk_is_done_without_and_told_of_once(tmp_path):
    printed, told = outputs(FULL, INFERD_CACHE=str(tmp_path))
    assert printed.split() == ["True", "True"]
    assert told.count("cannot be kept in") == 1
    assert not list(tmp_path.rglob("*.nbc"))


def test_numbas_own_cache_directory_is_left_alone(tmp_path, monkeypatch):
    from numba import config

    before = config.CACHE_DIR
    with runtime._kept_in(tmp_path) as keep:
        assert keep
        assert str(tmp_path) == config.CACHE_DIR
    assert before == config.CACHE_DIR


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"platform": "cuda"}, "made for CPUs, this is cuda"),
        ({"dtype": torch.float16}, "not torch.float16"),
        ({"head_dim": 72}, "sizes of heads in sixteens, not 72"),
        ({"block_size": 8}, "sizes of blocks in sixteens, not 8"),
        ({"value_dim": 40}, "sizes of values in sixteens, not 40"),
    ],
)
def test_attention_says_why_not(change, reason):
    fits = AttentionRequest("cpu", 8, 2, 64, torch.float32, 16)
    assert NumbaAttention.supports(fits)
    assert reason in NumbaAttention.supports(replace(fits, **change)).reason


def test_without_an_openmp_to_share_both_say_no(monkeypatch):
    monkeypatch.setattr(runtime, "launcher", lambda: 0)
    verdict = NumbaOps.supports(OpRequest("cpu", "any", torch.float32))
    assert not verdict
    assert "GOMP_parallel" in verdict.reason
