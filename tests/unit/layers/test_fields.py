"""Fields of a config.json: names, defaults, null, and what is said of unusable values."""

from __future__ import annotations

import pytest

from inferd.errors import UnsupportedModel
from inferd.layers import Fields

HF = {"n_head": 4, "wide": None, "eps": 0.5, "flag": None, "kinds": ["a", "b"], "head_dim": 9}
NAMES = {"heads": "n_head", "size": ("n_embd", "hidden"), "head_dim": None}


def test_a_name_of_the_familys_own_and_one_of_several():
    assert Fields(HF, NAMES).count("heads") == 4
    assert Fields(HF | {"hidden": 8}, NAMES).count("size") == 8
    assert Fields(HF | {"hidden": 8, "n_embd": 7}, NAMES).count("size") == 7


def test_a_field_that_the_family_does_not_have_is_not_read():
    assert Fields(HF, NAMES).count("head_dim", 16) == 16


@pytest.mark.parametrize(
    ("fields", "absent", "null"),
    [(Fields(HF), 2, 2), (Fields(HF, other=3, wide=3), 3, 3)],
)
def test_absent_and_null_take_the_familys_default_first(fields, absent, null):
    assert fields.count("other", 2) == absent
    assert fields.count("wide", 2) == null
    assert fields.count("wide", 2, null=5) == 5


def test_flags_words_and_numbers():
    fields = Fields(HF, act="relu")
    assert (fields.flag("flag", True), fields.flag("gone")) == (True, False)
    assert (fields.word("act", "silu"), fields.word("gone", "silu")) == ("relu", "silu")
    assert (fields.number("eps"), fields.optional("gone")) == (0.5, None)
    assert fields.per_layer("kinds", ("a", "b"), 2) == ["a", "b"]
    assert fields.per_layer("gone", ("a", "b"), 2) is None


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda f: f.count("size"), "n_embd is None, expected a whole number of at least 1"),
        (lambda f: f.count("eps"), "eps is 0.5, expected a whole number"),
        (lambda f: f.number("eps", above=1.0), "eps is 0.5, expected a number above 1"),
        (lambda f: f.flag("heads"), "n_head is 4, expected true or false"),
        (lambda f: f.per_layer("kinds", ("a",), 2), "kinds must name a for each of the 2 layers"),
        (
            lambda f: f.per_layer("kinds", ("a", "b"), 3),
            "kinds must name a or b for each of the 3 layers, found",
        ),
    ],
)
def test_what_cannot_be_used_is_named_as_the_file_does(read, message):
    with pytest.raises(UnsupportedModel, match=f"config.json: {message}"):
        read(Fields(HF, NAMES))
