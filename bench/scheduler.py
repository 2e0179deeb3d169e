"""What the scheduler costs per step, and what its block tables waste.

    python bench/scheduler.py [--sizes 64 256 1024] [--steps 400] [--json]

Steps: `schedule()` + `commit()` while every sequence decodes, one step ahead, prefix cache on; one
sequence in sixteen crosses into a new block at each step and one fills (and registers) its last.

Waste: allocated but unfilled KV slots over allocated ones, summed over the steps of a simulation of
bench/data/w3.json (1,000 log-normal requests at once), beside what contiguous allocation would
waste on the same running sequences: up to the longest context, or, with foresight, to their end.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections import deque
from pathlib import Path
from typing import Any

from inferd.config.scheduler import SchedulerOptions
from inferd.memory.block_table import CacheLayout
from inferd.params import SamplingParams
from inferd.scheduling.policy import FcfsPolicy
from inferd.scheduling.scheduler import Scheduler
from inferd.scheduling.simulate import CostModel, load_trace, simulate
from inferd.types import Request, StepPlan, StepResult

SIZES = [64, 128, 256, 512, 1024, 2048]
TARGETS_US = {256: 400, 1024: 1500}
TRACE = Path(__file__).parent / "data" / "w3.json"
CONTEXT = 2048  # the longest request of the trace
PROMPT = (32, 512)  # tokens
STOP = 2


def new_scheduler(rows: int, num_blocks: int, context: int) -> Scheduler:
    options = SchedulerOptions(
        max_num_seqs=rows, max_num_batched_tokens=8192, max_num_queued_reqs=65536
    )
    return Scheduler(options, CacheLayout(num_blocks, 16), context, FcfsPolicy(), depth=1)


def result_of(plan: StepPlan) -> StepResult:
    rows = [row for row, samples in zip(plan.rows, plan.samples, strict=True) if samples]
    epochs = [epoch for epoch, samples in zip(plan.epochs, plan.samples, strict=True) if samples]
    return StepResult(plan.step_id, rows, epochs, [7] * len(rows))


class Loop:
    """A scheduler with `size` sequences, and the plans in flight."""

    def __init__(self, size: int, steps: int) -> None:
        rng = random.Random(size)
        longest = PROMPT[1] + steps + size  # some decode while others are still admitted
        self.scheduler = new_scheduler(size, size * (longest // 16 + 2) * 2, longest + 16)
        self.plans: deque[StepPlan] = deque()
        for i in range(size):
            prompt = [rng.randrange(1000) for _ in range(rng.randint(*PROMPT))]
            params = SamplingParams(max_tokens=longest - len(prompt))
            request = Request(
                request_id=f"request-{i}", prompt_ids=prompt, params=params, seed=i, eos_ids=[STOP]
            )
            self.scheduler.add(request)
        while len(self.scheduler.waiting):
            self.step()
        assert len(self.scheduler.running.sequences) == size

    def step(self) -> tuple[float, float]:
        """Seconds that schedule and commit took."""
        start = time.perf_counter()
        plan = self.scheduler.schedule()
        scheduled = time.perf_counter() - start
        assert plan is not None
        self.plans.append(plan)
        if len(self.plans) < 2:
            return scheduled, 0.0
        result = result_of(self.plans.popleft())
        start = time.perf_counter()
        self.scheduler.commit(result)
        return scheduled, time.perf_counter() - start


def measure_steps(size: int, steps: int) -> dict[str, Any]:
    """Microseconds per step."""
    loop = Loop(size, steps)
    parts = [loop.step() for _ in range(steps)]
    totals = sorted((schedule + commit) * 1e6 for schedule, commit in parts)
    return {
        "running": size,
        "median_us": statistics.median(totals),
        "min_us": totals[0],
        "p99_us": totals[int(len(totals) * 0.99)],
        "schedule_us": statistics.median(schedule for schedule, _ in parts) * 1e6,
        "commit_us": statistics.median(commit for _, commit in parts) * 1e6,
        "target_us": TARGETS_US.get(size),
    }


class Contiguous:
    """Slots that one contiguous piece per running sequence would take."""

    def __init__(self) -> None:
        self.filled = self.to_context = self.to_end = 0

    def observe(self, scheduler: Scheduler) -> None:
        for seq in scheduler.running.sequences:
            self.filled += seq.num_computed
            self.to_context += CONTEXT
            self.to_end += seq.max_total


def measure_waste() -> dict[str, float]:
    contiguous = Contiguous()
    scheduler = new_scheduler(256, 28594, CONTEXT)
    report = simulate(scheduler, load_trace(TRACE), CostModel(), contiguous.observe)
    return {
        "blocks_of_16": report.kv_waste,
        "contiguous_to_max_model_len": 1 - contiguous.filled / contiguous.to_context,
        "contiguous_to_final_length": 1 - contiguous.filled / contiguous.to_end,
        "target": 0.04,
    }


def print_report(steps: list[dict[str, Any]], waste: dict[str, float]) -> None:
    print(f"{'running':>8} {'median':>9} {'min':>9} {'p99':>9}   us per step; per sequence; target")
    for row in steps:
        target = f"< {row['target_us']}" if row["target_us"] else ""
        each = row["median_us"] / row["running"]
        print(
            f"{row['running']:>8} {row['median_us']:>9.0f} {row['min_us']:>9.0f} "
            f"{row['p99_us']:>9.0f}   {each:.2f} {target}"
        )
    print("\nKV slots allocated but unfilled")
    for name, value in waste.items():
        print(f"  {name.replace('_', ' '):<28} {value:>7.2%}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Scheduler cost per step and KV waste.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    steps = [measure_steps(size, args.steps) for size in args.sizes]
    waste = measure_waste()
    if args.json:
        print(json.dumps({"steps": steps, "kv_waste": waste}))
    else:
        print_report(steps, waste)


if __name__ == "__main__":
    main()
