"""Places of a Shape's fields in the tuple that it is inside compiled code."""

from __future__ import annotations

BITS, HEADS, PER_HEAD, SPLIT, SIZE, VALUE, BLOCK, ROWS, WIDTH, PAIRS = range(10)
CAPPED, SLOPED, LATENT, SUNK, SHARED, LAST = range(10, 16)
