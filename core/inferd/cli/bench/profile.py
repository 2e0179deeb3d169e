"""inferd bench profile: where the time of decode steps goes; a trace for perfetto.dev."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from inferd.cli.bench.offline import setting_line
from inferd.cli.bench.report import Report, pairs, table
from inferd.cli.bench.step import KINDS
from inferd.config.flags import add_engine_flags, engine_config
from inferd.config.scheduler import SchedulerOptions
from inferd.errors import UsageError

TOP = 25  # kernels or operators that are shown
WARMUP = 20  # decode steps before the measured ones
SLACK = 16  # steps that a prefill may take beyond what its tokens need


def add_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("steps")
    group.add_argument("--batch-size", type=int, default=64, help="sequences that decode")
    group.add_argument("--input-len", type=int, default=512, help="tokens of each prompt")
    group.add_argument("--num-iters", type=int, default=50, help="steps to profile")
    group.add_argument(
        "--mixed", type=int, default=0, metavar="N", help="tokens of a new prompt in every step"
    )
    group.add_argument("--sampling", default="greedy", choices=KINDS)
    group.add_argument("--trace", type=Path, metavar="FILE", help="Chrome's format, for Perfetto")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    if min(args.batch_size, args.input_len, args.num_iters) < 1 or args.mixed < 0:
        raise UsageError("--batch-size, --input-len and --num-iters must be at least 1")
    if args.trace is not None and not args.trace.parent.is_dir():
        raise UsageError(f"--trace {args.trace}: there is no folder {args.trace.parent}")
    args.skip_tokenizer_init = True
    sizes = (args.batch_size, args.input_len, args.num_iters)
    budget = int(args.max_num_batched_tokens or SchedulerOptions().max_num_batched_tokens)
    longest = args.input_len + output_len(*sizes, budget)
    args.max_model_len = args.max_model_len or max(longest, args.mixed) + 1
    from inferd.cli.bench.profile_run import SteadySteps, profile_steps

    steps = SteadySteps(engine_config(args, args.model), args.mixed, args.sampling)
    try:
        steps.prefill(*sizes)
        found = profile_steps(steps, args.num_iters, args.trace)
        values = {**steps.setting(), **_described(args), **found}
    finally:
        steps.stop()
    return Report(values, text(values))


def output_len(batch_size: int, input_len: int, num_iters: int, budget: int) -> int:
    """Enough for a request to decode until the last step; prompts fill steps of `budget` tokens."""
    prefill = -(-batch_size * input_len // max(1, budget - batch_size))
    return prefill + SLACK + WARMUP + 2 * num_iters


def _described(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "batch_size": args.batch_size,
        "input_len": args.input_len,
        "mixed": args.mixed,
        "sampling": args.sampling,
        "steps": args.num_iters,
    }


def text(values: dict[str, Any]) -> str:
    mixed = f" + {values['mixed']} prompt tokens" if values["mixed"] else ""
    title = (
        f"profile: {setting_line(values)}\n{values['steps']} steps of {values['batch_size']} "
        f"sequences after prompts of {values['input_len']}{mixed}, {values['sampling']}"
    )
    rows = [
        ("step", f"{values['ms_per_step']:.3f} ms ({values['profiled_ms_per_step']:.3f} profiled)")
    ]
    show = _host_text if "operators" in values else _device_text
    return show(title, rows, values)


def _host_text(title: str, rows: list[tuple[str, str]], values: dict[str, Any]) -> str:
    step, inside = values["profiled_ms_per_step"], values["operators_ms_per_step"]
    rows.append(("operators", f"{inside:.3f} ms per profiled step ({inside / step:.1%})"))
    rows.append(("between them", f"{max(0.0, step - inside):.3f} ms"))
    shown = [
        [
            row["name"][:60],
            f"{row['calls']:.1f}",
            f"{row['us']:,.1f}",
            f"{row['us'] / step / 10:.1f} %",
        ]
        for row in values["operators"][:TOP]
    ]
    columns = ["operator, without those inside it", "per step", "us per step", "share"]
    return f"{pairs(title, rows)}\n{table(columns, shown)}"


def _device_text(title: str, rows: list[tuple[str, str]], values: dict[str, Any]) -> str:
    rows += [
        ("host", f"{values['host_ms_per_step']:.3f} ms per step, waiting left out"),
        ("waiting", f"{values['waited_ms_per_step']:.3f} ms per step for the device"),
    ]
    if "gpu_busy" not in values:
        return pairs(title, [*rows, ("GPU", "no kernel in the trace")])
    rows += _busy_rows(values)
    steps = values["steps"]
    kernels = [_kernel_row(row, steps) for row in values["kernels"][:TOP]]
    made = [[name, *map(str, pair)] for name, pair in values["calls_per_step"].items()]
    return "\n".join(
        [
            pairs(title, rows),
            table(["kernel", "per step", "us per step", "median us"], kernels),
            table(["host call", "per step", "us per step"], made),
        ]
    )


def _kernel_row(row: dict[str, Any], steps: int) -> list[str]:
    per_step = row["count"] / steps, row["total_ms"] * 1e3 / steps
    return [row["name"][:76], *(f"{value:.1f}" for value in (*per_step, row["median_us"]))]


def _busy_rows(values: dict[str, Any]) -> list[tuple[str, str]]:
    found, steps = values["gaps"], values["steps"]
    whole = values["ms_per_step"] * steps
    rows = [
        ("GPU busy", f"{values['gpu_busy']:.2%} of {values['gpu_wall_ms']:.1f} ms, profiled"),
        ("", f"{values['gpu_busy_ms'] / whole:.2%} of as many steps without the profiler"),
    ]
    if not found["count"]:
        return rows
    largest = f"p99 {found['p99_us']}, max {found['largest_us']}"
    rows += [
        ("gaps", f"{found['total_us'] / steps:.1f} us per step in {found['count']}"),
        ("", f"{found['over_2us']} over 2 us, {largest}"),
    ]
    rows += [
        ("gap before", f"{size / steps:.2f} us per step: {name[:70]}")
        for name, size in found["before_us"].items()
    ]
    return rows
