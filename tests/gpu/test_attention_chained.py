"""Layers whose kernels start before the ones before them end, against the same one by one.

Shape suffixes: T tokens (one for each row), D hidden.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hardware import can_chain
from paged import Paged, Row
from torch import Tensor

from inferd_ops_triton.kernels import rope
from inferd_ops_triton.kernels.chain import ALONE, CHAINED
from inferd_ops_triton.linear import routed
from inferd_ops_triton.tables import Route

pytestmark = pytest.mark.gpu

LAYERS, HEADS, KV_HEADS, SIZE = 5, 32, 8, 128
ROUTE = Route("skinny", 64, 64, 128, 4, 4, 1)
STEPS: dict[str, list[Row]] = {
    "one": [(1, 5000)],
    "few": [(1, 500 + 37 * row) for row in range(8)],
    "many": [(1, 300 + 11 * row) for row in range(48)],
    "skewed": [*[(1, 200)] * 20, (1, 20_000)],
}


class Layers:
    """Each projects, rotates, writes this step's keys and values, and attends to all of them."""

    def __init__(self, rows: list[Row]) -> None:
        self._paged = Paged(rows)
        self._batch = self._paged.exact()
        draw = {"device": "cuda", "dtype": torch.bfloat16}
        self.x_TD = torch.zeros(len(rows), HEADS * SIZE, **draw)
        shape = ((HEADS + 2 * KV_HEADS) * SIZE, HEADS * SIZE)
        self._weight = torch.randn(shape, **draw) / 16
        self._angles = torch.randn(len(rows), SIZE, device="cuda")
        self._positions_T = torch.arange(len(rows), device="cuda")
        block = self._paged.block
        ends = [context - 1 for _, context in rows]
        slots = [
            int(table[at // block]) * block + at % block
            for table, at in zip(self._paged.tables, ends, strict=True)
        ]
        self._slots_T = torch.tensor(slots, device="cuda")

    def __call__(self, *, chained: bool, ahead: int) -> Tensor:
        paged, chain = self._paged, CHAINED if chained else ALONE
        plan = paged.backend.plan(self._batch, 0, paged.params.spec, paged.block)
        dealt = plan.for_heads(HEADS)
        dealt.chained, dealt.decode = chained, replace(dealt.decode, ahead=ahead)
        project = routed(self._weight, None, dict.fromkeys((1, 8, 16, 32, 64), ROUTE), chain)
        prepared = rope.prepare_rope(self._positions_T, self._angles, self._weight.dtype)
        x_TD = self.x_TD
        for _ in range(LAYERS):
            qkv = project(x_TD).view(len(x_TD), -1, SIZE)
            q = rope.rope_kv_write(
                qkv, HEADS, prepared, *paged.caches, self._slots_T, None, None, 1e-5, chain=chain
            )
            x_TD = paged.backend.forward(q, *paged.caches, plan, paged.params).flatten(1)
        return x_TD

    def recorded(self, *, chained: bool, ahead: int) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        self(chained=chained, ahead=ahead)  # compiles
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            out_TD = self(chained=chained, ahead=ahead)
        return graph, out_TD


@pytest.mark.parametrize("ahead", [0, 128])
@pytest.mark.parametrize("name", STEPS)
def test_chained_layers_give_the_same_bits(name: str, ahead: int) -> None:
    """All layers share a cache: a kernel that did not wait would read another layer's."""
    if not can_chain():
        pytest.skip("kernels are chained on sm_90 and newer")
    layers = Layers(STEPS[name])
    alone, expected = layers.recorded(chained=False, ahead=0)
    together, found = layers.recorded(chained=True, ahead=ahead)
    for _ in range(20):
        layers.x_TD.normal_()
        alone.replay()
        for _ in range(5):
            found.zero_()
            together.replay()
            assert torch.equal(found, expected)
        assert expected.isfinite().all()
        assert expected.any()
