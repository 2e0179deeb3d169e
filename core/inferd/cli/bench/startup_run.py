"""Starts of the engine in fresh processes, with a filled or an empty cache of compiled kernels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from inferd.errors import EnvironmentProblem

COMMAND = [sys.executable, "-m", "inferd.cli.bench.startup_process"]
UNAVOIDABLE = ("python", "torch", "device")
Start = dict[str, Any]


def measure_starts(options: Mapping[str, Any], num_iters: int, *, cold: bool) -> dict[str, Any]:
    """The median of `num_iters` starts after one that fills the caches.

    With `cold`, Triton's cache is a folder of the benchmark's own, and that first start, which
    finds it empty, is reported too. `options` are those of LLM. Raises EnvironmentProblem.
    """
    if not cold:
        starts = [_start(options, {}) for _ in range(num_iters + 1)]
        return _figures(starts[1:], None)
    with tempfile.TemporaryDirectory() as folder:
        starts = [_start(options, {"TRITON_CACHE_DIR": folder}) for _ in range(num_iters + 1)]
    return _figures(starts[1:], starts[0])


def _start(options: Mapping[str, Any], environment: Mapping[str, str]) -> Start:
    done = subprocess.run(
        [*COMMAND, str(time.time())],
        input=json.dumps(options),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        problem = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise EnvironmentProblem(
            f"the engine did not start (exit code {done.returncode})\n{problem}"
        )
    start: Start = json.loads(done.stdout.splitlines()[-1])
    start["first_token_s"] = round(sum(start["phases_s"].values()), 3)
    return start


def _figures(warm: Sequence[Start], cold: Start | None) -> dict[str, Any]:
    ranked = sorted(warm, key=lambda start: start["first_token_s"])
    middle = ranked[len(ranked) // 2]
    first, phases = middle["first_token_s"], middle["phases_s"]
    figures = {
        **middle["setting"],
        "first_token_s": first,
        "all_first_token_s": [start["first_token_s"] for start in warm],
        "torch_and_device_s": round(sum(phases[name] for name in UNAVOIDABLE), 3),
        "phases_s": phases,
    }
    figures["over_torch_s"] = round(first - figures["torch_and_device_s"], 3)
    if cold is not None:
        figures["cold_first_token_s"] = cold["first_token_s"]
        figures["cold_over_warm_s"] = round(cold["first_token_s"] - first, 3)
        figures["cold_phases_s"] = cold["phases_s"]
    return figures
