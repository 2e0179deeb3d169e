"""Calls of strict tools in a family's own format, in an answer that is free otherwise."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from inferd.contracts.output_parser import (
    CallFrame,
    FieldsFrame,
    ListFrame,
    PythonFrame,
    Tools,
)
from inferd.contracts.response_values import kinds_of, may_be_text, resolved
from inferd.engine.forced_calls import ANY_ARGUMENTS, list_of_calls
from inferd.engine.other_text import text_without
from inferd.errors import RequestError

TEXT_KEYS = {"type", "enum", "const", "minLength", "maxLength"}  # those that are enforced
NOTES = {"title", "description", "default", "examples", "$comment", "deprecated"}
Schemas = Mapping[str, Any]  # by tool: of its arguments, None for any
Field = dict[str, Any]
ANY_KEYWORDS = r"""([^()"']|"([^"\\\n]|\\.)*"|'([^'\\\n]|\\.)*')*"""
"""Arguments of a call in Python, without calls and tuples in them."""


def tags_of_calls(frame: CallFrame, tools: Tools, strict: Collection[str]) -> str | None:
    """The structural tag of answers with any calls of `tools`, those of `strict` with arguments as
    their schemas have them; None where the format writes lists and objects in a way of its own.
    Raises RequestError for what it cannot be held to otherwise.
    """
    functions = [tool["function"] for tool in tools]
    schemas = {
        each["name"]: each.get("parameters") if each["name"] in strict else None
        for each in functions
    }
    if isinstance(frame, FieldsFrame) and frame.quote and any(map(_has_parts, schemas.values())):
        return None
    structures = _structures(frame, schemas)
    tag: dict[str, Any] = {"triggers": [frame.trigger], "structures": structures}
    if frame.starts:
        several = {"begin": "", "several": structures, "between": "; ", "end": ""}
        tag = {"whole": several, "otherwise": text_without(frame.starts, list(schemas))}
    return json.dumps(tag, ensure_ascii=False)


def _has_parts(schema: Any) -> bool:
    """Whether an argument is a list or an object."""
    names = schema.get("properties", {}) if schema else {}
    return any(kinds_of(schema, name) & {"array", "object"} for name in names)


def _structures(frame: CallFrame, schemas: Schemas) -> list[dict[str, Any]]:
    begin = frame.trigger + frame.begin
    if isinstance(frame, ListFrame):
        calls = list_of_calls(schemas, frame.name, frame.arguments, frame.call_id)
        return [{"begin": begin, "schema": calls, "end": frame.end}]
    if isinstance(frame, PythonFrame):
        each = [call for tool in schemas.items() for call in _in_python(*tool)]
        return [{"begin": begin, "several": each, "between": frame.separator, "end": frame.end}]
    return [call for tool in schemas.items() for call in _calls(frame, *tool)]


def _calls(frame: CallFrame, name: str, schema: Any) -> list[dict[str, Any]]:
    begin, number, rest = (frame.trigger + frame.begin.replace("{name}", name)).partition(
        "{number}"
    )
    whole = {"begin": begin, "numbered": rest} if number else {"begin": begin}
    if not isinstance(frame, FieldsFrame):
        return [{**whole, "schema": schema or ANY_ARGUMENTS, "end": frame.end}]
    if schema is None and frame.other_begin:
        argument = {"begin": frame.other_begin, "free": True, "end": frame.field_end}
        return [{**whole, "several": [argument], "between": "", "least": 0, "end": frame.end}]
    if schema is None:
        return [{**whole, "free": True, "end": frame.end}]
    fields = [_field(frame, name, schema, key) for key in schema.get("properties", {})]
    begin, end = begin + frame.opens, frame.closes + frame.end
    return [{"begin": begin, "fields": way, "end": end} for way in _ways(fields, frame.separator)]


def _in_python(name: str, schema: Any) -> list[dict[str, Any]]:
    if schema is None:
        return [{"begin": f"{name}(", "pattern": ANY_KEYWORDS, "end": ")"}]
    fields = [
        {
            "begin": f"{key}=",
            "end": "",
            "required": key in schema.get("required", ()),
            "schema": _alone(schema, key),
        }
        for key in schema.get("properties", {})
    ]
    return [{"begin": f"{name}(", "fields": way, "end": ")"} for way in _ways(fields, ", ")]


def _ways(fields: list[Field], separator: str) -> list[list[Field]]:
    """One for each field that may come first: what separates stands before all others."""
    if not separator:
        return [fields]
    needed = [place for place, field in enumerate(fields) if field["required"]]
    ways = [
        [fields[first] | {"required": True}]
        + [field | {"begin": separator + field["begin"]} for field in fields[first + 1 :]]
        for first in range(needed[0] + 1 if needed else len(fields))
    ]
    return ways if needed else [*ways, []]


def _field(frame: FieldsFrame, tool: str, schema: Mapping[str, Any], key: str) -> Field:
    is_text = may_be_text(schema, key)
    begin = frame.field_begin.replace("{text}", json.dumps(is_text)).replace("{key}", key)
    quote = frame.quote if is_text else ""
    value = resolved(schema["properties"][key], schema)
    return {
        "begin": begin + quote,
        "end": quote + frame.field_end,
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
