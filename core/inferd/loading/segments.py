"""Segments: what a text is cut into by special tokens, each tokenized once and kept.

Special tokens are found in a text before anything else is done to it, and what lies between two of
them is tokenized on its own. So the next turn of a chat costs what is new in it, and a system
message what it costs the first time, whoever sends it.
"""

from __future__ import annotations

import re
import threading
from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import tokenizers

MAX_BYTES = 32 << 20  # of segments and their ids
FEW_CHARS = 8192  # are tokenized one after the other; waking threads takes longer


class Segments:
    """A segment ends with one of `ends`, or with the text. Thread-safe.

    `ends` are special tokens; those of which a neighbour may decide whether they are found are not
    cut at.
    """

    def __init__(
        self, backend: tokenizers.Tokenizer, ends: Iterable[str], max_bytes: int = MAX_BYTES
    ) -> None:
        self._backend = backend
        self._max_bytes = max_bytes
        self._pattern = re.compile("|".join(map(re.escape, _certain(backend, ends))) or r"(?!)")
        self._kept: OrderedDict[tuple[str, str], array[int]] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    def encode(self, text: str) -> list[int]:
        """As the tokenizer would without adding special tokens, or bounds of its own."""
        segments = list(self._cut(text))
        known = self._look_up(segments)
        new = list(dict.fromkeys(s for s, ids in zip(segments, known, strict=True) if ids is None))
        made = dict(zip(new, self._encode(new), strict=True))
        self._keep(made)
        found: list[int] = []
        for segment, ids in zip(segments, known, strict=True):
            found += made[segment] if ids is None else ids
        return found

    def _cut(self, text: str) -> Iterator[tuple[str, str]]:
        """(the special token before it, segment), in order."""
        start, before = 0, ""
        for match in self._pattern.finditer(text):
            yield before, text[start : match.end()]
            start, before = match.end(), match[0]
        if start < len(text):
            yield before, text[start:]

    def _encode(self, segments: list[tuple[str, str]]) -> list[array[int]]:
        """With the token before it: some tokenizers treat the beginning of a text otherwise."""
        texts = [before + segment for before, segment in segments]
        if sum(map(len, texts)) <= FEW_CHARS:
            encodings = [self._backend.encode(text, add_special_tokens=False) for text in texts]
        else:
            encodings = self._backend.encode_batch_fast(texts, add_special_tokens=False)
        return [
            array("I", encoding.ids[bool(before) :])
            for encoding, (before, _) in zip(encodings, segments, strict=True)
        ]

    def _look_up(self, segments: list[tuple[str, str]]) -> list[array[int] | None]:
        with self._lock:
            for segment in segments:
                if segment in self._kept:
                    self._kept.move_to_end(segment)
            return [self._kept.get(segment) for segment in segments]

    def _keep(self, made: dict[tuple[str, str], array[int]]) -> None:
        """The least recently used make room."""
        with self._lock:
            for segment, ids in made.items():
                if segment not in self._kept:
                    self._kept[segment] = ids
                    self._num_bytes += _size(segment, ids)
            while self._num_bytes > self._max_bytes:
                self._num_bytes -= _size(*self._kept.popitem(last=False))


def _size(segment: tuple[str, str], ids: array[int]) -> int:
    """Bytes, with what Python adds to each."""
    return len(segment[1]) * 2 + len(ids) * ids.itemsize + 300


def _certain(backend: tokenizers.Tokenizer, ends: Iterable[str]) -> list[str]:
    """Of `ends`, those that end where they are found, the longest first."""
    added = {each.content: each for each in backend.get_added_tokens_decoder().values()}
    first = [text for text, token in added.items() if not token.normalized]
    certain = [
        end
        for end in dict.fromkeys(ends)
        if end in first
        and not (added[end].single_word or added[end].rstrip)
        and not any(_may_overlap(end, other) for other in first)
    ]
    return sorted(certain, key=len, reverse=True)


def _may_overlap(end: str, other: str) -> bool:
    """Whether `other` may be found in the place of a part of `end`."""
    if other != end and end in other:
        return True
    return any(_meets(end[at:], other) for at in range(1, len(end))) or any(
        _meets(other[at:], end) for at in range(1, len(other)) if other[at] == end[0]
    )


def _meets(tail: str, text: str) -> bool:
    return tail.startswith(text) or text.startswith(tail)
