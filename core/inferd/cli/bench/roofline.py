"""inferd bench roofline: the rates of this device, and each part of a model's steps beside them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inferd.cli.bench.offline import described, setting_line
from inferd.cli.bench.report import Report, table
from inferd.cli.bench.step import MAX_GROUPS
from inferd.cli.bench.step_plans import blocks_per_row
from inferd.config.cache import CacheOptions
from inferd.config.flags import add_engine_flags, engine_config
from inferd.errors import UsageError

if TYPE_CHECKING:
    from inferd.config.engine import EngineConfig

STEP_TOKENS = 2048  # of a step, unless a longer prompt is measured
SPARE = 8  # tokens that rows grow by beside the measured steps


def add_flags(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("steps")
    group.add_argument(
        "--batch-size", type=int, nargs="+", default=[1, 8, 16, 32, 64, 128], help="rows of a step"
    )
    group.add_argument("--input-len", type=int, default=512, help="context of each row")
    group.add_argument(
        "--attention",
        nargs="+",
        default=["64x1024"],
        metavar="ROWSxCONTEXT",
        help="decode attention alone, of rows like 64x2048 or 1x32768+63x512",
    )
    group.add_argument("--prefill", type=int, default=2048, help="tokens of a prompt; 0: none")
    group.add_argument("--num-iters", type=int, default=20, help="whole steps that are timed")
    add_engine_flags(parser)


def run(args: argparse.Namespace) -> Report:
    if min(*args.batch_size, args.input_len, args.num_iters) < 1 or args.prefill < 0:
        raise UsageError("--batch-size, --input-len and --num-iters must be at least 1")
    cases = {case: contexts_of(case) for case in args.attention}
    config = _config(args, list(cases.values()))
    from inferd.cli.bench.roofline_run import Roofline

    bench = Roofline(config, args.num_iters)
    limits = bench.limits
    values = {
        **described(bench.runner.info, config),
        "copy_gb_per_s": round(limits.bytes_per_s / 1e9, 2),
        "matmul_tflop_per_s": round(limits.flops_per_s / 1e12, 3),
        "context": args.input_len,
        "decode": [bench.decode([args.input_len] * rows) for rows in args.batch_size],
        "attention": [{"case": c, **bench.attention(rows)} for c, rows in cases.items()],
        "prefill": bench.prefill(args.prefill) if args.prefill else None,
    }
    return Report(values, text(values))


def contexts_of(case: str) -> list[int]:
    """From `1x32768+63x512` to a context per row. Raises UsageError."""
    contexts: list[int] = []
    for part in case.split("+"):
        rows, _, context = part.partition("x")
        if not (rows.isdecimal() and context.isdecimal() and int(rows) and int(context)):
            raise UsageError(
                f"--attention {case!r}: give ROWSxCONTEXT, for example 64x2048 or 1x32768+63x512"
            )
        contexts += [int(context)] * int(rows)
    return contexts


def _config(args: argparse.Namespace, cases: list[list[int]]) -> EngineConfig:
    """Room for exactly what is measured, unless the user asked for more."""
    size = int(args.block_size or CacheOptions().block_size)
    spare = args.num_iters + SPARE
    steps = [*cases, [args.input_len] * max(args.batch_size), [max(1, args.prefill)]]
    blocks = max(sum(blocks_per_row(each + spare, size) for each in step) for step in steps)
    args.skip_tokenizer_init = True
    args.max_num_seqs = args.max_num_seqs or max(map(len, steps))
    args.max_model_len = args.max_model_len or max(map(max, steps)) + spare
    args.max_num_batched_tokens = args.max_num_batched_tokens or max(STEP_TOKENS, args.prefill)
    args.num_blocks = args.num_blocks or 2 + MAX_GROUPS * blocks
    return engine_config(args, args.model)


def text(values: dict[str, Any]) -> str:
    rates = (
        f"  this device: copy {values['copy_gb_per_s']:,.1f} GB/s read and written, "
        f"matmul {values['matmul_tflop_per_s']:,.2f} TFLOP/s"
    )
    parts = [
        f"roofline: {setting_line(values)}",
        rates,
        f"\ndecode, context {values['context']}: ms, the least that the rates allow, its share",
        _budget(values["decode"]),
        "  all else: the step without linears and attention, gaps between kernels included",
        "\nkernels of these steps: ms, share of the limit",
        _kernels(values["decode"]),
        "\ndecode attention alone",
        _attention(values["attention"]),
    ]
    if values["prefill"] is not None:
        parts += [f"\nprompt of {values['prefill']['tokens']} tokens", _prefill(values["prefill"])]
    return "\n".join(parts)


def _budget(steps: Sequence[dict[str, Any]]) -> str:
    columns = ["rows", "linears", "limit", "", "attention", "limit", "", "others", "sum"]
    rows = []
    for step in steps:
        cells = [str(step["rows"])]
        for name in ("linears", "attention"):
            part = step["parts"][name]
            cells += [_ms(part["ms"]), _ms(part["limit_ms"]), _share(part["share"])]
        cells += [_ms(step["parts"]["others"]["ms"]), _ms(step["sum_ms"]), _ms(step["step_ms"])]
        rows.append([*cells, _ms(step["limit_ms"]), _share(step["share"]), _ms(step["rest_ms"])])
    return table([*columns, "step", "limit", "", "all else"], rows)


def _kernels(steps: Sequence[dict[str, Any]]) -> str:
    columns = ["rows"]
    for step in steps:
        columns += [str(step["rows"]), ""]
    names = [kernel["name"] for kernel in steps[0]["kernels"]]
    rows = []
    for name in [*names, "all but linears and attention"]:
        cells = [name]
        for step in steps:
            parts = {part["name"]: part for part in step["kernels"]}
            part = parts.get(name, step["parts"]["others"])
            cells += [_ms(part["ms"]), _share(part["share"])]
        rows.append(cells)
    return table(columns, rows)


def _attention(found: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            part["case"],
            f"{part['ms'] / part['calls'] * 1e3:,.1f}",
            f"{part['gb_per_s']:,.1f}",
            _share(part["share"]),
        ]
        for part in found
    ]
    return table(["rows x context", "us per layer", "GB/s", "share"], rows)


def _prefill(step: dict[str, Any]) -> str:
    rows = [
        [
            part["name"],
            _ms(part["ms"]),
            _ms(part["limit_ms"]),
            _share(part["share"]),
            f"{part['tflop_per_s']:,.2f}",
            f"{part['gb_per_s']:,.1f}",
        ]
        for part in [*step["kernels"], step["parts"]["linears"]]
    ]
    whole = ["step", _ms(step["step_ms"]), _ms(step["limit_ms"]), _share(step["share"])]
    return table(["", "ms", "limit", "share", "TFLOP/s", "GB/s"], [*rows, [*whole, "", ""]])


def _ms(value: float) -> str:
    return f"{value:,.3f}"


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
