"""Tokenizers made from GGUF metadata, against other people's tokenizers of the same vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import pytest
from gguf_files import as_split, write
from hypothesis import given
from hypothesis import strategies as st
from reference_bpe import SMOLLM, ReferenceBPE
from texts import MANY, VARIED
from tokenizers import Tokenizer as Backend
from transformers import AutoTokenizer, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import TikTokenConverter

from inferd.errors import CheckpointError, UnsupportedModel
from inferd.loading.gguf_header import open_header
from inferd.loading.gguf_names import end_ids
from inferd.loading.gguf_tokenizer import build_tokenizer
from inferd.loading.tokenizer import Tokenizer
from inferd.loading.tokenizer_files import read_generation

GGML = "tokenizer.ggml."
O200K = (  # as OpenAI publishes it for its vocabulary of that name
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.fixture(scope="module")
def metadata(smollm2_file: Path) -> dict[str, Any]:
    return open_header(smollm2_file).metadata


@pytest.fixture(scope="module")
def reference(metadata: dict[str, Any]) -> ReferenceBPE:
    return ReferenceBPE(metadata[f"{GGML}tokens"], metadata[f"{GGML}merges"], SMOLLM)


@pytest.fixture(scope="module")
def transformers_tokenizer(smollm2_file: Path) -> Any:
    return AutoTokenizer.from_pretrained(smollm2_file.parent, gguf_file=smollm2_file.name)


@pytest.fixture(scope="module", params=["qwen2", "deepseek-r1-qwen"])
def qwen2(request: pytest.FixtureRequest, metadata: dict[str, Any]) -> tuple[Backend, Any]:
    backend, vocab, merges = as_split(metadata, request.param)
    return backend, Qwen2Tokenizer(vocab=vocab, merges=merges)


@pytest.fixture(scope="module")
def llama3(metadata: dict[str, Any]) -> tuple[Backend, Backend]:
    backend, vocab, merges = as_split(metadata, "llama-bpe")
    return backend, Llama3Converter(vocab_file=(vocab, merges)).converted()


@pytest.fixture(scope="module")
def o200k(metadata: dict[str, Any]) -> tuple[Backend, Backend]:
    backend, vocab, merges = as_split(metadata, "gpt-4o")
    return backend, Llama3Converter(vocab_file=(vocab, merges), pattern=O200K).converted()


class Llama3Converter(TikTokenConverter):
    """transformers' converter of Llama 3's vocabulary, without the tiktoken file."""

    def extract_vocab_merges_from_model(self, tiktoken_url: Any) -> Any:
        return self.vocab_file


@pytest.mark.parametrize("text", VARIED)
def test_ids_are_those_of_the_reference(
    smollm2_tokenizer: Tokenizer, reference: ReferenceBPE, text: str
) -> None:
    ids = smollm2_tokenizer.encode(text)
    assert ids == reference.encode(text)
    assert smollm2_tokenizer.encode_batch([text]) == [ids]


@given(text=st.text(max_size=30))
@MANY
def test_ids_are_those_of_the_reference_on_any_text(
    smollm2_tokenizer: Tokenizer, reference: ReferenceBPE, text: str
) -> None:
    known = "".join(filter(reference.knows, text))  # the vocabulary lacks some bytes
    plain = known.replace("<", "")  # with which special tokens begin: no text to the reference
    assert smollm2_tokenizer.encode(plain) == reference.encode(plain)


def test_special_tokens_are_single_and_cut_the_text(
    smollm2_tokenizer: Tokenizer, reference: ReferenceBPE, metadata: dict[str, Any]
) -> None:
    start, end = (metadata[f"{GGML}tokens"].index(t) for t in ("<|im_start|>", "<|im_end|>"))
    ids = smollm2_tokenizer.encode("<|im_start|>user\nHi 7!<|im_end|>\n x")
    middle, last = reference.encode("user\nHi 7!"), reference.encode("\n x")
    assert ids == [start, *middle, end, *last]
    assert smollm2_tokenizer.decode(ids) == "user\nHi 7!\n x"
    assert smollm2_tokenizer.decode(ids, skip_special_tokens=False).startswith("<|im_start|>user")
    assert smollm2_tokenizer.eos_ids == [end]
    assert smollm2_tokenizer.special_tokens["bos_token"] == "<|im_start|>"


@given(ids=st.lists(st.integers(0, 49151), max_size=12), skip=st.booleans())
@MANY
def test_decoding_is_that_of_transformers(
    smollm2_tokenizer: Tokenizer, transformers_tokenizer: Any, ids: list[int], skip: bool
) -> None:
    expected = transformers_tokenizer.decode(ids, skip_special_tokens=skip)
    assert smollm2_tokenizer.decode(ids, skip_special_tokens=skip) == expected


@pytest.mark.parametrize("text", [text for text in VARIED if not any(map(str.isnumeric, text))])
def test_without_digits_transformers_agrees(
    smollm2_tokenizer: Tokenizer, transformers_tokenizer: Any, text: str
) -> None:
    """Its own converter does not know that SmolLM splits digits."""
    assert smollm2_tokenizer.encode(text) == transformers_tokenizer.encode(text)


@pytest.mark.parametrize("text", [*VARIED, "qwxzv qwxzv"])
def test_qwen2_split(qwen2: tuple[Backend, Any], text: str) -> None:
    backend, expected = qwen2
    assert backend.encode(text).ids == expected.encode(text)


@pytest.mark.parametrize("text", [*VARIED, "qwxzv qwxzv"])
def test_llama3_split(llama3: tuple[Backend, Backend], text: str) -> None:
    """A word that is a token is taken whole, and the text begins with the bos token."""
    backend, expected = llama3
    assert backend.encode(text).ids == [1, *expected.encode(text).ids]
    assert backend.encode(text, add_special_tokens=False).ids == expected.encode(text).ids


@pytest.mark.parametrize("text", [*VARIED, "HelloWorld don't XMLParser's a/b/\n12345"])
def test_gpt_oss_split(o200k: tuple[Backend, Backend], text: str) -> None:
    backend, expected = o200k
    assert backend.encode(text).ids == expected.encode(text).ids


def test_what_ends_an_answer_has_a_key_or_is_known_by_name(tmp_path: Path) -> None:
    """gpt-oss ends a turn with one token, which has a key, and a call with another."""
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "gpt-oss")
    writer.add_token_list(["a", "<|return|>", "<|call|>"])
    writer.add_eos_token_id(1)
    write(writer)
    assert read_generation(tmp_path / "m.gguf") == {"eos_token_id": [1, 2]}
    assert end_ids({"general.architecture": "llama", f"{GGML}tokens": ["<|call|>"]}) == []


def test_unknown_kinds_are_named() -> None:
    tokens = {f"{GGML}tokens": ["a", "b"]}
    with pytest.raises(UnsupportedModel, match="'bert' is not supported; known: gpt2, llama"):
        build_tokenizer({**tokens, f"{GGML}model": "bert"})
    with pytest.raises(UnsupportedModel, match=r"'tekken' is not supported; known: .*smollm"):
        build_tokenizer({**tokens, f"{GGML}model": "gpt2", f"{GGML}pre": "tekken"})
    with pytest.raises(UnsupportedModel, match="no vocabulary"):
        build_tokenizer({f"{GGML}model": "gpt2"})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("merges", ["a"], "not consistent"),
        ("merges", ["a zz"], "not consistent"),
        ("merges", [1, 2], "merges is not an array of str"),
        ("tokens", [1, 2], "tokens is not an array of str"),
        ("token_type", ["x"], "token_type is not an array of int"),
        ("bos_token_id", 99, "is 99, expected a token of the 3"),
        ("bos_token_id", "x", "is 'x', expected a token id"),
    ],
)
def test_broken_vocabularies_are_named(key: str, value: Any, message: str) -> None:
    sound = {"model": "gpt2", "tokens": ["a", "b", "ab"], "merges": ["a b"], "add_bos_token": True}
    whole = {f"{GGML}{name}": v for name, v in {**sound, "bos_token_id": 0}.items()}
    assert build_tokenizer(whole).encode("ab").ids == [0, 2]
    with pytest.raises(CheckpointError, match=message):
        build_tokenizer({**whole, f"{GGML}{key}": value})
