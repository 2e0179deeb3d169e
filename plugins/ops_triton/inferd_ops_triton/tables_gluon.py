"""Rows of the tables for the kernels in Gluon.

Shape suffixes as in kernels.packed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from inferd_ops_triton.tables import parts_of, table

FETCHING = 4  # warps' room of the one that fetches: they are given registers in fours


@dataclass(frozen=True, slots=True)
class RingRoute:
    """A row of "packed_ring", for kernels/packed_ring.py: tokens at least and at most."""

    least: int
    most: int
    block_m: int
    rows: int  # of a warpgroup; a program has two
    buffers: int
    programs: int  # as in PackedRoute

    def parts(self, size: int, inner: int) -> int:
        return parts_of(inner, -(-size // (2 * self.rows)), self.programs)


@dataclass(frozen=True, slots=True)
class WarpsRoute:
    """A row of "packed_warps", for kernels/packed_warps.py: tokens at least and at most, then."""

    least: int
    most: int
    block_m: int
    rows: int  # of a block of W
    warps_n: int  # that share them
    warps_k: int  # beside each other, each with a tile of a step
    buffers: int  # steps
    programs: int  # at most; steps are dealt evenly
    resident: int  # programs that a multiprocessor is to hold

    @property
    def warps(self) -> int:
        return self.warps_n * self.warps_k

    @property
    def registers(self) -> int:
        """Of a thread, at the start, at most."""
        threads = 32 * (self.warps + FETCHING)
        return min(240, 65536 // (self.resident * threads) // 8 * 8)

    def shares(self, size: int, inner: int) -> tuple[int, int, int, int]:
        """Steps of a block of rows and of a program, programs, and the most that share a block."""
        per_block = -(-inner // (128 * self.warps_k))
        steps = per_block * -(-size // self.rows)
        share = -(-steps // self.programs)
        parts = -(-per_block // share)
        if per_block % share and share % per_block:  # some begin with the last step of another's
            parts = (per_block + share - 2) // share + 1
        return per_block, share, -(-steps // share), parts


@lru_cache(maxsize=4096)
def ring_route(architecture: str, tokens: int) -> RingRoute | None:
    """None: packed_route says."""
    rows = (RingRoute(*row) for row in table(architecture).get("packed_ring", ()))
    return next((row for row in rows if row.least <= tokens <= row.most), None)


@lru_cache(maxsize=4096)
def warps_route(architecture: str, tokens: int) -> WarpsRoute | None:
    """None: ring_route or packed_route says."""
    rows = (WarpsRoute(*row) for row in table(architecture).get("packed_warps", ()))
    return next((row for row in rows if row.least <= tokens <= row.most), None)
