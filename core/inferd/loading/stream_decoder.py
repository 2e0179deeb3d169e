"""StreamDecoder: from tokens to text, as they come."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tokenizers

CONTEXT_TOKENS = 8  # of the prompt, for what depends on the token before: a word's first space
CONTINUES = re.compile("<0x[89ABab][0-9A-Fa-f]>")  # a token of a byte that no character begins with
MOST_CONTINUING = 3  # of such bytes in a character


class StreamDecoder:
    """Text of a growing sequence; exact where a character spans several tokens.

    A character that the prompt begins and the output completes belongs to the output.
    """

    def __init__(self, backend: tokenizers.Tokenizer, prompt: list[int], skip: bool) -> None:
        from tokenizers.decoders import DecodeStream

        self._backend = backend
        self._skip = skip
        self._stream = DecodeStream(skip_special_tokens=skip)
        self._pending: list[int] = []  # tokens whose characters are not complete
        self._shown = ""  # of their text, by the prompt
        for token_id in self._context(prompt):
            self.step(token_id)
        self._shown = backend.decode(self._pending, skip_special_tokens=skip)

    def _context(self, prompt: list[int]) -> list[int]:
        """The prompt's end, not from the middle of a character on.

        Tokens of single bytes beside each other are all decoded or none: after half a character
        none ever would be.
        """
        last = prompt[-CONTEXT_TOKENS:]
        begun = takewhile(lambda i: CONTINUES.fullmatch(self._backend.id_to_token(i) or ""), last)
        return last[min(len(list(begun)), MOST_CONTINUING) :]

    def step(self, token_id: int) -> str:
        """New text, or "" while a character is incomplete."""
        text = self._stream.step(self._backend, token_id)
        if text is None:
            self._pending.append(token_id)
            return ""
        return self._take(text)

    def flush(self) -> str:
        """What is left when the sequence ends in the middle of a character."""
        return self._take(self._backend.decode(self._pending, skip_special_tokens=self._skip))

    def _take(self, text: str) -> str:
        self._pending.clear()
        if not self._shown:
            return text
        shown, self._shown = self._shown, ""
        return text[_num_equal(text, shown) :]


def _num_equal(text: str, other: str) -> int:
    """Characters until the two differ."""
    pairs = zip(text, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
