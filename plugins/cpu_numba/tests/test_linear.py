"""The matrix kernel at every number of rows and outputs that its loops treat apart."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.ops import OpRequest
from inferd.testing.numbers import check_close
from inferd_cpu_numba import linear, runtime
from inferd_cpu_numba.ops import NumbaOps


@pytest.fixture(scope="module", params=[True, False], ids=["pairs", "float32"])
def make(request):
    """None where another provider multiplies: the machine decides, `supported` is tested."""
    with pytest.MonkeyPatch.context() as patch:
        pairs = request.param and runtime.has_pairs()
        patch.setattr(runtime, "multiplies_pairs", lambda: pairs)
        offered = NumbaOps().ops(OpRequest("cpu", "any", torch.bfloat16))
    return offered["linear"]["dense"] if "linear" in offered else None


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).bfloat16()


@pytest.mark.parametrize("outputs", [32, 70, 96])
def test_any_number_of_rows(make, outputs, monkeypatch):
    if make is None:
        return
    monkeypatch.setattr(linear, "BLOCK_BYTES", 2 * 48 * 24)  # two tiles: rows come in blocks
    weight_NK, bias_N = drawn(outputs, 48), drawn(outputs)
    apply = make(weight_NK, bias_N)
    for rows in (*range(1, 20), 24, 25, 61):
        x_TK = drawn(rows, 48)
        expected_TN = x_TK.double() @ weight_NK.double().T + bias_N.double()
        check_close(f"{rows} rows, {outputs} outputs", apply(x_TK), expected_TN, "bfloat16")


ODD = torch.tensor([0.0, -0.0, 2e-38, -3e-12, 5e-7, -2e30, 1e4, 3.0, -7e-3, 2e-5, 1e-20, 40.0])


@pytest.mark.parametrize("outputs", [64, 70])
@pytest.mark.parametrize("rows", [1, 5, 12, 40])
@pytest.mark.parametrize("share", [0.0, 0.02, 1.0])
def test_no_bit_of_a_weight_is_lost(make, outputs, rows, share):
    """Numbers of so many sizes that most lines with one of them have to be kept."""
    if make is None:
        return
    weight_NK, draw = drawn(outputs, 48), torch.Generator().manual_seed(rows)
    odd_NK = ODD[torch.randint(len(ODD), weight_NK.shape, generator=draw)].bfloat16()
    weight_NK = torch.where(torch.rand(weight_NK.shape, generator=draw) < share, odd_NK, weight_NK)
    x_TK = torch.zeros(rows, 48, dtype=torch.bfloat16)
    apply = make(weight_NK, None)
    for first in range(0, 48, rows):
        numbers = (torch.arange(rows) + first) % 48
        one_TK = x_TK.scatter(1, numbers[:, None], 1.0)
        assert torch.equal(apply(one_TK), weight_NK.T[numbers])


def test_a_weight_takes_twelve_bits_a_number(make):
    if make is None:
        return
    kept = linear.pack(drawn(640, 512), make._pack, make._memory)
    assert sum(part.nbytes for part in kept) < 640 * 512 * 1.62


def test_threads_share_a_panel_that_is_not_full(make, monkeypatch):
    if make is None:
        return
    monkeypatch.setattr(linear, "BLOCK_BYTES", 2 * 48 * 12)  # every item is of the one panel
    weight_NK, x_TK = drawn(7, 48), drawn(6000, 48)
    expected_TN = x_TK.double() @ weight_NK.double().T
    check_close("6,000 rows", make(weight_NK, None)(x_TK), expected_TN, "bfloat16")


def test_a_rows_result_does_not_depend_on_the_others(make):
    if make is None:
        return
    apply, x_TK = make(drawn(64, 96), None), drawn(29, 96)
    together = apply(x_TK)
    alone = torch.cat([apply(x_TK[row : row + 1]) for row in range(29)])
    assert torch.equal(together, alone)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"avx512bw": True, "avx512bf16": True}, True),
        ({"avx512bw": True}, True),
        ({"avx512bw": True, "avx512bf16": True, "amx-bf16": True}, False),
        ({"avx2": True}, False),
    ],
)
def test_matrices_go_to_amx_where_there_is_one(monkeypatch, features, expected):
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    assert linear.supported() is expected


@pytest.mark.parametrize(
    ("cpu", "features", "expected"),
    [
        ("znver5", {"avx512bf16": True}, True),
        ("znver3", {}, False),
        ("emeraldrapids", {"avx512bf16": True}, False),
    ],
)
def test_pairs_are_multiplied_where_that_is_faster(monkeypatch, cpu, features, expected):
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: cpu)
    assert runtime.multiplies_pairs.__wrapped__() is expected


def test_both_sides_mean_the_same_layout():
    """numba is imported with the kernels, so what their callers need to know stands twice."""
    from inferd_cpu_numba.kernels import lines, pack, panels

    there = panels.PANEL, panels.ROWS, panels.MANY, lines.WORDS, pack.NONE
    here = linear.PANEL, linear.LARGEST_TILE, linear.MANY, linear.LINE_NUMBERS, linear.NONE
    assert here == there
