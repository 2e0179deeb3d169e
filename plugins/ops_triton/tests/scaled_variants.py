"""The specialisations of the kernels of W8A8 that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels.rounding import AT_ONCE, warps
from inferd_ops_triton.kernels.scaled import summed
from inferd_ops_triton.rounded import has_fnuz, has_fp8
from inferd_ops_triton.tables import Route, ScaledRoute, table

KERNELS = "inferd_ops_triton.kernels"
MOST = {"i8": 127.0, "fp8e4nv": 448.0, "fp8e4b8": 224.0}
ROUNDED = {"codes_ptr": "", "scales_ptr": "*fp32", "scale": "fp32"}
Constants = dict[str, int | float | str | bool | None]


def variants(arch: str) -> Iterator[Variant]:
    """Every route, with scales per row and in blocks; and the rounding."""
    for kind in kinds(arch):
        yield from _roundings(kind, 32 if arch.startswith("sm_") else 16)
        yield from _products(arch, kind)
        yield from _gemvs(arch, kind)


def kinds(arch: str) -> tuple[str, ...]:
    fp8 = ("fp8e4b8" if has_fnuz(arch) else "fp8e4nv",) if has_fp8(arch) else ()
    return (*fp8, "i8")


def _roundings(kind: str, most: int) -> Iterator[Variant]:
    """Of a token's inputs, or in groups of 128; alone, after the activation, after the norm."""
    for inner, size, act in [(4096, 4096, None), (14336, 14336, "silu"), (14336, 128, "silu")]:
        block_s = 1 << (size - 1).bit_length()
        block_g = max(1, AT_ONCE // block_s)
        types = {"x_ptr": "*bf16", **ROUNDED, "x_stride": "i32"}
        yield _rounding(
            "round_kernel",
            kind,
            types,
            {"ACT": act, "K": inner, "SIZE": size, "BLOCK_G": block_g, "BLOCK_S": block_s},
            warps(block_g * block_s, most),
        )
    for size, block, residual in [(4096, 4096, True), (128, 128, True), (4096, 4096, False)]:
        types = {"x_ptr": "*bf16", "weight_ptr": "*bf16", **ROUNDED}
        sizes: Constants = {"EPS": 1e-5, "D": 4096, "SIZE": size, "BLOCK_D": 4096}
        sizes |= {"BLOCK_S": block}
        if residual:
            types["residual_ptr"] = "*bf16"
        else:
            sizes["residual_ptr"] = None
        types |= {"x_stride": "i32", "residual_stride": "i32"}
        yield _rounding("norm_round_kernel", kind, types, sizes, warps(4096, most))


def _rounding(
    kernel: str, kind: str, types: Mapping[str, str], sizes: Constants, num_warps: int
) -> Variant:
    return Variant(
        f"{KERNELS}.rounding:{kernel}",
        {**types, "codes_ptr": f"*{kind}"},
        {**sizes, "STATIC": False, "MOST": MOST[kind], "CHAINED": 0},
        num_warps=num_warps,
        name=f"{kernel} {kind} {sizes}",
        aligned=("x_stride", "residual_stride"),
    )


def _products(arch: str, kind: str) -> Iterator[Variant]:
    rows = table(arch)
    stored = {"x_ptr": f"*{kind}", "x_scales_ptr": "*fp32", "weight_ptr": f"*{kind}"}
    for grouped in (False, True) if kind != "i8" else (False,):
        for row in {tuple(row[1:-1]): row for row in rows["scaled"]}.values():
            yield _product(stored, ScaledRoute(*row), rows["chained"], grouped)
            if kind != "i8" and summed(torch.float16, ScaledRoute(*row)) == 32:
                yield _product(stored, ScaledRoute(*row), rows["chained"], grouped, summed=32)
        if grouped:
            yield _product(stored, ScaledRoute(*row), rows["chained"], grouped, even=False)


def _product(
    stored: Mapping[str, str],
    route: ScaledRoute,
    chained: bool,
    grouped: bool,
    *,
    even: bool = True,
    summed: int = 128,
) -> Variant:
    types = {**stored, "scales_ptr": "*fp32", "out_ptr": "*fp32", "M": "i32", "N": "i32"}
    kind = stored["x_ptr"].removeprefix("*")
    constants: Constants = {"bias_ptr": None, "RUN": 128 if grouped else 1, "GROUPED": grouped}
    constants |= {"INTEGER": kind == "i8", "BLOCK_M": route.block_m, "BLOCK_N": route.block_n}
    constants |= {"BLOCK_K": 128 if grouped else route.block_k, "EVEN": even, "SUMMED": summed}
    return Variant(
        f"{KERNELS}.scaled:scaled_kernel",
        {**types, "K": "i32"},
        {**constants, "CHAINED": int(chained)},
        num_warps=route.warps,
        num_stages=route.stages,
        name=f"scaled {kind}, {route.block_m} tokens x {route.block_n}"
        f"{', blocks' if grouped else ''}{'' if even else ', ragged'}, {summed} inputs at once",
        aligned=("N", "K"),
    )


def _gemvs(arch: str, kind: str) -> Iterator[Variant]:
    rows = table(arch)
    route = Route(*rows["scaled_gemv"])
    types = {"x_ptr": "*i32", "weight_ptr": f"*{kind}", "scales_ptr": "*fp32", "out_ptr": "*bf16"}
    sizes: Constants = {"bias_ptr": None, "BLOCK_N": route.block_n, "BLOCK_W": route.block_k // 4}
    sizes["FOURS"] = kind == "fp8e4nv" and bool(rows.get("pairs"))
    for grouped in (False, True) if kind != "i8" else (False,):
        yield Variant(
            f"{KERNELS}.scaled_gemv:scaled_gemv_kernel",
            {**types, "N": "i32", "W": "i32"},
            {**sizes, "RUN": 128 if grouped else 1, "GROUPED": grouped}
            | {"CHAINED": int(rows["chained"])},
            num_warps=route.warps,
            name=f"gemv {kind}{', blocks' if grouped else ''}",
            aligned=("N", "W"),
        )
