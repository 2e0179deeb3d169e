"""choose: the flag, then the best yes; ties and refusals carry every candidate's reason."""

from __future__ import annotations

import pytest

from inferd.contracts.verdict import YES, no
from inferd.errors import PluginError
from inferd.host.explain import candidates, choose, explain
from inferd.plugin import Registry


class Kind:
    verdict = YES


class Slow(Kind):
    pass


class Fast(Kind):
    pass


class Picky(Kind):
    verdict = no("head_dim 96 is not a power of two")


def registry(**entries) -> Registry:
    """name=(class name, priority, plugin)."""
    made = Registry("attention backend")
    for name, (target, priority, plugin) in entries.items():
        made.owner = plugin
        made.add(name, f"{__name__}:{target}", priority=priority)
    return made


def ask(kind):
    return kind.verdict


def chosen(found: Registry, **options) -> str:
    return choose(found, ask, flag="--attention-backend", **options).__name__


def test_the_best_that_says_yes_wins():
    found = registry(
        slow=("Slow", "reference", "builtin"),
        fast=("Fast", "portable", "x"),
        picky=("Picky", "tuned", "y"),
    )
    assert chosen(found) == "Fast"


def test_a_flag_wins_over_priority():
    found = registry(slow=("Slow", "reference", "builtin"), fast=("Fast", "tuned", "x"))
    assert chosen(found, wanted="slow") == "Slow"


def test_a_flag_for_what_cannot_is_an_error_with_the_reason():
    with pytest.raises(PluginError, match="'picky' cannot be used: head_dim 96"):
        chosen(registry(picky=("Picky", "tuned", "y")), wanted="picky")


def test_a_tie_names_the_flag_and_both():
    found = registry(a=("Slow", "tuned", "x"), b=("Fast", "tuned", "y"))
    with pytest.raises(PluginError, match=r"'a' and 'b' .*--attention-backend a"):
        chosen(found)


def test_a_tie_below_the_winner_is_none():
    found = registry(
        a=("Slow", "portable", "x"), b=("Slow", "portable", "y"), c=("Fast", "tuned", "z")
    )
    assert chosen(found) == "Fast"


def test_none_fits_shows_every_reason():
    found = registry(picky=("Picky", "tuned", "y"), broken=("NoSuchClass", "portable", "z"))
    with pytest.raises(PluginError) as caught:
        chosen(found)
    assert "no  picky (tuned, y): head_dim 96 is not a power of two" in str(caught.value)
    assert "no  broken (portable, z): plugin 'z' registers 'broken'" in str(caught.value)


def test_an_empty_registry_says_so():
    assert explain(candidates(registry(), ask)) == "  nothing is registered"
