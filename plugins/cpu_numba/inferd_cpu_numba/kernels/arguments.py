"""Arguments of attention's bodies, and where each stands."""

from __future__ import annotations

from inferd_cpu_numba.kernels.parallel import FIRST

# Q_STRIDE: elements of a token; WIDTH: pages of a row of the table. SCALE
# and CAP make base 2 of scores; with a CAP they are scaled for bent.capped.
Q, K, V, OUT, Q_STRIDE, SCALE, CAP, SLOPES, ITEMS, COUNT = range(FIRST, FIRST + 10)
TABLES, WIDTH, WINDOW, SCRATCH, PARTS = range(FIRST + 10, FIRST + 15)
ATTEND = "5q2d8q"
