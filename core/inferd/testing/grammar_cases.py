"""What GrammarContract compiles, over a vocabulary of a token per byte."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from inferd.contracts.grammar import Vocabulary
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.special_tags import SPECIALS
from inferd.testing.tiny_tokenizer import write_tokenizer

SIZE, EOS = 259 + len(SPECIALS), 257  # one token per byte, and special ones
SCHEMA = """{"type": "object", "properties": {"a": {"enum": [1, 22]}}, "required": ["a"],
"additionalProperties": false}"""
TAG = """{"triggers": ["<call>"], "structures": [
{"begin": "<call>{", "schema": {"enum": [1, 22]}, "end": "}/"}]}"""
Case = tuple[StructuredOutputs, Sequence[str], Sequence[str]]
CASES: dict[str, Case] = {  # what is asked for, what fits, what does not
    "choice": (
        StructuredOutputs(choice=("yes", "yellow", "é|.")),
        ["yes", "yellow", "é|."],
        ["ye"],
    ),
    "regex": (StructuredOutputs(regex="[a-c]{2,3}|x"), ["ab", "abc", "x"], ["a", "abcd", "xx"]),
    "json": (StructuredOutputs(json=SCHEMA), ['{"a":1}', '{"a":22}'], ['{"a":2}', "{}", '{"b":1}']),
    "structural_tag": (
        StructuredOutputs(structural_tag=TAG),
        ["a\n", "", "x<c", "<call>{1}/", "é<call>{22}/ b <call>{1}/"],
        ["<call>", "<call>{2}/", "a <call>b", "<call>{1}", "<call>{1}/<call>{3}/"],
    ),
    "json_object": (StructuredOutputs(json_object=True), ['{"q":[null]}', "{}"], ["[]", "1", "{"]),
}
BROKEN = {
    "regex": StructuredOutputs(regex="a("),
    "json": StructuredOutputs(json='{"type": "wizard"}'),
    "grammar": StructuredOutputs(grammar="%%% ((("),
    "structural_tag": StructuredOutputs(structural_tag='{"triggers": ["<"], "structures": []}'),
}


@cache
def vocabulary() -> Vocabulary:
    """A token per byte, and special ones."""
    from tokenizers import AddedToken, Tokenizer

    with tempfile.TemporaryDirectory() as folder:
        write_tokenizer(Path(folder))
        tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIALS])
    return Vocabulary(tokenizer.to_str(), SIZE, (EOS,))


@cache
def ids(text: str) -> list[int]:
    """The tokens of a text."""
    from tokenizers import Tokenizer

    found: list[int] = Tokenizer.from_str(vocabulary().tokenizer_json).encode(text).ids
    return found
