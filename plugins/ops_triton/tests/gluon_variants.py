"""The specialisations of the kernels in Gluon that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels.launch_ring import tile_layout
from inferd_ops_triton.kernels.launch_warps import TILES, group_layout
from inferd_ops_triton.kernels.packed_ring import MAXNREG, WARPS
from inferd_ops_triton.packing import PLANE, TILE
from inferd_ops_triton.tables_gluon import RingRoute, WarpsRoute

KERNELS = "inferd_ops_triton.kernels.packed"


def in_gluon(
    kind: str, form: Mapping[str, Any], minima: bool, rows: Mapping[str, Any], text: str
) -> Iterator[Variant]:
    """Every route of a weight of 4 bits with zero points; the last of others."""
    ring, warps = rows.get("packed_ring", ()), rows.get("packed_warps", ())
    if form["BITS"] != 4 or minima:
        ring, warps = ring[-1:], warps[-1:] if form["BITS"] == 4 else ()
    for row in ring:
        yield _ring(kind, form, minima, RingRoute(*row), rows["chained"], text)
    for row in warps:
        yield _warps(kind, form, minima, WarpsRoute(*row), rows["chained"], text)


def _ring(
    kind: str, form: Mapping[str, Any], minima: bool, route: RingRoute, chained: bool, text: str
) -> Variant:
    word = 2 if form["BITS"] == 4 else 4
    types = {
        "words_desc": _tiles(f"i{8 * word}", route.rows, word),
        "x_desc": _tiles(kind, route.block_m, 2),
        "scales_ptr": "*fp16",
        "seconds_ptr": "*fp16" if minima else f"*{kind}",
        "out_ptr": f"*{kind}",
        **dict.fromkeys("MNK", "i32"),
    }
    constants = {name: form[name] for name in ("BITS", "NUMBER", "GROUP")}
    constants |= {"ROWS": route.rows, "BLOCK_M": route.block_m, "DEPTH": route.buffers}
    return Variant(
        f"{KERNELS}_ring:packed_ring_kernel",
        types,
        {**constants, "bias_ptr": None, "ZEROS": not minima, "CHAINED": int(chained)},
        num_warps=WARPS,
        name=f"packed {kind}, {text}, {route.block_m} tokens, ring",
        aligned=("N", "K"),
        maxnreg=MAXNREG,
    )


def _tiles(name: str, rows: int, size: int) -> str:
    return f"tensordesc<{name}[{rows}, {PLANE}],{tile_layout(size)!r}>"


def _warps(
    kind: str, form: Mapping[str, Any], minima: bool, route: WarpsRoute, chained: bool, text: str
) -> Variant:
    tiles, groups = (
        f"[{route.warps_k}, {{}}, {PLANE}],{TILES!r}>",
        f"[{route.warps_k}, {route.rows}]",
    )
    groups += f",{group_layout(2)!r}>"
    types = {
        "words_desc": "tensordesc<i16" + tiles.format(route.rows),
        "scales_desc": f"tensordesc<fp16{groups}",
        "seconds_desc": f"tensordesc<{'fp16' if minima else kind}{groups}",
        "x_desc": f"tensordesc<{kind}" + tiles.format(route.block_m),
        "out_ptr": f"*{kind}",
        "parts_ptr": "*fp32",
        **dict.fromkeys((*"MNK", "share"), "i32"),
    }
    constants = {"PIECES": TILE // form["GROUP"], "ZEROS": not minima, "NUMBER": form["NUMBER"]}
    constants |= {"ROWS": route.rows, "DEPTH": route.buffers}
    constants |= {"BLOCK_M": route.block_m, "WARPS_N": route.warps_n, "WARPS_K": route.warps_k}
    return Variant(
        f"{KERNELS}_warps:packed_warps_kernel",
        types,
        {**constants, "bias_ptr": None, "CHAINED": int(chained)},
        num_warps=route.warps,
        name=f"packed {kind}, {text}, {route.block_m} tokens, warps",
        aligned=("N", "K"),
        maxnreg=route.registers,
    )
