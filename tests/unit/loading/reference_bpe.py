"""Byte-level BPE as GPT-2's encoder.py does it, in plain Python.

https://github.com/openai/gpt-2/blob/master/src/encoder.py
"""

from __future__ import annotations

from itertools import pairwise

import regex

WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SMOLLM = [r"\p{N}", WORDS]  # llama.cpp's splits for the pre-tokenizer "smollm"


def byte_characters() -> dict[int, str]:
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    found = {byte: chr(byte) for byte in shown}
    for byte in range(256):
        if byte not in found:
            found[byte] = chr(256 + len(found) - len(shown))
    return found


def pieces(text: str, splits: list[str]) -> list[str]:
    """By `splits`, one after the other; each match, and each rest, is a piece."""
    found = [text]
    for split in splits:
        found = [part for piece in found for part in regex.split(f"({split})", piece) if part]
    return found


class ReferenceBPE:
    def __init__(self, tokens: list[str], merges: list[str], splits: list[str]) -> None:
        self._ids = {token: i for i, token in enumerate(tokens)}
        self._ranks = {tuple(merge.split(" ")): i for i, merge in enumerate(merges)}
        self._splits = splits
        self._characters = byte_characters()

    def knows(self, character: str) -> bool:
        return all(self._characters[byte] in self._ids for byte in character.encode())

    def encode(self, text: str) -> list[int]:
        found = pieces(text, self._splits)
        return [self._ids[token] for piece in found for token in self._merge(piece)]

    def _merge(self, piece: str) -> list[str]:
        word = [self._characters[byte] for byte in piece.encode()]
        while len(word) > 1:
            pairs = list(pairwise(word))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, 1 << 60))
            if best not in self._ranks:
                break
            merged: list[str] = []
            for symbol in word:
                if merged and (merged[-1], symbol) == best:
                    merged[-1] += symbol
                    continue
                merged.append(symbol)
            word = merged
        return word
