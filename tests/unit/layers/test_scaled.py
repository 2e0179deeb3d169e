"""Matrices of 8 bits whose scales are none are refused."""

from __future__ import annotations

import pytest
import torch

from inferd.contracts.scaled_formats import E4M3
from inferd.errors import CheckpointError
from inferd.layers.scaled import ScaledMatrix


def stored(scale: float, of_inputs: float) -> dict[str, torch.Tensor]:
    scales = {"weight_scale": torch.tensor(scale), "input_scale": torch.tensor(of_inputs)}
    return {"weight": torch.zeros(2, 4).to(E4M3), **scales}


@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-128, 2.0**-126, float("inf"), float("nan")])
def test_a_scale_of_inputs_has_an_inverse(scale: float) -> None:
    matrix = ScaledMatrix(E4M3, "weight_scale", static=True)
    with pytest.raises(CheckpointError, match=r"q\.input_scale is .*, which is no scale"):
        matrix.weight("q", stored(1.0, scale))


@pytest.mark.parametrize("scale", [2.0**-125, 0.02, 1e38])
def test_one_that_has_is_kept(scale: float) -> None:
    weight = ScaledMatrix(E4M3, "weight_scale", static=True).weight("q", stored(1.0, scale))
    assert weight.inputs.scale == pytest.approx(scale)
    assert bool(weight.inputs.round(torch.ones(1, 4)).codes_TK.float().isfinite().all())


@pytest.mark.parametrize("scale", [-1.0, float("inf"), float("nan")])
def test_a_scale_of_a_weight_is_a_number(scale: float) -> None:
    with pytest.raises(CheckpointError, match="numbers that are no scale"):
        ScaledMatrix(E4M3, "weight_scale").weight("q", stored(scale, 1.0))
