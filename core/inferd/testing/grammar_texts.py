"""Texts that a grammar lets through, drawn at random: as of a model without any sense."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from random import Random

import numpy as np
from tokenizers import Tokenizer

from inferd.contracts.grammar import Grammar, GrammarBackend
from inferd.testing.grammar_cases import EOS, vocabulary
from inferd.testing.grammar_contract import allowed

MOST_TOKENS = 400


def texts(
    backend: GrammarBackend, grammar: Grammar, *, seed: int = 1, count: int = 40
) -> Iterator[bytes]:
    """Of `count` texts those that end within MOST_TOKENS bytes."""
    random = Random(seed)
    for _ in range(count):
        matcher, output = grammar.start(), bytearray()
        for _ in range(MOST_TOKENS):
            mask = allowed(backend, matcher)
            if mask[EOS] and (not mask[:256].any() or random.random() < 0.4):
                yield bytes(output)
                break
            token = random.choice(np.flatnonzero(mask[:256]).tolist())
            output += _pieces()[token]
            assert matcher.accept(token)


@cache
def _pieces() -> list[bytes]:
    tokenizer = Tokenizer.from_str(vocabulary().tokenizer_json)
    return [_decoded(tokenizer.id_to_token(token) or "") for token in range(256)]


def _decoded(piece: str) -> bytes:
    """A byte-level token: printable Latin-1 stands for itself, the others follow from 256 on."""
    code = ord(piece)
    if code < 256:
        return bytes([code])
    itself = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in itself]
    return bytes([others[code - 256]])
