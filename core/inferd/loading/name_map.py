"""From a checkpoint's names to a model's modules and back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inferd.contracts.model import CausalLM


class NameMap:
    """By a family's `names` and `packed`."""

    def __init__(self, family: CausalLM | type[CausalLM]) -> None:
        self._ours = dict(family.names)
        # the first of several spellings is the usual one
        self._theirs = {ours: theirs for theirs, ours in reversed(list(family.names.items()))}
        self._packed = family.packed
        self._parts = {
            part: (fused, place)
            for fused, parts in family.packed.items()
            for place, part in enumerate(parts)
        }

    def place(self, name: str) -> tuple[str, str, int]:
        """Module, suffix and part of a tensor of the checkpoint."""
        path, _, suffix = _replaced(name, self._ours).rpartition(".")
        parent, _, leaf = path.rpartition(".")
        fused, part = self._parts.get(leaf, (leaf, 0))
        return _dotted(parent, fused), suffix, part

    def parts(self, module: str) -> tuple[str, ...]:
        """The checkpoint's names of what a module is fused of."""
        return tuple(_replaced(part, self._theirs) for part in self._leaves(module))

    def stored(self, module: str, suffix: str, part: int) -> str:
        """The checkpoint's name of a tensor."""
        leaves = self._leaves(module)
        return _replaced(_dotted(leaves[part], suffix), self._theirs)

    def _leaves(self, module: str) -> tuple[str, ...]:
        parent, _, leaf = module.rpartition(".")
        return tuple(_dotted(parent, part) for part in self._packed.get(leaf, (leaf,)))


def _dotted(parent: str, leaf: str) -> str:
    return f"{parent}.{leaf}" if parent else leaf


def _replaced(name: str, table: Mapping[str, str]) -> str:
    """Replaces whole components of dotted names, each place once, the longest that fits first."""
    if not table:
        return name
    words = "|".join(map(re.escape, sorted(table, key=len, reverse=True)))
    return re.sub(rf"(?<![^.])(?:{words})(?![^.])", lambda found: table[found[0]], name)
