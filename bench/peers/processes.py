"""Running one driver in its engine's environment, and what it takes along."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.peers.machine import CpuClock, end_children

from inferd.loading.sources import resolve

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ROOT / "bench/data/cpu_prompts.json"
DRIVERS = {  # engine -> driver
    "inferd": "bench.peers.inferd_driver",
    "inferd_served": "bench.peers.inferd_served",
    "vllm": "bench.peers.vllm",
    "hf": "bench.peers.hf",
    "llama": "bench.peers.llama",
}


def convert(model: str, cache: Path) -> tuple[Path, Path]:
    """The Hugging Face directory and the BF16 GGUF of `model`; written unless they are there."""
    source = resolve(model)
    folder, gguf = cache / f"{source.stem}-bf16", cache / f"{source.stem}-bf16.gguf"
    done = cache / f"{source.stem}-bf16.done"
    if not done.exists():
        command = [sys.executable, "-m", "bench.peers.convert", str(source)]
        subprocess.run([*command, "--hf", folder, "--gguf", gguf], cwd=ROOT, check=True)
        done.touch()
    return folder, gguf


def run_driver(engine: str, python: str, weights: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The driver's Figures as a dict with `foreign_cores`, or {"failed": why}."""
    command = [python, "-m", DRIVERS[engine], "--model", weights, "--prompts", PROMPTS]
    command += ["--threads", args.threads, "--requests", args.requests, "--parts", *args.parts]
    command += ["--started", time.time()]
    before = CpuClock.now()
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd=ROOT,
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=args.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"no end after {args.timeout:g} s"}
    finally:
        end_children()
    return read_figures(done) | {"foreign_cores": before.foreign_cores(CpuClock.now())}


def read_figures(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last line that is JSON (engines print while they end), or why there is none."""
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        complaint = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return {"failed": f"exit code {done.returncode}: {complaint}"}
    figures: dict[str, Any] = json.loads(lines[-1])
    return figures


def _environment() -> dict[str, str]:
    """Each driver sets its engine's threads itself."""
    kept = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return kept | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
