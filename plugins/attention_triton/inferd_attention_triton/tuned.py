"""Tile sizes by architecture: chosen from this table, never tuned while serving.

`bytes` is the size of a head in the cache, its elements padded to a power of two. Rows without a
measurement behind them come from what compiles without spilling and fits on the chip
(`make aot-all`). `bench/kernels/attention.py` measures candidates and prints rows to put here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class DecodeTiles:
    tile: int  # keys at once
    warps: int
    stages: int
    waves: int  # parts a multiprocessor gets, when there is enough work
    least: int = 256  # keys that are not worth cutting
    ahead: int = 0  # keys of a part that are fetched while the kernel before still runs
    paired: bool = False  # whether values in FP8 are read two of a key at a time


@dataclass(frozen=True, slots=True)
class Ring:
    """Of kernels/hopper.py."""

    tile: int
    buffers: int  # for a tile of keys or of values


@dataclass(frozen=True, slots=True)
class PrefillTiles:
    block_m: int  # queries * heads of a program
    tile: int
    warps: int
    stages: int
    ring: Ring | None = None  # where kernels/hopper.py takes blocks of this size


@dataclass(frozen=True, slots=True)
class Tiles:
    decode: DecodeTiles
    prefill: tuple[PrefillTiles, PrefillTiles]  # large and small blocks
    few: tuple[tuple[int, DecodeTiles], ...] = ()  # (rows, at most, tiles), rising; more: `decode`
    heads: int = 32  # query heads of a KV head that a program takes at most


NVIDIA = {
    128: Tiles(
        DecodeTiles(128, 4, 3, 4),
        (PrefillTiles(128, 64, 8, 3), PrefillTiles(64, 64, 4, 3)),
    ),
    # heads of 128 in bf16: an H100, 2026-11-26; blocks of 256 spill, and take 6 % less time
    256: Tiles(
        DecodeTiles(64, 4, 3, 2),
        (PrefillTiles(128, 128, 8, 3), PrefillTiles(64, 64, 4, 3)),
    ),
    512: Tiles(
        DecodeTiles(32, 4, 3, 4),
        (PrefillTiles(64, 32, 8, 2), PrefillTiles(64, 32, 8, 2)),
    ),
}
# an H100, 2026-11-28, by whole steps, in which keys that are fetched ahead compete with weights;
# others may have 99 KiB of shared memory, as sm_89, and these tiles take 102 and more
FEW = (
    (1, DecodeTiles(64, 4, 4, 1, least=64)),
    (16, DecodeTiles(128, 4, 3, 1, least=128, ahead=128)),
    (32, DecodeTiles(64, 4, 4, 2, least=64, ahead=128)),
)


def _ringed(tiles: Tiles) -> Tiles:
    large, small = tiles.prefill
    return replace(tiles, prefill=(replace(large, ring=Ring(128, 4)), small))


HOPPER = {
    128: _ringed(NVIDIA[128]),
    256: replace(_ringed(NVIDIA[256]), few=FEW),
    512: NVIDIA[512],
}


def _paired(tiles: Tiles, **decode: int) -> Tiles:
    return replace(tiles, decode=replace(tiles.decode, paired=True, **decode))


# unpacking a cache in fp8 takes registers: the larger tile would spill; an H100, 2026-11-28
NVIDIA_FP8 = {
    128: _paired(NVIDIA[128]),
    256: replace(
        _paired(NVIDIA[256], waves=4, ahead=128),
        prefill=(PrefillTiles(128, 64, 8, 3), PrefillTiles(64, 64, 4, 3)),
        few=((32, DecodeTiles(64, 4, 4, 2, least=64, ahead=128, paired=True)),),
    ),
    512: _paired(NVIDIA[512]),
}
AMD = {
    128: Tiles(
        DecodeTiles(64, 4, 2, 4),
        (PrefillTiles(128, 64, 4, 1), PrefillTiles(64, 64, 4, 1)),
    ),
    256: Tiles(
        DecodeTiles(32, 2, 2, 4),
        (PrefillTiles(128, 64, 4, 1), PrefillTiles(64, 64, 4, 1)),
    ),
    512: Tiles(
        DecodeTiles(16, 2, 2, 4),
        (PrefillTiles(64, 32, 4, 1), PrefillTiles(64, 32, 4, 1)),
    ),
}
AMD_FP8 = AMD | {
    256: replace(AMD[256], prefill=(PrefillTiles(128, 32, 4, 1), PrefillTiles(64, 64, 4, 1)))
}
# float32 is multiplied without tensor cores: for tests and small models
WIDE = Tiles(
    DecodeTiles(16, 4, 2, 4),
    (PrefillTiles(32, 16, 8, 1), PrefillTiles(32, 16, 8, 1)),
)
# latents, by the most heads of a program: a result of 512 for each of them is kept in registers;
# blocks of queries spill six of them where heads are no multiple of 16
NVIDIA_LATENT = {
    16: Tiles(DecodeTiles(32, 4, 3, 2), (PrefillTiles(64, 32, 8, 3),) * 2, heads=16),
    64: Tiles(DecodeTiles(32, 8, 3, 1), (PrefillTiles(64, 32, 8, 3),) * 2, heads=64),
}
AMD_LATENT = Tiles(DecodeTiles(16, 4, 2, 2), (PrefillTiles(32, 16, 4, 1),) * 2, heads=16)
WIDE_LATENT = Tiles(DecodeTiles(16, 4, 1, 2), (PrefillTiles(16, 16, 4, 1),) * 2, heads=16)
# small enough that a test of 100 keys meets several tiles and cut rows
INTERPRETED = Tiles(
    DecodeTiles(32, 4, 1, 4, least=32, paired=True),
    (PrefillTiles(64, 32, 4, 1), PrefillTiles(32, 32, 4, 1)),
)


def select(architecture: str, head_dim: int, itemsize: int) -> Tiles:
    """For "sm_90", "gfx942", ... or "interpreter"; queries have two bytes over a cache of one."""
    if architecture == "interpreter":
        return INTERPRETED
    if itemsize == 4:
        return WIDE
    if architecture.startswith("gfx"):
        table = AMD_FP8 if itemsize == 1 else AMD
    elif architecture == "sm_90" and itemsize == 2:
        table = HOPPER
    else:
        table = NVIDIA_FP8 if itemsize == 1 else NVIDIA
    return table[max(128, padded(head_dim) * 2)]


def select_latent(architecture: str, heads: int, itemsize: int) -> Tiles:
    """As `select`, of latents that `heads` query heads read."""
    if architecture == "interpreter":
        return INTERPRETED
    if itemsize == 4:
        return WIDE_LATENT
    if architecture.startswith("gfx"):
        return AMD_LATENT
    return NVIDIA_LATENT[64 if heads % 64 == 0 else 16]


def share_of(group: int, most: int) -> int:
    """Query heads of a program: `group` in equal shares of at most `most`.

    Those above 8 are rounded up to a power of two: dividing by others takes registers.
    """
    share = -(-group // -(-group // most))
    return share if share <= 8 else padded(share)


def select_decode(tiles: Tiles, rows: int) -> DecodeTiles:
    return next((few for most, few in tiles.few if rows <= most), tiles.decode)


def chained(architecture: str) -> bool:
    """Whether kernels start before the one before them ends (kernels/chain.py)."""
    return architecture == "sm_90"


def select_prefill(
    tiles: Tiles, heads: int, share: int, tokens: int, longest: int, processors: int
) -> PrefillTiles:
    """Large blocks where queries fill them and there are enough to keep the device busy."""
    large, small = tiles.prefill
    full = longest * share > small.block_m
    busy = tokens * heads // large.block_m >= processors
    return large if full and busy else small


def padded(size: int) -> int:
    """The next power of two, at least 16: what a product of tiles takes."""
    return max(16, 1 << (size - 1).bit_length())
