"""The part of hopper.py of the warp that fetches tiles of keys and values.

Shape suffixes as in hopper.py.
"""

from __future__ import annotations

from triton.experimental import gluon
from triton.experimental.gluon import language as gl
from triton.experimental.gluon.language.nvidia.hopper import mbarrier, tma

from inferd_attention_triton.kernels.deal import WORDS

COLUMNS = gl.constexpr(64)  # of a page at once: 128 bytes, what a swizzled row holds


@gluon.jit
def block_of(blocks_ptr, number, TILE: gl.constexpr):
    """(first token, row, queries, position of the first, context, tiles)"""
    block_ptr = blocks_ptr + WORDS * number
    queries, position = gl.load(block_ptr + 2), gl.load(block_ptr + 3)
    tiles = gl.cdiv(position + queries, TILE)
    token, row = gl.load(block_ptr).to(gl.int64), gl.load(block_ptr + 1).to(gl.int64)
    return token, row, queries, position, gl.load(block_ptr + 4), tiles


@gluon.jit
def fetch(
    pages_desc,
    tables_ptr,
    blocks_ptr,
    table_stride,
    ring_SLE,
    full_S,
    empty_S,
    PAGES_OF_BLOCK: gl.constexpr,
    PAGES_TO_V: gl.constexpr,
    PAGE: gl.constexpr,
    TILE: gl.constexpr,
    E: gl.constexpr,
    DEPTH: gl.constexpr,
):
    """One warp's part: every tile's keys, then its values, as buffers become empty."""
    parts: gl.constexpr = TILE // PAGE
    halves: gl.constexpr = E // COLUMNS
    pieces = ring_SLE._reinterpret(
        ring_SLE.dtype, [DEPTH * halves * parts, 1, PAGE, COLUMNS], pages_desc.layout
    )
    blocks, before = gl.load(blocks_ptr), 0
    for done in range(gl.program_id(1), blocks, gl.num_programs(1)):
        _, row, _, _, context, tiles = block_of(blocks_ptr, blocks - done, TILE)
        last = (context - 1) // PAGE
        for n in range(2 * tiles):
            buffer = (before + n) % DEPTH
            mbarrier.wait(empty_S.index(buffer), (((before + n) // DEPTH) & 1) ^ 1)
            mbarrier.expect(full_S.index(buffer), TILE * E * 2)
            for part in gl.static_range(parts):
                page = gl.minimum((n // 2) * parts + part, last)
                block = gl.load(tables_ptr + row * table_stride + page)
                place = block * PAGES_OF_BLOCK + gl.program_id(0) + (n % 2) * PAGES_TO_V
                slot = gl.where(page == last, context - PAGE * (last + 1), 0)
                for half in gl.static_range(halves):
                    piece = pieces.index((buffer * halves + half) * parts + part)
                    at = [place, slot, half * COLUMNS]
                    tma.async_copy_global_to_shared(pages_desc, at, full_S.index(buffer), piece)
        before += 2 * tiles
