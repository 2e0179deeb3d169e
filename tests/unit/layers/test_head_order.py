"""Heads in the ops' order give the scores that the checkpoint's own rotation gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from inferd.layers import DecoderShape, Fields, head_order
from inferd.layers.head_order import qkv_order
from inferd.testing.reference import rotate

HEAD, HEADS, KV_HEADS = 12, 4, 2
SHAPE = DecoderShape.read(
    Fields(
        {
            "vocab_size": 8,
            "hidden_size": 48,
            "intermediate_size": 8,
            "num_hidden_layers": 1,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
        }
    )
)


def rotated_as_stored(x_THE, angles_TF, interleaved):
    """The first 2 F elements: pairs of neighbours, or of halves."""
    size = 2 * angles_TF.shape[1]
    turned, rest = x_THE.double()[..., :size], x_THE.double()[..., size:]
    cos, sin = angles_TF.cos().unsqueeze(1), angles_TF.sin().unsqueeze(1)
    first, second = (turned[..., ::2], turned[..., 1::2]) if interleaved else turned.chunk(2, -1)
    pair = (first * cos - second * sin, second * cos + first * sin)
    turned = torch.stack(pair, -1).flatten(-2) if interleaved else torch.cat(pair, -1)
    return torch.cat((turned, rest), -1)


@pytest.mark.parametrize("rotated", [4, 8, HEAD])
@pytest.mark.parametrize("interleaved", [False, True])
def test_scores_are_those_of_the_stored_order(rotated, interleaved):
    q_THE, k_THE = torch.randn(2, 5, HEADS, HEAD, generator=torch.Generator().manual_seed(0))
    angles_TF = torch.arange(5)[:, None] * torch.linspace(1, 0.1, rotated // 2).double()
    expected = torch.einsum(
        "the,lhe->htl", *(rotated_as_stored(x, angles_TF, interleaved) for x in (q_THE, k_THE))
    )
    order_E = head_order(replace(SHAPE, rotated=rotated, interleaved=interleaved))
    if order_E is None:
        assert (rotated, interleaved) == (HEAD, False)
        return
    padded_TF = torch.nn.functional.pad(angles_TF, (0, HEAD // 2 - rotated // 2))
    found = torch.einsum(
        "the,lhe->htl",
        *(rotate(x[..., order_E], padded_TF.cos(), padded_TF.sin()) for x in (q_THE, k_THE)),
    )
    torch.testing.assert_close(found, expected)


def test_grouped_heads_come_out_as_q_then_k_then_v():
    (order_N,) = qkv_order(replace(SHAPE, stored="grouped"))
    heads = (order_N[::HEAD] // HEAD).tolist()
    assert heads == [0, 1, 4, 5, 2, 6, 3, 7]


def test_fused_heads_stay_where_they_are():
    (order_N,) = qkv_order(replace(SHAPE, stored="fused"))
    assert torch.equal(order_N, torch.arange((HEADS + 2 * KV_HEADS) * HEAD))
