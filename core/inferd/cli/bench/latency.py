"""inferd bench latency: one batch at a time, over sizes of batch, prompt and answer."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator
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
    group.add_argument(
        "--output-len", type=int, nargs="+", default=[64], help="tokens of each answer"
    )
    group.add_argument("--batch-size", type=int, nargs="+", default=[1], help="requests at once")
    group.add_argument("--num-iters", type=int, default=5, help="runs; medians are reported")
    group.add_argument("--num-iters-warmup", type=int, default=1, help="runs beforehand")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    if min(args.output_len) < 2 or min(*args.input_len, *args.batch_size, args.num_iters) < 1:
        raise UsageError(
            "--output-len must be at least 2, --input-len, --batch-size and --num-iters at least 1"
        )
    with make_llm(args) as llm:
        batches = [_batch(llm, size, args) for size in args.batch_size]
        values = {**setting(llm), "batches": batches}
    return Report(values, text(values))


def _batch(llm: LLM, size: int, args: argparse.Namespace) -> dict[str, Any]:
    rows = [row for length in args.input_len for row in _measure(llm, size, length, args)]
    return {"batch_size": size, "contexts": rows, **_fit(rows)}


def _measure(
    llm: LLM, size: int, length: int, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Medians for one prompt length and each answer's; every run finds an empty prefix cache."""
    vocab, seed, longest = llm.info.vocab_size, llm.config.model.seed, max(args.output_len)
    prompts = [job.prompt_ids for job in draw([(length, longest)] * size, vocab, seed)]
    for _ in range(args.num_iters_warmup):
        _seconds(llm, prompts, longest)
    ttft = statistics.median(_seconds(llm, prompts, 1) for _ in range(args.num_iters))
    for output_len in args.output_len:
        total = statistics.median(_seconds(llm, prompts, output_len) for _ in range(args.num_iters))
        step = (total - ttft) / (output_len - 1)
        yield {
            "input_len": length,
            "output_len": output_len,
            "mean_context": length + output_len / 2,
            "ttft_ms": round(ttft * 1e3, 3),
            "ms_per_step": round(step * 1e3, 4),
            "output_tokens_per_s": round(size / step, 2),
            "seconds": round(total, 4),
        }


def _seconds(llm: LLM, prompts: list[list[int]], output_len: int) -> float:
    llm.reset_prefix_cache()
    return generate(llm, [Job(prompt_ids, output_len) for prompt_ids in prompts])[0]


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
    parts = [f"latency: {setting_line(values)}"]
    for batch in values["batches"]:
        parts += [f"\nbatch {batch['batch_size']}", _table(batch)]
        if batch["fit_fixed_ms"] is not None:
            parts.append(f"  {fitted(batch)}")
    return "\n".join(parts)


def fitted(batch: dict[str, Any]) -> str:
    fixed, slope = batch["fit_fixed_ms"], batch["fit_us_per_context_token"]
    sign = "-" if slope < 0 else "+"
    return f"ms/step = {fixed:.3f} {sign} {abs(slope):.3f} us x context"


def _table(batch: dict[str, Any]) -> str:
    columns = ["input tokens", "output", "TTFT ms", "ms/step", "tok/s", "mean context"]
    rows = [
        [
            f"{row['input_len']:,}",
            f"{row['output_len']:,}",
            f"{row['ttft_ms']:.1f}",
            f"{row['ms_per_step']:.3f}",
            f"{row['output_tokens_per_s']:.1f}",
            f"{row['mean_context']:,.0f}",
        ]
        for row in batch["contexts"]
    ]
    return table(columns, rows)
