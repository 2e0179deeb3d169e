"""Calls of strict tools in a family's own format, in an answer that is free otherwise."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from inferd.contracts.output_parser import CallFrame, FieldsFrame, ListFrame, Tools
from inferd.contracts.response_values import may_be_text, resolved
from inferd.engine.forced_calls import ANY_ARGUMENTS, list_of_calls
from inferd.errors import RequestError

TEXT_KEYS = {"type", "enum", "const", "minLength", "maxLength"}  # those that are enforced
NOTES = {"title", "description", "default", "examples", "$comment", "deprecated"}
Schemas = Mapping[str, Any]  # by tool: of its arguments, None for any


def tags_of_calls(frame: CallFrame, tools: Tools, strict: Collection[str]) -> str:
    """The structural tag of answers with any calls of `tools`, those of `strict` with arguments as
    their schemas have them. Raises RequestError for what the format cannot be held to.
    """
    functions = [tool["function"] for tool in tools]
    schemas = {
        each["name"]: each.get("parameters") if each["name"] in strict else None
        for each in functions
    }
    tag = {"triggers": [frame.trigger], "structures": _structures(frame, schemas)}
    return json.dumps(tag, ensure_ascii=False)


def _structures(frame: CallFrame, schemas: Schemas) -> list[dict[str, Any]]:
    if isinstance(frame, ListFrame):
        calls = list_of_calls(schemas, frame.name, frame.arguments, frame.call_id)
        return [{"begin": frame.trigger + frame.begin, "schema": calls, "end": frame.end}]
    return [
        {
            "begin": frame.trigger + frame.begin.replace("{name}", name),
            **_arguments(frame, name, schema),
            "end": frame.end,
        }
        for name, schema in schemas.items()
    ]


def _arguments(frame: CallFrame, name: str, schema: Any) -> dict[str, Any]:
    if not isinstance(frame, FieldsFrame):
        return {"schema": schema or ANY_ARGUMENTS}
    if schema is None:
        return {"free": True}
    properties = schema.get("properties", {})
    return {"fields": [_field(frame, name, schema, key) for key in properties]}


def _field(frame: FieldsFrame, tool: str, schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    is_text = may_be_text(schema, key)
    begin = frame.field_begin.replace("{text}", json.dumps(is_text)).replace("{key}", key)
    value = resolved(schema["properties"][key], schema)
    return {
        "begin": begin,
        "end": frame.field_end,
        "required": key in schema.get("required", ()),
        **(_text(tool, key, value or {}) if is_text else {"schema": _alone(schema, key)}),
    }


def _alone(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A property with what it may refer to."""
    defined = {word: schema[word] for word in ("$defs", "definitions") if word in schema}
    return {**schema["properties"][key], **defined}


def _text(tool: str, key: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds of what stands there as it is. Raises RequestError for what text cannot be held to."""
    if loose := schema.keys() - TEXT_KEYS - NOTES:
        raise RequestError(
            f"strict of {tool}: {', '.join(sorted(loose))} of {key} cannot be enforced beside free "
            "text, where this model writes texts without quotes; tool_choice required or by name "
            "enforces it",
            "tools",
        )
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices is not None:
        return {
            "choices": [each if isinstance(each, str) else json.dumps(each) for each in choices]
        }
    return {"text": [schema.get("minLength", 0), schema.get("maxLength")]}
