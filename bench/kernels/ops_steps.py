"""Steps of a model's ops without attention: as shipped, as swept, and with torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from ops_step import Shape, Step, linears_alone, weights
from timing import graph_time
from torch import Tensor

from inferd.builtin.ops_torch import TorchOps
from inferd.contracts.ops import OpRequest
from inferd_ops_triton.kernels.chain import CHAINED, WAYS, Chain
from inferd_ops_triton.linear import gated_few, routed
from inferd_ops_triton.provider import TritonOps
from inferd_ops_triton.small import small_ops
from inferd_ops_triton.tables import Route, routes

SMALL = ("rms_norm", "add_rms_norm", "act_and_mul", "embedding", "rope_kv_write")


def offered(ways: dict[str, str]) -> dict:
    """The ops, each started as `ways` says, whatever the number of tokens."""
    request = OpRequest("cuda", architecture(), torch.bfloat16)
    rows = {name: [(1 << 30, way)] for name, way in ways.items()}
    return {**TritonOps().ops(request), **small_ops(rows)}


def architecture() -> str:
    if torch.version.hip is not None:
        return torch.cuda.get_device_properties(0).gcnArchName.split(":")[0]
    return "sm_{}{}".format(*torch.cuda.get_device_capability())


def steps(
    shape: Shape, chain: Chain, rows: dict, batches: Sequence[int]
) -> dict[str, dict[str, float]]:
    """Milliseconds of a step's linears and of all its ops but attention."""
    word = "chained" if chain["CHAINED"] else "alone"
    ops = TritonOps().ops(OpRequest("cuda", architecture(), torch.bfloat16))
    if not chain["CHAINED"]:
        ops = offered(dict.fromkeys(SMALL, "alone"))
    return measured(shape, dict(ops), linears_of(shape, chain, rows), word, batches)


def linears_of(shape: Shape, chain: Chain, rows: dict) -> dict[str, list[Routed]]:
    return {
        name: [Routed(weight, chosen(weight, rows), chain) for weight in matrices]
        for name, matrices in weights(shape).items()
    }


class Routed:
    """As DenseLinear, by these routes."""

    def __init__(self, weight: Tensor, chosen: dict[int, Route], chain: Chain) -> None:
        self.linear = routed(weight, None, chosen, chain)
        self.gated = gated_few(weight, self.linear, chosen, chain, {})

    def __call__(self, x: Tensor) -> Tensor:
        return self.linear(x)


def chosen(weight: Tensor, rows: dict) -> dict[int, Route]:
    """The shipped routes, but for what a sweep found."""
    size, inner = weight.shape
    swept = {int(tokens): row for tokens, row in rows.get(f"{size}x{inner}", {}).items()}
    shipped = routes(architecture(), size, inner, weight.element_size())
    kept = {tokens: route for tokens, route in shipped.items() if tokens not in swept}
    return kept | {tokens: Route(*row) for tokens, row in swept.items() if len(row) > 1}


def small_in_steps(shape: Shape, batches: Sequence[int]) -> dict[str, float]:
    """Milliseconds of steps with all small ops started early, and with one started otherwise."""
    made = {  # the activation is an op of its own, as it is where no kernel has it
        name: [linear.linear for linear in linears]
        for name, linears in linears_of(shape, CHAINED, {}).items()
    }
    early = dict.fromkeys(SMALL, "early")
    tried = {"all early": early} | {
        f"{name} {way}": {**early, name: way}
        for name in SMALL
        for way in WAYS
        if way != "early" and name not in ("rms_norm", "embedding")
    }
    tried |= {f"all {way}": dict.fromkeys(SMALL, way) for way in ("alone", "late")}
    found = {}
    for rows in batches:
        for what, ways in tried.items():
            ms = graph_time(Step(shape, offered(ways), made, rows)) * 1e3
            found[f"{what} x {rows}"] = ms
            print(f"step of {rows:3}, {what:20} {ms:7.3f} ms")
    return found


def steps_of_torch(shape: Shape, batches: Sequence[int]) -> dict[str, dict[str, float]]:
    every = weights(shape)
    ops = dict(TorchOps().ops(OpRequest("cuda", architecture(), torch.bfloat16)))
    made = {n: [ops["linear"]["dense"](w, None) for w in ws] for n, ws in every.items()}
    return measured(shape, ops, made, "torch", batches)


def measured(
    shape: Shape, ops: dict, made: dict, word: str, batches: Sequence[int]
) -> dict[str, dict[str, float]]:
    found = {}
    for rows in batches:
        alone = graph_time(linears_alone(shape, made, rows)) * 1e3
        whole = graph_time(Step(shape, ops, made, rows)) * 1e3
        found[str(rows)] = {"linears_ms": alone, "step_ms": whole, "rest_ms": whole - alone}
        print(
            f"step of {rows:3} {word:8} linears {alone:6.3f} ms, "
            f"all but attention {whole:6.3f} ms, rest {whole - alone:6.3f} ms"
        )
    return found
