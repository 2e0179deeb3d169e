"""Layers take their own tensors, say what is missing, and refuse the rest."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from inferd.errors import CheckpointError
from inferd.layers import Embedding, LayerNorm, LinearLayer, LMHead, RMSNorm


def load_all(module, raw, name="m"):
    """Every expected tensor, by (suffix, part)."""
    given = {}
    for (suffix, part), shape in module.expected().items():
        given[suffix, part] = raw(f"{name}.{part}.{suffix}", *shape)
        module.load_weight(suffix, part, given[suffix, part])
    module.finish()
    return {key: tensor.data for key, tensor in given.items()}


def test_linear_fuses_its_parts_in_order(build, raw):
    layer = LinearLayer("qkv", 8, [6, 2, 2], build(), bias=True)
    assert len(layer.missing()) == 6
    given = load_all(layer, raw)
    x = torch.randn(3, 8)
    parts = [F.linear(x, given["weight", p], given["bias", p]) for p in range(3)]
    torch.testing.assert_close(layer(x), torch.cat(parts, -1))


def test_norm_adds_the_residual_first(build, raw):
    norm = RMSNorm(8, 1e-3, build())
    assert norm.missing() == ["weight"]
    weight = load_all(norm, raw)["weight", 0]
    assert norm.missing() == []
    x, residual = torch.randn(3, 8), torch.randn(3, 8)
    total = x + residual
    expected = total * (total.pow(2).mean(-1, keepdim=True) + 1e-3).rsqrt() * weight
    normed, carried = norm(x.clone(), residual.clone())
    torch.testing.assert_close(normed, expected)
    torch.testing.assert_close(carried, total)
    assert norm(x, None)[1] is x


def test_embedding_and_an_untied_head(build, raw):
    embedding, head = Embedding(10, 4, build()), LMHead(10, 4, build())
    assert embedding.missing() == head.missing() == ["weight"]
    weight, other = (load_all(m, raw, n)["weight", 0] for m, n in ((embedding, "e"), (head, "hh")))
    ids, hidden = torch.tensor([9, 0, 9]), torch.randn(2, 4)
    torch.testing.assert_close(embedding(ids), weight[ids])
    torch.testing.assert_close(head(hidden), hidden @ other.T)


def test_a_tied_head_uses_the_embedding_and_ignores_a_second_copy(build, raw):
    embedding = Embedding(10, 4, build())
    head = LMHead(10, 4, build(), tied=embedding)
    assert head.missing() == ["weight of the embedding"]
    weight = load_all(embedding, raw)["weight", 0]
    assert head.expected() == {}
    assert head.missing() == []
    head.load_weight("weight", 0, raw("lm_head.weight", 10, 4))
    head.finish()
    hidden = torch.randn(2, 4)
    torch.testing.assert_close(head(hidden), hidden @ weight.T)
    assert not list(head.children())


def test_a_tied_head_may_have_a_bias_which_may_come_first(build, raw):
    embedding = Embedding(10, 4, build())
    head = LMHead(10, 4, build(), tied=embedding, bias=True)
    bias = raw("h.bias", 10)
    head.load_weight("bias", 0, bias)
    assert head.missing() == ["weight of the embedding"]
    weight = load_all(embedding, raw)["weight", 0]
    head.finish()
    hidden = torch.randn(2, 4)
    torch.testing.assert_close(head(hidden), hidden @ weight.T + bias.data)


def test_a_layer_norm_adds_the_residual_and_may_have_its_elements_in_another_order(build, raw):
    order = torch.tensor([3, 1, 0, 2])
    norm = LayerNorm(4, 1e-3, build(), order=order)
    assert norm.missing() == ["weight", "bias"]
    given = load_all(norm, raw)
    x, residual = torch.randn(3, 4), torch.randn(3, 4)
    normed, carried = norm(x, residual)
    expected = F.layer_norm(x + residual, (4,), eps=1e-3)
    expected = expected * given["weight", 0][order] + given["bias", 0][order]
    torch.testing.assert_close(normed, expected)
    torch.testing.assert_close(carried, x + residual)


def test_rows_are_loaded_in_the_order_that_is_asked_for(build, raw):
    order = torch.tensor([2, 0, 1])
    layer = LinearLayer("qkv", 4, [3, 2], build(), bias=True, order=[order, None])
    given = load_all(layer, raw)
    x = torch.randn(3, 4)
    first = F.linear(x, given["weight", 0][order], given["bias", 0][order])
    second = F.linear(x, given["weight", 1], given["bias", 1])
    torch.testing.assert_close(layer(x), torch.cat((first, second), -1))


def test_logits_stay_in_the_heads_dtype(build, raw):
    """The sampler widens them when a request needs more than the largest."""
    head = LMHead(10, 4, build(dtype=torch.bfloat16))
    load_all(head, raw)
    assert head(torch.randn(2, 4, dtype=torch.bfloat16)).dtype is torch.bfloat16


@pytest.mark.parametrize("kind", ["norm", "embedding", "head", "linear"])
@pytest.mark.parametrize(("suffix", "shape"), [("scales", (10, 4)), ("weight", (4, 10))])
def test_what_does_not_belong_is_refused_by_name(build, raw, kind, suffix, shape):
    module = {
        "norm": lambda: RMSNorm(4, 1e-6, build()),
        "embedding": lambda: Embedding(10, 4, build()),
        "head": lambda: LMHead(10, 4, build()),
        "linear": lambda: LinearLayer("down_proj", 4, [10], build()),
    }[kind]()
    with pytest.raises(CheckpointError, match=f"m.{suffix}"):
        module.load_weight(suffix, 0, raw(f"m.{suffix}", *shape))
    assert module.missing()
