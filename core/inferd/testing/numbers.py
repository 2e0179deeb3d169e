"""How far a result may be from its float64 reference, in one table."""

from __future__ import annotations

import torch
from torch import Tensor

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 3e-3}
"""Largest difference over the reference's largest value. A wrong formula is off by 5 % or more."""


def deviation(found: Tensor, reference: Tensor) -> float:
    """max |found - reference| / max |reference|; infinite for another shape, nan or inf."""
    if found.shape != reference.shape or not torch.isfinite(found).all():
        return float("inf")
    gap = (found.double().cpu() - reference.double()).abs().max()
    return float(gap / reference.double().abs().max().clamp_min(1e-30))


def check_close(what: object, found: Tensor, reference: Tensor, dtype: str) -> None:
    """Raises AssertionError with the deviation and the place of the worst value."""
    off = deviation(found, reference)
    if off <= TOLERANCE[dtype]:
        return
    where = f"shape {list(found.shape)}, expected {list(reference.shape)}"
    if found.shape == reference.shape:
        gap = (found.double().cpu() - reference.double()).abs()
        place = torch.unravel_index(gap.argmax(), gap.shape)
        where = f"worst at {[int(i) for i in place]}"
    raise AssertionError(
        f"{what}: off by {off:.2e} of the largest value, {TOLERANCE[dtype]:g} is allowed for "
        f"{dtype}; {where}"
    )


ROUNDING = {"float32": 2e-6, "bfloat16": 4e-3, "float16": 5e-4}
"""Largest ||found - reference|| / ||reference|| of one linear on packed weights.

Weights, inputs and results are each rounded once at most: 2 ** -9 in bfloat16, 2 ** -12 in float16.
"""


def check_rounded(what: object, found: Tensor, reference: Tensor, dtype: str) -> None:
    """Raises AssertionError with the relative error of a linear on packed weights."""
    assert found.shape == reference.shape, f"{what}: {found.shape}, expected {reference.shape}"
    error = (found.double().cpu() - reference.double()).norm() / reference.double().norm()
    assert error <= ROUNDING[dtype], (
        f"{what}: relative error {float(error):.2e}, {ROUNDING[dtype]:g} is allowed for {dtype}"
    )
