"""Keys of the noise (inferd.contracts.noise) of a sequence."""

from __future__ import annotations

from inferd.contracts.noise import GOLDEN, mix64, signed64


def row_key(seed: int, index: int) -> int:
    """From a seed and a sample index, as a signed 64-bit integer."""
    return signed64(mix64(mix64(seed + GOLDEN) + (index + 1) * GOLDEN))
