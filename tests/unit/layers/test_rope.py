"""What the rotary layer refuses, and which spelling wins. Its numbers are held to transformers in
the tests of the model plugins."""

from __future__ import annotations

import pytest
import torch

from inferd.errors import UnsupportedModel
from inferd.layers import ActAndMul, Rotary
from inferd.layers.rope_config import Rope
from inferd.layers.rope_scaling import frequencies


def test_the_table_holds_cosines_then_sines_of_every_position(build):
    table = Rotary(4, build(8, rope_theta=100.0)).cos_sin_PE
    angles = torch.arange(8.0)[:, None] * torch.tensor([1.0, 0.1])
    torch.testing.assert_close(table, torch.cat((angles.cos(), angles.sin()), -1))


@pytest.mark.parametrize(
    ("rope", "named"),
    [
        ({"rope_type": "spiral"}, "'spiral' is not supported; known: default, dynamic, linear"),
        ({"rope_type": "linear"}, "factor is None"),
        ({"rope_type": "linear", "factor": 0}, "factor is 0"),
        ({"rope_type": "linear", "factor": True}, "factor is True"),
        ({"rope_type": "linear", "factor": "4"}, "factor is '4'"),
        ({"rope_type": "yarn", "factor": 2.0, "beta_fast": "x"}, "beta_fast is 'x'"),
        (
            {"rope_type": "llama3", "factor": 2.0, "low_freq_factor": 1.0},
            "high_freq_factor is None",
        ),
        ({"rope_type": "longrope", "short_factor": [1.0]}, "'short_factor', a list of 4 numbers"),
        ({"rope_type": "longrope", "short_factor": [1, 1, 1, "x"]}, "short_factor is 'x'"),
        ({"rope_theta": -5.0}, "rope_theta is -5.0"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor 0.5"),
        (["linear"], r"rope_scaling is \['linear'\]"),
    ],
)
@pytest.mark.parametrize("spelling", ["rope_scaling", "rope_parameters"])
def test_what_cannot_be_used_is_named(build, spelling, rope, named):
    with pytest.raises(UnsupportedModel, match=named):
        Rotary(8, build(**{spelling: rope}))


def test_an_odd_head_size_is_refused(build):
    with pytest.raises(UnsupportedModel, match="head_dim 5 is odd"):
        Rotary(5, build())


def test_an_unknown_activation_is_refused(build):
    with pytest.raises(UnsupportedModel, match=r"'relu2' .* known: .*gelu, .*silu"):
        ActAndMul("relu2", build())


def test_the_older_spelling_wins_as_in_transformers():
    """A checkpoint with both was written by a tool that only knows the older one."""
    both = {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"rope_theta": 7}}
    rope = Rope.read(both | {"rope_theta": 5.0}, 8, 16)
    assert (rope.kind, rope.theta) == ("linear", 5.0)


@pytest.mark.parametrize("served", [16, 64])
def test_a_stretch_is_one_table_for_the_whole_served_length(served):
    """What a token's key is must not depend on how long its sequence becomes."""
    hf = {"max_position_embeddings": 16, "rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}
    stretched, _ = frequencies(Rope.read(hf, 8, served))
    plain, _ = frequencies(Rope.read({}, 8, served))
    assert torch.equal(stretched, plain) == (served == 16)
