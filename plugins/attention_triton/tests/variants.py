"""The specialisations of the attention kernels that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator

from inferd.testing.kernels import Variant
from inferd_attention_triton.kernels.hopper import MAXNREG, WARPS
from inferd_attention_triton.kernels.launch_hopper import PAGE_LAYOUT
from inferd_attention_triton.tuned import (
    DecodeTiles,
    PrefillTiles,
    Ring,
    Tiles,
    chained,
    padded,
    select,
    select_latent,
    share_of,
)

KERNELS = "inferd_attention_triton.kernels"
TYPES = {"bf16": 2, "fp16": 2, "fp32": 4, "fp8": 1}  # bytes in the cache
HEAD_SIZES = (64, 80, 96, 112, 128, 192, 256, 512)  # the last is of latents
HEADS, KV_HEADS, EXTRA = 32, 8, 66
FEATURES = {"": (0, 0.0), " window": (4096, 0.0), " cap": (0, 50.0)}  # (window, soft cap)
FEATURES |= {" alibi": (0, 0.0), " sinks": (128, 0.0)}
ADDED = {" alibi": "slopes_ptr", " sinks": "sinks_ptr"}
ADDED_AT = ((64, 16), (128, 16))  # (head size, page) of models that have them
LATENT_HEADS = (16, 128)
LATENT, ROTATED = 512, 64


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
        if LATENT in head_sizes and kind != "fp8":
            yield _merge(arch, kind, LATENT)
            for heads in LATENT_HEADS:
                yield from _latent(arch, select_latent(arch, heads, TYPES[kind]), kind, heads)
        for size in head_sizes:
            if size != LATENT:
                yield _merge(arch, kind, size)
                for page in pages:
                    yield from _heads(arch, kind, size, page, features)


def _heads(
    arch: str, kind: str, size: int, page: int, features: tuple[str, ...]
) -> Iterator[Variant]:
    tiles = select(arch, size, TYPES[kind])
    for feature in features:
        if feature in ADDED and (size, page) not in ADDED_AT:
            continue
        for decode in dict.fromkeys((tiles.decode, *(few for _, few in tiles.few))):
            yield _decode(arch, decode, kind, size, page, feature)
        for block in dict.fromkeys(tiles.prefill):
            yield _prefill(arch, block, kind, size, page, feature)
            if block.ring is not None and size % 64 == 0 and not feature:
                yield _ring(block, block.ring, kind, size, page)


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
        f"{KERNELS}.merge:merge_kernel",
        {"out_ptr": f"*{other}", "partial_ptr": "*fp32", "work_ptr": "*i32"},
        {
            "HEADS": HEADS,
            "E": size,
            "EXTRA": EXTRA,
            "BLOCK_E": padded(size),
            "BLOCK_P": min(32, 16384 // padded(size)),
            "ALL_P": padded(EXTRA),
            "CHAINED": chained(arch),
            "sinks_ptr": None,
        },
        name=f"merge {kind} {size}",
    )


def _decode(
    arch: str, decode: DecodeTiles, kind: str, size: int, page: int, feature: str
) -> Variant:
    window, cap = FEATURES[feature]
    return Variant(
        f"{KERNELS}.decode:decode_kernel",
        {**_pointers(arch, kind, feature), "partial_ptr": "*fp32", "work_ptr": "*i32"},
        {
            **_constants(size, page, cap, feature),
            "WINDOWED": window > 0,
            "EXTRA": EXTRA,
            "TILE": decode.tile,
            "AHEAD": decode.ahead,
            "PAIRED": decode.paired,
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
        {**_pointers(arch, kind, feature), "blocks_ptr": "*i32"},
        {
            **_constants(size, page, cap, feature),
            "WINDOW": window,
            "TILE": tiles.tile,
            "BLOCK_M": tiles.block_m,
        },
        num_warps=tiles.warps,
        num_stages=tiles.stages,
        name=f"prefill {tiles.block_m} {kind} {size} page={page}{feature}",
    )


def _ring(tiles: PrefillTiles, ring: Ring, kind: str, size: int, page: int) -> Variant:
    pages = f"tensordesc<{kind}[1, {page}, 64],{PAGE_LAYOUT!r}>"
    return Variant(
        f"{KERNELS}.hopper:hopper_prefill_kernel",
        {
            "pages_desc": pages,
            **dict.fromkeys(("q_ptr", "out_ptr"), f"*{kind}"),
            **dict.fromkeys(("tables_ptr", "blocks_ptr"), "*i32"),
            "table_stride": "i32",
        },
        {
            "HEADS": HEADS,
            "SHARE": HEADS // KV_HEADS,
            "E": size,
            "PAGE": page,
            "PAGES_OF_BLOCK": 2 * KV_HEADS,
            "PAGES_TO_V": KV_HEADS,
            "Q_STRIDE": (HEADS + 2 * KV_HEADS) * size,
            "SCALE": size**-0.5,
            "TILE": ring.tile,
            "BLOCK_M": tiles.block_m,
            "DEPTH": ring.buffers,
        },
        num_warps=WARPS,
        maxnreg=MAXNREG,
        name=f"prefill {tiles.block_m} ring {kind} {size} page={page}",
    )


def _latent(arch: str, tiles: Tiles, kind: str, heads: int) -> Iterator[Variant]:
    share = share_of(heads, tiles.heads)
    types = {
        **dict.fromkeys(("q_ptr", "kv_ptr", "out_ptr"), f"*{kind}"),
        "tables_ptr": "*i32",
        "table_stride": "i32",
    }
    constants = {
        "HEADS": heads,
        "SHARE": share,
        "V": LATENT,
        "F": ROTATED,
        "PAGE": 16,
        "Q_STRIDE": heads * (LATENT + ROTATED),
        "BLOCK_STRIDE": 16 * (LATENT + ROTATED),
        "SLOT_STRIDE": LATENT + ROTATED,
        "SCALE": 0.1,
        "BLOCK_V": padded(LATENT),
        "BLOCK_F": padded(ROTATED),
    }
    decode, prefill = tiles.decode, tiles.prefill[0]
    yield Variant(
        f"{KERNELS}.latent:latent_decode_kernel",
        {**types, "partial_ptr": "*fp32", "work_ptr": "*i32"},
        {
            **constants,
            "EXTRA": EXTRA,
            "TILE": decode.tile,
            "BLOCK_M": padded(share),
            "CHAINED": chained(arch),
        },
        num_warps=decode.warps,
        num_stages=decode.stages,
        name=f"latent decode {decode.tile} {kind} {heads} heads",
    )
    yield Variant(
        f"{KERNELS}.latent:latent_prefill_kernel",
        {**types, "blocks_ptr": "*i32"},
        {**constants, "TILE": prefill.tile, "BLOCK_M": prefill.block_m},
        num_warps=prefill.warps,
        num_stages=prefill.stages,
        name=f"latent prefill {prefill.block_m} {kind} {heads} heads",
    )


def _pointers(arch: str, kind: str, feature: str) -> dict[str, str]:
    """An fp8 cache is read by bf16 queries, in the fp8 of the architecture."""
    fp8 = "fp8e4nv" if arch.startswith("sm_") else "fp8e4b8"
    cache, other = (fp8, "bf16") if kind == "fp8" else (kind, kind)
    return {
        **dict.fromkeys(("q_ptr", "out_ptr"), f"*{other}"),
        **dict.fromkeys(("k_ptr", "v_ptr"), f"*{cache}"),
        **({ADDED[feature]: "*fp32"} if feature in ADDED else {}),
        "tables_ptr": "*i32",
        "table_stride": "i32",
    }


def _constants(size: int, page: int, cap: float, feature: str) -> dict[str, int | float | None]:
    absent = dict.fromkeys({"slopes_ptr", "sinks_ptr"} - {ADDED.get(feature)})
    return {
        **absent,
        "HEADS": HEADS,
        "GROUP": HEADS // KV_HEADS,
        "SHARE": HEADS // KV_HEADS,
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
