"""Attention on a CPU: the compiled backend of cpu_numba beside those that come with inferd.

    python bench/kernels/attention_cpu.py [--rounds N] [--threads N]

One layer, in bfloat16, of shapes that models have. Prints the best time of each backend, in turn,
in milliseconds: of 64 rows that decode after 512 tokens, and of a prompt of 512.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from inferd.builtin.attention_cpu import CpuAttention
from inferd.builtin.attention_torch import TorchAttention
from inferd.contracts.attention import AttentionBackend, supports
from inferd.testing.attention_cases import ROWS, AttentionCase
from inferd.testing.attention_step import Step
from inferd_cpu_numba.attention import NumbaAttention

BASE = AttentionCase(dtype="bfloat16", scale=0.1)
SHAPES = {
    "SmolLM2 135M": replace(BASE, heads=9, kv_heads=3),
    "Gemma 2 2B, soft cap": replace(BASE, heads=8, kv_heads=4, head_dim=256, soft_cap=50.0),
    "BLOOM 560M, ALiBi": replace(BASE, heads=16, kv_heads=16, alibi=True),
    "Falcon 7B, 71 heads of one": replace(BASE, heads=71, kv_heads=1),
    "gpt-oss 20B, sinks": replace(BASE, heads=64, kv_heads=8, sinks=True),
    "DeepSeek-V2-Lite, latents": replace(BASE, heads=16, kv_heads=1, head_dim=576, value_dim=512),
}
STEPS = {"decode": [(1, 513)] * 64, "prompt": [(512, 512)]}
BACKENDS: tuple[type[AttentionBackend], ...] = (NumbaAttention, CpuAttention, TorchAttention)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    ROWS.update(STEPS)
    for name, shape in SHAPES.items():
        for rows in STEPS:
            case = replace(shape, rows=rows)
            step = Step(case, torch.device("cpu"))
            runs = {kind.name: prepared(kind, step, case) for kind in BACKENDS if can(kind, case)}
            best = dict.fromkeys(runs, float("inf"))
            for _ in range(args.rounds):
                for backend, run in runs.items():
                    best[backend] = min(best[backend], timed(run))
            found = "  ".join(f"{backend} {1e3 * took:.2f}" for backend, took in best.items())
            print(f"{name}, {rows}: {found}", flush=True)
    return 0


def can(kind: type[AttentionBackend], case: AttentionCase) -> bool:
    return bool(supports(kind, case.request("cpu")))


def prepared(
    kind: type[AttentionBackend], step: Step, case: AttentionCase
) -> Callable[[], torch.Tensor]:
    backend = kind()
    backend.prepare(case.request("cpu"))
    caches, q_THE = step.fill(backend, 0), step.queries(0)
    plan = backend.plan(step.batch, 1, step.spec, case.block_size)
    return lambda: backend.forward(q_THE, *caches, plan, step.params)


def timed(run: Callable[[], torch.Tensor]) -> float:
    """Seconds of a call, after one that is not counted."""
    run()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
