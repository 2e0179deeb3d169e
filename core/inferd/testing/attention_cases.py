"""What AttentionContract asks for: one axis at a time around a base case, and some together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from inferd.contracts.attention import AttentionRequest
from inferd.testing.numbers import DTYPES

ROWS: dict[str, list[tuple[int, int]]] = {  # (queries, context) per row, decodes first
    "one decode": [(1, 33)],
    "decodes": [(1, 1), (1, 95), (1, 16), (1, 17), (1, 40), (1, 96)],
    "prefills": [(33, 33), (2, 2), (64, 64)],
    "chunks": [(20, 70), (5, 16), (16, 32)],
    "long": [(1, 300), (150, 150), (130, 395)],  # past the tiles of any kernel
    "many": [(1, 1 + 11 * row % 200) for row in range(40)],
    "siblings": [(1, 60), (1, 49), (1, 96), (1, 70), (9, 57), (30, 90)],
    "family": [(1, 150), (1, 145), (1, 190), *((1, 150 + row) for row in range(6)), (9, 157)],
    "mixed": [(1, 50), (1, 3), (1, 96), (9, 9), (17, 81), (2, 47)],
}


@dataclass(frozen=True, slots=True)
class AttentionCase:
    dtype: str = "float32"
    block_size: int = 16
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 64
    window: int | None = None
    soft_cap: float | None = None
    alibi: bool = False
    value_dim: int | None = None  # of a latent
    sinks: bool = False
    narrow: str | None = None  # dtype of the cache, where it is another
    scale: float = 0.2
    rows: str = "mixed"
    shared: int = 0  # leading blocks that all rows have in common, as after a prefix hit

    def __str__(self) -> str:
        named = ("window", "soft_cap", "alibi", "sinks", "value_dim", "narrow", "shared")
        extras = [f"{name}={value}" for name in named if (value := getattr(self, name))]
        heads = f"heads={self.heads}/{self.kv_heads}x{self.head_dim}"
        return " ".join([self.dtype, heads, f"block={self.block_size}", *extras, self.rows])

    @property
    def words(self) -> frozenset[str]:
        """The features that `cannot` may name."""
        words = {self.dtype, f"block_size={self.block_size}", f"head_dim={self.head_dim}"}
        words.add(f"gqa={self.heads // self.kv_heads}")
        words |= {name for name in ("window", "soft_cap") if getattr(self, name) is not None}
        return frozenset(words)

    def request(self, platform: str) -> AttentionRequest:
        return AttentionRequest(
            platform=platform,
            num_heads=self.heads,
            num_kv_heads=self.kv_heads,
            head_dim=self.head_dim,
            dtype=DTYPES[self.dtype],
            block_size=self.block_size,
            window=self.window,
            soft_cap=self.soft_cap,
            alibi=self.alibi,
            value_dim=self.value_dim,
            sinks=self.sinks,
            kv_dtype=getattr(torch, self.narrow) if self.narrow else None,
        )


def _cases() -> list[AttentionCase]:
    base = AttentionCase()
    cases = [replace(base, rows=rows) for rows in ROWS]
    for dtype in ("bfloat16", "float16"):
        cases += [replace(base, dtype=dtype, rows=rows) for rows in ("decodes", "mixed")]
    cases += [replace(base, block_size=size) for size in (8, 32, 64)]
    cases += [replace(base, head_dim=size) for size in (16, 80, 96, 128, 256)]
    heads = ((1, 1), (4, 4), (8, 1), (14, 2), (71, 1))
    cases += [replace(base, heads=h, kv_heads=g) for h, g in heads]
    cases += [replace(base, window=window) for window in (1, 16, 24, 500)]
    cases += [replace(base, window=24, rows=rows) for rows in ("decodes", "prefills", "chunks")]
    cases += [replace(base, soft_cap=cap, rows=rows) for cap in (1.0, 20.0) for rows in ROWS]
    cases += [replace(base, rows="siblings", shared=3, window=w) for w in (None, 20, 60)]
    family = replace(base, rows="family", shared=9)
    cases += [family, *(replace(family, heads=h, kv_heads=g) for h, g in ((4, 4), (8, 1)))]
    cases += [replace(family, dtype="bfloat16"), replace(family, window=60)]
    together = replace(base, window=20, heads=8, kv_heads=2, head_dim=128, block_size=32)
    cases += [replace(together, rows=rows) for rows in ("long", "many")]
    cases += [together, replace(together, dtype="bfloat16"), replace(together, soft_cap=2.0)]
    return list(dict.fromkeys(cases))


CASES = _cases()
FEWER = tuple(rows for rows in ROWS if rows != "many")  # what nothing else depends on
ALIBI_CASES = [
    *(AttentionCase(alibi=True, rows=rows) for rows in FEWER),
    AttentionCase(alibi=True, dtype="bfloat16"),
    AttentionCase(alibi=True, rows="siblings", shared=3, block_size=8),
    AttentionCase(alibi=True, window=24, soft_cap=20.0),
]
SINK_CASES = [
    *(AttentionCase(sinks=True, rows=rows) for rows in FEWER),
    AttentionCase(sinks=True, dtype="bfloat16"),
    AttentionCase(sinks=True, rows="siblings", shared=3, block_size=8),
    *(AttentionCase(sinks=True, window=24, rows=rows) for rows in ("decodes", "chunks")),
]


NARROW_CASES = [
    *(AttentionCase(narrow="float8_e4m3fn", dtype="bfloat16", rows=rows) for rows in ROWS),
    AttentionCase(narrow="float8_e4m3fn"),
    AttentionCase(narrow="float8_e4m3fn", dtype="bfloat16", window=24, soft_cap=20.0),
    AttentionCase(narrow="float8_e4m3fn", dtype="float16", head_dim=128, block_size=32),
    AttentionCase(narrow="float8_e4m3fn", dtype="bfloat16", head_dim=80, alibi=True),
    AttentionCase(narrow="float8_e4m3fn", dtype="bfloat16", head_dim=96, sinks=True),
]


def _latent_cases() -> list[AttentionCase]:
    base = AttentionCase(heads=6, kv_heads=1, head_dim=80, value_dim=64)
    cases = [replace(base, rows=rows) for rows in FEWER]
    cases += [replace(base, dtype=dtype) for dtype in ("bfloat16", "float16")]
    cases += [replace(base, block_size=64), replace(base, heads=16, rows="decodes")]
    deepseek = replace(base, heads=16, head_dim=576, value_dim=512)
    large = replace(deepseek, heads=128, rows="chunks")
    return [*cases, deepseek, large, replace(base, rows="siblings", shared=3)]


LATENT_CASES = _latent_cases()
