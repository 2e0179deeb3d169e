"""What attention is compiled for, and the memory that it takes.

`Shape` fields are constants of the compiled code. Inside it a shape is the plain tuple of them:
numba knows the elements of a tuple it builds from constants as constants.
"""

from __future__ import annotations

from typing import NamedTuple

from inferd.contracts.attention import AttentionRequest
from inferd_cpu_numba.kernels.vectors import LANES

CHUNK = 256  # keys between two looks at the largest score
ROWS = 12  # of a tile of several queries: enough to keep the registers of AVX-512 busy
REGISTERS = 24  # sums that stay in registers


class Shape(NamedTuple):
    """In the order of `fields`. A head of items is some query heads of one KV head."""

    bits: int  # of an element: 32 or 16
    heads: int  # of items
    per_head: int  # query heads of one, at most 16
    split: int  # heads of items that share a KV head
    size: int  # of a key
    value: int  # of a value
    block: int  # slots of a page
    rows: int  # of a tile: queries times `per_head`, at most 16
    width: int  # vectors of a value that are summed at a time
    pairs: int  # 1 where bfloat16 is multiplied in pairs, else 0
    capped: int  # 1 where scores have a soft cap
    sloped: int  # 1 where they have slopes (ALiBi)
    latent: int  # 1 where values are the first elements of keys
    sunk: int  # 1 where queries have a sink
    shared: int  # query heads of a KV head
    last: int  # those of its last item, which may have fewer than `per_head`

    @classmethod
    def of(cls, request: AttentionRequest, bits: int, queries: int, pairs: bool) -> Shape:
        """For items of so many queries."""
        shared = request.num_heads // request.num_kv_heads
        split = -(-shared // LANES)
        per_head = -(-shared // split)
        value = request.value_dim or request.head_dim
        rows, vectors = per_head * queries, value // LANES
        fitting = [n for n in range(1, vectors + 1) if not vectors % n and n * rows <= REGISTERS]
        return cls(
            bits=bits,
            heads=request.num_kv_heads * split,
            per_head=per_head,
            split=split,
            size=request.head_dim,
            value=value,
            block=request.block_size,
            rows=rows,
            width=max(fitting, default=1),
            pairs=int(pairs),
            capped=int(request.soft_cap is not None),
            sloped=int(request.alibi),
            latent=int(request.value_dim is not None),
            sunk=int(request.sinks),
            shared=shared,
            last=shared - (split - 1) * per_head,
        )

    @property
    def turned_floats(self) -> int:
        """A page of keys as [E, S], where the cache has them as [S, E]."""
        return self.latent * self.size * self.block

    @property
    def scratch_floats(self) -> int:
        """Of a thread: keys of a page, queries, scores, four statistics, sums; no two share a page
        of memory."""
        used = self.turned_floats + self.rows * (self.size + self.value + CHUNK) + 4 * LANES
        return -(-used // 1024) * 1024

    @property
    def part_floats(self) -> int:
        """What a part of a row leaves: largest scores, weights, sums."""
        return 2 * LANES + self.rows * self.value
