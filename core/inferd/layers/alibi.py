"""ALiBi: scores that fall with the distance of a key."""

from __future__ import annotations

import math


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """arXiv:2108.12409: powers of one base; where `heads` is no power of two, then every other one
    of the next."""
    power = 2 ** math.floor(math.log2(heads))
    first = [2.0 ** (-8 * step / power) for step in range(1, power + 1)]
    between = [2.0 ** (-4 * step / power) for step in range(1, 2 * (heads - power), 2)]
    return tuple(first + between)
