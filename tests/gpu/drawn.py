"""Logits and parameters of sampled rows.

Shape suffixes: N rows, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from inferd.contracts.sampling_ops import FilterParams

CUDA = torch.device("cuda")
VOCAB = 128_256
USUAL = (0.8, 50, 0.95, 0.0)
FILTERS = {
    "usual": [USUAL],
    "top_p": [(1.0, 0, 0.9, 0.0)],
    "min_p": [(1.0, 0, 1.0, 0.05)],
    "large k": [(1.0, 5000, 0.9, 0.0)],
    "mixed": [USUAL, (1.0, 0, 0.5, 0.1), (0.6, 1, 1.0, 0.0), (1.3, 0, 0.99, 0.0)],
}


def logits(rows: int, spread: float = 3.0, seed: int = 0, vocab: int = VOCAB) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(seed)
    noise = torch.randn(rows, vocab, device=CUDA, generator=generator) * spread
    return noise.to(torch.bfloat16)


def keys(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = np.random.default_rng(seed)
    keys_N = torch.from_numpy(random.integers(-(2**63), 2**63, rows))
    return keys_N.to(CUDA), torch.arange(rows, device=CUDA) + 7


def params(rows: int, *each: tuple[float, int, float, float]) -> FilterParams:
    """(temperature, top_k, top_p, min_p), in turn."""
    lines = [each[i % len(each)] for i in range(rows)]
    floats_NF = torch.tensor([(t, p, m) for t, _, p, m in lines], device=CUDA)
    top_k = [k for _, k, _, _ in lines]
    return FilterParams(
        floats_NF[:, 0],
        torch.tensor(top_k, device=CUDA),
        floats_NF[:, 1],
        floats_NF[:, 2],
        most_k=max(top_k),
        unbounded=0 in top_k,
    )
