"""The specialisations of the kernels of packed experts that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from inferd.testing.kernels import Variant
from inferd.testing.packed_weights import draw_grouped, draw_minimum, draw_scaled
from inferd_ops_triton.kernels.experts_order import BLOCK_D
from inferd_ops_triton.kernels.launch_experts import constants
from inferd_ops_triton.packing import Packable, PackedWeight
from inferd_ops_triton.tables import PackedTiles, packed_tiles, table

KERNELS = "inferd_ops_triton.kernels"
TYPES = {
    torch.bfloat16: "bf16",
    torch.float16: "fp16",
    torch.float32: "fp32",
    torch.int16: "i16",
    torch.int32: "i32",
}
FORMS: dict[str, Packable] = {
    "4 bits in groups of 128": draw_grouped(0, 4, (1, 128, 128)),
    "4 bits in groups of 32": draw_grouped(0, 4, (1, 128, 32)),
    "4 bits in groups of 32, minima": draw_minimum(0, 4, (1, 128, 32)),
    "4 bits in groups of 16, minima": draw_minimum(0, 4, (1, 128, 16)),
    "8 bits in groups of 128": draw_grouped(0, 8, (1, 128, 128)),
    "8 bits in groups of 32, minima": draw_minimum(0, 8, (1, 128, 32)),
    "8 bits in groups of 16": draw_grouped(0, 8, (1, 128, 16)),
    "FP8 in blocks": draw_scaled(0, "fp8_block", (1, 128)),
}
SIZES = {"M": "i32", "I": "i32", "D": "i32", "W": "i32"}
TILES = dict.fromkeys(("pairs_ptr", "experts_ptr", "firsts_ptr", "ends_ptr"), "*i32")


def variants(
    arch: str, kinds: tuple[torch.dtype, ...] = (torch.bfloat16, torch.float16)
) -> Iterator[Variant]:
    """Every tile with the first form; the others with the last tile, which has most registers."""
    for kind in kinds:
        for place, form in enumerate(FORMS):
            for tile in packed_tiles(arch)[-1 if place else 0 :]:
                yield from _both(arch, kind, form, tile)
        yield _ordered(kind)


def _both(arch: str, kind: torch.dtype, form: str, tile: PackedTiles) -> Iterator[Variant]:
    weight = PackedWeight.of(FORMS[form], kind)
    stored = {
        "words_ptr": weight.words_NW,
        "scales_ptr": weight.scales_GN,
        "zeros_ptr": weight.zeros_GN,
        "minima_ptr": weight.minima_GN,
    }
    types = {name: f"*{TYPES[x.dtype]}" for name, x in stored.items() if x is not None}
    types |= dict.fromkeys(("x_ptr", "out_ptr"), f"*{TYPES[kind]}") | TILES | SIZES
    missing = dict.fromkeys(name for name, x in stored.items() if x is None)
    pairs = bool(table(arch).get("pairs"))
    fixed = {"bias_ptr": None, **missing, **constants(weight, tile, kind, pairs=pairs)}
    name = f"{TYPES[kind]}, {form}, {tile.rows} rows x {tile.block_n}"
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    yield Variant(
        f"{KERNELS}.packed_experts:packed_gate_up_kernel",
        {**types, "x_stride": "i32"},
        {**fixed, "C": 8, "ACT": "silu"},
        name=f"gate_up {name}",
        aligned=("I", "D", "W", "x_stride"),
        **options,
    )
    yield Variant(
        f"{KERNELS}.packed_experts:packed_down_kernel",
        {**types, "shares_ptr": "*fp32"},
        fixed,
        name=f"down {name}",
        aligned=("I", "D", "W"),
        **options,
    )


def _ordered(kind: torch.dtype) -> Variant:
    types = {"x_ptr": f"*{TYPES[kind]}", "chosen_ptr": "*i64", "order_ptr": "*i32"}
    types |= {"out_ptr": f"*{TYPES[kind]}", "D": "i32", "x_stride": "i32"}
    return Variant(
        f"{KERNELS}.experts_order:ordered_kernel",
        types,
        {"C": 8, "BLOCK_D": BLOCK_D},
        name=f"ordered {TYPES[kind]}",
        aligned=("D", "x_stride"),
    )
