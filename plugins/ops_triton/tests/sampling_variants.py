"""The specialisations of the sampling kernels that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

import triton

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels import sampling_filter as few
from inferd_ops_triton.kernels import sampling_logprobs as logprobs
from inferd_ops_triton.kernels import sampling_pick as pick
from inferd_ops_triton.kernels import sampling_scan as scan
from inferd_ops_triton.kernels import sampling_wide as wide
from inferd_ops_triton.kernels.sampling_launch import block_size

MODULES = {m.__name__.rsplit(".", 1)[1]: m for m in (few, logprobs, pick, scan, wide)}
KERNELS = "inferd_ops_triton.kernels"
TYPES = ("bf16", "fp16", "fp32")
VOCABULARIES = (49152, 128256, 262144)
POINTERS = {
    "chosen": "*i64", "temperature": "*fp32", "top_p": "*fp32", "min_p": "*fp32", "top_k": "*i64",
    "keys": "*i64", "positions": "*i64", "tops": "*i32", "peaks": "*fp32", "masses": "*fp32",
    "above": "*i32", "scratch": "*i32", "best": "*fp32", "ids": "*i64", "wide": "*i32",
    "values": "*fp32", "ranks": "*i64", "picked": "*i64", "parts_best": "*i32",
    "parts_picked": "*i64",
}  # fmt: skip


def variants(
    arch: str, types: tuple[str, ...] = TYPES, sizes: tuple[int, ...] = VOCABULARIES
) -> Iterator[Variant]:
    for size in sizes:
        for kind in types:
            yield from _of_row(arch, kind, size)
        tiles = triton.cdiv(size, pick.DRAW_TILE)
        constants = {"P": tiles, "BLOCK_P": triton.next_power_of_2(tiles)}
        yield _variant("sampling_pick:collect_kernel", "bf16", constants, 1, f"{size}")


def _of_row(arch: str, kind: str, size: int) -> Iterator[Variant]:
    block = block_size(size)
    row = {"V": size, "BLOCK": block, "B": triton.cdiv(size, block)}
    row["BLOCK_B"] = triton.next_power_of_2(row["B"])
    tiles = {"P": triton.cdiv(size, scan.TILE)}
    tiles["BLOCK_P"] = triton.next_power_of_2(tiles["P"])

    def variant(kernel: str, warps: int, name: str = "", **constants: int) -> Variant:
        known = row | tiles | {"FAST": arch.startswith("sm_")} | constants
        return _variant(kernel, kind, known, warps, f"{size} {kind} {name}")

    argmax_tiles, draw_tiles = (triton.cdiv(size, n) for n in (pick.ARGMAX_TILE, pick.DRAW_TILE))
    yield variant(
        "sampling_pick:argmax_kernel", pick.ARGMAX_WARPS, P=argmax_tiles, TILE=pick.ARGMAX_TILE
    )
    yield variant(
        "sampling_pick:draw_kernel",
        pick.DRAW_WARPS,
        P=draw_tiles,
        TILE=pick.DRAW_TILE,
        ROWS=pick.DRAW_ROWS,
    )
    for mass, warm, rank in ((0, 1, 0), (1, 1, 0), (1, 0, 1)):
        yield variant(
            "sampling_scan:scan_kernel", scan.WARPS, f"{mass}{warm}{rank}",
            BLOCKS=scan.TILE // block, MASS=mass, WARM=warm, RANK=rank,
        )  # fmt: skip
    for unbounded in (False, True):
        yield variant(
            "sampling_filter:draw_few_kernel", few.WARPS, f"unbounded {unbounded}",
            C=few.CANDIDATES, SEEK=few.SEEK, GROUP=few.GROUP, UNBOUNDED=unbounded,
        )  # fmt: skip
    yield variant("sampling_wide:draw_wide_kernel", wide.WARPS, TILE=wide.TILE)
    for most in (logprobs.FEW, logprobs.MANY):
        yield variant(
            "sampling_logprobs:top_logprobs_kernel", logprobs.WARPS, f"{most}", BLOCK_K=most
        )


def _variant(kernel: str, kind: str, constants: dict[str, int], warps: int, name: str) -> Variant:
    """Arguments by their names in the kernel."""
    names, signature, constexprs = _arguments(kernel), {}, {}
    for argument in names:
        if argument.isupper():
            constexprs[argument] = constants[argument]
        elif argument == "logits_ptr":
            signature[argument] = f"*{kind}"
        elif argument.endswith("_ptr"):
            signature[argument] = _pointer(kernel, argument.removesuffix("_ptr"))
        else:
            signature[argument] = "i32"
    return Variant(
        f"{KERNELS}.{kernel}", signature, constexprs, warps, 3, f"{kernel.split(':')[1]} {name}",
        aligned=("logits_stride",) if "logits_stride" in signature else (),
    )  # fmt: skip


def _pointer(kernel: str, name: str) -> str:
    """best is a partial result, in order, where the vocabulary is dealt to several programs."""
    partial = kernel in ("sampling_pick:argmax_kernel", "sampling_pick:draw_kernel")
    return "*i32" if name == "best" and partial else POINTERS[name]


def _arguments(kernel: str) -> list[str]:
    module, name = kernel.split(":")
    names: list[str] = getattr(MODULES[module], name).arg_names
    return names
