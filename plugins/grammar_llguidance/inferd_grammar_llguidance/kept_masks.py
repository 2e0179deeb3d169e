"""KeptMasks: masks that were computed, by the place they belong to.

Shape suffix: W words of 32 tokens each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inferd.contracts.grammar import Words


class KeptMasks:
    """At most `num_bytes` of them; the least recently used goes first. A place of None has none."""

    def __init__(self, num_bytes: int) -> None:
        self._free = num_bytes
        self._masks: OrderedDict[Hashable, Words] = OrderedDict()

    def put(self, place: Hashable, words_W: Words) -> bool:
        """Write the place's mask to `words_W`; False where none is kept."""
        kept_W = self._masks.get(place) if place is not None else None
        if kept_W is None:
            return False
        self._masks.move_to_end(place)
        words_W[:] = kept_W
        return True

    def keep(self, place: Hashable, words_W: Words) -> None:
        if place is None:
            return
        self._masks[place] = words_W.copy()
        self._free -= words_W.nbytes
        while self._free < 0:
            self._free += self._masks.popitem(last=False)[1].nbytes
