"""Which kernel a linear takes, by its shape and the number of tokens, and with which tiles.

The tables are tuned/ARCHITECTURE.json: written by `bench/kernels/ops.py --sweep` on the device,
never while serving. "NxK" -> tokens, at most -> route. Shapes that are not in it take "default".
"small" says for each other op, up to which number of tokens, how it is started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Any

BUCKETS = (1, 8, 16, 32, 64, 96, 128)  # tokens; more are left to the library
LIBRARY = "library"
INTERPRETED = "interpreted"


@dataclass(frozen=True, slots=True)
class Route:
    """A row of a table: ["skinny", 16, 64, 128, 4, 4, 1]; ["library"] needs nothing else."""

    kernel: str  # gemv or skinny
    block_m: int  # tokens, padded
    block_n: int
    block_k: int
    warps: int
    stages: int
    parts: int  # of K


@dataclass(frozen=True, slots=True)
class PackedRoute:
    """A row of "packed": [tokens at most, block_m, block_n, warps, stages, least programs].

    "pairs" says for all rows whether codes become numbers by assembly for NVIDIA's.
    """

    most: int  # tokens
    block_m: int
    block_n: int
    warps: int
    stages: int
    programs: int  # K is cut until there are so many, down to 256 inputs for each
    pairs: bool = False

    def parts(self, size: int, inner: int) -> int:
        return parts_of(inner, -(-size // self.block_n), self.programs)


@dataclass(frozen=True, slots=True)
class PackedTiles:
    """A row of "packed_experts": the first with as many rows as an expert has, else the last."""

    rows: int  # of one expert, that a program has
    block_n: int  # rows of W: of gate and up together
    warps: int
    stages: int


@dataclass(frozen=True, slots=True)
class ScaledRoute:
    """A row of "scaled": tokens at most, then as here."""

    most: int
    block_m: int
    block_n: int
    block_k: int  # 128 where 128 inputs have a scale
    warps: int
    stages: int
    programs: int  # as in PackedRoute

    def parts(self, size: int, inner: int) -> int:
        return parts_of(inner, -(-size // self.block_n), self.programs)


@dataclass(frozen=True, slots=True)
class GatedTiles:
    """The row of "gated", for kernels/gated.py: of fewer tokens the library multiplies."""

    least: int  # tokens
    group: int  # blocks of 128 tokens whose tiles follow each other
    buffers: int


def parts_of(inner: int, blocks: int, programs: int) -> int:
    """Of K: a power of two, so that few kernels are compiled."""
    parts = 1
    while parts * blocks < programs and inner // (2 * parts) >= 256:
        parts *= 2
    return parts


def interpreted() -> dict[str, Any]:
    """Tiles so small that tests meet several of them and rests of each dimension."""
    default = {
        "1": ["gemv", 1, 16, 32, 4, 1, 1],
        "8": ["skinny", 8, 16, 64, 4, 1, 1],
        "64": ["skinny", 64, 64, 32, 4, 1, 2],
        "96": ["skinny", 128, 32, 64, 4, 1, 1],
        "128": ["skinny", 128, 64, 32, 4, 1, 4],
    }
    rows = {"chained": False, "float32": True, "least": 0, "small": {}}
    rows["packed"] = [[16, 16, 64, 4, 1, 4], [64, 32, 128, 4, 1, 1]]
    rows |= {"packed_gemv": ["gemv", 1, 16, 1024, 1, 1, 1], "packed_rows": 0}
    rows["packed_experts"] = [[16, 64, 4, 1], [32, 128, 4, 1]]
    rows["scaled"] = [[16, 16, 64, 128, 4, 1, 4], [100, 32, 128, 64, 4, 1, 1]]
    rows |= {"scaled_gemv": ["gemv", 1, 16, 64, 4, 1, 1], "scaled_library": None}
    return {**rows, "default": default, "linear": {}}


@lru_cache
def table(architecture: str) -> Mapping[str, Any]:
    """The architecture's own, else one that leaves nearly everything to the library."""
    if architecture == INTERPRETED:
        return interpreted()
    folder = files("inferd_ops_triton") / "tuned"
    found = folder / f"{architecture}.json"
    if not found.is_file():
        found = folder / "default.json"
    return json.loads(found.read_text())  # type: ignore[no-any-return]


def routes(architecture: str, size: int, inner: int, itemsize: int) -> dict[int, Route]:
    """Tokens, for each bucket -> route of a weight [size, inner]; the library takes the others."""
    rows = table(architecture)
    if itemsize == 4 and not rows["float32"]:
        return {}
    chosen = rows["linear"].get(f"{size}x{inner}")
    if chosen is None:
        chosen = rows["default"] if size * inner >= rows["least"] else {}
    return {int(tokens): Route(*row) for tokens, row in chosen.items() if row[0] != LIBRARY}


@lru_cache(maxsize=4096)
def packed_route(architecture: str, tokens: int, minima: bool = False) -> PackedRoute | None:
    """None: so many that unpacking the weight first is cheaper."""
    return next((row for row in packed_routes(architecture, minima) if tokens <= row.most), None)


def packed_routes(architecture: str, minima: bool = False) -> list[PackedRoute]:
    """Weights with minima have rows of their own where these were found to differ."""
    rows = table(architecture)
    found = rows.get("packed_minima", rows["packed"]) if minima else rows["packed"]
    return [replace(PackedRoute(*row), pairs=bool(rows.get("pairs"))) for row in found]


def packed_tiles(architecture: str) -> list[PackedTiles]:
    """In order of rows."""
    return [PackedTiles(*row) for row in table(architecture)["packed_experts"]]


@lru_cache(maxsize=4096)
def scaled_route(architecture: str, tokens: int) -> ScaledRoute:
    """The last row takes whatever is more."""
    rows = [ScaledRoute(*row) for row in table(architecture)["scaled"]]
    return next((row for row in rows if tokens <= row.most), rows[-1])


def by_tokens(routes: Mapping[int, Route]) -> list[Route | None]:
    """Index: the number of tokens. Past its end, and where it holds None: the library."""
    ends = zip((0, *BUCKETS), BUCKETS, strict=False)
    return [None, *(routes.get(end) for before, end in ends for _ in range(end - before))]
