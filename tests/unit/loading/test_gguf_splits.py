"""DeepSeek's and Kimi's splits, by another engine of regular expressions."""

from __future__ import annotations

from pathlib import Path

import pytest
from gguf_files import UNREACHABLE, as_split
from hypothesis import given
from hypothesis import strategies as st
from reference_bpe import pieces
from texts import MANY, VARIED

from inferd.loading.gguf_header import open_header
from inferd.loading.gguf_splits import splitter

SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
ENDINGS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
UNCASED = r"\u0560-\u0588\u10c7\u10cd\u10d0-\u10fa\u10fd-\u10ff\u1c80-\u1c88\u2d00-\u2d2d"
UPPER, LOWER = (  # regex has no sets of sets in its older syntax
    rf"(?:(?!\p{{Han}})[{case}\p{{Lm}}\p{{Lo}}\p{{M}}])" for case in (r"\p{Lu}\p{Lt}", r"\p{Ll}")
)
WORDS = "|".join(
    rf"[^\r\n\p{{L}}\p{{N}}]?{letters}{ENDINGS}"
    for letters in (f"{UPPER}*{LOWER}+", f"{UPPER}+{LOWER}*")
)
LETTERS = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
)
SPLITS = {
    "deepseek-llm": [
        r"[\r\n]",
        rf"\s?(?:(?![{UNCASED}])[\p{{Lu}}\p{{Ll}}\p{{Lt}}])+",
        r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        r"\s+$",
        r"[一-龥ࠀ-一가-퟿]+",
        r"\p{N}",
    ],
    "deepseek-v3": [
        r"\p{N}{1,3}",
        r"[一-龥\u3040-\u309f\u30a0-\u30ff]+",
        rf"{LETTERS}| ?[\p{{P}}\p{{S}}]+[\r\n]*|{SPACES}",
    ],
    "kimi-k2": [
        rf"\p{{Han}}+|{WORDS}|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{SPACES}",
    ],
}
TEXTS = [
    *VARIED,
    "HelloWorld don't XMLParser's a/b/\n12345",
    "Ab一c 'x \n ,zA 東京Tokyo\t\t9 ¿ ?  ",
    "ქართული Հայերեն",
]
ANY = st.characters(max_codepoint=0x9FFF, exclude_categories=["Cs", "Cn", "Co"])


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("text", TEXTS)
def test_words_are_those_of_the_reference(name: str, text: str) -> None:
    assert words(name, text) == pieces(text, SPLITS[name])


@pytest.mark.parametrize("name", SPLITS)
@given(text=st.text(ANY, max_size=20))
@MANY
def test_words_are_those_of_the_reference_in_any_text(name: str, text: str) -> None:
    assert words(name, text) == pieces(text, SPLITS[name])


def words(name: str, text: str) -> list[str]:
    return [text[start:end] for _, (start, end) in splitter(name).pre_tokenize_str(text)]


def test_kimi_takes_a_token_whole(smollm2_file: Path) -> None:
    backend, vocab, _ = as_split(open_header(smollm2_file).metadata, "kimi-k2")
    assert backend.encode(" qwxzv").ids == [vocab[UNREACHABLE]]
