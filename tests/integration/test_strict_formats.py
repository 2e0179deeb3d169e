"""Strict tools beside free text: what the grammar of each family's calls lets through, its parser
reads, and what does not fit the tools' schemas is not let through.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer

from inferd.contracts.grammar import Grammar, GrammarBackend, Vocabulary
from inferd.contracts.output_parser import Call, ChatFormat, OutputParser, Piece, Tools, joined
from inferd.engine.call_tags import tags_of_calls
from inferd.errors import RequestError
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd.structured_outputs import StructuredOutputs
from inferd.testing.tiny_tokenizer import write_tokenizer

CATALOG = Host(Selection.parse("none,parsers,grammar_llguidance")).catalog
EOS = 257
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 9},
        "days": {"$ref": "#/$defs/n"},
        "unit": {"enum": ["C", "F"]},
    },
    "required": ["days"],
    "additionalProperties": False,
    "$defs": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}},
    {"type": "function", "function": {"name": "ping"}},
]
FULL, LEAST = '{"city": "Zürich", "days": 2, "unit": "F"}', '{"days": 2}'
BOTH = (Call("weather", FULL), Call("weather", LEAST), Call("ping", '{"x": "<1"}'))


@dataclass(frozen=True)
class Family:
    """An answer that has BOTH, free texts, and what is not let through."""

    answer: str
    free: Sequence[str]
    wrong: Sequence[str]
    specials: Sequence[str] = ()


def deepseek(name: str, *fields: tuple[str, str, str]) -> str:
    inside = "".join(
        f'<｜DSML｜parameter name="{key}" string="{text}">{value}</｜DSML｜parameter>\n'
        for key, text, value in fields
    )
    return f'<｜DSML｜invoke name="{name}">\n{inside}</｜DSML｜invoke>'


DAYS = ("days", "false", "2")
DEEPSEEK = "\n".join(
    [
        "<｜DSML｜function_calls>",
        deepseek("weather", ("city", "true", "Zürich"), DAYS, ("unit", "true", "F")),
        deepseek("weather", DAYS),
        deepseek("ping", ("x", "true", "<1")),
        "</｜DSML｜function_calls>",
    ]
)


def kimi(name: str, number: str, arguments: str) -> str:
    return (
        f"<|tool_call_begin|>functions.{name}:{number}<|tool_call_argument_begin|>{arguments}"
        "<|tool_call_end|>"
    )


KIMI = "".join(
    [
        "<|tool_calls_section_begin|>",
        kimi("weather", "0", FULL),
        kimi("weather", "1", LEAST),
        kimi("ping", "12", '{"x": "<1"}'),
        "<|tool_calls_section_end|>",
    ]
)


def gemma(begin: str, end: str, quote: str) -> Family:
    def call(text: str) -> str:
        return f"{begin}call:{text.replace('|', quote)}{end}"

    right = ["weather{city:|Zürich|,days:2,unit:|F|}", "weather{days:2}", "ping{x:|<1|}"]
    wrong = [
        "weather{}",
        "weather{days:200}",
        "weather{days:2,city:|Zürich|}",
        "weather{city:Zürich,days:2}",
        "weather{,days:2}",
        "weather{days:2,unit:|K|}",
        "wetter{days:2}",
    ]
    free, specials = ["", f"{quote} call:"], [begin, end, quote]
    return Family("".join(map(call, right)), free, list(map(call, wrong)), specials)


CALLS = [
    'weather(city="Zürich", days=2, unit="F")',
    "weather(days=2)",
    'ping(x="<1")',
]
NO_CALLS = [
    "weather()",
    "weather(days=200)",
    "weather(2)",
    'weather(days=2, city="Zürich")',
    "weather(days=2, town=1)",
    "wetter(days=2)",
    "ping(weather(days=1))",
]


def python(begin: str, end: str, specials: Sequence[str], between: str = ", ") -> Family:
    wrong = [f"{begin}{call}{end}" for call in NO_CALLS]
    return Family(begin + between.join(CALLS) + end, ["", "weather(days=200)"], wrong, specials)


def llama(name: str, arguments: str) -> str:
    return f'{{"name": "{name}", "parameters": {arguments}}}'


LLAMA = [llama("weather", FULL), llama("weather", LEAST), llama("ping", '{"x": "<1"}')]
FAMILIES = {
    "deepseek_v32": Family(
        DEEPSEEK,
        ["", "</p> <invoke name="],
        [
            deepseek("weather"),
            deepseek("weather", ("days", "false", "two")),
            deepseek("weather", ("days", "true", "2")),
            deepseek("weather", ("city", "true", "Z" * 10), DAYS),
            deepseek("weather", DAYS, ("town", "true", "x")),
            deepseek("wetter", DAYS),
        ],
        ["｜DSML｜"],
    ),
    "kimi_k2": Family(
        KIMI,
        ["", "functions.weather:0"],
        [kimi("weather", "0", "{}"), kimi("weather", "", LEAST), kimi("wetter", "0", LEAST)],
        [
            "<|tool_calls_section_begin|>",
            "<|tool_calls_section_end|>",
            "<|tool_call_begin|>",
            "<|tool_call_argument_begin|>",
            "<|tool_call_end|>",
        ],
    ),
    "gemma4": gemma("<|tool_call>", "<tool_call|>", '<|"|>'),
    "functiongemma": gemma("<start_function_call>", "<end_function_call>", "<escape>"),
    "lfm2": python(
        "<|tool_call_start|>[", "]<|tool_call_end|>", ["<|tool_call_start|>", "<|tool_call_end|>"]
    ),
    "olmo3": python("<function_calls>", "</function_calls>", [], "\n"),
    "pythonic": Family(
        f"[{', '.join(CALLS)}]",
        ["", "[1, 2]", "[wetter(days=200)]", "It is [weather()]", " [weather ()"],
        [*(f"[{call}]" for call in NO_CALLS if "wetter" not in call), " [ weather()]"],
    ),
    "gemma3": Family(
        "I look.\n```tool_code\n" + "\n".join(CALLS) + "\n```",
        ["", "```python\nweather()\n```", "It is weather()", "[wetter(days=200)]", "[1, 2]"],
        [
            *(f"```tool_code\n{call}\n```" for call in NO_CALLS),
            *(f"[{call}]" for call in NO_CALLS if "wetter" not in call),
            " [weather(days=2)]",
        ],
    ),
    "llama3_json": Family(
        "; ".join(LLAMA),
        ["", '{"a": 1}', '{"name": "Zürich"}', f"It is {llama('weather', '{}')}", ' { "name" : 1'],
        [
            llama("weather", "{}"),
            llama("weather", '{"days": "2"}'),
            f"{LLAMA[1]}; {llama('wetter', '{}')}",
            f"\n{llama('weather', '{}')}",
            ' { "name" :\n"weather", "parameters": {}}',
        ],
    ),
}


class Held:
    """To the tag of a family, with these tools, of which "weather" is strict."""

    def __init__(self, name: str, folder: Path, tools: Tools = TOOLS) -> None:
        write_tokenizer(folder)
        self.family = FAMILIES[name]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.add_special_tokens(
            [AddedToken(text, special=True) for text in self.family.specials]
        )
        self._size = 259 + len(self.family.specials)
        kind = CATALOG.tool_parsers.load(name)
        self.parser: type[OutputParser] = kind.of(ChatFormat(""))
        vocabulary = Vocabulary(self._tokenizer.to_str(), self._size, (EOS,))
        self._backend: GrammarBackend = CATALOG.grammars.make(
            CATALOG.grammars.load("llguidance"), vocabulary
        )
        assert self.parser.call_frame is not None
        self._tools = tools
        tag = tags_of_calls(self.parser.call_frame, tools, {"weather"})
        self._grammar: Grammar = self._backend.compile(StructuredOutputs(structural_tag=tag))

    def lets_through(self, text: str) -> bool:
        matcher = self._grammar.start()
        words_1W = np.zeros((1, -(-self._size // 32)), dtype=np.int32)
        for token in [*self._tokenizer.encode(text, add_special_tokens=False).ids, EOS]:
            self._backend.fill([matcher], words_1W)
            if not words_1W[0, token // 32] >> token % 32 & 1 or not matcher.accept(token):
                return False
        return True

    def read(self, text: str) -> list[Piece]:
        parser = self.parser("", self._tools)
        return joined(parser.feed(text) + parser.finish())


@pytest.fixture(params=FAMILIES)
def held(request: pytest.FixtureRequest, tmp_path: Path) -> Held:
    return Held(request.param, tmp_path)


def test_calls_that_fit_are_let_through_and_read(held: Held) -> None:
    assert held.lets_through(held.family.answer)
    found = [piece for piece in held.read(held.family.answer) if isinstance(piece, Call)]
    assert [(call.name, call.arguments) for call in found] == [
        (call.name, call.arguments) for call in BOTH
    ]


def test_other_text_is_free(held: Held) -> None:
    assert [text for text in held.family.free if not held.lets_through(text)] == []


def test_calls_that_do_not_fit_are_not_let_through(held: Held) -> None:
    assert [text for text in held.family.wrong if held.lets_through(text)] == []


def test_calls_of_gemma3_may_be_the_whole_answer(tmp_path: Path) -> None:
    held, answer = Held("gemma3", tmp_path), f"[{', '.join(CALLS)}]"
    assert held.lets_through(answer)
    assert [call.name for call in held.read(answer)] == ["weather", "weather", "ping"]


NESTED = {
    "type": "object",
    "properties": {
        "days": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
        "at": {"$ref": "#/$defs/place"},
        "near": {"type": "array", "items": {"$ref": "#/$defs/place"}},
        "unit": {"type": ["string", "null"], "enum": ["C", None]},
        "note": {"anyOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]},
    },
    "required": ["days", "at", "unit"],
    "additionalProperties": False,
    "$defs": {
        "place": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "zip": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        }
    },
}
AT = "at:{city:|a, {b}|}"
RIGHT = {
    f"days:[1,2],{AT},near:[{{city:|x|,zip:5}},{{city:||}}],unit:|C|,note:|abc|": {
        "days": [1, 2],
        "at": {"city": "a, {b}"},
        "near": [{"city": "x", "zip": 5}, {"city": ""}],
        "unit": "C",
        "note": "abc",
    },
    f"days:[0],{AT},near:[],unit:null,note:null": {
        "days": [0],
        "at": {"city": "a, {b}"},
        "near": [],
        "unit": None,
        "note": None,
    },
}
WRONG = [
    f"days:[],{AT},unit:null",
    f"days:[|1|],{AT},unit:null",
    f"days:1,{AT},unit:null",
    "days:[1],at:{},unit:null",
    "days:[1],at:{zip:5},unit:null",
    "days:[1],at:{city:|a|,town:1},unit:null",
    f"days:[1],{AT},near:[{{zip:5}}],unit:null",
    f"days:[1],{AT},unit:|F|",
    f"days:[1],{AT},unit:null,note:|abcd|",
]


@pytest.mark.parametrize(("name", "quote"), [("gemma4", '<|"|>'), ("functiongemma", "<escape>")])
def test_lists_and_objects_between_quotes(name: str, quote: str, tmp_path: Path) -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": NESTED}}]
    held = Held(name, tmp_path, tools)
    begin, end, _ = held.family.specials

    def call(arguments: str) -> str:
        return f"{begin}call:weather{{{arguments.replace('|', quote)}}}{end}"

    for text, arguments in RIGHT.items():
        assert held.lets_through(call(text)), text
        (found,) = held.read(call(text))
        assert isinstance(found, Call)
        assert json.loads(found.arguments) == arguments
    assert [text for text in WRONG if held.lets_through(call(text))] == []


LOOSE = {
    "pattern of a": {"type": "string", "pattern": "x"},
    "oneOf of a": {"oneOf": [{"type": "string"}]},
    "minItems above 1 of a": {"type": "array", "items": {"type": "null"}, "minItems": 2},
    "maxItems of a": {"type": "array", "items": {"type": "null"}, "maxItems": 2},
    "items of a does not say": {"type": "array"},
    "an object without properties of a": {"type": "object"},
    "a does not say": {"$ref": "#/$defs/nowhere"},
    "a holds too much": {"$ref": "#"},
    "items of a holds too much": {"type": "array", "items": {"anyOf": [{"$ref": "#"}] * 999}},
    "no JSON schema": {"type": 5},
}


@pytest.mark.parametrize("words", LOOSE)
def test_what_the_format_cannot_be_held_to_is_refused(words: str) -> None:
    schema = {"type": "object", "properties": {"a": LOOSE[words]}, "required": ["a"]}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    frame = CATALOG.tool_parsers.load("gemma4").call_frame
    assert frame is not None
    with pytest.raises(RequestError, match=words):
        tags_of_calls(frame, tools, {"f"})
