"""Tokens of a text, one by one, spell it; also those that are no whole character."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from texts import MANY, VARIED

from inferd.loading.tokenizer import Tokenizer

ANY = st.characters(exclude_characters="<", exclude_categories=["Cs"])  # "<": no special tokens


def spelt(tokenizer: Tokenizer, ids: list[int]) -> bytes:
    return b"".join(tokenizer.token_bytes(i) or tokenizer.token_text(i).encode() for i in ids)


@given(text=st.text(ANY, max_size=20))
@MANY
def test_bytes_of_tokens_are_those_of_the_text(smollm2_tokenizer: Tokenizer, text: str) -> None:
    ids = smollm2_tokenizer.encode(text)
    shown = spelt(smollm2_tokenizer, ids).decode(errors="replace")  # some bytes it lacks
    assert shown == smollm2_tokenizer.decode(ids)


@pytest.mark.parametrize("text", VARIED)
def test_so_they_are_of_any_kind_of_text(smollm2_tokenizer: Tokenizer, text: str) -> None:
    assert spelt(smollm2_tokenizer, smollm2_tokenizer.encode(text)).decode() == text


def test_only_parts_of_characters_have_bytes_of_their_own(smollm2_tokenizer: Tokenizer) -> None:
    begin, *_ = smollm2_tokenizer.encode("🙂")
    assert smollm2_tokenizer.token_bytes(begin) == "🙂".encode()[: len("🙂".encode()) // 2]
    assert smollm2_tokenizer.token_text(begin) == "\ufffd"
    (word,) = smollm2_tokenizer.encode(" the")
    assert smollm2_tokenizer.token_bytes(word) is None
