"""The order of q, k and v where a checkpoint has another than the ops.

`rope_kv_write` rotates whole heads by halves: element i with element i + E / 2. Heads that are
rotated in part, or by neighbours, are brought into that order when they are loaded; elements that
are not rotated pair up under an angle of zero. Scores do not change, as q and k change alike.

Shape suffixes: E head size, F = E / 2, H query heads, G KV heads, Q query heads per KV head, N rows
of a projection.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inferd.layers.shape import DecoderShape


def head_order(shape: DecoderShape) -> Tensor | None:
    """[E]: which element of a stored head each element is; None where nothing moves."""
    size = shape.head_dim
    rotated = size if shape.rotated is None else shape.rotated
    if rotated == size and not shape.interleaved:
        return None
    pairs_2F = torch.arange(rotated).view(2, -1)
    if shape.interleaved:
        pairs_2F = torch.arange(rotated).view(-1, 2).T
    return torch.cat((pairs_2F, torch.arange(rotated, size).view(2, -1)), dim=1).flatten()


def qkv_order(shape: DecoderShape) -> list[Tensor | None]:
    """For each tensor that the checkpoint has of q, k and v: which of its rows each row is [N]."""
    order_E = head_order(shape)
    if shape.stored == "apart":
        if order_E is None:
            return [None] * 3
        heads = (shape.num_heads, shape.num_kv_heads)
        return [*(_rows(torch.arange(n), order_E) for n in heads), None]
    stored_X = _stored_heads(shape)
    plain_E = torch.arange(shape.head_dim)
    turned = shape.num_heads + shape.num_kv_heads
    qk_N = _rows(stored_X[:turned], plain_E if order_E is None else order_E)
    return [torch.cat((qk_N, _rows(stored_X[turned:], plain_E)))]


def _stored_heads(shape: DecoderShape) -> Tensor:
    """[H + 2 G]: where in the checkpoint each head of q, then k, then v lies."""
    heads, kv_heads = shape.num_heads, shape.num_kv_heads
    places = torch.arange(heads + 2 * kv_heads)
    if shape.stored == "fused":
        return places
    by_group_GX = places.view(kv_heads, -1)
    return torch.cat((by_group_GX[:, :-2].flatten(), by_group_GX[:, -2], by_group_GX[:, -1]))


def _rows(heads: Tensor, order_E: Tensor) -> Tensor:
    return (heads[:, None] * len(order_E) + order_E).flatten()
