"""NameMap: a family's `names`, from the checkpoint's names to the modules' and back."""

from __future__ import annotations

import re
from collections.abc import Mapping


class NameMap:
    """Replaces whole components of dotted names, each place once, the longest that fits first."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._ours = dict(names)
        # the first of several spellings is the usual one
        self._theirs = {ours: theirs for theirs, ours in reversed(list(names.items()))}

    def ours(self, name: str) -> str:
        return _replaced(name, self._ours)

    def theirs(self, name: str) -> str:
        return _replaced(name, self._theirs)


def _replaced(name: str, table: Mapping[str, str]) -> str:
    if not table:
        return name
    words = "|".join(map(re.escape, sorted(table, key=len, reverse=True)))
    return re.sub(rf"(?<![^.])(?:{words})(?![^.])", lambda found: table[found[0]], name)
