"""Llama 2's kind of vocabulary: pieces with scores, spaces as U+2581, bytes as a fallback."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from texts import MANY, VARIED
from transformers import LlamaTokenizer
from transformers.convert_slow_tokenizer import generate_merges

from inferd.loading.gguf_tokenizer import build_tokenizer
from inferd.loading.tokenizer import Tokenizer
from inferd.loading.tokenizer_files import TokenizerFiles

GGML = "tokenizer.ggml."
SPACE = "\u2581"
WORDS = ["▁the", "th", "▁th", "he", "the", "▁t", "▁a", "in", "er", "▁q", "qu", "▁qu", "ick", "ck"]
WORDS += ["ic", "▁▁", "▁▁▁▁", "日本", "本", "日", "ll", "ello", "ell", "lo", "▁H", "▁Hello", "el"]
LETTERS = [SPACE, *"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,'!é"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
TOKENS = ["<unk>", "<s>", "</s>", *BYTES, *WORDS, *LETTERS]
IDS = {token: i for i, token in enumerate(TOKENS)}
SCORES = [0.0] * 259 + [-float(i) for i in range(len(TOKENS) - 259)]


def metadata(**changes: Any) -> dict[str, Any]:
    found = {
        "model": "llama",
        "tokens": TOKENS,
        "scores": SCORES,
        "token_type": [2, 3, 3, *[6] * 256, *[1] * (len(TOKENS) - 259)],
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
    }
    return {f"{GGML}{key}": value for key, value in {**found, **changes}.items()}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TokenizerFiles(build_tokenizer(metadata()), None, {"eos_token": "</s>"}, [2]))


@pytest.fixture(scope="module")
def theirs() -> Any:
    merges = generate_merges(IDS, dict(zip(TOKENS, SCORES, strict=True)))
    return LlamaTokenizer(vocab=IDS, merges=merges)


def sentencepiece(text: str) -> list[int]:
    """The algorithm of sentencepiece's bpe_model.cc: always merge the pair with the best score."""
    pieces = list((f"{SPACE}{text}" if text else "").replace(" ", SPACE))
    while True:
        pairs = [a + b for a, b in pairwise(pieces)]
        known = [(-SCORES[IDS[pair]], place) for place, pair in enumerate(pairs) if pair in IDS]
        if not known:
            break
        place = min(known)[1]
        pieces[place : place + 2] = [pairs[place]]
    ids = []
    for piece in pieces:
        bytes_of = [IDS[f"<0x{byte:02X}>"] for byte in piece.encode()]
        ids += [IDS[piece]] if piece in IDS else bytes_of
    return ids


@pytest.mark.parametrize("text", [*VARIED, "the quick Hello 日本 theer the"])
def test_ids_are_those_of_sentencepiece(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.encode(text, add_special_tokens=False) == sentencepiece(text)
    assert tokenizer.encode(text) == [1, *sentencepiece(text)]


@given(text=st.text("thequickloHnr 日本é\n🙂", max_size=24))
@MANY
def test_ids_are_those_of_sentencepiece_on_any_text(tokenizer: Tokenizer, text: str) -> None:
    assert tokenizer.encode(text, add_special_tokens=False) == sentencepiece(text)


@given(ids=st.lists(st.integers(0, len(TOKENS) - 1), max_size=10))
@MANY
def test_decoding_is_that_of_transformers(
    tokenizer: Tokenizer, theirs: Any, ids: list[int]
) -> None:
    expected = theirs.decode(ids, skip_special_tokens=True)
    assert tokenizer.decode(ids) == expected


@pytest.mark.parametrize("text", [text for text in VARIED if not text.startswith(" ")])
def test_ids_are_those_of_transformers(tokenizer: Tokenizer, theirs: Any, text: str) -> None:
    """It leaves a space that the text begins with as it is; sentencepiece adds one always."""
    expected = theirs.encode(text, add_special_tokens=False)
    assert tokenizer.encode(text, add_special_tokens=False) == expected


def test_the_file_decides_on_bos_and_the_first_space() -> None:
    bare = build_tokenizer(metadata(add_bos_token=False, add_space_prefix=False))
    assert bare.encode("the").ids == [IDS["the"]]
    assert build_tokenizer(metadata()).encode("the").ids == [1, IDS["▁the"]]


@given(text=st.text("thequick 日本é\n🙂", max_size=20))
@MANY
def test_tokens_spell_the_text(tokenizer: Tokenizer, text: str) -> None:
    """Words with their space, single bytes as they are."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    spelt = (tokenizer.token_bytes(i) or tokenizer.token_text(i).encode() for i in ids)
    assert b"".join(spelt).decode().removeprefix(" ") == tokenizer.decode(ids)


def test_words_with_and_without_a_space_are_not_the_same(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_text(IDS[token]) for token in ("▁the", "the")] == [" the", "the"]


@given(text=st.text("thequick 日本é\n🙂", max_size=20), cut=st.integers(0, 40))
@example(text="🙂🙂🙂", cut=11)  # of the prompt's last tokens the first is in a character
@MANY
def test_streams_are_exact(tokenizer: Tokenizer, text: str, cut: int) -> None:
    """Also where bytes make a character, and where the first word's space is not shown."""
    ids = tokenizer.encode(text)
    stream = tokenizer.stream(ids[:cut])
    shown = "".join(stream.step(token_id) for token_id in ids[cut:]) + stream.flush()
    texts = [tokenizer.decode(ids[:size]) for size in range(cut + 1)]
    before = max((before for before in texts if text.startswith(before)), key=len)
    assert before + shown == text
