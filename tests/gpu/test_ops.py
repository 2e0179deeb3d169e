"""The ops of ops_triton on a GPU against float64: odd sizes, strides, padding, recorded graphs.

Shape suffixes as in inferd.contracts.ops; M tokens of a few-row linear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hardware import PLATFORM, architecture, can_chain
from torch import Tensor

from inferd.testing import OpsContract, reference
from inferd.testing.numbers import DTYPES, check_close
from inferd_ops_triton.kernels import activation, embedding, norm, rope
from inferd_ops_triton.kernels.chain import ALONE, CHAINED, LATE, Chain
from inferd_ops_triton.kernels.experts import make_experts
from inferd_ops_triton.linear import DenseLinear, gated_few, routed
from inferd_ops_triton.tables import Route

pytestmark = pytest.mark.gpu

EPS = 1e-5
SIZES = (1, 33, 96, 576, 896, 1600, 4096, 8192, 16384)
HEAD_SIZES = (64, 80, 96, 112, 128, 192, 256)
MATRICES = {  # one or more of each model whose table is shipped
    "135M": [(960, 576), (3072, 576), (576, 1536)],
    "1B": [(3072, 2048), (2048, 8192)],
    "8B": [(6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336)],
}
SHAPES = [shape for shapes in MATRICES.values() for shape in shapes]


class TestContract(OpsContract):
    plugin = "ops_triton"
    provider = "triton"
    platform = PLATFORM
    device = "cuda"


def draw(*shape: int, dtype: str = "bfloat16", scale: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    noise = torch.randn(shape, device="cuda", generator=generator) * scale
    return noise.to(DTYPES[dtype])


def chains() -> list[Chain]:
    return [ALONE, CHAINED, LATE] if can_chain() else [ALONE]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
def test_norms(size: int, dtype: str) -> None:
    for tokens in (1, 3, 257):
        wide = draw(tokens, size + 16, dtype=dtype)
        x_TD, residual_TD = wide[:, :size], draw(tokens, size + 48, dtype=dtype, seed=1)[:, :size]
        weight_D = draw(size, dtype=dtype, seed=2)
        expected = reference.rms_norm(x_TD.cpu(), weight_D.cpu(), EPS)
        check_close("rms_norm", norm.rms_norm(x_TD, weight_D, EPS), expected, dtype)
        total_TD = x_TD.cpu() + residual_TD.cpu()
        normed_TD, sum_TD = norm.add_rms_norm(x_TD, residual_TD, weight_D, EPS)
        check_close("sum", sum_TD, total_TD, dtype)
        expected = reference.rms_norm(total_TD, weight_D.cpu(), EPS)
        check_close("add_rms_norm", normed_TD, expected, dtype)
        assert torch.equal(wide[:, size:], draw(tokens, size + 16, dtype=dtype)[:, size:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("act", ["silu", "gelu", "gelu_tanh"])
def test_activations(act: str, dtype: str) -> None:
    for tokens, size in ((1, 14336), (3, 1536), (129, 33), (1000, 1025)):
        x_T2I = draw(tokens, 2 * size, dtype=dtype, scale=4.0)
        expected = reference.act_and_mul(act, x_T2I.cpu())
        check_close(f"{act} of {size}", activation.act_and_mul(x_T2I, act), expected, dtype)


def test_large_values_do_not_overflow() -> None:
    x_T2I = torch.tensor([[-3e38, 3e38, 1.0, 1.0]], device="cuda", dtype=torch.bfloat16)
    for act in ("silu", "gelu", "gelu_tanh"):
        found = activation.act_and_mul(x_T2I, act)
        assert found[0, 0] == 0, act
        assert found[0, 1] == x_T2I[0, 1], act


def test_embedding_past_two_to_the_31_elements() -> None:
    weight_VD = torch.empty(600_000, 4096, device="cuda", dtype=torch.bfloat16)
    ids_T = torch.tensor([0, 524_288, 599_999], device="cuda")
    weight_VD[ids_T] = draw(3, 4096)
    assert torch.equal(embedding.embedding(ids_T, weight_VD), weight_VD[ids_T])


@pytest.mark.parametrize("normed", [False, True])
@pytest.mark.parametrize("size", HEAD_SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rope_kv_write(dtype: str, size: int, normed: bool) -> None:
    cases = [(9, 3, 70), (32, 8, 1), (8, 8, 5), (7, 1, 200)]
    for heads, kv_heads, tokens in cases if size in (64, 128) else cases[:1]:
        check_rope(dtype, heads, kv_heads, size, tokens, normed=normed, cache=DTYPES[dtype])


def test_rope_into_an_fp8_cache_saturates() -> None:
    check_rope(
        "bfloat16", 8, 2, 128, 33, normed=False, cache=torch.float8_e4m3fn, scale=300.0,
        tolerance="float8",
    )  # fmt: skip


def check_rope(
    dtype: str,
    heads: int,
    kv_heads: int,
    size: int,
    tokens: int,
    *,
    normed: bool,
    cache: torch.dtype,
    scale: float = 1.0,
    tolerance: str = "",
) -> None:
    """The last third of the tokens is padding: it goes to slot 0, which nobody reads."""
    torch.manual_seed(0)
    qkv_TXE = draw(tokens, heads + 2 * kv_heads, size, dtype=dtype, scale=scale)
    weights = [draw(size, dtype=dtype, seed=s) if normed else None for s in (1, 2)]
    real = tokens - tokens // 3
    slots_T = torch.zeros(tokens, dtype=torch.int64)
    slots_T[:real] = torch.randperm(16 * 15)[:real] + 16
    positions_T = torch.randint(0, 500, (tokens,))
    angles_PF = torch.arange(500)[:, None] * 0.9 ** torch.arange(size // 2)
    cos_sin_PE = torch.cat((angles_PF.cos(), angles_PF.sin()), -1)
    pool = torch.zeros(16, 2, kv_heads, 16, size, device="cuda", dtype=cache)
    other = torch.zeros(16, 16, kv_heads, size, device="cuda", dtype=cache)
    k_BSGE, v_BSGE = pool[:, 0].transpose(1, 2), other  # of two layouts
    expected = reference.rope(qkv_TXE.cpu(), heads, weights, cos_sin_PE[positions_T], EPS)
    prepared = rope.prepare_rope(positions_T.cuda(), cos_sin_PE.cuda(), qkv_TXE.dtype)
    q_THE = rope.rope_kv_write(
        qkv_TXE, heads, prepared, k_BSGE, v_BSGE, slots_T.cuda(), *weights, EPS
    )
    check_close("q", q_THE, expected[0], dtype)
    most = torch.finfo(cache).max
    for name, found, values in zip("kv", (k_BSGE, v_BSGE), expected[1:], strict=True):
        whole = torch.zeros(found.shape, dtype=torch.float64)
        whole[slots_T[:real] // 16, slots_T[:real] % 16] = values[:real].clamp(-most, most)
        close_or_fp8(name, found[1:].float(), whole[1:], tolerance or dtype)
        assert not pool[:, 1].float().any()


def close_or_fp8(name: str, found: Tensor, expected: Tensor, tolerance: str) -> None:
    if tolerance != "float8":
        check_close(name, found, expected, tolerance)
        return
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.cpu().double(), expected, rtol=0.07, atol=2e-3)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_routed_number_of_tokens(dtype: str, shape: tuple[int, int]) -> None:
    size, inner = shape
    weight_NK = draw(size, inner, dtype=dtype, scale=inner**-0.5)
    bias_N, exact_NK = draw(size, dtype=dtype, seed=1), weight_NK.double()
    for chain in chains():
        apply = DenseLinear(weight_NK, bias_N, architecture=architecture(), chain=chain)
        for tokens in (*range(1, 66), 80, 95, 96, 97, 112, 127, 128, 129):
            x_MK = draw(tokens, inner, dtype=dtype, seed=tokens)
            expected = (x_MK.double() @ exact_NK.T + bias_N.double()).cpu()
            check_close(f"{shape} x {tokens}", apply(x_MK), expected, dtype)


ROUTES = [
    Route("gemv", 1, 4, 1024, 4, 1, 1),
    Route("gemv", 1, 16, 256, 4, 1, 1),
    Route("skinny", 16, 16, 256, 4, 3, 1),
    Route("skinny", 16, 32, 128, 4, 4, 2),
    Route("skinny", 16, 64, 128, 4, 4, 4),
    Route("skinny", 16, 128, 64, 8, 3, 1),
    Route("skinny", 128, 64, 128, 8, 4, 2),
    Route("skinny", 128, 128, 64, 4, 4, 4),
    Route("skinny", 128, 256, 64, 8, 3, 8),
]


@pytest.mark.parametrize("route", ROUTES, ids=str)
@pytest.mark.parametrize("shape", [(130, 1000), (33, 4096), (1024, 1040), (257, 200)], ids=str)
def test_sizes_that_tiles_do_not_divide(shape: tuple[int, int], route: Route) -> None:
    size, inner = shape
    weight_NK, x_MK = draw(size, inner, scale=inner**-0.5), draw(128, 2 * inner)[:, :inner]
    x_MK = x_MK[: max(1, route.block_m - 3)]
    bucket = 1 if route.kernel == "gemv" else route.block_m
    expected = (x_MK.double() @ weight_NK.double().T).cpu()
    for chain in chains():
        apply = routed(weight_NK, None, {bucket: route}, chain)
        check_close(f"{route}", apply(x_MK), expected, "bfloat16")
        assert torch.equal(apply(x_MK), apply(x_MK)), "parts are added in a fixed order"


@pytest.mark.parametrize("act", activation.ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(28672, 4096), (1024, 1040), (272, 200)], ids=str)
def test_gate_and_up_of_few_tokens(shape: tuple[int, int], dtype: str, act: str) -> None:
    size, inner = shape
    weight_NK = draw(size, inner, dtype=dtype, scale=inner**-0.5)
    x_MK = draw(128, 2 * inner, dtype=dtype)[:, :inner]
    expected = reference.act_and_mul(act, (x_MK.double() @ weight_NK.double().T).cpu())
    for route in (route for route in ROUTES if route.parts == 1):
        tokens = max(1, route.block_m - 3)
        chosen = {1 if route.kernel == "gemv" else route.block_m: route}
        for chain in chains():
            linear = routed(weight_NK, None, chosen, chain)
            gated = gated_few(weight_NK, linear, chosen, chain, {})[act]
            assert gated.suits(tokens)
            found = gated.multiply(x_MK[:tokens])
            check_close(f"{act} by {route}", found, expected[:tokens], dtype)


def small_layers(chain: Chain, x_TD: Tensor) -> Callable[[], Tensor]:
    """Every op after the other, each reading what the one before wrote.

    Every second layer's linear activates what it makes of gate and up.
    """
    hidden = x_TD.shape[1]
    weights = [
        [draw(n, k, scale=k**-0.5, seed=i) for n, k in ((1536, hidden), (hidden, 1024))]
        + [draw(8192, hidden, scale=hidden**-0.5, seed=i), draw(hidden, 4096, scale=0.02, seed=i)]
        for i in range(6)
    ]
    route = Route("gemv", 1, 4, 256, 4, 1, 1), Route("skinny", 16, 32, 128, 4, 4, 2)
    table = {1: route[0], 8: route[1], 16: route[1]}
    whole = {tokens: replace(route, parts=1) for tokens, route in table.items()}
    layers = [[routed(w, None, table, chain) for w in ws] for ws in weights]
    gated = [
        gated_few(ws[2], linears[2], whole, chain, {})["silu"]
        for ws, linears in zip(weights, layers, strict=True)
    ]
    weight_D, ids_T = draw(hidden), torch.arange(len(x_TD), device="cuda")
    prepared = rope.prepare_rope(ids_T, draw(64, 128, dtype="float32"), x_TD.dtype)
    pool = torch.zeros(8, 2, 2, 16, 128, device="cuda", dtype=x_TD.dtype)
    k_BSGE, v_BSGE = pool[:, 0].transpose(1, 2), pool[:, 1].transpose(1, 2)

    def run() -> Tensor:
        residual_TD = embedding.embedding(ids_T, x_TD, chain=chain)
        normed_TD = norm.rms_norm(residual_TD, weight_D, EPS, chain=chain)
        for layer, (qkv, o, gate_up, down) in enumerate(layers):
            qkv_TXE = qkv(normed_TD).view(len(x_TD), 12, 128)
            q_THE = rope.rope_kv_write(
                qkv_TXE, 8, prepared, k_BSGE, v_BSGE, ids_T + 16, None, None, EPS, chain=chain
            )
            out_TD = o(q_THE.reshape(len(x_TD), 1024))
            normed_TD, residual_TD = norm.add_rms_norm(
                out_TD, residual_TD, weight_D, EPS, chain=chain
            )
            if layer % 2:
                up_TI = gated[layer].multiply(normed_TD)
            else:
                up_TI = activation.act_and_mul(gate_up(normed_TD), "silu", chain=chain)
            normed_TD, residual_TD = norm.add_rms_norm(
                down(up_TI), residual_TD, weight_D, EPS, chain=chain
            )
        return torch.cat((normed_TD, residual_TD, pool.view(len(x_TD), -1)), -1)

    return run


@pytest.mark.parametrize("tokens", [1, 8, 16])
def test_recorded_and_chained_layers_give_the_same_bits(tokens: int) -> None:
    x_TD = draw(tokens, 1024)
    expected = small_layers(ALONE, x_TD)()
    assert torch.isfinite(expected).all()
    for chain in chains():
        run = small_layers(chain, x_TD)
        assert torch.equal(run(), expected)
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        with torch.cuda.graph(graph, stream=stream):
            found = run()
        for _ in range(50):
            found.zero_()
            graph.replay()
            assert torch.equal(found, expected), chain


@pytest.mark.parametrize("tokens", [1, 17, 400, 2048])
def test_experts_of_many_tiles(tokens: int) -> None:
    """Recorded once, replayed with other experts: what is chosen is read on the device alone."""
    num, chosen, hidden, inner = 32, 4, 2048, 768
    gate_up_MND = draw(num, 2 * inner, hidden, scale=hidden**-0.5)
    down_MDI = draw(num, hidden, inner, scale=inner**-0.5, seed=1)
    apply = make_experts(gate_up_MND, down_MDI, "silu")
    x_TD, weights_TC = draw(tokens, hidden, seed=2), draw(tokens, chosen, seed=3).float()
    chosen_TC = draw(tokens, num, seed=4).float().argsort(1)[:, :chosen].contiguous()
    apply(x_TD, chosen_TC, weights_TC)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out_TD = apply(x_TD, chosen_TC, weights_TC)
    for seed in (5, 6):
        chosen_TC.copy_(draw(tokens, num, seed=seed).float().argsort(1)[:, :chosen])
        graph.replay()
        expected_TD = torch.zeros(tokens, hidden, dtype=torch.float64, device="cuda")
        for expert in range(num):
            share_T1 = (weights_TC * (chosen_TC == expert)).sum(1, keepdim=True).double()
            inner_TI = reference.act_and_mul(
                "silu", reference.linear(x_TD, gate_up_MND[expert], None)
            )
            expected_TD += share_T1 * reference.linear(inner_TI, down_MDI[expert], None)
        check_close(f"experts of {tokens} tokens", out_TD, expected_TD.cpu(), "bfloat16")
