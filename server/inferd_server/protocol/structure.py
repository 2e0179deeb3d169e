"""What an output must be, in the words of each dialect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, model_validator

from inferd.errors import RequestError
from inferd.structured_outputs import MAX_CHOICES, MAX_GRAMMAR_CHARS, StructuredOutputs
from inferd_server.protocol.base import Body, Label, Text

Schema = dict[str, Any]
Source = Annotated[Text, Field(min_length=1, max_length=MAX_GRAMMAR_CHARS)]
Choices = Annotated[
    list[Annotated[Text, Field(min_length=1, max_length=4096)]],
    Field(fail_fast=True, min_length=1, max_length=MAX_CHOICES),
]


class JsonSchema(Body):
    """Always enforced, whatever `strict` says."""

    name: Label | None = None
    schema_: Annotated[Schema, Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(Body):
    """Of chat and completions. Some servers take a schema beside the type: it would be ignored."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_schema_beside(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("schema") is not None:
            where = '{"type": "json_schema", "json_schema": {"schema": ...}}'
            raise ValueError(f"a schema is given as {where}")
        return data


class TextFormat(Body):
    """Of /v1/responses and, as the format of output_config, of Anthropic's messages."""

    type: Literal["text", "json_object", "json_schema"]
    name: Label | None = None
    schema_: Annotated[Schema | None, Field(alias="schema")] = None
    strict: bool | None = None


class StructuredBody(Body):
    """Just one of them, and who enforces it; beside a response_format that alone."""

    json_: Annotated[Schema | Source | None, Field(alias="json")] = None
    regex: Source | None = None
    choice: Choices | None = None
    grammar: Source | None = None
    json_object: bool | None = None
    backend: Label | None = None

    @property
    def only_backend(self) -> bool:
        return not any((self.json_, self.regex, self.choice, self.grammar, self.json_object))


def of_body(body: StructuredBody) -> StructuredOutputs:
    """Raises RequestError unless it is just one."""
    given = [name for name, value in body if name != "backend" and value not in (None, False)]
    if len(given) != 1:
        raise RequestError(
            "structured_outputs: give just one of json, regex, choice, grammar, json_object, got "
            f"{' and '.join(name.strip('_') for name in given) or 'none'}",
            "structured_outputs",
        )
    schema = body.json_
    return _made(
        "structured_outputs",
        json=schema if isinstance(schema, str | None) else _text(schema),
        regex=body.regex,
        choice=None if body.choice is None else tuple(body.choice),
        grammar=body.grammar,
        json_object=bool(body.json_object),
        backend=body.backend,
    )


def of_format(form: TextFormat | ResponseFormat | None, field: str) -> StructuredOutputs | None:
    """None for plain text. Raises RequestError for a format without its schema, and for a schema
    that would have no effect.
    """
    if form is None or form.type == "text":
        return None
    if isinstance(form, ResponseFormat):
        schema = form.json_schema.schema_ if form.json_schema else None
    else:
        schema = form.schema_
    if form.type == "json_object":
        if schema is not None:
            raise RequestError(f"{field}: the type of a format with a schema is json_schema", field)
        return _made(field, json_object=True)
    if schema is None:
        raise RequestError(f"{field}: json_schema needs a schema", field)
    return _made(field, json=_text(schema))


def _text(schema: Schema) -> str:
    return msgspec.json.encode(schema).decode()


def _made(field: str, **chosen: Any) -> StructuredOutputs:
    try:
        return StructuredOutputs(**chosen)
    except RequestError as error:
        text = str(error).removeprefix("structured_outputs: ")
        raise RequestError(f"{field}: {text}", field, error.code) from None
