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
from inferd.contracts.response_values import may_be_text, resolved
from inferd.engine.call_fields import NOTES, Field, refuse_loose, ways_of_fields
from inferd.engine.forced_calls import ANY_ARGUMENTS, list_of_calls
from inferd.engine.other_text import text_without
from inferd.engine.quoted_values import QuotedValues
from inferd.errors import RequestError
from inferd.structured_outputs import MAX_GRAMMAR_CHARS, too_complex

TEXT_KEYS = {"type", "enum", "const", "minLength", "maxLength"}  # those that are enforced
Schemas = Mapping[str, Any]  # by tool: of its arguments, None for any
ANY_KEYWORDS = r"""([^()"']|"([^"\\\n]|\\.)*"|'([^'\\\n]|\\.)*')*"""
"""Arguments of a call in Python, without calls and tuples in them."""


def tags_of_calls(frame: CallFrame, tools: Tools, strict: Collection[str]) -> str:
    """The structural tag of answers with any calls of `tools`, those of `strict` with arguments as
    their schemas have them. Raises RequestError for what it cannot be held to.
    """
    functions = [tool["function"] for tool in tools]
    schemas = {
        each["name"]: each.get("parameters") if each["name"] in strict else None
        for each in functions
    }
    try:
        return _encoded(_tag(frame, schemas))
    except (AttributeError, KeyError, TypeError):
        raise RequestError("parameters of a strict tool are no JSON schema", "tools") from None


def _tag(frame: CallFrame, schemas: Schemas) -> dict[str, Any]:
    structures = _structures(frame, schemas)
    if isinstance(frame, PythonFrame) and frame.alone is not None:
        (whole,) = _structures(frame.alone, schemas)
        begins = "".join(frame.alone.starts)
        excludes = [begins.replace("{name}", name) for name in schemas]
        tag = {"triggers": [frame.trigger], "structures": structures}
        return {**tag, "whole": whole, "excludes": excludes}
    if frame.starts:
        several = {"begin": "", "several": structures, "between": "; ", "end": ""}
        return {"whole": several, "otherwise": text_without(frame.starts, list(schemas))}
    return {"triggers": [frame.trigger], "structures": structures}


def _encoded(tag: dict[str, Any]) -> str:
    """What stands at several places of it may make it many times as long as the schemas."""
    pieces, length = [], 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(tag):
        pieces.append(piece)
        length += len(piece)
        if length > MAX_GRAMMAR_CHARS:
            text = f"strict tools make a grammar of more than {MAX_GRAMMAR_CHARS} characters"
            raise too_complex(text, "tools")
    return "".join(pieces)


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
    fields = _fields(frame, name, schema)
    begin, end = begin + frame.opens, frame.closes + frame.end
    return [
        {"begin": begin, "fields": way, "end": end}
        for way in ways_of_fields(fields, frame.separator)
    ]


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
    return [
        {"begin": f"{name}(", "fields": way, "end": ")"} for way in ways_of_fields(fields, ", ")
    ]


def _fields(frame: FieldsFrame, tool: str, schema: Mapping[str, Any]) -> list[Field]:
    if frame.quote:
        return QuotedValues(tool, schema, frame.quote).fields(schema, frame.field_begin)
    return [_field(frame, tool, schema, key) for key in schema.get("properties", {})]


def _field(frame: FieldsFrame, tool: str, schema: Mapping[str, Any], key: str) -> Field:
    is_text = may_be_text(schema, key)
    value = resolved(schema["properties"][key], schema)
    return {
        "begin": frame.field_begin.replace("{text}", json.dumps(is_text)).replace("{key}", key),
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
    refuse_loose(tool, key, schema.keys() - TEXT_KEYS - NOTES)
    choices = [schema["const"]] if "const" in schema else schema.get("enum")
    if choices is not None:
        return {
            "choices": [each if isinstance(each, str) else json.dumps(each) for each in choices]
        }
    return {"text": [schema.get("minLength", 0), schema.get("maxLength")]}
