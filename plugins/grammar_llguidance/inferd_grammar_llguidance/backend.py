"""LlguidanceBackend: grammars of the llguidance library.

Shape suffixes: N sequences, W words of 32 tokens each.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import llguidance

from inferd.contracts.grammar import Grammar, GrammarBackend, Matcher, Vocabulary
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd_grammar_llguidance.kept_masks import KeptMasks
from inferd_grammar_llguidance.places import Key, Place, Rules, rules_of
from inferd_grammar_llguidance.pointer import pointers
from inferd_grammar_llguidance.tags import lark_of
from inferd_grammar_llguidance.terms import Specials, specials_of

if TYPE_CHECKING:
    from inferd.contracts.grammar import Words

STRICT = {"lenient": False, "whitespace_flexible": False}
"""Keywords that cannot be enforced are errors; one way to write white space, so that no output goes
on in blanks."""
ANY_OBJECT = '{"type": "object"}'
UNKNOWN = re.compile(r"^Unimplemented keys: (\[.*\])$")
ONE_OF = re.compile(r"^oneOf constraints are not supported")
TOO_MUCH = re.compile(r"\blimit\b|\btoo (many|big|large|complex)\b", re.IGNORECASE)
PATTERN = re.compile(r"^regex parse error:\n    (.*)\n")
CHARACTER = r'[^"\\\x00-\x1F\x7F]'
LENGTHS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 30)
SLICES = [*(f"{CHARACTER}{{1,{most}}}" for most in LENGTHS), f"{CHARACTER}+"]
"""Tokens that a mask takes or leaves together: in strings those of a length at most. The library's
own lengths (10, 30) make masks of strings with bounds four times as slow (64 rows: 2.8 ms, 2 cores,
2026-11-27)."""
MASK_BYTES = 32 << 20  # of masks that are kept
LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=500_000,
    max_grammar_size=200_000,
    step_max_items=10_000,
)
"""Below the library's own: they bound the time that a grammar, and a step of it, takes."""


class Source(NamedTuple):
    """What an output is made under."""

    number: int  # of the grammar
    tokenizer: llguidance.LLTokenizer
    rules: Rules | None  # of its places


class LlguidanceMatcher(Matcher):
    def __init__(self, matcher: llguidance.LLMatcher, source: Source) -> None:
        self.matcher = matcher
        self._source = source
        self._place = Place(source.rules) if source.rules is not None else None

    def accept(self, token_id: int) -> bool:
        accepted = self.matcher.consume_token(token_id)
        if not accepted:
            self._place = None
        elif self._place is not None:
            self._place.feed(self._source.tokenizer.decode_bytes([token_id]))
        return accepted

    @property
    def place(self) -> tuple[int, Key] | None:
        """Of all outputs under all grammars, those with equal ones may go on in the same ways."""
        key = self._place.key() if self._place is not None else None
        return None if key is None else (self._source.number, key)

    @property
    def ended(self) -> bool:
        return self.matcher.is_stopped()

    def forced(self) -> list[int]:
        return self.matcher.compute_ff_tokens()


class LlguidanceGrammar(Grammar):
    """A matcher at its beginning, of which copies take microseconds."""

    def __init__(self, matcher: llguidance.LLMatcher, source: Source) -> None:
        self._matcher = matcher
        self._source = source

    def start(self) -> Matcher:
        return LlguidanceMatcher(self._matcher.deep_copy(), self._source)


class LlguidanceBackend(GrammarBackend):
    name = "llguidance"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._tokenizer = llguidance.LLTokenizer(
            vocabulary.tokenizer_json,
            n_vocab=vocabulary.size,
            eos_token=list(vocabulary.eos_ids) or None,
            slices=SLICES,
        )
        self._specials = specials_of(vocabulary.tokenizer_json, vocabulary.eos_ids)
        self._threads = llguidance.LLExecutor()
        self._numbers = itertools.count()
        self._masks = KeptMasks(MASK_BYTES)

    def compile(self, wanted: StructuredOutputs) -> Grammar:
        source = _source(wanted, self._specials)
        matcher = llguidance.LLMatcher(self._tokenizer, source, log_level=0, limits=LIMITS)
        first = matcher.deep_copy()
        if not first.is_error():
            first.compute_bitmask()  # which shows most of what would be too much for a step
        if first.is_error():
            error = first.get_error()
            code = "grammar_too_complex" if TOO_MUCH.search(error) else "invalid_request"
            raise RequestError(_complaint(wanted, error), "structured_outputs", code)
        schema = _schema(wanted)
        rules = rules_of(schema) if schema is not None else None
        return LlguidanceGrammar(matcher, Source(next(self._numbers), self._tokenizer, rules))

    def fill(self, matchers: Sequence[Matcher], words_NW: Words) -> None:
        """One that exceeds its limits allows nothing any more, and its request fails."""
        missing = [
            (each.matcher, i, place)
            for i, each in enumerate(matchers)
            if isinstance(each, LlguidanceMatcher)
            and not self._masks.put(place := each.place, words_NW[i])
        ]
        if not missing:
            return
        pairs = [(matcher, i) for matcher, i, _ in missing]
        start, line = words_NW.ctypes.data, words_NW.strides[0]
        self._threads.unsafe_compute_mask_ptr(pairs, start, line, len(words_NW))
        for matcher, i, place in missing:
            if matcher.is_error():
                words_NW[i] = 0
            else:
                self._masks.keep(place, words_NW[i])


def _schema(wanted: StructuredOutputs) -> str | None:
    return ANY_OBJECT if wanted.json_object else wanted.json


def _source(wanted: StructuredOutputs, specials: Specials) -> str:
    """The grammar in the library's notation. Raises RequestError for a schema that is no JSON."""
    matcher = llguidance.LLMatcher
    if wanted.regex is not None:
        return matcher.grammar_from_regex(wanted.regex)
    if wanted.choice is not None:
        texts = (json.dumps(text, ensure_ascii=False) for text in wanted.choice)
        return matcher.grammar_from_lark(f"start: {' | '.join(texts)}")
    if wanted.grammar is not None:
        return matcher.grammar_from_lark(wanted.grammar)
    if wanted.structural_tag is not None:
        return matcher.grammar_from_lark(lark_of(wanted.structural_tag, specials))
    schema = _schema(wanted)
    assert schema is not None, "one of the ways is given"
    try:
        return matcher.grammar_from_json_schema(schema, overrides=STRICT)  # type: ignore[arg-type]
    except ValueError as error:
        raise RequestError(f"json is not a JSON schema: {error}", "structured_outputs") from None


def _complaint(wanted: StructuredOutputs, error: str) -> str:
    """With the places of keywords that cannot be enforced."""
    text = error.partition("<state>")[0].strip()
    places = [] if wanted.json is None else _places(wanted.json, error)
    if not places:
        return f"the grammar is not usable: {text}"
    reason = f" ({text.splitlines()[-1]})" if PATTERN.match(error) else ""
    return f"the schema asks for what cannot be enforced: {', '.join(places)}{reason}"


def _places(schema: str, error: str) -> list[str]:
    """JSON pointers to what an error of the library's speaks of; none for most errors."""
    if (found := UNKNOWN.match(error)) is not None:
        keywords = set(json.loads(found[1]))
        return pointers(schema, lambda key, _: key in keywords)
    if ONE_OF.match(error):
        return pointers(schema, lambda key, _: key == "oneOf")
    if (found := PATTERN.match(error)) is not None:
        pattern = found[1]
        return pointers(schema, lambda key, value: (key, value) == ("pattern", pattern))
    return []
