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
    bits: int  # of an element: 32 or 16
    heads: int  # KV heads
    per_head: int  # query heads of a KV head
    size: int  # of a head
    block: int  # slots of a page
    rows: int  # of a tile: queries times `per_head`, at most 16
    width: int  # vectors of a head that are summed at a time
    pairs: int  # 1 where bfloat16 is multiplied in pairs, else 0

    @classmethod
    def of(cls, request: AttentionRequest, bits: int, queries: int, pairs: bool) -> Shape:
        """For items of so many queries."""
        heads, size = request.num_kv_heads, request.head_dim
        per_head = request.num_heads // heads
        rows, vectors = per_head * queries, size // LANES
        fitting = [n for n in range(1, vectors + 1) if not vectors % n and n * rows <= REGISTERS]
        width = max(fitting, default=1)
        return cls(bits, heads, per_head, size, request.block_size, rows, width, int(pairs))

    @property
    def scratch_floats(self) -> int:
        """Of a thread: queries, scores, three statistics, sums; no two share a page of memory."""
        used = self.rows * (2 * self.size + CHUNK) + 3 * LANES
        return -(-used // 1024) * 1024

    @property
    def part_floats(self) -> int:
        """What a part of a row leaves: largest scores, weights, sums."""
        return 2 * LANES + self.rows * self.size
