"""The sampler's ops of ops_triton on this GPU: microseconds of each and share of the copy rate.

    python bench/kernels/sampling.py [--sweep] [--json FILE]

Vocabulary of Llama 3 (128,256), bf16. Times are of CUDA graphs over logits that rotate through more
memory than the L2 holds; the share is that of one pass over the logits. "peaked" logits are spread
like a model's, "flat" ones like those of random weights. Tokens are first held to torch's on a CPU.

Shape suffixes: N rows, V vocabulary.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from timing import copy_rate, graph_time
from torch import Tensor

from inferd.builtin.sampling import SAMPLING_OPS as REFERENCE
from inferd.contracts.sampling_ops import FilterParams
from inferd_ops_triton.kernels import sampling_filter as few
from inferd_ops_triton.kernels import sampling_logprobs as logprobs
from inferd_ops_triton.kernels import sampling_pick as pick
from inferd_ops_triton.kernels import sampling_scan as scan
from inferd_ops_triton.kernels import sampling_wide as wide
from inferd_ops_triton.kernels.sampling import sampling_ops

VOCAB = 128_256
ROWS = (256, 64, 8, 1)
SPREADS = {"peaked": 3.0, "flat": 0.02}
FILTERS = {
    "k 50, p 0.95": (0.8, 50, 0.95, 0.0),
    "p 0.9": (0.8, 0, 0.9, 0.0),
    "min_p 0.05": (0.8, 0, 1.0, 0.05),
}
ROTATED = 256 << 20  # bytes of logits
Case = Callable[[Tensor], object]

SWEEPS: dict[str, tuple[ModuleType, dict[str, tuple[int, ...]], str]] = {
    "argmax": (pick, {"ARGMAX_TILE": (4096, 8192, 16384), "ARGMAX_WARPS": (4, 8, 16)}, "argmax"),
    "draw": (
        pick,
        {"DRAW_TILE": (1024, 2048, 4096), "DRAW_WARPS": (4, 8), "DRAW_ROWS": (4, 8, 16)},
        "draw",
    ),
    "scan": (scan, {"TILE": (4096, 8192, 16384), "WARPS": (4, 8, 16)}, "k 50, p 0.95"),
    "few": (few, {"WARPS": (2, 4, 8), "GROUP": (8, 16, 32)}, "k 50, p 0.95"),
    "wide": (wide, {"TILE": (2048, 4096, 8192), "WARPS": (8, 16, 32)}, "p 0.9"),
    "logprobs": (logprobs, {"WARPS": (1, 2, 4, 8)}, "top 5 logprobs"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sweep", action="store_true", help="try other tiles and print the best")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    copy = copy_rate()
    print(f"{torch.cuda.get_device_name()}, copy {copy:.2f} TB/s, torch {torch.__version__}")
    check()
    found = {"copy_tb_s": copy, "ops": table(copy)}
    if args.sweep:
        found["sweep"] = {name: sweep(name) for name in SWEEPS}
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


def table(copy: float) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for rows, (kind, spread) in itertools.product(ROWS, SPREADS.items()):
        sets = rotated(rows, spread)
        for name, op in cases(sampling_ops(), rows).items():
            us = time(op, sets)
            share = rows * VOCAB * 2 / us / 1e6 / copy
            print(f"{rows:4} rows {kind:7} {name:15} {us:8.1f} us {share:6.1%} of copy")
            found.append({"rows": rows, "kind": kind, "op": name, "us": us, "share": share})
        if rows == ROWS[0] and kind == "peaked":
            us = time(lambda x_NV: x_NV.max(-1), sets)
            print(f"{rows:4} rows {kind:7} {'torch max':15} {us:8.1f} us")
    return found


def sweep(name: str) -> dict[str, float]:
    module, choices, op_name = SWEEPS[name]
    spread = SPREADS["flat" if name == "wide" else "peaked"]
    times: dict[str, float] = {}
    for rows in (256, 8):
        sets = rotated(rows, spread)
        for values in itertools.product(*choices.values()):
            chosen = dict(zip(choices, values, strict=True))
            with constants(module, chosen):
                us = time(cases(sampling_ops(), rows)[op_name], sets)
            times[f"{rows} rows {chosen}"] = us
        best = sorted((us, what) for what, us in times.items() if what.startswith(f"{rows} "))
        print(f"{name}:", *(f"{us:.1f} us {what}" for us, what in best[:3]), sep="\n    ")
    return times


@contextmanager
def constants(module: ModuleType, chosen: dict[str, int]) -> Iterator[None]:
    before = {name: getattr(module, name) for name in chosen}
    for name, value in chosen.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


def rotated(rows: int, spread: float) -> list[Tensor]:
    generator = torch.Generator("cuda").manual_seed(0)
    number = max(2, min(256, ROTATED // (rows * VOCAB * 2)))
    shape = (number, rows, VOCAB)
    noise = torch.randn(shape, device="cuda", generator=generator, dtype=torch.bfloat16)
    return list(noise * spread)


def time(op: Case, sets: list[Tensor]) -> float:
    """Microseconds of one call."""

    def run() -> None:
        for logits_NV in sets:
            op(logits_NV)

    return graph_time(run) / len(sets) * 1e6


def cases(
    ops: dict[str, Callable[..., object]], rows: int, device: str = "cuda"
) -> dict[str, Case]:
    generator = torch.Generator().manual_seed(1)
    keys_N = torch.randint(-(2**62), 2**62, (rows,), generator=generator).to(device)
    positions_N = torch.arange(rows, device=device)
    found: dict[str, Case] = {"argmax": ops["argmax"]}
    plain = filters(rows, (0.8, 0, 1.0, 0.0), device)
    found["draw"] = lambda x_NV: ops["draw"](x_NV, plain.temperature_N, keys_N, positions_N)
    for name, each in FILTERS.items():
        found[name] = partial(
            lambda x_NV, p: ops["draw_filtered"](x_NV, p, keys_N, positions_N),
            p=filters(rows, each, device),
        )
    found["top 5 logprobs"] = lambda x_NV: ops["top_logprobs"](x_NV, positions_N, 5)
    return found


def filters(rows: int, each: tuple[float, int, float, float], device: str) -> FilterParams:
    temperature, top_k, top_p, min_p = each
    floats_NF = torch.tensor([(temperature, top_p, min_p)] * rows, device=device)
    top_k_N = torch.full((rows,), top_k, device=device)
    columns = (floats_NF[:, 0], top_k_N, floats_NF[:, 1], floats_NF[:, 2])
    return FilterParams(*columns, most_k=top_k, unbounded=top_k == 0)


def check() -> None:
    """Picked tokens are the reference's; one of a row may differ where top_p ends, by rounding."""
    rows = 16
    for kind, spread in SPREADS.items():
        logits_NV = rotated(rows, spread)[0]
        expected = cases(REFERENCE, rows, "cpu")
        for name, op in cases(sampling_ops(), rows).items():
            if name == "top 5 logprobs":
                continue
            ids_N, expected_N = op(logits_NV)[1].cpu(), expected[name](logits_NV.cpu())[1]
            off = int((ids_N != expected_N).sum())
            if off > 1:
                raise SystemExit(f"{name} of {kind} logits: {off} of {rows} tokens are wrong")


if __name__ == "__main__":
    main()
