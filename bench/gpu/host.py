"""What the host does in a decode step, part by part, without a profiler: its threads' CPU time.

    python -m bench.gpu.host [--batch 512] [--context 512] [--steps 100] [--json FILE]

Llama-3.1-8B's shape with random weights, greedy. The engine's thread schedules and commits, its
worker's prepares inputs and launches; both run in this process, and what they wait for, the device
or each other, is not work. Without a GPU `--shape tiny --still` replays steps that compute nothing:
scheduling, preparing and reading are then this machine's, without launches. A part's time is the
median of the steps'. Run it from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from bench.gpu import still
from bench.gpu.shapes import PROMPT_IDS, SHAPES, write_model
from bench.gpu.workloads import Source

from inferd import LLM, SamplingParams
from inferd.cli.bench.report import pairs
from inferd.config.paths import cache_dir
from inferd.memory.staging import Readback

BATCH, MOST_MS = 512, 1.5  # the project's bar on the host's work per step
WARMUP_STEPS = 20  # decode steps before the measured ones
WAITING = "waiting for the device"


class Probe:
    """CPU seconds by part, of whichever thread runs it; a part inside another is its own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._after: list[dict[str, float]] = []  # by step, what `seconds` was then

    def end_step(self) -> None:
        self._after.append(dict(self.seconds))

    def median_ms(self, part: str) -> float:
        """What a thread does for a step may be counted with the one after it."""
        after = [0.0, *(seconds.get(part, 0.0) for seconds in self._after)]
        return statistics.median(later - before for before, later in pairwise(after)) * 1e3

    def wrap(self, owner: Any, name: str, part: str, inside: str = "") -> None:
        """Replace the method `name` of `owner`, an object or a class."""
        function: Callable[..., Any] = getattr(owner, name)

        def probed(*args: Any) -> Any:
            started = time.thread_time()
            try:
                return function(*args)
            finally:
                taken = time.thread_time() - started
                self.seconds[part] += taken
                if inside:
                    self.seconds[inside] -= taken

        setattr(owner, name, probed)


def main() -> int:
    args = arguments()
    most = args.context + args.steps + 2 * WARMUP_STEPS + 4 * args.batch
    model = write_model(args.shape, cache_dir() / "bench" / f"shape-{args.shape}")
    fixed = {"dtype": "bfloat16", "load_format": "dummy", "skip_tokenizer_init": True}
    fixed |= {"enable_prefix_caching": False, "max_model_len": most + 1}
    if args.still:
        still.use()
        fixed["max_num_seqs"] = args.batch
    with LLM(str(model), **(fixed | args.options)) as llm:
        prefill(llm, args, most - args.context)
        values = measure(llm, args.steps)
    values |= {"batch": args.batch, "context": args.context, "steps": args.steps}
    print(report(values))
    if args.json:
        args.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    judged = args.shape == "llama8b" and args.batch == BATCH
    return 1 if judged and values["host_ms"] > MOST_MS else 0


def prefill(llm: LLM, args: argparse.Namespace, num_output: int) -> None:
    """Until every request has its first token, then some decode steps."""
    batch = Source(PROMPT_IDS[args.shape]).fresh(args.batch, args.context, num_output)
    params = SamplingParams(
        temperature=0.0, max_tokens=num_output, ignore_eos=True, detokenize=False
    )
    for number, prompt in enumerate(batch.prompts):
        llm._engine.add(llm._inputs.request(str(number), prompt, params))
    seen: set[str] = set()
    while len(seen) < args.batch:
        seen |= {output.request_id for output in llm._engine.step()}
    for _ in range(WARMUP_STEPS):
        llm._engine.step()


def measure(llm: LLM, steps: int) -> dict[str, Any]:
    engine, probe = llm._engine, Probe()
    runner = engine._executor._runner
    probe.wrap(engine, "step", "the rest of the loop")
    probe.wrap(engine._scheduler, "schedule", "schedule", "the rest of the loop")
    probe.wrap(engine._scheduler, "commit", "commit", "the rest of the loop")
    probe.wrap(runner, "collect", "read results", "the rest of the loop")
    probe.wrap(Readback, "wait", WAITING, "read results")
    probe.wrap(runner, "forward", "inputs and launches")
    probe.wrap(runner, "sample", "sampling's launches")
    engine.step()  # the worker may still be in a step that began without the probe
    _synchronize()
    probe.seconds.clear()
    started = time.perf_counter()
    for _ in range(steps):
        engine.step()
        probe.end_step()
    _synchronize()
    step_ms = (time.perf_counter() - started) / steps * 1e3
    parts = {part: round(probe.median_ms(part), 4) for part in probe.seconds}
    parts.pop(WAITING, None)
    return {"step_ms": step_ms, "host_ms": round(sum(parts.values()), 4), "parts_ms": parts}


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def report(values: dict[str, Any]) -> str:
    rows = [(part, f"{taken:.3f} ms") for part, taken in values["parts_ms"].items()]
    rows.append(("host", f"{values['host_ms']:.3f} ms; at {BATCH} sequences at most {MOST_MS}"))
    rows.append(("step", f"{values['step_ms']:.3f} ms"))
    title = f"{values['batch']} sequences of {values['context']}, {values['steps']} steps, each:"
    return pairs(title, rows)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.host", description=__doc__)
    parser.add_argument("--shape", choices=[*SHAPES], default="llama8b")
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--still", action="store_true", help="replay steps that compute nothing")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="of LLM")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
