"""[get_weather(city="Paris", days=2), ping()]: calls as Python has them."""

from __future__ import annotations

import ast
from typing import Any, ClassVar

from inferd.contracts.output_parser import CallFrame, PythonFrame
from inferd_parsers.family import NOWHERE, Family

MOST_CHARS = 1 << 16
WORDS = {"true": True, "false": False, "null": None}


class Pythonic(Family):
    """As the whole answer."""

    has: ClassVar[tuple[str, ...]] = ("<|header_start|>",)
    keeps_special = True
    only_given = True
    call_frame: ClassVar[CallFrame | None] = PythonFrame("", "[", "]", starts=("[", "{name}("))
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"\A\s*(?:<\|python_start\|>\s*)?(?=\[\s*[A-Za-z_][\w.]*\()",
                "close": "<|python_end|>",
            },
            "content": {},
        },
    }

    def read(self, body: str) -> list[Any]:
        if len(body) > MOST_CHARS:
            raise ValueError("too long")
        try:
            tree = ast.parse(body.strip())
        except (SyntaxError, MemoryError) as error:
            raise ValueError(str(error)) from None
        nodes = [node for statement in tree.body for node in _elements(statement)]
        if not nodes:
            raise ValueError("expected calls")
        return [_function(node) for node in nodes]


class Lfm2(Pythonic):
    """Between markers, at any place."""

    has = ("<|tool_call_start|>",)
    only_given = False
    call_frame = PythonFrame("<|tool_call_start|>", "[", "]<|tool_call_end|>")
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {"open": "<|tool_call_start|>", "close": "<|tool_call_end|>"},
            "content": {},
        },
    }


class Olmo3(Pythonic):
    """A call a line."""

    has = ("<function_calls>",)
    only_given = False
    keeps_special = False
    call_frame = PythonFrame("<function_calls>", "", "</function_calls>", separator="\n")
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {"open": "<function_calls>", "close": "</function_calls>"},
            "content": {},
        },
    }


class Gemma3(Pythonic):
    """As a block of code, or as a list that is the whole answer; other code is text."""

    has = ("<start_of_turn>", "tools")
    lacks = ("<start_function_call>",)
    keeps_special = False
    call_frame = PythonFrame(
        "```tool_code",
        "\n",
        "\n```",
        separator="\n",
        alone=PythonFrame("", "[", "]", starts=("[", "{name}(")),
    )
    template = {
        "start_anchor_pattern": NOWHERE,
        "fields": {
            "tool_calls": {
                "open_pattern": r"```tool_code\s|\A\s*(?=\[[A-Za-z_][\w.]*\()",
                "close": "```",
            },
            "content": {},
        },
    }


def _elements(statement: ast.stmt) -> list[ast.expr]:
    """Calls of one line, which is a list of them or a call by itself."""
    if not isinstance(statement, ast.Expr):
        raise ValueError("expected a call")
    value = statement.value
    return value.elts if isinstance(value, ast.List) else [value]


def _function(node: ast.expr) -> dict[str, Any]:
    if not isinstance(node, ast.Call) or node.args or any(k.arg is None for k in node.keywords):
        raise ValueError("expected a call with named arguments")
    arguments = {str(keyword.arg): _value(keyword.value) for keyword in node.keywords}
    return {"name": ast.unparse(node.func), "arguments": arguments}


def _value(node: ast.expr) -> Any:
    """A literal; JSON's words for some are taken too. Raises ValueError."""
    if isinstance(node, ast.Name) and node.id in WORDS:
        return WORDS[node.id]
    if isinstance(node, ast.List):
        return [_value(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        keys = [_value(key) for key in node.keys if key is not None]
        return dict(zip(map(str, keys), map(_value, node.values), strict=True))
    value = ast.literal_eval(node)
    if isinstance(value, str):  # JSON's pairs of surrogates are one character
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if not isinstance(value, int | float | bool | None):
        raise ValueError(f"{type(value).__name__} is not JSON")
    return value
