"""Segments: whatever was tokenized before, the ids are those of the whole text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)

from inferd.loading.segments import Segments
from inferd.loading.tokenizer import Tokenizer as InferdTokenizer

TEXTS = ["the sky is blue and the sea is not", "a  b   c\n\nd\té ü 1234567", "<|user|> <end> <x"]
SPECIAL = ["<|turn|>", "<cut>", "<s>", "<|user|>", "<|end|>"]
# none may be cut at: it reaches beyond itself, or what is beside it decides
OTHERS = [
    AddedToken("<strips>", rstrip=True, normalized=False),
    AddedToken("<|end|><|user|>", normalized=False),
    AddedToken("s>", normalized=False),
    AddedToken("alone", single_word=True, normalized=False),
    AddedToken("<left>", lstrip=True, normalized=False),
    AddedToken("SKY", normalized=True),
]
KINDS: dict[str, Callable[[Tokenizer], None]] = {}


def kind(change: Callable[[Tokenizer], None]) -> Callable[[Tokenizer], None]:
    KINDS[change.__name__] = change
    return change


@kind
def byte_level(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()


@kind
def first_is_special(tokenizer: Tokenizer) -> None:
    """The beginning of a text gets a space, that of a segment does not."""
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")


@kind
def normalized(tokenizer: Tokenizer) -> None:
    steps = [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Prepend("_")]
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "_")])


def made(name: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    KINDS[name](tokenizer)
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>"], show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(TEXTS * 20, trainer)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    tokenizer.add_tokens(OTHERS)
    return tokenizer


EVERY = [*SPECIAL, *(token.content for token in OTHERS)]
PIECES = [*EVERY, *SPECIAL[:2], " ", "  ", "\n", "the sky", "is", "é", "<", "a1"]
CONVERSATIONS = st.lists(
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join), min_size=1, max_size=6
)


@pytest.mark.parametrize("name", KINDS)
def test_ids_are_those_of_the_whole(name: str) -> None:
    backend = made(name)
    segments = Segments(backend, EVERY, max_bytes=4000)  # little: much is forgotten
    assert segments._pattern.pattern.replace("\\", "") == "<|turn|>|<left>|<cut>"

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(CONVERSATIONS)
    def check(turns: list[str]) -> None:
        text = ""
        for turn in turns:
            text += turn
            assert segments.encode(text) == backend.encode(text, add_special_tokens=False).ids

    check()


def test_smollm2_conversations(smollm2_tokenizer: InferdTokenizer) -> None:
    messages: list[dict[str, Any]] = []
    for number in range(12):
        role = "assistant" if number % 2 else "user"
        content = f"Turn {number}: {TEXTS[number % 3]}\n <|im_end|> "
        messages.append({"role": role, "content": content})
        text = smollm2_tokenizer.apply_chat_template(messages)
        ids = smollm2_tokenizer.encode(text, add_special_tokens=False)
        assert smollm2_tokenizer.encode_conversation(text) == ids


class Counting:
    """Counts the characters that a tokenizer is given."""

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        self.num_chars = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def encode(self, text: str, **options: Any) -> Any:
        self.num_chars += len(text)
        return self._backend.encode(text, **options)


def test_a_next_turn_costs_what_is_new() -> None:
    backend: Any = Counting(made("byte_level"))
    segments = Segments(backend, ["<|turn|>"])
    text = "<|turn|>the sky is blue" * 50
    segments.encode(text)
    first, backend.num_chars = backend.num_chars, 0
    assert first < 100  # what is said again is known
    segments.encode(text + "<|turn|>and the sea")
    assert backend.num_chars < 80


def test_what_is_kept_is_bounded() -> None:
    segments = Segments(made("byte_level"), ["<|turn|>"], max_bytes=5000)
    for number in range(200):
        segments.encode(f"<|turn|>message {number}" * 2)
        assert segments._num_bytes <= 5000
    assert 2 < len(segments._kept) < 20
