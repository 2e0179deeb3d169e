"""The specialisations of the packed kernels in Gluon that are compiled ahead of time, for sm_90."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels.launch_ring import tile_layout
from inferd_ops_triton.kernels.launch_warps import TILES, group_layout
from inferd_ops_triton.kernels.warpgroups import MAXNREG, WARPS
from inferd_ops_triton.packing import MAGIC, PLANE, TILE
from inferd_ops_triton.tables import table
from inferd_ops_triton.tables_gluon import RingRoute, WarpsRoute

KERNELS = "inferd_ops_triton.kernels.packed"
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Form(NamedTuple):
    """How a weight is stored, in a model of `kind`."""

    kind: str
    bits: int
    group: int
    minima: bool = False

    @property
    def number(self) -> int:
        return MAGIC[DTYPES[self.kind]][1] if self.bits == 4 else 0

    @property
    def second(self) -> str:
        """The type of minima or zero points."""
        return "fp16" if self.minima else self.kind

    def named(self, what: str) -> str:
        second = "minima" if self.minima else "zeros"
        return f"packed {self.kind}, {self.bits} bits in groups of {self.group}, {second}, {what}"


FORMS = (4, 128), (4, 64), (4, 32), (4, 32, True), (8, 128), (8, 32, True)


def variants(arch: str, kinds: tuple[str, ...] = tuple(DTYPES)) -> Iterator[Variant]:
    """Every route."""
    rows = table(arch)
    for form in (Form(kind, *form) for kind in kinds for form in FORMS):
        for row in rows["packed_ring"]:
            yield _ring(form, RingRoute(*row), rows["chained"])
        for row in rows["packed_warps"] if form.bits == 4 else ():
            yield _warps(form, WarpsRoute(*row), rows["chained"])


def _ring(form: Form, route: RingRoute, chained: bool) -> Variant:
    word = 2 if form.bits == 4 else 4
    types = {
        "words_desc": _tiles(f"i{8 * word}", route.rows, word),
        "x_desc": _tiles(form.kind, route.block_m, 2),
        "scales_ptr": "*fp16",
        "seconds_ptr": f"*{form.second}",
        "out_ptr": f"*{form.kind}",
        **dict.fromkeys("MNK", "i32"),
    }
    constants = {"BITS": form.bits, "NUMBER": form.number, "GROUP": form.group, "bias_ptr": None}
    constants |= {"ROWS": route.rows, "BLOCK_M": route.block_m, "DEPTH": route.buffers}
    return Variant(
        f"{KERNELS}_ring:packed_ring_kernel",
        types,
        {**constants, "ZEROS": not form.minima, "CHAINED": int(chained)},
        num_warps=WARPS,
        name=form.named(f"{route.block_m} tokens, ring"),
        aligned=("N", "K"),
        maxnreg=MAXNREG,
    )


def _tiles(name: str, rows: int, size: int) -> str:
    return f"tensordesc<{name}[{rows}, {PLANE}],{tile_layout(size)!r}>"


def _warps(form: Form, route: WarpsRoute, chained: bool) -> Variant:
    def tiles(name: str, rows: int) -> str:
        return f"tensordesc<{name}[{route.warps_k}, {rows}, {PLANE}],{TILES!r}>"

    def of_tiles(name: str) -> str:
        return f"tensordesc<{name}[{route.warps_k}, {route.rows}],{group_layout(2)!r}>"

    types = {
        "words_desc": tiles("i16", route.rows),
        "scales_desc": of_tiles("fp16"),
        "seconds_desc": of_tiles(form.second),
        "x_desc": tiles(form.kind, route.block_m),
        "out_ptr": f"*{form.kind}",
        "parts_ptr": "*fp32",
        **dict.fromkeys((*"MNK", "share"), "i32"),
    }
    constants = {"PIECES": TILE // form.group, "NUMBER": form.number, "ROWS": route.rows}
    constants |= {"BLOCK_M": route.block_m, "WARPS_N": route.warps_n, "WARPS_K": route.warps_k}
    constants |= {"ZEROS": not form.minima, "DEPTH": route.buffers, "CHAINED": int(chained)}
    return Variant(
        f"{KERNELS}_warps:packed_warps_kernel",
        types,
        {**constants, "bias_ptr": None},
        num_warps=route.warps,
        name=form.named(f"{route.block_m} tokens, warps"),
        aligned=("N", "K"),
        maxnreg=route.registers,
    )
