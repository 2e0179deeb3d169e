"""Texts that begin as no call does, told from those that do without look-ahead."""

from __future__ import annotations

import re

import pytest

from inferd.engine.other_text import text_without

STARTS = ("{", '"name"', ":", '"{name}"')
NAMES = ["get", "get-weather", "got.x", "f" * 128]


@pytest.mark.parametrize("name", NAMES)
def test_what_begins_as_a_call_does_not_fit_and_all_before_it_does(name: str) -> None:
    other = re.compile(text_without(STARTS, NAMES))
    call = f' {{\n"name" : "{name}"'
    assert [end for end in range(len(call)) if not other.fullmatch(call[:end])] == []
    for text in (call, f"{call}, 1", call.replace(" ", "").replace("\n", "")):
        assert not other.fullmatch(text)
    for place in range(len(call)):
        assert bool(other.fullmatch(call[:place] + "~" + call[place:])), place


@pytest.mark.parametrize("text", ["", "\n", "x\n{", '{"a": 1}', '{"name": "gets"}', "{}", '"get"'])
def test_other_texts_fit(text: str) -> None:
    assert re.fullmatch(text_without(STARTS, NAMES), text)
