"""QK-norm, rotation and KV write in one call.

The rotation is in float32, with angles looked up here. Caches have any strides.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from inferd_cpu_numba.kernels.memory import get_f32, get_f64, get_i64
from inferd_cpu_numba.kernels.numbers import element, rounded, set_element
from inferd_cpu_numba.kernels.parallel import FIRST, Body, rows_of

QKV, COUNT, HEADS, KV_HEADS, SIZE, POSITIONS, ANGLES, SLOTS, BLOCK = range(FIRST, FIRST + 9)
Q_NORM, K_NORM, EPS = range(FIRST + 9, FIRST + 12)
# strides count elements: by block, slot, head and element
K, K_STRIDES, V, V_STRIDES = FIRST + 12, FIRST + 13, FIRST + 17, FIRST + 18
ROPE_KV_WRITE = "11qd10q"


@njit(inline="always")
def normalise(head, weight, size, eps, bits):
    total = np.float32(0.0)
    for e in range(size):
        total += element(head, e, bits) ** 2
    scale = np.float32(1.0) / np.sqrt(total / np.float32(size) + eps)
    for e in range(size):
        value = rounded(element(head, e, bits) * scale, bits)
        set_element(head, e, value * element(weight, e, bits), bits)


@njit(inline="always")
def rotate(head, angles, size, bits):
    """In place; the second half of a head is the imaginary part of the first."""
    half = size // 2
    for e in range(half):
        real, imaginary = element(head, e, bits), element(head, e + half, bits)
        cos, sin = get_f32(angles, e), get_f32(angles, e + half)
        set_element(head, e, real * cos - imaginary * sin, bits)
        set_element(head, e + half, imaginary * cos + real * sin, bits)


@njit(inline="always")
def put(cache, strides, a, slot, group, head, size, bits):
    """One head to its slot; `strides` is the place of the cache's strides in the arguments."""
    block = get_i64(a, BLOCK)
    start = slot // block * get_i64(a, strides) + slot % block * get_i64(a, strides + 1)
    start += group * get_i64(a, strides + 2)
    step = get_i64(a, strides + 3)
    for e in range(size):
        set_element(cache, start + e * step, element(head, e, bits), bits)


@njit(inline="always")
def write_token(token, a, bits):
    heads, kv_heads, size = get_i64(a, HEADS), get_i64(a, KV_HEADS), get_i64(a, SIZE)
    eps, step = np.float32(get_f64(a, EPS)), size * (bits // 8)
    row = get_i64(a, QKV) + token * (heads + 2 * kv_heads) * step
    position, slot = get_i64(get_i64(a, POSITIONS), token), get_i64(get_i64(a, SLOTS), token)
    angles = get_i64(a, ANGLES) + position * size * 4
    for head in range(heads + kv_heads):
        weight = get_i64(a, Q_NORM) if head < heads else get_i64(a, K_NORM)
        if weight != 0:
            normalise(row + head * step, weight, size, eps, bits)
        rotate(row + head * step, angles, size, bits)
    for group in range(kv_heads):
        key = row + (heads + group) * step
        put(get_i64(a, K), K_STRIDES, a, slot, group, key, size, bits)
        put(get_i64(a, V), V_STRIDES, a, slot, group, key + kv_heads * step, size, bits)


def make_rope_kv_write(bits: int) -> Body:
    def rope_kv_write(a):
        tokens = rows_of(a, get_i64(a, COUNT))
        while len(tokens):
            for token in tokens:
                write_token(token, a, bits)
            tokens = rows_of(a, get_i64(a, COUNT))

    return rope_kv_write
