"""The sampler's ops in float64, sorted and plain, for one row at a time.

Shape suffixes: V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inferd.contracts.noise import GOLDEN, LOW_31, TOKEN_MIX, WORD, mix64

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
LOW_32 = (1 << 32) - 1
NEAR = 1e-5  # of the mass: where top_p ends may differ by rounding


@dataclass(frozen=True, slots=True)
class RowParams:
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0


def noise(key: int, position: int, size: int) -> Floats:
    """Formula by formula as in inferd.contracts.noise, on Python integers."""
    row = mix64((key + (position + 1) * GOLDEN) & WORD)
    low, odd = row & LOW_32, row >> 32 | 1
    values = []
    for token in range(size):
        x = ((mix64((token + 1) * GOLDEN) & LOW_32 ^ low) * odd) & LOW_32
        x = ((x ^ x >> 16) * TOKEN_MIX) & LOW_31
        values.append(np.float32(x) + np.float32(0.5))
    u_V = np.array(values, dtype=np.float64) / 2**31
    noise_V: Floats = -np.log(-np.log1p(-np.minimum(u_V, 1 - 2**-40)))
    return noise_V


def kept(logits_V: Floats, params: RowParams) -> tuple[Flags, Flags]:
    """Tokens that stay for sure, and those that may: near where top_p ends."""
    scaled_V = (logits_V - logits_V.max()) / params.temperature
    stays_V = np.isfinite(scaled_V)
    if params.min_p > 0:
        stays_V &= scaled_V >= np.log(params.min_p)
    if 0 < params.top_k <= len(logits_V):
        stays_V &= logits_V >= np.sort(logits_V)[-params.top_k]
    if params.top_p >= 1:
        return stays_V, stays_V
    mass_V = np.where(stays_V, np.exp(scaled_V), 0.0)
    order_V = np.argsort(-logits_V, kind="stable")  # of equal ones the lowest id first
    before_V = np.empty_like(mass_V)
    before_V[order_V] = mass_V[order_V].cumsum() - mass_V[order_V]
    goal, near = params.top_p * mass_V.sum(), NEAR * mass_V.sum()
    return stays_V & (before_V < goal - near), stays_V & (before_V < goal + near)


def allowed_draws(scores_V: Floats, sure_V: Flags, may_V: Flags, room: float = 1e-4) -> set[int]:
    """Ids that have the largest score among what may have been kept, up to rounding."""
    if not sure_V.any():
        return set(np.flatnonzero(may_V).tolist())
    least = scores_V[sure_V].max() - room
    return set(np.flatnonzero(may_V & (scores_V >= least)).tolist())
