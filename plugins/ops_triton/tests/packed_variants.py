"""The specialisations of the kernels of packed weights that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels.packed import PAIRS
from inferd_ops_triton.packing import MAGIC
from inferd_ops_triton.tables import PackedRoute, packed_routes, table

KERNELS = "inferd_ops_triton.kernels.packed"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
KINDS = {kind: MAGIC[dtype][0] for kind, dtype in DTYPES.items()}
SIZES = {"N": "i32", "K": "i32", "W": "i32"}


def variants(arch: str, kinds: tuple[str, ...] = tuple(KINDS)) -> Iterator[Variant]:
    """Every route, with groups smaller than a tile and of whole tiles; and the unpacking."""
    rows = table(arch)
    for kind in kinds:
        for bits, words, added in ((4, "*i16", KINDS[kind]), (8, "*u8", 0)):
            stored = {"words_ptr": words, "scales_ptr": "*fp32", "zeros_ptr": f"*{kind}"}
            for group in (32, 128):
                form = {"BITS": bits, "MAGIC": added, "GROUP": group}
                for route in packed_routes(arch):
                    yield _multiply(kind, stored, form, route, rows["chained"])
                yield _unpack(kind, stored, form)


def _multiply(
    kind: str,
    stored: Mapping[str, str],
    form: Mapping[str, int],
    route: PackedRoute,
    chained: bool,
) -> Variant:
    types = {"x_ptr": f"*{kind}", **stored, "out_ptr": "*fp32", "M": "i32", **SIZES}
    constants: dict[str, int | float | str | None] = {"bias_ptr": None, **form}
    constants |= {"BLOCK_M": route.block_m, "BLOCK_N": route.block_n, "EVEN": True}
    constants["PAIRS"] = PAIRS[DTYPES[kind]] if route.pairs else None
    return Variant(
        f"{KERNELS}:packed_kernel",
        {**types, "x_stride": "i32"},
        {**constants, "CHAINED": int(chained)},
        num_warps=route.warps,
        num_stages=route.stages,
        name=f"packed {kind} {form} {route.block_m} tokens",
        aligned=(*SIZES, "x_stride"),
    )


def _unpack(kind: str, stored: Mapping[str, str], form: Mapping[str, int]) -> Variant:
    types = {**stored, "out_ptr": f"*{kind}", **SIZES}
    constants = {**form, "BLOCK_N": 32}
    name = f"unpack {kind} {form}"
    return Variant(f"{KERNELS}:unpack_kernel", types, constants, name=name, aligned=(*SIZES,))
