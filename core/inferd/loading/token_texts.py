"""TokenTexts: what a token is within a text, and its bytes where they are no whole character."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tokenizers

UNKNOWN = "\ufffd"
BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")  # SentencePiece's token of a single byte
WORDS = ("▁a", "Ġa", "a")  # of which one is a token in most vocabularies
MOST_KEPT = 1 << 16


class TokenTexts:
    """Thread-safe. The texts of tokens, one after the other, are the text of all, but for a space
    at its beginning: a token that begins a word has its space, which decoders leave out there.
    """

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend
        ids = (backend.token_to_id(word) for word in WORDS)
        self._before = [i for i in ids if i is not None][:1]
        self._shown = self._decode(self._before)
        self.text = lru_cache(MOST_KEPT)(self._text)

    def _decode(self, ids: list[int]) -> str:
        return str(self._backend.decode(ids, skip_special_tokens=False))

    def _text(self, token_id: int) -> str:
        """Incomplete characters appear as U+FFFD."""
        return self._decode([*self._before, token_id]).removeprefix(self._shown)

    def raw(self, token_id: int) -> bytes | None:
        """The bytes of a token that is no whole text; None for others."""
        if UNKNOWN not in self.text(token_id):
            return None
        token = self._backend.id_to_token(token_id) or ""
        if (byte := BYTE.fullmatch(token)) is not None:
            return bytes([int(byte[1], 16)])
        table = _byte_of_character()
        if any(character not in table for character in token):
            return None
        return bytes(table[character] for character in token)


@lru_cache(1)
def _byte_of_character() -> dict[str, int]:
    """GPT-2's: bytes that can be shown stand for themselves, the others follow 255."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = sorted({*range(256)} - {*shown})
    found = {chr(byte): byte for byte in shown}
    return found | {chr(256 + place): byte for place, byte in enumerate(others)}
