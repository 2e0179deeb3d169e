"""inferd bench latency: one batch at a time, over several context lengths."""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Any

from inferd.cli.bench.measures import fit_line
from inferd.cli.bench.offline import generate, make_llm, setting, setting_line
from inferd.cli.bench.report import Report, table
from inferd.cli.bench.workload import Job, draw
from inferd.config.flags import add_engine_flags
from inferd.errors import UsageError

if TYPE_CHECKING:
    from inferd.engine.llm import LLM


def add_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("workload")
    group.add_argument(
        "--input-len", type=int, nargs="+", default=[128, 512, 1024], help="prompt lengths"
    )
    group.add_argument("--output-len", type=int, default=64, help="tokens of each answer")
    group.add_argument("--batch-size", type=int, default=1, help="requests at once")
    group.add_argument("--num-iters", type=int, default=5, help="runs; medians are reported")
    group.add_argument("--num-iters-warmup", type=int, default=1, help="runs beforehand")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    if args.output_len < 2 or min(args.input_len) < 1 or args.num_iters < 1:
        raise UsageError("--output-len must be at least 2, --input-len and --num-iters at least 1")
    with make_llm(args) as llm:
        rows = [_measure(llm, length, args) for length in args.input_len]
        values = {**setting(llm), "batch_size": args.batch_size, "contexts": rows, **_fit(rows)}
    return Report(values, text(values))


def _measure(llm: LLM, length: int, args: argparse.Namespace) -> dict[str, Any]:
    """Medians for one prompt length; the prefix cache is emptied before every run."""
    lengths = [(length, args.output_len)] * args.batch_size
    whole = draw(lengths, llm.info.vocab_size, llm.config.model.seed)
    first = [Job(job.prompt_ids, 1) for job in whole]
    for _ in range(args.num_iters_warmup):
        _seconds(llm, whole)
    ttft = statistics.median(_seconds(llm, first) for _ in range(args.num_iters))
    total = statistics.median(_seconds(llm, whole) for _ in range(args.num_iters))
    step = (total - ttft) / (args.output_len - 1)
    return {
        "input_len": length,
        "mean_context": length + args.output_len / 2,
        "ttft_ms": round(ttft * 1e3, 3),
        "ms_per_step": round(step * 1e3, 4),
        "output_tokens_per_s": round(args.batch_size / step, 2),
        "seconds": round(total, 4),
    }


def _seconds(llm: LLM, jobs: list[Job]) -> float:
    llm.reset_prefix_cache()
    return generate(llm, jobs)[0]


def _fit(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """ms/step = fixed + per_token x context."""
    line = fit_line([row["mean_context"] for row in rows], [row["ms_per_step"] for row in rows])
    if line is None:
        return {"fit_fixed_ms": None, "fit_us_per_context_token": None}
    return {
        "fit_fixed_ms": round(line[0], 4),
        "fit_us_per_context_token": round(line[1] * 1e3, 4),
    }


def text(values: dict[str, Any]) -> str:
    columns = ["input tokens", "TTFT ms", "ms/step", "tok/s", "mean context"]
    rows = [
        [
            f"{row['input_len']:,}",
            f"{row['ttft_ms']:.1f}",
            f"{row['ms_per_step']:.3f}",
            f"{row['output_tokens_per_s']:.1f}",
            f"{row['mean_context']:,.0f}",
        ]
        for row in values["contexts"]
    ]
    lines = [f"latency, batch {values['batch_size']}: {setting_line(values)}", table(columns, rows)]
    if values["fit_fixed_ms"] is not None:
        lines.append(
            f"  ms/step = {values['fit_fixed_ms']:.3f} + "
            f"{values['fit_us_per_context_token']:.3f} us x context"
        )
    return "\n".join(lines)
