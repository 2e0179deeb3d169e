"""Every family's answers, whole and in every way they may be cut."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.config.plugins import PluginOptions
from inferd.contracts.output_parser import (
    Arguments,
    Call,
    CallFrame,
    ChatFormat,
    Content,
    FieldsFrame,
    ListFrame,
    Piece,
    PythonFrame,
    joined,
)
from inferd.engine.answers import AnswerParser, Answers
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.testing import ParserContract
from inferd.testing.parser_contract import without_ids
from inferd_parsers.checkpoint import CheckpointParser

sys.path.insert(0, str(Path(__file__).parent))

from formats import ARGUMENTS, CASES, PING, TOOLS, WEATHER, Case

CATALOG = Host(Selection.parse("none,parsers")).catalog


class TestContract(ParserContract):
    """Of one parser; the tests below are of all."""

    plugin = "parsers"
    kind = "tool_parsers"
    parser = "hermes"
    chat_template = "<tool_call>"
    tools = TOOLS
    answers = {
        'Yes.<tool_call>{"name": "ping"}</tool_call>': [Content("Yes."), PING],
        "1 < 2 <tool": [Content("1 < 2 <tool")],
    }


def parser(case: Case, tools: list = TOOLS) -> AnswerParser:
    options = PluginOptions(tool_call_parser=case.tools, reasoning_parser=case.reasoning)
    made = Answers.choose(CATALOG, options, ChatFormat("")).maker(case.prompt, tools)
    return made() if made else AnswerParser([])


def parsed(found: AnswerParser, chunks: list[str]) -> tuple[Piece, ...]:
    return tuple(without_ids([p for chunk in chunks for p in found.feed(chunk)] + found.finish()))


def cut(text: str, places: list[int]) -> list[str]:
    places = sorted(place % (len(text) + 1) for place in places)
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.parametrize("name", CASES)
def test_an_answer_says_what_the_family_means(name: str) -> None:
    case = CASES[name]
    assert parsed(parser(case), [case.text]) == case.pieces


@pytest.mark.parametrize("name", CASES)
def test_character_by_character(name: str) -> None:
    case = CASES[name]
    assert parsed(parser(case), list(case.text)) == case.pieces


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15, deadline=None)
@given(places=st.lists(st.integers(0, 1000), max_size=12))
def test_however_it_is_cut(name: str, places: list[int]) -> None:
    case = CASES[name]
    assert parsed(parser(case), cut(case.text, places)) == case.pieces


PAIRS = sorted({(case.tools, case.reasoning, case.prompt) for case in CASES.values()})
SCRAPS = sorted({case.text[i : i + 9] for case in CASES.values() for i in range(0, 400, 9)} - {""})


@settings(max_examples=150, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    scraps=st.lists(st.sampled_from(SCRAPS) | st.text(max_size=4), max_size=12),
    places=st.lists(st.integers(0, 1000), max_size=12),
)
def test_scraps_of_markup_are_the_same_however_they_are_cut(
    pair: tuple[str, str, str], scraps: list[str], places: list[int]
) -> None:
    case = Case("".join(scraps), (), *pair)
    whole = parsed(parser(case), [case.text])
    assert parsed(parser(case), cut(case.text, places)) == whole


LEFT_OUT = {"deepseek_v32": "<"}  # of what a grammar has no say in, before the trigger
NAMED = "[ARGS]"  # in the chat template: which of Mistral's formats it is
FRAMED = {
    name: kind
    for name in CATALOG.tool_parsers.names
    if (kind := CATALOG.tool_parsers.load(name).of(ChatFormat(NAMED))).call_frame is not None
}


def written(frame: CallFrame) -> str:
    """Between a call's begin and its end."""
    if isinstance(frame, ListFrame):
        call = {frame.name: WEATHER.name, frame.arguments: json.loads(ARGUMENTS)}
        call |= {frame.call_id: "0"} if frame.call_id else {}
        return json.dumps([call], ensure_ascii=False)
    if isinstance(frame, PythonFrame):
        return f'{WEATHER.name}(city="Zürich", days=2)'
    if isinstance(frame, FieldsFrame):
        fields = [_field(frame, *pair) for pair in json.loads(ARGUMENTS).items()]
        return frame.opens + frame.separator.join(fields) + frame.closes
    return ARGUMENTS


def _field(frame: FieldsFrame, key: str, value: object) -> str:
    is_text = isinstance(value, str)
    begin = frame.field_begin.replace("{key}", key).replace("{text}", json.dumps(is_text))
    quote = frame.quote if is_text else ""
    return begin + quote + str(value) + quote + frame.field_end


@pytest.mark.parametrize("name", FRAMED)
def test_a_call_in_its_frame_is_read(name: str) -> None:
    """What a grammar holds models to is what their parser reads."""
    frame = FRAMED[name].call_frame
    begin = frame.trigger + frame.begin.replace("{name}", WEATHER.name).replace("{number}", "0")
    text = LEFT_OUT.get(name, "") + begin + written(frame) + frame.end
    found = AnswerParser([FRAMED[name]("", TOOLS)])
    assert parsed(found, list(text)) == (WEATHER,)


@pytest.mark.parametrize("name", CASES)
def test_without_tools_nothing_is_a_call(name: str) -> None:
    case = CASES[name]
    assert not [p for p in parsed(parser(case, []), [case.text]) if isinstance(p, Call)]


def test_text_is_shown_as_soon_as_it_is_certain() -> None:
    found = parser(CASES["qwen3"])
    assert found.feed("Hello, wor") == [Content("Hello, wor")]
    assert found.feed("ld <") == [Content("ld")]
    assert found.feed("b") == [Content(" <b")]


def test_long_texts_cost_no_more_than_they_must() -> None:
    found = parser(CASES["qwen3"])
    shown = "".join(p.text for _ in range(5000) for p in found.feed("word "))
    assert shown + found.finish()[0].text == "word " * 5000
    assert all(len(each._buffer) < 6000 for each in found._parsers)


HOSTILE = {  # what a model can be asked to write
    "llama3 number": ("llama3_json", '{"name": 5}; 5'),
    "not a name": ("hermes", '<tool_call>{"name": ["f"], "arguments": {"a": 1}}</tool_call>'),
    "not an object": ("hermes", '<tool_call>{"name": "f", "arguments": NaN}</tool_call>'),
    "infinite": ("pythonic", "[f(a=1e999)]"),
    "deep": ("hermes", '<tool_call>{"name": "f", "arguments": ' + "[" * 5000 + "</tool_call>"),
    "tags without ends": (
        "qwen3_coder",
        "<tool_call><function=f>" + "<parameter=a>" * 20_000 + "</tool_call>",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_call_that_is_none_stays_text(name: str) -> None:
    tools, text = HOSTILE[name]
    assert parsed(parser(Case(text, (), tools)), [text]) == (Content(text),)


BROKEN = {  # what begins as a call and does not go on as one
    "llama3 number": (
        "llama3_json",
        '{"name": "ping"}; 5',
        (PING, Content("; 5")),
    ),
    "llama3 nameless": (
        "llama3_json",
        '{"name": "ping", "parameters": {}}; {"a": 1}',
        (PING, Content('; {"a": 1}')),
    ),
    "not a number": (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {"a": NaN}}</tool_call>',
        (Call("f", '{"a": NaN}'),),
    ),
    "cut off": (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {"a": "}',
        (Call("f", '{"a": "}'),),
    ),
    "deep": (
        "kimi_k2",
        "<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{" + "[" * 5000,
        (Call("f", "{" + "[" * 5000),),
    ),
    "lines in a string": (
        "hermes",
        '<tool_call>{"name": "f", "arguments": {"a": "x\ny"}, "id": {"b": {}}}</tool_call>',
        (Call("f", r'{"a": "x\ny"}'),),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_call_that_has_begun_is_told_as_it_is_written(name: str) -> None:
    tools, text, pieces = BROKEN[name]
    for chunks in ([text], list(text), cut(text, [17, 60])):
        assert parsed(parser(Case(text, (), tools)), chunks) == pieces


def test_arguments_are_told_as_they_come() -> None:
    found = parser(CASES["qwen3"])
    assert found.feed('<tool_call>\n{"name": "f", "argum') == []
    assert without_ids(found.feed('ents": {"a": "x')) == [Call("f", '{"a": "x')]
    assert found.feed("yz") == [Arguments("yz")]
    assert found.feed('"}}\n</tool_call>') == [Arguments('"}')]
    assert found.finish() == []


def test_half_a_character_in_a_call_can_still_be_sent() -> None:
    text = r'<tool_call>{"name": "f\ud800", "arguments": {"a": "\ud800"}}</tool_call>'
    assert parsed(parser(CASES["qwen3"]), [text]) == (Call("f?", '{"a": "?"}'),)


def test_a_pattern_that_takes_too_long_has_not_matched() -> None:
    fields = {"tool_calls": {"open_pattern": "(?:a|aa)+b", "close": "c"}, "content": {}}
    template = {"start_anchor": "<answer>", "fields": fields}
    found = CheckpointParser.of(ChatFormat("", template))("", TOOLS)
    assert without_ids(found.feed("a" * 60) + found.finish()) == [Content("a" * 60)]


def test_ids_where_a_family_has_rules_for_them() -> None:
    first, second = (p for p in _pieces("mistral") if isinstance(p, Call))
    assert len(first.id) == len(second.id) == 9
    assert (first.id + second.id).isalnum()
    assert first.id != second.id
    assert [p.id for p in _pieces("kimi") if isinstance(p, Call)] == [
        "functions.get_weather:0",
        "functions.ping:1",
    ]


def _pieces(name: str) -> list[Piece]:
    found = parser(CASES[name])
    return joined(found.feed(CASES[name].text) + found.finish())
