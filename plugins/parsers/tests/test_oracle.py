"""transformers reads the same of the same templates."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from formats import CASES, TOOLS, Case

from inferd.contracts.output_parser import Call, ChatFormat, Content, Reasoning
from inferd.contracts.template_parser import TemplateParser
from inferd.host.host import Host
from inferd.host.selection import Selection
from inferd_parsers.checkpoint import CheckpointParser

CATALOG = Host(Selection.parse("none,parsers")).catalog
OURS_ALONE = {
    "call that is none",
    "hermes, arguments as text",
    "qwen3-coder, no tag",
    "glm, no tag",
}  # transformers leaves or raises


def template(case: Case) -> dict[str, Any] | None:
    """Of the case's one parser, with transforms that transformers needs; None: not by template."""
    name, registry = case.tools, CATALOG.tool_parsers
    if case.reasoning not in ("none", case.tools):
        return None
    family = registry.load(name)
    return family.template if family.read is TemplateParser.read else None


COMPARABLE = [name for name in CASES if name not in OURS_ALONE and template(CASES[name])]


@pytest.mark.parametrize("name", COMPARABLE)
def test_transformers_reads_the_same(name: str) -> None:
    from transformers.utils.chat_parsing import parse_response

    case = CASES[name]
    spec = json.loads(json.dumps(template(case)))
    calls = spec["fields"]["tool_calls"]
    calls["repeats"] = True
    if "transform" not in calls:
        calls["transform"] = {"function": "{content}"}
    spec["fields"]["content"] |= {"repeats": True, "join": ""}  # else the last piece is all of it
    message = parse_response(case.text, spec, prefix="", tools=TOOLS)
    content = "".join(piece.text for piece in case.pieces if isinstance(piece, Content))
    thought = "".join(piece.text for piece in case.pieces if isinstance(piece, Reasoning))
    assert message.get("content", "").strip() == content.strip()
    assert message.get("reasoning_content", "").strip() == thought
    wanted = [p for p in case.pieces if isinstance(p, Call)]
    assert _functions(message) == [(p.name, json.loads(p.arguments)) for p in wanted]


def _functions(message: dict[str, Any]) -> list[tuple[str, Any]]:
    found: list[Any] = []
    for call in message.get("tool_calls", []):
        for each in call if isinstance(call, list) else [call]:
            function = each["function"]
            found += function if isinstance(function, list) else [function]
    return [(f["name"].strip(), f.get("arguments", {})) for f in found]


def test_most_families_are_compared() -> None:
    assert len(COMPARABLE) >= 12, COMPARABLE


def test_a_checkpoint_s_own_template() -> None:
    """As Qwen 3's would be, with a field that is nothing here."""
    spec = {
        "start_anchor": "<|im_start|>assistant\n",
        "defaults": {"role": "assistant"},
        "fields": {
            "thinking": {"open": "<think>", "close_pattern": r"</think>\s*"},
            "note": {"open": "<note>", "close": "</note>"},
            "tool_calls": {
                "open": "<tool_call>",
                "close_pattern": r"</tool_call>\s*",
                "repeats": True,
                "content": "json",
                "transform": {"type": "function", "function": "{content}"},
            },
            "content": {"close_pattern": r"<\|im_end\|>\s*"},
        },
    }
    chat = ChatFormat("", spec)
    assert CheckpointParser.supports(chat)
    made = CheckpointParser.of(chat)("user<|im_start|>assistant\n<think>\n", TOOLS)
    text = 'Rain?</think>\n\nOne <note>x</note>two<tool_call>{"name": "ping"}</tool_call>'
    assert made.feed(text) + made.finish() == [
        Reasoning("Rain?"),
        Content("One "),
        Content("two"),
        Call("ping", "{}"),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"version": 2},
        {"fields": {}},
        {"start_anchor": "x", "fields": {"a": {"open": ""}}},
        *[
            {"start_anchor": "x", "fields": {"tool_calls": {"open": "y", **how}}}
            for how in (
                {"content": "yaml"},
                {"content": "xml-inline"},
                {"content": "xml-inline", "content_args": {"tag_pattern": "("}},
                {"content": "xml-inline", "content_args": {"tag_pattern": "(?P<key>a)"}},
            )
        ],
    ],
)
def test_a_template_that_is_none_is_refused_with_a_reason(spec: dict[str, Any]) -> None:
    verdict = CheckpointParser.supports(ChatFormat("", spec))
    assert not verdict
    assert "response template" in verdict.reason
