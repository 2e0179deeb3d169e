"""The specialisations of the kernels of packed weights that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import torch

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels.lookup import BLOCK_B, BLOCK_E, BLOCK_M, BLOCK_N
from inferd_ops_triton.kernels.packed import ROWS_AT_ONCE
from inferd_ops_triton.kernels.packed_sums import PAIRS
from inferd_ops_triton.packing import MAGIC, PLANE
from inferd_ops_triton.tables import PackedRoute, Route, packed_routes, table

KERNELS = "inferd_ops_triton.kernels.packed"
LOOKUP = "inferd_ops_triton.kernels.lookup"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
Constants = dict[str, int | float | str | bool | None]
FORMS = (  # bits, group, whether there are minima
    (4, 128, False), (4, 32, False), (4, 32, True), (4, 16, True),
    (8, 128, False), (8, 32, True), (8, 16, False),
)  # fmt: skip
SIZES = {"N": "i32", "K": "i32", "W": "i32"}


def variants(arch: str, kinds: tuple[str, ...] = tuple(DTYPES)) -> Iterator[Variant]:
    """Every route, with groups smaller than a tile and of whole tiles; one token; the unpacking.

    GGUF's: minima, and groups that end within a plane. They differ by little: one route of each.
    """
    rows = table(arch)
    for kind in kinds:
        for bits, group, minima in FORMS:
            stored = _stored(kind, bits, minima)
            form = _form(kind, bits, group, stored)
            every = distinct(packed_routes(arch, minima))
            if (bits, minima) != (4, False):
                every = every[-1:]
            for route in every:
                yield _multiply(kind, stored, form, route, rows["chained"])
            yield _unpack(kind, stored, form)
            yield _gemv(kind, form, minima, Route(*rows["packed_gemv"]), rows["chained"])
        yield from lookups(kind)


def _stored(kind: str, bits: int, minima: bool) -> dict[str, str]:
    words = "*i16" if bits == 4 else "*i32"
    second = {"minima_ptr": "*fp16"} if minima else {"zeros_ptr": f"*{kind}"}
    return {"words_ptr": words, "scales_ptr": "*fp16", **second}


def _form(kind: str, bits: int, group: int, stored: Mapping[str, str]) -> Constants:
    magic, number = MAGIC[DTYPES[kind]] if bits == 4 else (0, 0)
    form: Constants = {"BITS": bits, "MAGIC": magic, "NUMBER": number, "GROUP": group}
    missing = dict.fromkeys({"minima_ptr", "zeros_ptr"} - set(stored))
    return {**form, "WIDTH": min(group, PLANE), **missing}


def distinct(routes: Iterable[PackedRoute]) -> list[PackedRoute]:
    """Rows of a table that differ in more than how K is cut, which is no other kernel."""
    return list({replace(route, most=0, programs=0): route for route in routes}.values())


def _text(form: Constants) -> str:
    minima = ", minima" if "zeros_ptr" in form else ""
    return f"{form['BITS']} bits in groups of {form['GROUP']}{minima}"


def lookups(kind: str) -> Iterator[Variant]:
    """Products by tables of 8 and 16 values, the unpacking, and outliers."""
    stored = {"codes_ptr": "*u8", "table_ptr": "*fp32"}
    for values in (8, 16):
        blocks: Constants = {"VALUES": values, "BLOCK_N": BLOCK_N, "BLOCK_B": BLOCK_B}
        types = {"x_ptr": f"*{kind}", **stored, "out_ptr": "*fp32", "M": "i32", "N": "i32"}
        yield Variant(
            f"{LOOKUP}:lookup_kernel",
            {**types, "K": "i32", "x_stride": "i32"},
            {**blocks, "BLOCK_M": BLOCK_M},
            name=f"packed {kind}, tables of {values}",
            aligned=("N", "K", "x_stride"),
        )
        types = {**stored, "out_ptr": f"*{kind}", "N": "i32", "K": "i32"}
        name = f"unpack {kind}, tables of {values}"
        kernel = f"{LOOKUP}:unpack_lookup_kernel"
        yield Variant(kernel, types, blocks, name=name, aligned=("N", "K"))
    types = {"sums_ptr": "*fp32", "x_ptr": f"*{kind}", "starts_ptr": "*i32", "columns_ptr": "*i32"}
    types |= {"values_ptr": "*fp32", "out_ptr": f"*{kind}", "M": "i32", "N": "i32"}
    yield Variant(
        f"{LOOKUP}:outliers_kernel",
        {**types, "x_stride": "i32"},
        {"bias_ptr": None, "BLOCK_M": BLOCK_M, "BLOCK_E": BLOCK_E},
        name=f"outliers {kind}",
        aligned=("N", "x_stride"),
    )


def _multiply(
    kind: str, stored: Mapping[str, str], form: Constants, route: PackedRoute, chained: bool
) -> Variant:
    types = {"x_ptr": f"*{kind}", **stored, "out_ptr": "*fp32", "M": "i32", **SIZES}
    constants: Constants = {"bias_ptr": None, **form}
    constants |= {"BLOCK_M": route.block_m, "BLOCK_N": route.block_n, "EVEN": True}
    pairs = PAIRS[DTYPES[kind], "zeros_ptr" in stored]
    return Variant(
        f"{KERNELS}:packed_kernel",
        {**types, "x_stride": "i32"},
        {**constants, "PAIRS": pairs if route.pairs else None, "CHAINED": int(chained)},
        num_warps=route.warps,
        num_stages=route.stages,
        name=f"packed {kind}, {_text(form)}, {route.block_m} tokens x {route.block_n}",
        aligned=(*SIZES, "x_stride"),
    )


def _unpack(kind: str, stored: Mapping[str, str], form: Constants) -> Variant:
    types = {**stored, "out_ptr": f"*{kind}", "first": "i32", **SIZES}
    constants: Constants = {**form, "BLOCK_N": ROWS_AT_ONCE}
    name = f"unpack {kind}, {_text(form)}"
    return Variant(f"{KERNELS}:unpack_kernel", types, constants, name=name, aligned=(*SIZES,))


def _gemv(kind: str, form: Constants, minima: bool, route: Route, chained: bool) -> Variant:
    types = {
        "x_ptr": "*i32" if form["BITS"] == 4 else f"*{kind}",
        "words_ptr": "*i32",
        "scales_ptr": "*fp16",
        **SIZES,
    }
    types |= {"seconds_ptr": "*fp16" if minima else f"*{kind}", "out_ptr": f"*{kind}"}
    constants = {name: form[name] for name in ("BITS", "NUMBER", "GROUP")}
    constants |= {"BLOCK_N": route.block_n, "BLOCK_W": route.block_k // 8}
    return Variant(
        f"{KERNELS}_gemv:packed_gemv_kernel",
        types,
        {**constants, "bias_ptr": None, "ZEROS": not minima, "CHAINED": int(chained)},
        num_warps=route.warps,
        name=f"a token {kind}, {_text(form)}",
        aligned=(*SIZES,),
    )
