"""Values that a field of a request must refuse, derived from its JSON schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

OF_TYPE: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 7,
    "number": 1.5,
    "string": "7",
    "array": [],
    "object": {},
}
VALID = {
    "Message": {"role": "user", "content": "hi"},
    "TextPart": {"type": "text", "text": "hi"},
    "StreamOptions": {"include_usage": True},
    "AnthropicMessage": {"role": "user", "content": "hi"},
    "TextBlock": {"type": "text", "text": "hi"},
    "ThinkingBlock": {"type": "thinking", "thinking": "hm"},
    "HiddenThinkingBlock": {"type": "redacted_thinking"},
    "ToolUseBlock": {"type": "tool_use", "id": "1", "name": "f", "input": {}},
    "ToolResultBlock": {"type": "tool_result", "tool_use_id": "1"},
    "AnthropicTool": {"name": "f", "input_schema": {}},
    "ToolChoice": {"type": "auto"},
    "Thinking": {"type": "disabled"},
    "MessageItem": {"type": "message", "role": "user", "content": "hi"},
    "CallItem": {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
    "CallOutputItem": {"type": "function_call_output", "call_id": "1", "output": "hi"},
    "ReasoningItem": {"type": "reasoning"},
    "ReasoningText": {"text": "hm"},
    "TextContent": {"type": "input_text", "text": "hi"},
    "ResponsesTool": {"type": "function", "name": "f"},
    "Reasoning": {"effort": "low"},
    "ResponseFormat": {"type": "text"},
    "TextFormat": {"type": "text"},
    "TextConfig": {"format": {"type": "text"}},
    "OutputConfig": {"format": {"type": "text"}},
    "JsonSchema": {"schema": {}},
    "StructuredBody": {"json_object": True},
    "Function": {"name": "f"},
    "Tool": {"type": "function", "function": {"name": "f"}},
    "ToolCall": {"function": {"name": "f"}},
    "CalledFunction": {"name": "f"},
}
Schema = dict[str, Any]


def fields(model: type[BaseModel]) -> Iterator[tuple[str, list[Any]]]:
    """Every field of a body with the values it must refuse."""
    document = model.model_json_schema()
    draw = _Drawer(document.get("$defs", {}))
    for name, schema in document["properties"].items():
        yield name, list(draw.wrong(schema))


class _Drawer:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def _branches(self, schema: Schema) -> list[Schema]:
        if "$ref" in schema:
            return self._branches(self._definitions[schema["$ref"].rsplit("/", 1)[1]])
        for several in ("anyOf", "oneOf"):
            if several in schema:
                return [b for each in schema[several] for b in self._branches(each)]
        return [schema]

    def wrong(self, schema: Schema) -> Iterator[Any]:
        branches = self._branches(schema)
        taken = {_type(branch) for branch in branches}
        if "number" in taken:
            taken.add("integer")
        for kind, sample in OF_TYPE.items():
            if kind not in taken:
                yield sample
        for branch in branches:
            yield from getattr(self, f"_{_type(branch)}", _nothing)(branch)
        items = [b["items"] for b in branches if _type(b) == "array" and "items" in b]
        if items:
            yield from ([bad] for bad in self.wrong({"anyOf": items}))

    def _integer(self, schema: Schema) -> Iterator[Any]:
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                yield schema[bound] + step
        yield 10**40

    def _number(self, schema: Schema) -> Iterator[Any]:
        for bound, step in (("minimum", -0.01), ("maximum", 0.01)):
            if bound in schema:
                yield schema[bound] + step
        if "exclusiveMinimum" in schema:
            yield schema["exclusiveMinimum"]
        yield from (float("nan"), float("inf"), float("-inf"))

    def _string(self, schema: Schema) -> Iterator[Any]:
        if schema.get("minLength"):
            yield "x" * (schema["minLength"] - 1)
        if "maxLength" in schema:
            yield "x" * (schema["maxLength"] + 1)
        if "enum" in schema or "const" in schema:
            yield "wizard"

    def _array(self, schema: Schema) -> Iterator[Any]:
        if schema.get("minItems"):
            yield []
        if "maxItems" in schema:
            yield [self._right(schema["items"])] * (schema["maxItems"] + 1)

    def _right(self, schema: Schema) -> Any:
        branch = self._branches(schema)[0]
        return VALID.get(branch.get("title", ""), OF_TYPE[_type(branch)] or [7])

    def _object(self, schema: Schema) -> Iterator[Any]:
        if isinstance(schema.get("additionalProperties"), dict):
            yield from ({"1": bad} for bad in self.wrong(schema["additionalProperties"]))
            if "maxProperties" in schema:
                yield {str(i): 1 for i in range(schema["maxProperties"] + 1)}
        right = VALID.get(schema.get("title", ""), {})
        for name, field in schema.get("properties", {}).items():
            yield from ({**right, name: bad} for bad in self.wrong(field))
        for name in schema.get("required", ()):
            yield {key: value for key, value in right.items() if key != name}


def _type(schema: Schema) -> str:
    kind: str = schema.get("type", "object")
    return kind


def _nothing(_: Schema) -> Iterator[Any]:
    return iter(())
