"""Prompts of random tokens."""

from __future__ import annotations

import random

VOCAB = 256  # below the special tokens


def random_prompts(*lengths: int, seed: int = 0) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(VOCAB) for _ in range(length)] for length in lengths]
