"""act(gate) * up in one kernel on a GPU that has it, against float64: rests of every dimension.

Shape suffixes: M tokens, N = 2 I rows of W, K in features.
"""

from __future__ import annotations

import pytest
import torch
from hardware import architecture

from inferd.testing import reference
from inferd.testing.numbers import check_rounded
from inferd_ops_triton.tables import GatedTiles, table

pytestmark = pytest.mark.gpu

SHAPES = ((28672, 4096), (400, 72), (256, 64), (16, 8), (3072, 576))  # N, K
TOKENS = (1, 64, 127, 129, 700, 2049)


@pytest.fixture(autouse=True)
def capable() -> None:
    if "gated" not in table(architecture()):
        pytest.skip(f"the kernel is for sm_90, this is {architecture()}")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("act", ["silu", "gelu_tanh"])
@pytest.mark.parametrize("shape", SHAPES)
def test_any_number_of_tokens(shape: tuple[int, int], act: str, dtype: str) -> None:
    from inferd_ops_triton.kernels.launch_gated import gated, takes

    size, inner = shape
    generator = torch.Generator("cuda").manual_seed(size)
    weight_NK = torch.randn(size, inner, device="cuda", generator=generator) * inner**-0.5
    weight_NK = weight_NK.to(getattr(torch, dtype))
    assert takes(weight_NK)
    for buffers, tokens in zip((4, 3) * 3, TOKENS, strict=True):
        x_MK = torch.randn(tokens, inner, device="cuda", generator=generator).to(weight_NK.dtype)
        found = gated(weight_NK, act, GatedTiles(1, 16, buffers))(x_MK)
        x_M2I = x_MK.double() @ weight_NK.double().T
        expected = reference.act_and_mul(act, x_M2I.cpu())
        check_rounded(f"{act} of {tokens} tokens", found, expected, dtype)


def test_recorded_and_replayed() -> None:
    """Another x gives what it gives eagerly."""
    from inferd_ops_triton.kernels.launch_gated import gated

    weight_NK = torch.randn(3072, 576, device="cuda", dtype=torch.bfloat16)
    x_MK = torch.randn(300, 576, device="cuda", dtype=torch.bfloat16)
    multiply = gated(weight_NK, "silu", GatedTiles(1, 16, 4))
    multiply(x_MK)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out_MI = multiply(x_MK)
    x_MK.copy_(torch.randn_like(x_MK))
    graph.replay()
    assert torch.equal(out_MI, multiply(x_MK))
