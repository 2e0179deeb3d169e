"""Arguments of attention's bodies, and where each stands."""

from __future__ import annotations

from inferd_cpu_numba.kernels.parallel import FIRST

# Q_STRIDE: elements of a token; PAGE: bytes from a page to the next; WIDTH: pages of a row of the
# table. SCALE and CAP make base 2 of scores; with a CAP they are scaled for bent.capped.
Q, K, V, OUT, Q_STRIDE, PAGE, SCALE, CAP, SLOPES, SINKS = range(FIRST, FIRST + 10)
ITEMS, COUNT, TABLES, WIDTH, WINDOW, SCRATCH, PARTS = range(FIRST + 10, FIRST + 17)
ATTEND = "6q2d9q"
