"""The formats of W8A8 are what their documentation says, number by number."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from inferd.contracts.scaled_formats import (
    DEVICE_PIECE,
    E4M3,
    LARGEST,
    PIECE,
    SCALES,
    InputFormat,
    ScaledWeight,
    rounding,
)
from inferd.testing.packed_weights import draw_scaled

FORMATS = ("fp8_row", "fp8_block", "int8_row")


@pytest.mark.parametrize("name", FORMATS)
def test_dequantized_value_by_value(name: str) -> None:
    weight = draw_scaled(0, name, (130, 256))
    assert (weight.format, weight.shape) == (name, (130, 256))
    found, values = weight.dequantize(torch.float64), weight.values_NK.double()
    for n, k in [(0, 0), (1, 255), (127, 127), (128, 128), (129, 5)]:
        scale = weight.scales_RG[n // weight.run, k // 128 if name == "fp8_block" else 0]
        assert found[n, k] == values[n, k] * scale.double()
    assert torch.equal(weight.dequantize(torch.bfloat16), found.float().bfloat16())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("sizes", [(130, 256), (128, 256), (128, 130)])
def test_weights_that_join_keep_their_values(name: str, sizes: tuple[int, int]) -> None:
    """Whether or not their blocks can stay blocks."""
    parts = [draw_scaled(i, name, (size, 256)) for i, size in enumerate(sizes)]
    assert parts[0].joins(parts[1])
    both = parts[0].joined(parts[1:])
    expected = torch.cat([part.dequantize(torch.float64) for part in parts])
    assert torch.equal(both.dequantize(torch.float64), expected)
    assert both.run == (128 if name == "fp8_block" and sizes[0] == 128 else 1)
    assert both.num_bytes == both.values_NK.nbytes + both.scales_RG.nbytes


def test_what_differs_does_not_join() -> None:
    weight = draw_scaled(0, "fp8_row", (4, 256))
    others = [
        draw_scaled(0, "fp8_block", (4, 256)),
        draw_scaled(0, "int8_row", (4, 256)),
        draw_scaled(0, "fp8_row", (4, 128)),
        replace(weight, inputs=InputFormat(E4M3, scale=0.5)),
        weight.values_NK,
    ]
    assert not [other for other in others if weight.joins(other)]


@pytest.mark.parametrize("name", FORMATS)
def test_rows_in_another_order(name: str) -> None:
    weight = draw_scaled(0, name, (130, 128))
    order_N = torch.randperm(130, generator=torch.Generator().manual_seed(0))
    expected = weight.dequantize(torch.float64)[order_N]
    assert torch.equal(weight.rows(order_N).dequantize(torch.float64), expected)


def step(codes: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Between neighbours."""
    if dtype == torch.int8:
        return torch.ones_like(codes)
    return torch.exp2(codes.abs().clamp(2**-6).log2().floor() - 3)


INPUTS = [
    InputFormat(E4M3),
    InputFormat(E4M3, 128),
    InputFormat(torch.int8),
    InputFormat(E4M3, None, 0.01),
]


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
def test_inputs_are_rounded_to_the_nearest(inputs: InputFormat) -> None:
    x_TK = torch.randn(3, 256, generator=torch.Generator().manual_seed(1)).bfloat16()
    x_TK[2] = 0
    found = inputs.round(x_TK)
    groups = 256 // (inputs.group or 256)
    assert found.codes_TK.dtype == inputs.dtype
    assert found.scales_TG.shape == (3, groups)
    most = LARGEST[inputs.dtype]
    for token in range(3):
        for group in range(groups):
            scale = float(found.scales_TG[token, group])
            part = x_TK[token].view(groups, -1)[group].double()
            if inputs.scale is None:
                assert math.isclose(scale, max(float(part.abs().max()), 1e-12) / most, rel_tol=1e-6)
            codes = found.codes_TK[token].view(groups, -1)[group].double()
            gap = (part / scale).clamp(-most, most) - codes
            assert bool((gap.abs() <= step(codes, inputs.dtype) * (0.5 + 1e-6)).all())
    assert torch.equal(found.dequantize(torch.float64)[2], torch.zeros(256, dtype=torch.float64))


def test_rounding_is_what_casting_gives() -> None:
    """Every number of e4m3, what lies half way between two, and what lies anywhere."""
    exact = torch.arange(127, dtype=torch.uint8).view(E4M3).float()
    halves = (exact[1:] + exact[:-1]) / 2
    drawn = torch.rand(100_000, generator=torch.Generator().manual_seed(0)) ** 4 * 448
    for values in (exact, halves, drawn):
        assert torch.equal(rounding(values), values.to(E4M3).float() - values)


def test_scales_of_many_rows_are_those_of_each() -> None:
    """They are found for some rows at a time."""
    rows = PIECE // 4096
    weight_NK = torch.randn(2 * rows + 5, 4096, generator=torch.Generator().manual_seed(0))
    found = ScaledWeight.by_rows(weight_NK, E4M3)
    for row in (0, rows - 1, rows, 2 * rows + 4):
        alone = ScaledWeight.by_rows(weight_NK[row : row + 1], E4M3)
        assert torch.equal(alone.scales_RG, found.scales_RG[row : row + 1])


@pytest.mark.parametrize(("device", "most"), [("cpu", PIECE), ("meta", DEVICE_PIECE)])
def test_numbers_rounded_at_a_time(monkeypatch: pytest.MonkeyPatch, device: str, most: int) -> None:
    """Many more on a device, where a launch takes longer than its numbers."""
    sizes: list[int] = []

    def piece(weight_RK: torch.Tensor, dtype: torch.dtype) -> ScaledWeight:
        sizes.append(weight_RK.numel())
        return ScaledWeight(weight_RK.to(dtype), weight_RK[:, :1].float(), InputFormat(dtype))

    monkeypatch.setattr(ScaledWeight, "_piece", piece)
    found = ScaledWeight.by_rows(torch.empty(2 * most // 4096 + 5, 4096, device=device), E4M3)
    assert sizes == [most, most, 5 * 4096]
    assert found.shape == (2 * most // 4096 + 5, 4096)


def test_each_row_of_a_dense_weight_has_the_scale_that_rounds_it_best() -> None:
    """The largest number becomes 224 to 448; with any other scale that is tried, the row loses."""
    weight_NK = torch.randn(5, 64, generator=torch.Generator().manual_seed(2))
    weight_NK[3] = 0
    found = ScaledWeight.by_rows(weight_NK, E4M3)
    assert (found.format, found.inputs) == ("fp8_row", InputFormat(E4M3))
    most_N1 = weight_NK.abs().amax(1, keepdim=True).clamp_min(1e-12)
    places_N1 = most_N1 / found.scales_RG
    assert bool(((places_N1 > 223.99) & (places_N1 < 448.01)).all())
    errors_N = (found.dequantize(torch.float32) - weight_NK).norm(dim=1)
    for step in range(SCALES):
        scales_N1 = most_N1 / 448 * 2 ** (step / SCALES)
        others_NK = (weight_NK / scales_N1).to(E4M3).float() * scales_N1
        assert bool((errors_N <= (others_NK - weight_NK).norm(dim=1) + 1e-6).all())
    assert len(places_N1.unique()) > 1
