"""The ops of ops_triton on this GPU: time of each, share of the copy rate, linears of a step.

    python bench/kernels/ops.py [--sweep] [--model 8b|1b|135m] [--chained yes|no|both] [--json FILE]

Times are of CUDA graphs. Large ops run over buffers beyond the L2; a step's linears have the
distinct weights of all layers. --sweep tries all tiles, prints rows for tuned/ARCHITECTURE.json and
measures the steps with them.

Shape suffixes: T tokens, M tokens of a decode step.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from ops_step import SHAPES, Shape, Step, linears_alone, normal, weights
from ops_sweep import sweep
from timing import copy_rate, graph_time
from torch import Tensor

from inferd.builtin.ops_torch import TorchOps
from inferd.contracts.ops import OpRequest
from inferd_ops_triton.kernels.chain import ALONE, CHAINED, Chain
from inferd_ops_triton.linear import routed
from inferd_ops_triton.provider import TritonOps
from inferd_ops_triton.tables import Route, routes

BATCHES = (1, 2, 4, 8, 16, 32, 64)
FEW, MANY = 64, 8192  # tokens
REPEATS = 64  # launches of a small op in a graph


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--model", choices=SHAPES, default="8b")
    parser.add_argument("--chained", choices=["yes", "no", "both"], default="both")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    shape = SHAPES[args.model]
    chains = {"yes": [CHAINED], "no": [ALONE], "both": [ALONE, CHAINED]}[args.chained]
    copy = copy_rate()
    print(f"{torch.cuda.get_device_name()}, copy {copy:.2f} TB/s, torch {torch.__version__}")
    found: dict[str, object] = {"copy_tb_s": copy}
    for chain in chains:
        name = "chained" if chain["CHAINED"] else "alone"
        found[f"ops {name}"] = small_and_large(shape, chain, copy)
        table = sweep(shape, chain, print) if args.sweep else None
        found[f"table {name}"] = table
        print("\n".join(f'    "{key}": {json.dumps(rows)},' for key, rows in (table or {}).items()))
        found[f"steps {name}"] = steps(shape, chain, table)
    found["steps torch"] = steps_of_torch(shape)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def offered(chain: Chain) -> dict:
    """The ops, started as `chain` says; linears are made by `linears_of`."""
    request = OpRequest("cuda", architecture(), torch.bfloat16)
    ops = dict(TritonOps().ops(request))
    for name, op in ops.items():
        if isinstance(op, partial) and "chain" in op.keywords:
            ops[name] = partial(op.func, **{**op.keywords, "chain": chain})
    acts = ops["act_and_mul"].items()
    ops["act_and_mul"] = {n: partial(a.func, act=n, chain=chain) for n, a in acts}
    return ops


def architecture() -> str:
    if torch.version.hip is not None:
        return torch.cuda.get_device_properties(0).gcnArchName.split(":")[0]
    return "sm_{}{}".format(*torch.cuda.get_device_capability())


def small_and_large(shape: Shape, chain: Chain, copy: float) -> dict[str, dict[str, float]]:
    ops = offered(chain)
    found: dict[str, dict[str, float]] = {}
    for tokens in (1, FEW, MANY):
        sets = max(1, min(16, 2_000_000_000 // (tokens * shape.inner * 8)))
        for name, calls, moved in cases(ops, shape, tokens, sets):
            times = REPEATS if tokens < MANY else 1
            run = partial(repeat, calls, times)
            us = graph_time(run) / (times * len(calls)) * 1e6
            rate = moved / us / 1e6
            found[f"{name} x {tokens}"] = {"us": us, "tb_s": rate, "share": rate / copy}
            word = "chained" if chain["CHAINED"] else "alone"
            print(f"{name:14} {tokens:5} tokens {word:8} {us:8.2f} us {rate / copy:6.1%} of copy")
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


def steps(shape: Shape, chain: Chain, table: dict | None) -> dict[str, dict[str, float]]:
    """Milliseconds of a step's linears and of all its ops but attention."""
    every = weights(shape)
    made = {name: [] for name in every}
    for name, matrices in every.items():
        for weight in matrices:
            made[name].append(routed(weight, None, chosen(weight, table), chain))
    word = "chained" if chain["CHAINED"] else "alone"
    return measured(shape, offered(chain), made, word)


def chosen(weight: Tensor, table: dict | None) -> dict[int, Route]:
    size, inner = weight.shape
    if table is None:
        return routes(architecture(), size, inner, weight.element_size())
    rows = table[f"{size}x{inner}"]
    return {int(tokens): Route(*row) for tokens, row in rows.items() if len(row) > 1}


def steps_of_torch(shape: Shape) -> dict[str, dict[str, float]]:
    every = weights(shape)
    ops = dict(TorchOps().ops(OpRequest("cuda", architecture(), torch.bfloat16)))
    made = {n: [ops["linear"]["dense"](w, None) for w in ws] for n, ws in every.items()}
    return measured(shape, ops, made, "torch")


def measured(shape: Shape, ops: dict, made: dict, word: str) -> dict[str, dict[str, float]]:
    found = {}
    for rows in BATCHES:
        alone = graph_time(linears_alone(shape, made, rows)) * 1e3
        whole = graph_time(Step(shape, ops, made, rows)) * 1e3
        found[str(rows)] = {"linears_ms": alone, "step_ms": whole, "rest_ms": whole - alone}
        print(
            f"step of {rows:3} {word:8} linears {alone:6.3f} ms, "
            f"all but attention {whole:6.3f} ms, rest {whole - alone:6.3f} ms"
        )
    return found


if __name__ == "__main__":
    main()
