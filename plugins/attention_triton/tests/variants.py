"""The specialisations of the attention kernels that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

from inferd.testing.kernels import Variant
from inferd_attention_triton.tuned import (
    DecodeTiles,
    PrefillTiles,
    chained,
    padded,
    select,
    select_decode,
)

KERNELS = "inferd_attention_triton.kernels"
TYPES = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 1}  # bytes in the cache
HEAD_SIZES = (64, 80, 96, 112, 128, 192, 256)
HEADS, KV_HEADS, EXTRA = 32, 8, 66
FEATURES = {"": (0, 0.0), " window": (4096, 0.0), " cap": (0, 50.0)}  # (window, soft cap)


def variants(
    arch: str,
    types: tuple[str, ...] = tuple(TYPES),
    head_sizes: tuple[int, ...] = HEAD_SIZES,
    pages: tuple[int, ...] = (16, 64),
    features: tuple[str, ...] = tuple(FEATURES),
) -> Iterator[Variant]:
    """Every combination, with the tiles of `arch`."""
    yield from _dealing()
    for kind in types:
        for size in head_sizes:
            tiles = select(arch, size, TYPES[kind])
            yield _merge(arch, kind, size)
            for page in pages:
                for feature in features:
                    for decode in {select_decode(tiles, rows) for rows in (1, 1000)}:
                        yield _decode(arch, decode, kind, size, page, feature)
                    for block in dict.fromkeys(tiles.prefill):
                        yield _prefill(arch, block, kind, size, page, feature)


def _dealing() -> Iterator[Variant]:
    rows = {"starts_ptr": "*i32", "contexts_ptr": "*i32", "rows": "i32"}
    for window in (0, 4096):
        yield Variant(
            f"{KERNELS}.deal:deal_decodes_kernel",
            {**rows, "work_ptr": "*i32"},
            {"EXTRA": EXTRA, "TILE": 64, "LEAST": 4, "WINDOW": window},
            num_warps=8,
            name=f"deal_decodes window={window}",
        )
    yield Variant(
        f"{KERNELS}.deal:deal_blocks_kernel",
        {**rows, "blocks_ptr": "*i32", "decodes": "i32"},
        {"BLOCK_Q": 32},
        num_warps=8,
        name="deal_blocks",
    )


def _merge(arch: str, kind: str, size: int) -> Variant:
    other = "bf16" if kind == "fp8" else kind
    return Variant(
        f"{KERNELS}.decode:merge_kernel",
        {"out_ptr": f"*{other}", "partial_ptr": "*fp32", "work_ptr": "*i32"},
        {
            "HEADS": HEADS,
            "E": size,
            "EXTRA": EXTRA,
            "BLOCK_E": padded(size),
            "BLOCK_P": 32,
            "ALL_P": padded(EXTRA),
            "CHAINED": chained(arch),
        },
        name=f"merge {kind} {size}",
    )


def _decode(
    arch: str, decode: DecodeTiles, kind: str, size: int, page: int, feature: str
) -> Variant:
    window, cap = FEATURES[feature]
    return Variant(
        f"{KERNELS}.decode:decode_kernel",
        {**_pointers(arch, kind), "partial_ptr": "*fp32", "work_ptr": "*i32"},
        {
            **_constants(size, page, cap),
            "WINDOWED": window > 0,
            "EXTRA": EXTRA,
            "TILE": decode.tile,
            "AHEAD": decode.ahead,
            "CHAINED": chained(arch),
            "BLOCK_M": padded(HEADS // KV_HEADS),
        },
        num_warps=decode.warps,
        num_stages=decode.stages,
        name=f"decode {decode.tile} {kind} {size} page={page}{feature}",
    )


def _prefill(
    arch: str, tiles: PrefillTiles, kind: str, size: int, page: int, feature: str
) -> Variant:
    window, cap = FEATURES[feature]
    return Variant(
        f"{KERNELS}.prefill:prefill_kernel",
        {**_pointers(arch, kind), "blocks_ptr": "*i32"},
        {
            **_constants(size, page, cap),
            "WINDOW": window,
            "TILE": tiles.tile,
            "BLOCK_M": tiles.block_m,
        },
        num_warps=tiles.warps,
        num_stages=tiles.stages,
        name=f"prefill {tiles.block_m} {kind} {size} page={page}{feature}",
    )


def _pointers(arch: str, kind: str) -> dict[str, str]:
    """An fp8 cache is read by bf16 queries, in the fp8 of the architecture."""
    fp8 = "fp8e4nv" if arch.startswith("sm_") else "fp8e4b8"
    cache, other = (fp8, "bf16") if kind == "fp8" else (kind, kind)
    return {
        **dict.fromkeys(("q_ptr", "out_ptr"), f"*{other}"),
        **dict.fromkeys(("k_ptr", "v_ptr"), f"*{cache}"),
        "tables_ptr": "*i32",
        "table_stride": "i32",
    }


def _constants(size: int, page: int, cap: float) -> dict[str, int | float]:
    return {
        "HEADS": HEADS,
        "GROUP": HEADS // KV_HEADS,
        "E": size,
        "PAGE": page,
        "Q_STRIDE": HEADS * size,
        "BLOCK_STRIDE": 2 * KV_HEADS * page * size,
        "SLOT_STRIDE": size,
        "HEAD_STRIDE": page * size,
        "SCALE": size**-0.5,
        "SOFT_CAP": cap,
        "BLOCK_E": padded(size),
    }
