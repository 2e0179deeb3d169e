"""The specialisations of the kernels of a layer that are compiled ahead of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from inferd.testing.kernels import Variant
from inferd_ops_triton.kernels import experts, launch_gated, warpgroups
from inferd_ops_triton.kernels.norm import warps
from inferd_ops_triton.tables import GatedTiles, Route, table

KERNELS = "inferd_ops_triton.kernels"
TYPES = ("bf16", "fp16", "fp32")
HIDDEN = (576, 4096, 8192)
HEAD_SIZES = (64, 80, 128, 256)
CAPABLE = "sm_90"  # of programmatic dependent launch
WIDEST = (  # of what the sweep tries; they fit no AMD device
    ("skinny", 128, 64, 128, 4, 4, 1),
    ("skinny", 128, 128, 64, 4, 5, 4),
    ("skinny", 128, 128, 128, 4, 3, 1),
    ("skinny", 128, 256, 64, 8, 4, 2),
)


UNEVEN = ("M", "P", "B", "size")


def variants(arch: str, types: tuple[str, ...] = TYPES) -> Iterator[Variant]:
    for kind in types:
        for way in (0, 1, 2) if arch == CAPABLE else (0,):
            for size in HIDDEN:
                yield from _rows(kind, size, way)
            for act in ("silu", "gelu", "gelu_tanh"):
                yield _activation(kind, act, way)
        yield _latent(kind)
        for size in HEAD_SIZES:
            yield from _rope(arch, kind, size)
    yield _add_parts()
    yield _deal_experts()
    yield from _inputs()
    for kind in types:
        if kind != "fp32":
            yield from _linears(arch, kind)
            if "gated" in table(arch):
                yield from _gated(kind, GatedTiles(*table(arch)["gated"]))
            yield from _experts(kind)


def _variant(
    kernel: str,
    types: Mapping[str, str],
    constants: Mapping[str, int | float | str | None],
    name: str,
    **options: int,
) -> Variant:
    """Integers are multiples of 16, as the sizes of models are."""
    return Variant(
        f"{KERNELS}.{kernel}",
        dict(types),
        constants if kernel.startswith(("experts", "latent")) else {"CHAINED": 0, **constants},
        name=f"{kernel.split(':')[1]} {name}",
        aligned=tuple(n for n, kind in types.items() if kind == "i32" and n not in UNEVEN),
        **options,
    )


def _rows(kind: str, size: int, way: int) -> Iterator[Variant]:
    block = 1 << (size - 1).bit_length()
    tile = {"D": size, "BLOCK_D": block, "CHAINED": way}
    names = ("x_ptr", "weight_ptr", "out_ptr")
    pointers = dict.fromkeys(names, f"*{kind}")
    name = f"{kind} {size} way={way}"
    norm = {**tile, "EPS": 1e-5}
    few = warps(block)
    one = {**pointers, "x_stride": "i32"}
    yield _variant("norm:rms_norm_kernel", one, norm, name, num_warps=few)
    two = {**dict.fromkeys(("x_ptr", "residual_ptr", "weight_ptr"), f"*{kind}")}
    two |= {"x_stride": "i32", "residual_stride": "i32"}
    yield _variant("norm:add_rms_norm_kernel", two, norm, name, num_warps=few)
    ids = {"ids_ptr": "*i64", "weight_ptr": f"*{kind}", "out_ptr": f"*{kind}"}
    ids |= {"weight_stride": "i32"}
    yield _variant("embedding:embedding_kernel", ids, tile, name, num_warps=few)


def _activation(kind: str, act: str, way: int) -> Variant:
    types = {"x_ptr": f"*{kind}", "out_ptr": f"*{kind}", "x_stride": "i32"}
    constants = {"ACT": act, "I": 14336, "BLOCK_I": 1024, "CHAINED": way}
    return _variant("activation:act_and_mul_kernel", types, constants, f"{kind} {act} way={way}")


def _rope(arch: str, kind: str, size: int) -> Iterator[Variant]:
    fp8 = "fp8e4nv" if arch.startswith("sm_") else "fp8e4b8"
    largest = 448.0 if arch.startswith("sm_") else 240.0
    for cache, limit in ((kind, 0.0), (fp8, largest)):
        for normed in (False, True):
            yield _rope_variant(kind, size, cache, limit, normed=normed)


def _rope_variant(kind: str, size: int, cache: str, limit: float, *, normed: bool) -> Variant:
    types = {"qkv_ptr": f"*{kind}", "positions_ptr": "*i64", "cos_sin_ptr": "*fp32"}
    types |= {"slots_ptr": "*i64", "k_ptr": f"*{cache}", "v_ptr": f"*{cache}"}
    types["token_stride"] = "i32"
    strides = {"BLOCK": 2 * 8 * 16 * size, "SLOT": size, "HEAD": 16 * size, "E": 1}
    constants: dict[str, int | float | str | None] = {"EPS": 1e-5, "H": 32, "G": 8, "E": size}
    constants |= {f"{side}_{what}": n for side in "KV" for what, n in strides.items()}
    constants |= {"S": 16, "LIMIT": limit, "BLOCK_X": 8}
    constants["BLOCK_F"] = 1 << (size // 2 - 1).bit_length()
    given = {"q_norm_ptr": normed, "k_norm_ptr": normed, "k_scale_ptr": limit, "v_scale_ptr": limit}
    for name, there in given.items():
        if there:
            types[name] = f"*{kind}" if "norm" in name else "*fp32"
        else:
            constants[name] = None
    name = f"{kind} {size} cache={cache}{' norm' * normed}"
    return _variant("rope:rope_kv_write_kernel", types, constants, name, num_warps=2)


def _inputs() -> Iterator[Variant]:
    """Sizes change from step to step, so that none is known to be a multiple of 16."""
    step = {"step_3X": "*i64", "table_XB": "*i32", "num_rows": "i32", "max_blocks": "i32"}
    tokens = dict.fromkeys(("ids_T", "positions_T", "slots_T"), "*i64")
    tokens |= {"history_XL": "*i32", "num_tokens": "i32", "history_len": "i32"}
    for uniform in (False, True):
        constants = {"BLOCK_SIZE": 16, "UNIFORM": uniform, "HALVINGS": 11, "TOKENS": 128}
        name = f"prepare tokens uniform={uniform}"
        yield Variant(f"{KERNELS}.prepare:_tokens", step | tokens, constants, name=name)
    rows = dict.fromkeys(("query_starts_R1", "contexts_R", "table_RB"), "*i32") | {"width": "i32"}
    sizes = {"BLOCK_SIZE": 16, "BLOCKS": 256}
    yield Variant(f"{KERNELS}.prepare:_rows", step | rows, sizes, num_warps=1, name="prepare rows")


def _experts(kind: str) -> Iterator[Variant]:
    tiles = dict.fromkeys(("pairs_ptr", "experts_ptr", "firsts_ptr", "ends_ptr"), "*i32")
    sizes = {"M": "i32", "I": "i32", "D": "i32"}
    both = dict.fromkeys(("x_ptr", "weight_ptr", "out_ptr"), f"*{kind}") | tiles | sizes
    for tile in experts.TILES:
        blocks = {"BLOCK_M": tile.rows, "BLOCK_N": tile.block_n, "BLOCK_K": tile.block_k}
        blocks |= {"bias_ptr": None}
        options = {"num_warps": tile.warps, "num_stages": tile.stages}
        name = f"{kind} {tile.rows} rows"
        first = both | {"x_stride": "i32"}
        constants = {**blocks, "C": 8, "ACT": "silu"}
        yield _variant("experts:gate_up_kernel", first, constants, name, **options)
        down = both | {"shares_ptr": "*fp32"}
        yield _variant("experts:down_kernel", down, blocks, name, **options)


def _latent(kind: str) -> Variant:
    types = dict.fromkeys(("q_ptr", "latent_ptr", "cache_ptr", "norm_ptr", "out_ptr"), f"*{kind}")
    types |= {"cos_sin_ptr": "*fp32", "slots_ptr": "*i64"}
    types |= dict.fromkeys(("q_stride", "head_stride", "latent_stride"), "i32")
    constants = {"EPS": 1e-6, "H": 16, "K": 512, "F": 64, "S": 16}
    constants |= {"BLOCK_STRIDE": 16 * 576, "SLOT_STRIDE": 576}
    constants |= {"BLOCK_H": 16, "BLOCK_K": 512, "BLOCK_F": 32}
    return _variant("latent:latent_kv_write_kernel", types, constants, kind)


def _deal_experts() -> Variant:
    types = dict.fromkeys(("pairs_ptr", "experts_ptr", "firsts_ptr", "ends_ptr"), "*i32")
    types |= {"chosen_ptr": "*i64", "P": "i32", "B": "i32"}
    constants = {"M": 64, "ROWS": 16, "BLOCK_P": 1024, "BLOCK_M": 128}
    return _variant("experts_deal:deal_kernel", types, constants, "64 experts")


def _add_parts() -> Variant:
    types = {"parts_ptr": "*fp32", "out_ptr": "*bf16", "size": "i32", "N": "i32"}
    constants = {"bias_ptr": None, "PARTS": 4, "BLOCK": 512}
    return _variant("skinny:add_parts_kernel", types, constants, "4 parts")


def _linears(arch: str, kind: str) -> Iterator[Variant]:
    """Every route of the table, with the architecture's own way to start kernels."""
    rows = table(arch)
    every = [rows["default"], *rows["linear"].values()]
    routes = {tuple(row) for shape in every for row in shape.values() if len(row) > 1}
    routes |= set(WIDEST) if arch == CAPABLE else set()
    for row in sorted(routes):
        make = {"gemv": _gemv, "skinny": _skinny}[row[0]]
        for act in (None, "silu") if row[-1] == 1 else (None,):
            yield make(kind, Route(*row), act, chained=rows["chained"] and arch == CAPABLE)


def _gemv(kind: str, route: Route, act: str | None, *, chained: bool) -> Variant:
    types = dict.fromkeys(("x_ptr", "weight_ptr", "out_ptr"), f"*{kind}")
    types |= {"N": "i32", "K": "i32"}
    constants = {"bias_ptr": None, "ACT": act, "CHAINED": int(chained)}
    constants |= {"BLOCK_N": route.block_n, "BLOCK_K": route.block_k}
    name = f"{kind} {route.block_n}x{route.block_k}" + (f" {act}" if act else "")
    return _variant("gemv:gemv_kernel", types, constants, name, num_warps=route.warps)


def _skinny(kind: str, route: Route, act: str | None, *, chained: bool) -> Variant:
    out = "fp32" if route.parts > 1 else kind
    types = {"x_ptr": f"*{kind}", "weight_ptr": f"*{kind}", "out_ptr": f"*{out}"}
    types |= dict.fromkeys(("M", "N", "K", "x_stride"), "i32")
    constants = {"bias_ptr": None, "ACT": act, "EVEN": True, "CHAINED": int(chained)}
    constants |= {"BLOCK_M": route.block_m, "BLOCK_N": route.block_n, "BLOCK_K": route.block_k}
    name = f"{kind} {route.block_m} tokens {route.block_n}x{route.block_k} parts={route.parts}"
    name += f" {act}" if act else ""
    return _variant(
        "skinny:skinny_kernel", types, constants, name, num_warps=route.warps,
        num_stages=route.stages,
    )  # fmt: skip


def _gated(kind: str, tiles: GatedTiles) -> Iterator[Variant]:
    boxes = {"x_desc": (64, 64), "weight_desc": (128, 64), "out_desc": (64, 128)}
    types = {
        name: f"tensordesc<{kind}[{rows}, {columns}],{launch_gated.LAYOUT!r}>"
        for name, (rows, columns) in boxes.items()
    }
    for act in launch_gated.ACTIVATIONS:
        yield Variant(
            f"{KERNELS}.gated:gated_kernel",
            {**types, **dict.fromkeys("MIK", "i32")},
            {"ACT": act, "GROUP": tiles.group, "DEPTH": tiles.buffers},
            num_warps=warpgroups.WARPS,
            name=f"gated {kind} {act}",
            aligned=("I", "K"),
            maxnreg=warpgroups.MAXNREG,
        )
