"""GrammarContract: masks allow what a grammar does, token by token, and nothing else.

Shape suffixes: N sequences, W words of 32 tokens each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from inferd.contracts.grammar import Grammar, GrammarBackend, Matcher
from inferd.errors import RequestError
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.grammar_cases import BROKEN, CASES, EOS, SIZE, Case, ids, vocabulary
from inferd.testing.grammar_features import FEATURES, as_text
from inferd.testing.plugin_contract import PluginContract, implementation, registry
from inferd.testing.special_tags import FIELD_CASES, MORE_CASES, TAG_CASES

TAGS = TAG_CASES | FIELD_CASES | MORE_CASES


class GrammarContract(PluginContract):
    """Texts that fit are let through to their end, others are not; masks say what `accept` does.

    class TestContract(GrammarContract):
        plugin = "mine"
        backend = "mine"
        cannot = {"grammar"}     # of choice, regex, json, json_object, grammar, structural_tag
        refuses = {"uniqueItems"}     # of inferd.testing.grammar_features.FEATURES
    """

    backend: ClassVar[str]
    cannot: ClassVar[Collection[str]] = frozenset()
    refuses: ClassVar[Collection[str]] = frozenset()

    def made(self) -> GrammarBackend:
        """What is tested; made once."""
        return _made(self.plugin, self.backend)

    def _case(self, way: str) -> Case:
        if way in self.cannot:
            pytest.skip(f"{way}: cannot")
        return CASES[way]

    @pytest.mark.parametrize("way", CASES)
    def test_what_fits_is_let_through_and_may_end_there(self, way: str) -> None:
        made = self.made()
        wanted, fitting, _ = self._case(way)
        for text in fitting:
            matcher = made.compile(wanted).start()
            for token in ids(text):
                assert allowed(made, matcher)[token], f"{text!r}: {chr(token)!r} is not allowed"
                assert matcher.accept(token)
            assert allowed(made, matcher)[EOS], f"{text!r} must be allowed to end"

    @pytest.mark.parametrize("way", CASES)
    def test_what_does_not_fit_is_stopped_or_may_not_end(self, way: str) -> None:
        made = self.made()
        wanted, _, others = self._case(way)
        for text in others:
            assert not passes(made, made.compile(wanted), text), f"{text!r} was let through"

    @pytest.mark.parametrize("way", CASES)
    def test_masks_say_what_accept_does(self, way: str) -> None:
        made = self.made()
        wanted, (text, *_), _ = self._case(way)
        grammar = made.compile(wanted)
        for length in range(len(ids(text)) + 1):
            known = ids(text)[:length]
            mask = allowed(made, _after(grammar, known))
            taken = [_after(grammar, known).accept(token) for token in range(256)]
            assert mask[:256].tolist() == taken

    @pytest.mark.parametrize("way", CASES)
    def test_what_is_forced_is_all_that_masks_allow(self, way: str) -> None:
        made = self.made()
        wanted, (text, *_), _ = self._case(way)
        grammar = made.compile(wanted)
        for length in range(len(ids(text)) + 1):
            matcher = _after(grammar, ids(text)[:length])
            for token in matcher.forced():
                assert np.flatnonzero(allowed(made, matcher)).tolist() == [token]
                assert matcher.accept(token)

    @pytest.mark.parametrize("name", TAGS)
    def test_tags(self, name: str) -> None:
        if "structural_tag" in self.cannot:
            pytest.skip("structural_tag: cannot")
        made, case = self.made(), TAGS[name]
        grammar = made.compile(StructuredOutputs(structural_tag=case.tag))
        lost = [text for text in case.fitting if not passes(made, grammar, text)]
        wrong = [text for text in case.others if passes(made, grammar, text)]
        assert (lost, wrong) == ([], [])

    @pytest.mark.parametrize("keyword", FEATURES)
    def test_a_keyword_is_enforced_or_refused_with_its_pointer(self, keyword: str) -> None:
        if "json" in self.cannot:
            pytest.skip("json: cannot")
        made, feature = self.made(), FEATURES[keyword]
        wanted = StructuredOutputs(json=json.dumps(feature.schema))
        if keyword in self.refuses:
            with pytest.raises(RequestError, match=re.escape(feature.pointer)):
                made.compile(wanted)
            return
        grammar = made.compile(wanted)
        lost = [value for value in feature.fitting if not passes(made, grammar, as_text(value))]
        wrong = [value for value in feature.others if passes(made, grammar, as_text(value))]
        assert (lost, wrong) == ([], [])

    def test_several_at_once_are_as_each_alone(self) -> None:
        made = self.made()
        matchers = []
        for way in CASES.keys() - self.cannot:
            wanted, (text, *_), _ = CASES[way]
            grammar = made.compile(wanted)
            matchers += [_after(grammar, ids(text)[:length]) for length in range(3)]
        words_NW = np.zeros((len(matchers), -(-SIZE // 32)), dtype=np.int32)
        made.fill(matchers, words_NW)
        for words, matcher in zip(words_NW, matchers, strict=True):
            assert np.array_equal(_bits(words), allowed(made, matcher))

    @pytest.mark.parametrize("way", BROKEN)
    def test_what_cannot_be_compiled_is_refused(self, way: str) -> None:
        made = self.made()
        with pytest.raises(RequestError):
            made.compile(BROKEN[way])


@cache
def _made(plugin: str, backend: str) -> GrammarBackend:
    kind = implementation(plugin, "grammars", backend)
    made: GrammarBackend = registry(plugin, "grammars").make(kind, vocabulary())
    return made


def passes(backend: GrammarBackend, grammar: Grammar, text: str) -> bool:
    """Whether the text is let through, and may end there."""
    matcher = grammar.start()
    for token in ids(text):
        if not allowed(backend, matcher)[token] or not matcher.accept(token):
            return False
    return bool(allowed(backend, matcher)[EOS])


def allowed(backend: GrammarBackend, matcher: Matcher) -> npt.NDArray[np.bool_]:
    """By token."""
    words_1W = np.zeros((1, -(-SIZE // 32)), dtype=np.int32)
    backend.fill([matcher], words_1W)
    return _bits(words_1W[0])


def _bits(words: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(words.view(np.uint8), bitorder="little")[:SIZE].astype(bool)


def _after(grammar: Any, known: Sequence[int]) -> Matcher:
    matcher: Matcher = grammar.start()
    assert all(matcher.accept(token) for token in known)
    return matcher
