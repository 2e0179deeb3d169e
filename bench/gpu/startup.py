"""The startup section: process start to first token, beside torch and CUDA alone."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from bench.gpu.processes import ROOT, inferd_environment

BARE = """
import torch
if torch.cuda.is_available():
    torch.zeros(1, device="cuda")
    torch.cuda.synchronize()
"""


def bare_torch_s() -> float:
    """Seconds of a process that imports torch and touches the device; the second of two."""
    taken = 0.0
    for _ in range(2):
        started = time.perf_counter()
        command = [sys.executable, "-c", BARE]
        subprocess.run(command, cwd=ROOT, env=inferd_environment(), check=True)
        taken = time.perf_counter() - started
    return round(taken, 2)


def with_cache(folder: str) -> dict[str, str]:
    """inferd's environment with Triton's compiled kernels in `folder`."""
    return {**inferd_environment(), "TRITON_CACHE_DIR": folder}


def startup_figures(bare: float, cold: dict[str, Any], warm: dict[str, Any]) -> dict[str, Any]:
    """`cold` and `warm` are the start lines of an empty and a filled Triton cache."""
    first = warm["first_token_s"]
    return {
        **warm,
        "torch_and_device_s": bare,
        "cold_first_token_s": cold["first_token_s"],
        "over_torch_s": round(first - bare, 2),
        "cold_over_warm_s": round(cold["first_token_s"] - first, 2),
    }
