"""inferd bench step: decode steps of the real worker, by phase; with --ops, its torch calls."""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Any

from inferd.cli.bench.report import Report, pairs, table
from inferd.config.cache import CacheOptions
from inferd.config.flags import add_engine_flags, engine_config
from inferd.errors import UsageError

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig

KINDS = ("greedy", "random", "top_k", "top_p", "top_k_top_p", "penalties", "logprobs", "bias")
MAX_GROUPS = 2  # of KV layers: full attention and one window
MODEL = ("attention plan", "layers", "model outside layers", "output head")


def add_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("step")
    group.add_argument("--batch-size", type=int, nargs="+", default=[1, 64], help="rows")
    group.add_argument("--input-len", type=int, default=128, help="context of each row")
    group.add_argument("--num-iters", type=int, default=20, help="steps; medians are reported")
    group.add_argument("--sampling", nargs="+", default=["greedy"], choices=KINDS)
    group.add_argument("--ops", action="store_true", help="count torch calls by op and by layer")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    if min(*args.batch_size, args.input_len, args.num_iters) < 1:
        raise UsageError("--batch-size, --input-len and --num-iters must be at least 1")
    from inferd.cli.bench.step_run import StepBench

    bench = StepBench(_config(args), args.input_len, args.num_iters)
    rows = [
        bench.measure(size, kind, count_ops=args.ops)
        for size in args.batch_size
        for kind in args.sampling
    ]
    summary = bench.runner.info.summary
    values = {
        "model": args.model,
        **{name: summary[name] for name in ("architecture", "dtype", "ops", "attention")},
        "context": args.input_len,
        "num_layers": bench.num_layers,
        "steps": rows,
    }
    return Report(values, text(values))


def _config(args: argparse.Namespace) -> EngineConfig:
    """Room for what is measured, unless the user asked for more; op by op, to be watched."""
    from inferd.cli.bench.step_plans import blocks_per_row
    from inferd.cli.bench.step_run import WARMUP

    rows, tokens = max(args.batch_size), args.input_len + args.num_iters + WARMUP + 2
    size = int(args.block_size or CacheOptions().block_size)
    args.max_num_seqs = args.max_num_seqs or rows
    args.max_model_len = args.max_model_len or tokens
    args.max_num_batched_tokens = args.max_num_batched_tokens or max(2048, args.input_len)
    args.num_blocks = args.num_blocks or 2 + rows * MAX_GROUPS * blocks_per_row(tokens, size)
    args.enforce_eager = True
    return engine_config(args, args.model)


def text(values: dict[str, Any]) -> str:
    title = (
        f"step: {values['model']} {values['dtype']} on {values['architecture']}, "
        f"ops {'+'.join(values['ops'])}, attention {values['attention']}, "
        f"context {values['context']}, {values['num_layers']} layers"
    )
    parts = [title]
    for step in values["steps"]:
        parts.append(_phases(step))
        if "calls" in step:
            parts.append(_calls(step["calls"]))
    return "\n".join(parts)


def _phases(step: dict[str, Any]) -> str:
    rows = [(name, f"{value:8.3f} ms") for name, value in step["phases_ms"].items()]
    rows.append(("host (all but the model)", f"{step['host_ms']:8.3f} ms"))
    title = f"\n{step['batch_size']} rows, {step['sampling']}: {step['ms_per_step']:.3f} ms/step"
    return pairs(title, rows)


def _calls(calls: dict[str, Any]) -> str:
    rows = [
        [f"{op}{' (view)' if op in calls['views'] else ''}", *map(_count, numbers)]
        for op, numbers in calls["by_op"].items()
    ]
    rows.append(["all", *map(_count, calls["total"])])
    by_phase = ", ".join(f"{name} {count}" for name, count in calls["by_phase"].items())
    columns = ["torch calls", "per layer", "outside layers", "per step"]
    return f"{table(columns, rows)}\n  by phase: {by_phase}"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def median_phases(steps: list[dict[str, float]]) -> tuple[dict[str, float], float]:
    """Median milliseconds of each phase over the steps, and of what is not the model."""
    names = list(dict.fromkeys(name for step in steps for name in step))
    phases = {name: statistics.median(step.get(name, 0.0) for step in steps) for name in names}
    host = sum(value for name, value in phases.items() if name not in MODEL)
    return {name: round(value, 4) for name, value in phases.items()}, round(host, 4)
