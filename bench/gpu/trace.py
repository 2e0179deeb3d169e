"""Where the time of decode steps goes: GPU busy, gaps between kernels, top kernels, host per step.

    python -m bench.gpu.trace --batch 128 --context 512 [--steps 200] [--mixed 256] [--trace FILE]

Runs inferd's engine in this process, prefills `--batch` requests of `--context` tokens and profiles
`--steps` of their decode steps. With --mixed N every step also gets a new prompt of N tokens. The
trace (Chrome's format, for perfetto.dev) is kept where --trace says. Without a GPU only the host's
part is measured, on `--shape tiny`. Run it from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

import torch
from bench.gpu.shapes import PROMPT_IDS, SHAPES, write_model
from bench.gpu.trace_figures import busy, calls, read_events, report
from bench.gpu.workloads import Source
from torch.profiler import ProfilerActivity, profile

from inferd.config.engine import EngineConfig
from inferd.engine.engine import Engine
from inferd.engine.inputs import InputProcessor
from inferd.host.host import Host
from inferd.loading.packaged import cache_dir
from inferd.params import SamplingParams

WARMUP_STEPS = 20  # decode steps before the profiled ones


class Steps:
    """An engine with a steady set of decoding requests."""

    def __init__(self, args: argparse.Namespace, config: EngineConfig) -> None:
        self._engine = Engine(config, Host.of(config.plugins))
        info = self._engine.start()
        print(json.dumps(info.summary), flush=True)
        self._inputs = InputProcessor(info, None, [], random.Random(0))
        self._source = Source(PROMPT_IDS[args.shape])
        self._mixed = args.mixed
        self._params = {"temperature": 0.0, **args.sampling}
        self._num_added = 0

    def prefill(self, batch: int, context: int, steps: int) -> None:
        """Until every request has its first token, then some decode steps."""
        for _ in range(batch):
            self._add(context, 2 * steps + WARMUP_STEPS + 4 * batch)
        seen: set[str] = set()
        while len(seen) < batch:
            seen |= {output.request_id for output in self._engine.step()}
        for _ in range(WARMUP_STEPS):
            self.step()

    def step(self) -> None:
        if self._mixed:
            self._add(self._mixed, 1)
        self._engine.step()

    def stop(self) -> None:
        self._engine.stop()

    def _add(self, num_prompt: int, num_output: int) -> None:
        prompt = self._source.fresh(1, num_prompt, 1).prompts[0]
        params = SamplingParams(
            max_tokens=num_output, ignore_eos=True, detokenize=False, **self._params
        )
        self._engine.add(self._inputs.request(str(self._num_added), prompt, params))
        self._num_added += 1


def main() -> int:
    args = arguments()
    config = _config(args)
    steps = Steps(args, config)
    steps.prefill(args.batch, args.context, args.steps)
    free_ms = _timed(steps, args.steps)
    on_gpu = torch.cuda.is_available()
    activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
    with profile(activities=[activity], acc_events=True) as profiler:
        profiled_ms = _timed(steps, args.steps)
    with tempfile.TemporaryDirectory() as folder:
        path = args.trace or Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = read_events(path)
    steps.stop()
    values = {
        "batch": args.batch,
        "context": args.context,
        "mixed": args.mixed,
        "steps": args.steps,
        "ms_per_step": round(free_ms, 4),
        "ms_per_step_profiled": round(profiled_ms, 4),
        **busy(events),
        **calls(events, args.steps, profiled_ms),
    }
    print(report(values))
    if args.json:
        args.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return 0


def _timed(steps: Steps, count: int) -> float:
    """Milliseconds per step, to the end of the device's work."""
    _wait()
    started = time.perf_counter()
    for _ in range(count):
        steps.step()
    _wait()
    return (time.perf_counter() - started) / count * 1e3


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _config(args: argparse.Namespace) -> EngineConfig:
    model = write_model(args.shape, cache_dir() / "bench" / f"shape-{args.shape}")
    most = args.context + 2 * args.steps + WARMUP_STEPS + 4 * args.batch + 1
    options = {
        "dtype": "bfloat16",
        "load_format": "dummy",
        "skip_tokenizer_init": True,
        "enable_prefix_caching": False,
        "max_model_len": max(most, args.mixed + 1),
    }
    return EngineConfig.of(str(model), **(options | args.options))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.trace", description=__doc__)
    parser.add_argument("--shape", choices=[*SHAPES], default="llama8b")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--mixed", type=int, default=0, metavar="N", help="prompt tokens per step")
    parser.add_argument("--sampling", type=json.loads, default={}, metavar="JSON")
    parser.add_argument("--options", type=json.loads, default={}, metavar="JSON", help="of LLM")
    parser.add_argument("--trace", type=Path, metavar="FILE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
