"""Where a decode step of the worker spends its time, phase by phase.

    python bench/runner.py MODEL [--rows 1 64] [--context 512] [--steps 50] [--sampling greedy top_p]

`host` is what the runner adds to the model: everything but attention plans, forward and output head.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from inferd.config.engine import EngineConfig
from inferd.host.host import Host
from inferd.params import SamplingParams
from inferd.runner.model_runner import ModelRunner
from inferd.types import RowStart, StepPlan

SAMPLING = {
    "greedy": SamplingParams(temperature=0.0),
    "random": SamplingParams(),
    "top_k": SamplingParams(top_k=40),
    "top_p": SamplingParams(top_p=0.9),
    "penalties": SamplingParams(temperature=0.0, repetition_penalty=1.1, presence_penalty=0.5),
    "logprobs": SamplingParams(temperature=0.0, logprobs=5),
    "bias": SamplingParams(temperature=0.0, logit_bias={5: 1.0}, min_tokens=8000, max_tokens=8100),
}
MODEL_PHASES = ("attention plan", "forward", "output head")


class Clock:
    """Milliseconds per phase and step; phases inside others are charged to themselves only."""

    def __init__(self) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)
        self._inner = 0.0

    def wrap(self, owner: Any, name: str, phase: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            outer, self._inner = self._inner, 0.0
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                taken = time.perf_counter() - started
                self.spent[phase].append((taken - self._inner) * 1e3)
                self._inner = outer + taken

        object.__setattr__(owner, name, timed)


def watch(runner: Any) -> Clock:
    clock = Clock()
    clock.wrap(runner, "_apply_diffs", "diffs")
    clock.wrap(runner._inputs, "batch", "inputs")
    clock.wrap(runner._inputs, "sample_step", "sample inputs")
    clock.wrap(runner._attention, "plan", "attention plan")
    clock.wrap(runner._model, "forward", "forward")
    clock.wrap(runner._model, "compute_logits", "output head")
    clock.wrap(runner._sampler, "sample", "sample")
    clock.wrap(runner, "collect", "collect")
    clock.wrap(runner, "forward", "rest of forward launch")
    clock.wrap(runner, "sample", "rest of sample launch")
    return clock


class Plans:
    """Rows with `context` tokens each, one more per step."""

    def __init__(self, rows: int, context: int, steps: int, params: SamplingParams) -> None:
        self.rows, self.context, self.step_id = rows, context, 0
        size = 16
        self._per_row = -(-(context + steps + 1) // size)
        self._params = params
        self._starts = [self._start(row) for row in range(rows)]

    def _start(self, row: int) -> RowStart:
        tokens = np.random.default_rng(row).integers(0, 1000, self.context).tolist()
        blocks = list(range(1 + row * self._per_row, 1 + (row + 1) * self._per_row))
        return RowStart(row, 1, str(row), 0, tokens, [], self._params, row, [2], [], [blocks])

    def prefill(self, row: int) -> StepPlan:
        self.step_id += 1
        return StepPlan(
            self.step_id, [row], [1], [self.context], [0], [True], new_rows=[self._starts[row]]
        )

    def decode(self) -> StepPlan:
        self.step_id += 1
        n = self.rows
        start = self.context + self.step_id - n - 1
        return StepPlan(self.step_id, list(range(n)), [1] * n, [1] * n, [start] * n, [True] * n)


def run(runner: Any, plan: StepPlan) -> None:
    runner.forward(plan)
    runner.sample(plan.step_id)
    runner.collect()


def measure(runner: Any, clock: Clock, args: argparse.Namespace, rows: int, kind: str) -> None:
    plans = Plans(rows, args.context, args.steps + 3, SAMPLING[kind])
    runner._last_step = None
    for row in range(rows):
        run(runner, plans.prefill(row))
    for _ in range(3):
        run(runner, plans.decode())
    clock.spent.clear()
    totals = []
    for _ in range(args.steps):
        started = time.perf_counter()
        run(runner, plans.decode())
        totals.append((time.perf_counter() - started) * 1e3)
    print(f"\n{rows} rows, context {args.context}, {kind}: {statistics.median(totals):.2f} ms/step")
    host = 0.0
    for phase, values in clock.spent.items():
        typical = statistics.median(values)
        host += 0.0 if phase in MODEL_PHASES else typical
        print(f"  {phase:24} {typical:8.3f} ms")
    print(f"  {'host':24} {host:8.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--sampling", nargs="+", default=["greedy"], choices=sorted(SAMPLING))
    args = parser.parse_args()
    config = EngineConfig.of(
        args.model,
        dtype=args.dtype,
        max_num_seqs=max(args.rows),
        num_blocks=2 + max(args.rows) * -(-(args.context + args.steps + 8) // 16),
        max_model_len=args.context + args.steps + 8,
    )
    runner = ModelRunner(config, Host.from_selection("all"))
    clock = watch(runner)
    for rows in args.rows:
        for kind in args.sampling:
            measure(runner, clock, args, rows, kind)


if __name__ == "__main__":
    main()
