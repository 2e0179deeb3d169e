"""What experts.py times: layers of experts, dense or packed, drawn on the device.

Shape suffixes: M experts, D hidden, I intermediate, N out features, K in features, B bytes of a
row, G groups of it, R rows of scales.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from ops_step import normal

from inferd.contracts.ops import Experts
from inferd.contracts.scaled_formats import BLOCK, E4M3, InputFormat, ScaledWeight
from inferd.contracts.weight_formats import DENSE, GroupedWeight, MinimumWeight
from inferd_ops_triton.kernels.experts import TILES, ExpertTiles, make_experts
from inferd_ops_triton.kernels.launch_experts import Stacks, make_packed_experts
from inferd_ops_triton.packing import Packable, PackedWeight
from inferd_ops_triton.tables import PackedTiles, packed_tiles, table


@dataclass(frozen=True)
class Shape:
    experts: int
    chosen: int
    hidden: int
    inner: int
    layers: int  # with weights of their own

    @property
    def expert_bytes(self) -> int:
        return 2 * 3 * self.hidden * self.inner


SHAPES = {
    "mixtral-8x7b": Shape(8, 2, 4096, 14336, layers=2),
    "qwen3-30b-a3b": Shape(128, 8, 2048, 768, layers=4),
    "v2-lite": Shape(64, 6, 2048, 1408, layers=4),
}
SWEPT = [
    ExpertTiles(rows, block_n, block_k, warps, stages)
    for rows in (16, 32, 64, 128)
    for block_n, block_k, warps in (
        (32, 128, 4), (64, 64, 4), (64, 128, 4), (32, 256, 4), (128, 64, 8), (64, 64, 8),
    )
    for stages in (2, 3, 4)
]  # fmt: skip

PACKED_SWEPT = [
    PackedTiles(rows, block_n, warps, stages)
    for rows in (16, 32, 64, 128)
    for block_n, warps in ((32, 2), (64, 4), (128, 4), (64, 8), (128, 8))
    for stages in (2, 3, 4)
]
FORMS = ("w4_g", "w8_g", "w4_m", "w8_m", "fp8_row", "fp8_block")


@dataclass(frozen=True)
class Kind:
    """Experts of some layers, to be made with tiles."""

    make: Callable[[Sequence[Any] | None], list[Experts]]  # None: those of the table
    expert_bytes: int
    swept: Sequence[Any]

    @classmethod
    def of(cls, shape: Shape, form: str, group: int) -> Kind:
        if form == DENSE:
            dense = [drawn(shape) for _ in range(shape.layers)]

            def make_dense(tiles: Sequence[ExpertTiles] | None) -> list[Experts]:
                return [make_experts(*each, "silu", tiles=tiles or TILES) for each in dense]

            return cls(make_dense, shape.expert_bytes, SWEPT)
        layers = [packed(shape, form, group) for _ in range(shape.layers)]
        major, minor = torch.cuda.get_device_capability()
        architecture = f"sm_{major}{minor}"
        shipped, pairs = packed_tiles(architecture), bool(table(architecture).get("pairs"))

        def make_packed(tiles: Sequence[PackedTiles] | None) -> list[Experts]:
            rest = "silu", None, None, tiles or shipped
            return [make_packed_experts(each, *rest, pairs=pairs) for each in layers]

        both = layers[0].gate_up.num_bytes + layers[0].down.num_bytes
        return cls(make_packed, both // shape.experts, PACKED_SWEPT)


def drawn(shape: Shape) -> tuple[torch.Tensor, torch.Tensor]:
    """gate_up_MND and down_MDI."""
    gate_up_MND = normal(shape.experts, 2 * shape.inner, shape.hidden, scale=shape.hidden**-0.5)
    return gate_up_MND, normal(shape.experts, shape.hidden, shape.inner, scale=shape.inner**-0.5)


def packed(shape: Shape, form: str, group: int) -> Stacks:
    """Drawn on the device, an expert at a time."""
    sizes = (2 * shape.inner, shape.hidden), (shape.hidden, shape.inner)
    return Stacks(*(
        PackedWeight.stacked(
            (coded(form, *size, group) for _ in range(shape.experts)), shape.experts, torch.bfloat16
        )
        for size in sizes
    ))  # fmt: skip


def coded(form: str, rows: int, inner: int, group: int) -> Packable:
    if form.startswith("fp8"):
        block = BLOCK if form == "fp8_block" else None
        places = (-(-rows // BLOCK), -(-inner // BLOCK)) if block else (rows, 1)
        scales_RG = torch.rand(places, device="cuda") * 1e-3
        values_NK = (normal(rows, inner) * 64).to(E4M3)
        return ScaledWeight(values_NK, scales_RG, InputFormat(E4M3, block), block or 1)
    bits = int(form[1])
    packed_NB = torch.randint(256, (rows, inner * bits // 8), dtype=torch.uint8, device="cuda")
    scales_NG = (torch.rand(rows, inner // group, device="cuda") * 0.01).half()
    if form.endswith("_m"):
        return MinimumWeight(bits, packed_NB, scales_NG, -scales_NG * 8)
    return GroupedWeight(bits, packed_NB, scales_NG)
