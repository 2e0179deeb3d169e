"""What the attention benchmark found: rows of its tables, and the best of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from inferd_attention_triton.tuned import DecodeTiles, PrefillTiles


@dataclass(frozen=True)
class Measured:
    case: str
    page: int
    tiles: DecodeTiles | PrefillTiles
    microseconds: float
    rate: float  # TB/s of decode, TFLOP/s of prefill
    share: float  # of the copy rate, of torch's flash attention
    deviation: float


def attempts(tried: list, measure: Callable) -> Iterator[Measured]:
    for tiles in tried:
        try:
            yield measure(tiles)
        except Exception as error:
            print(f"left out: {tiles}: {type(error).__name__}: {str(error)[:80]}")
            torch.cuda.synchronize()


def overall(found: list[Measured]) -> list[DecodeTiles]:
    """The tiles that all cases ran, by the product of their shares, best first."""
    cases = {row.case for row in found}
    shares: dict[DecodeTiles, dict[str, float]] = {}
    for row in found:
        shares.setdefault(row.tiles, {})[row.case] = row.share
    whole = {tiles: math.prod(s.values()) for tiles, s in shares.items() if len(s) == len(cases)}
    return sorted(whole, key=whole.get, reverse=True)


def report(title: str, rows: list[Measured], unit: str) -> None:
    print(title)
    for row in rows:
        print(
            f"  {row.case:14} {row.microseconds:8.1f} us {row.rate:7.2f} {unit} "
            f"{row.share:6.1%} off {row.deviation:.4f}  {row.tiles}"
        )
