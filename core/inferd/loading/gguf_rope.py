"""Llama 3's rope scaling, read back from the factors that GGUF stores instead of its parameters.

llama.cpp divides frequency i by rope_freqs[i]. Llama 3 makes these factors from four parameters:
1 for short wavelengths, `factor` for long ones, and between them 1 / f linear in 1 / wavelength:

    1 / f = 1 / factor + smooth * (1 - 1 / factor),  smooth = (original / wavelength - low) / (high - low)

Only original / low and high / low matter, so low is taken as 1.
"""  # noqa: E501

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from inferd.errors import UnsupportedModel

USUAL = (4.0, 8192.0)  # high / low and original / low of every Llama 3 that was published
TOLERANCE = 1e-4


def llama3_scaling(factors: list[float], config: dict[str, Any], path: Path) -> dict[str, Any]:
    """rope_scaling; raises UnsupportedModel when no such parameters give these factors."""
    theta, size = float(config["rope_theta"]), int(config["head_dim"])
    if len(factors) == size // 2 and all(1e-3 < f < 1e6 for f in factors):
        wavelengths = [2 * math.pi * theta ** (2 * i / size) for i in range(size // 2)]
        largest = max(factors)
        for high, original in (USUAL, *_fit(factors, wavelengths)):
            made = [_factor(w, largest, high, original) for w in wavelengths]
            if all(
                math.isclose(a, b, rel_tol=TOLERANCE) for a, b in zip(made, factors, strict=True)
            ):
                return {
                    "rope_type": "llama3",
                    "factor": largest,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": high,
                    "original_max_position_embeddings": original,
                }
    raise UnsupportedModel(
        f"{path}: the {len(factors)} rope factors of 'rope_freqs.weight' are not Llama 3's "
        f"(head size {size}, rope_theta {theta:g})"
    )


def _factor(wavelength: float, largest: float, high: float, original: float) -> float:
    smooth = (original / wavelength - 1.0) / (high - 1.0)
    smooth = min(1.0, max(0.0, smooth))
    return 1.0 / (1.0 / largest + smooth * (1.0 - 1.0 / largest))


def _fit(factors: list[float], wavelengths: list[float]) -> list[tuple[float, float]]:
    """(high, original) through the outermost two frequencies that are neither kept nor divided
    by the whole factor; nothing where fewer than two are."""
    largest = max(factors)
    between = [
        (1.0 / wavelength, (1.0 / f - 1.0 / largest) / (1.0 - 1.0 / largest))
        for f, wavelength in zip(factors, wavelengths, strict=True)
        if 1.0 + TOLERANCE < f < largest * (1.0 - TOLERANCE)
    ]
    if len(between) < 2:
        return []
    (x0, y0), (x1, y1) = between[0], between[-1]
    slope = (y1 - y0) / (x1 - x0)  # original / (high - 1)
    offset = slope * x0 - y0  # 1 / (high - 1)
    if slope <= 0 or offset <= 0:
        return []
    return [(1.0 + 1.0 / offset, slope / offset)]
