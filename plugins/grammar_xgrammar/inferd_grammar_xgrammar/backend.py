"""XgrammarBackend: grammars of the xgrammar library.

Shape suffixes: N sequences, W words of 32 tokens each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from inferd.contracts.grammar import Grammar, GrammarBackend, Matcher, Vocabulary
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd_grammar_xgrammar.patterns import fault_of_lark, fault_of_regex
from inferd_grammar_xgrammar.schema import refuse_unenforced
from inferd_grammar_xgrammar.tags import format_of

if TYPE_CHECKING:
    from inferd.contracts.grammar import Words

FORM = {"any_whitespace": False, "separators": (",", ":"), "strict_mode": False}
"""One way to write white space, so that no output goes on in blanks; what a schema leaves open may
be there, as the standard has it."""

CONTROL = re.compile(rb"[\x00-\x1f]")


class XgrammarMatcher(Matcher):
    """After a token that does not fit it allows nothing any more. `among_W` bounds what may fit."""

    def __init__(self, matcher: Any, among_W: Words) -> None:
        self._matcher = matcher
        self._among_W = among_W
        self._is_lost = False

    def accept(self, token_id: int) -> bool:
        among = self._among_W[token_id // 32] >> token_id % 32 & 1
        self._is_lost |= not (among and self._matcher.accept_token(token_id))
        return not self._is_lost

    def fill(self, words_NW: Words, place: int) -> None:
        if self._is_lost or self._matcher.is_terminated():
            words_NW[place] = 0
        else:
            self._matcher.fill_next_token_bitmask(words_NW, place)
            words_NW[place] &= self._among_W


class XgrammarGrammar(Grammar):
    def __init__(self, compiled: Any, among_W: Words) -> None:
        self._compiled = compiled
        self._among_W = among_W

    def start(self) -> Matcher:
        from xgrammar import GrammarMatcher

        return XgrammarMatcher(GrammarMatcher(self._compiled), self._among_W)


class XgrammarBackend(GrammarBackend):
    name = "xgrammar"

    def __init__(self, vocabulary: Vocabulary) -> None:
        import xgrammar  # and with it torch and transformers: not before somebody asks for it

        info = _tokenizer_info(vocabulary)
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=1, cache_enabled=False)
        self._all_W = np.full(-(-vocabulary.size // 32), -1, dtype=np.int32)
        self._json_W = _without_control_characters(info.decoded_vocab, len(self._all_W))

    def compile(self, wanted: StructuredOutputs) -> Grammar:
        is_json = wanted.json is not None or wanted.json_object
        try:
            compiled = self._compiled(wanted)
        except (RuntimeError, ValueError) as error:
            text = str(error).partition(": ")[2].strip() or str(error)
            raise _refusal(f"the grammar is not usable: {text}") from None
        grammar = XgrammarGrammar(compiled, self._json_W if is_json else self._all_W)
        first_1W = np.zeros((1, len(self._all_W)), dtype=np.int32)
        self.fill([grammar.start()], first_1W)
        if not first_1W.any():
            raise _refusal("the grammar is not usable: nothing fits it")
        return grammar

    def _compiled(self, wanted: StructuredOutputs) -> Any:
        if wanted.regex is not None:
            _refuse(fault_of_regex(wanted.regex))
            return self._compiler.compile_regex(wanted.regex)
        if wanted.choice is not None:
            texts = (json.dumps(text, ensure_ascii=False) for text in wanted.choice)
            return self._compiler.compile_lark(f"start: {' | '.join(texts)}")
        if wanted.grammar is not None:
            _refuse(fault_of_lark(wanted.grammar))
            return self._compiler.compile_lark(wanted.grammar)
        if wanted.structural_tag is not None:
            return self._compiler.compile_structural_tag(format_of(wanted.structural_tag))
        if wanted.json is None:
            return self._compiler.compile_json_schema('{"type": "object"}', **FORM)
        refuse_unenforced(wanted.json)
        return self._compiler.compile_json_schema(wanted.json, **FORM)

    def fill(self, matchers: Sequence[Matcher], words_NW: Words) -> None:
        for place, matcher in enumerate(matchers):
            assert isinstance(matcher, XgrammarMatcher)
            matcher.fill(words_NW, place)


def _refusal(text: str) -> RequestError:
    return RequestError(text, "structured_outputs")


def _refuse(fault: str | None) -> None:
    if fault is not None:
        raise _refusal(f"the grammar is not usable: {fault}")


def _tokenizer_info(vocabulary: Vocabulary) -> Any:
    from tokenizers import Tokenizer
    from xgrammar import TokenizerInfo

    tokens = [""] * vocabulary.size
    for token, token_id in Tokenizer.from_str(vocabulary.tokenizer_json).get_vocab().items():
        if token_id < vocabulary.size:
            tokens[token_id] = token
    return TokenizerInfo(
        tokens,
        _vocabulary_type(vocabulary.tokenizer_json),
        vocab_size=vocabulary.size,
        stop_token_ids=list(vocabulary.eos_ids) or None,
    )


def _without_control_characters(tokens: Sequence[bytes], num_words: int) -> Words:
    """The tokens that JSON without white space may have, as a mask: a string of bounded length may
    have the others too, as far as the library is concerned.
    """
    bits = np.zeros(32 * num_words, dtype=np.uint8)
    bits[: len(tokens)] = [CONTROL.search(token) is None for token in tokens]
    return np.packbits(bits, bitorder="little").view(np.int32)


def _vocabulary_type(tokenizer_json: str) -> Any:
    """How tokens spell bytes, which the decoder knows."""
    from xgrammar import VocabType

    decoder = json.loads(tokenizer_json).get("decoder") or {}
    steps = {step["type"] for step in (decoder, *decoder.get("decoders", [])) if "type" in step}
    if "ByteLevel" in steps:
        return VocabType.BYTE_LEVEL
    return VocabType.BYTE_FALLBACK if "ByteFallback" in steps else VocabType.RAW
