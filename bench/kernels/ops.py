"""The ops of ops_triton on this GPU: time of each, share of the copy rate, linears of a step.

    python bench/kernels/ops.py [--sweep] [--small] [--only M M] [--model 8b|1b|135m]
        [--chained yes|no|both] [--json FILE]

Times are of CUDA graphs. Large ops run over buffers beyond the L2; a step's linears have the
distinct weights of all layers. --sweep tries all tiles, prints rows for tuned/ARCHITECTURE.json and
measures the steps with them. --small starts one of the small ops another way in whole steps, where
it stands between linears: what the table's "small" should say. --only leaves out other numbers of
tokens.

Shape suffixes: T tokens, M tokens of a decode step.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from ops_step import SHAPES, Shape, normal
from ops_steps import SMALL, offered, small_in_steps, steps, steps_of_torch
from ops_sweep import sweep
from timing import copy_rate, graph_time

from inferd_ops_triton.kernels.chain import ALONE, CHAINED, WAYS
from inferd_ops_triton.tables import BUCKETS

BATCHES = (1, 2, 4, 8, 16, 32, 64, 96, 128)
MANY = 8192  # tokens
SIZES = (1, 8, 64, 128, MANY)
REPEATS = 64  # launches of a small op in a graph


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--small", action="store_true", help="try other ways to start small ops")
    parser.add_argument("--only", type=int, nargs="+", choices=BATCHES, metavar="M")
    parser.add_argument("--model", choices=SHAPES, default="8b")
    parser.add_argument("--chained", choices=["yes", "no", "both"], default="both")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    shape = SHAPES[args.model]
    chains = {"yes": [CHAINED], "no": [ALONE], "both": [ALONE, CHAINED]}[args.chained]
    copy = copy_rate()
    print(f"{torch.cuda.get_device_name()}, copy {copy:.2f} TB/s, torch {torch.__version__}")
    batches, buckets = args.only or BATCHES, [n for n in BUCKETS if n in (args.only or BUCKETS)]
    found: dict[str, object] = {"copy_tb_s": copy}
    if not args.only:
        ways = WAYS if CHAINED in chains else {"alone": ALONE}
        found |= {f"ops {way}": small_and_large(shape, way, copy) for way in ways}
    for chain in chains:
        name = "chained" if chain["CHAINED"] else "alone"
        rows = sweep(shape, buckets, chain, print) if args.sweep else {}
        found[f"table {name}"] = rows
        print("\n".join(f'    "{key}": {json.dumps(row)},' for key, row in rows.items()))
        found[f"steps {name}"] = steps(shape, chain, rows, batches)
    if args.small:
        found["small"] = small_in_steps(shape, batches)
    found["steps torch"] = steps_of_torch(shape, batches)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def small_and_large(shape: Shape, way: str, copy: float) -> dict[str, dict[str, float]]:
    ops = offered(dict.fromkeys(SMALL, way))
    found: dict[str, dict[str, float]] = {}
    for tokens in SIZES:
        sets = max(1, min(16, 2_000_000_000 // (tokens * shape.inner * 8)))
        for name, calls, moved in cases(ops, shape, tokens, sets):
            times = REPEATS if tokens < MANY else 1
            run = partial(repeat, calls, times)
            us = graph_time(run) / (times * len(calls)) * 1e6
            rate = moved / us / 1e6
            found[f"{name} x {tokens}"] = {"us": us, "tb_s": rate, "share": rate / copy}
            print(f"{name:14} {tokens:5} tokens {way:8} {us:8.2f} us {rate / copy:6.1%} of copy")
    return found


def repeat(calls: list[Callable[[], object]], times: int) -> None:
    for _ in range(times):
        for call in calls:
            call()


def cases(
    ops: dict, shape: Shape, tokens: int, sets: int
) -> Iterator[tuple[str, list[Callable[[], object]], int]]:
    """(name, calls over different buffers, bytes that one moves)."""
    hidden = [(normal(tokens, shape.hidden), normal(tokens, shape.hidden)) for _ in range(sets)]
    weight = torch.ones(shape.hidden, device="cuda", dtype=torch.bfloat16)
    row = 2 * tokens * shape.hidden
    yield "rms_norm", [partial(ops["rms_norm"], x, weight, 1e-5) for x, _ in hidden], 2 * row
    add = [partial(ops["add_rms_norm"], *pair, weight, 1e-5) for pair in hidden]
    yield "add_rms_norm", add, 4 * row
    gates = [normal(tokens, 2 * shape.inner) for _ in range(sets)]
    silu = [partial(ops["act_and_mul"]["silu"], x) for x in gates]
    yield "silu_and_mul", silu, 6 * tokens * shape.inner
    ids = torch.randint(0, 32000, (tokens,), device="cuda")
    table = normal(32000, shape.hidden)
    yield "embedding", [partial(ops["embedding"], ids, table)], 2 * row
    yield "rope_kv_write", rope_calls(ops, shape, tokens, sets), rope_bytes(shape, tokens)


def rope_bytes(shape: Shape, tokens: int) -> int:
    heads = shape.heads + 2 * shape.kv_heads
    return tokens * shape.head * (2 * heads * 2 + 4)


def rope_calls(ops: dict, shape: Shape, tokens: int, sets: int) -> list[Callable[[], object]]:
    heads = shape.heads + 2 * shape.kv_heads
    angles = torch.randn(MANY, shape.head, device="cuda")
    positions = torch.arange(tokens, device="cuda")
    rope = ops["prepare_rope"](positions, angles, torch.bfloat16)
    pool = torch.zeros(
        tokens // 16 + 2, 2, shape.kv_heads, 16, shape.head, device="cuda", dtype=torch.bfloat16
    )
    caches = pool[:, 0].transpose(1, 2), pool[:, 1].transpose(1, 2)
    slots = torch.randperm(tokens, device="cuda") + 16
    return [
        partial(
            ops["rope_kv_write"], normal(tokens, heads, shape.head), shape.heads, rope, *caches,
            slots, None, None, 1e-5,
        )
        for _ in range(sets)
    ]  # fmt: skip


if __name__ == "__main__":
    main()
