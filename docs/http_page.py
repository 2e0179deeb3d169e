"""docs/reference/http.md, for docs/generate.py: routes and bodies, from the application."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from inferd_server.app import create_app
from inferd_server.documented import BODIES
from inferd_server.settings import Settings

Schema = dict[str, Any]
WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "flag",
    "array": "list",
    "object": "object",
}
HEAD = """# HTTP

The routes of `inferd serve`, and every field of the bodies they take. A field of the wrong type or
out of its bounds is answered with 400 and its name, an unknown one is told of in the header
`x-inferd-notes`. [Serve a model](../how-to/serve.md#what-clients-are-told) has the errors.
"""


def http_page() -> str:
    """The page."""
    document = create_app(SimpleNamespace(), Settings()).openapi()  # type: ignore[arg-type]
    schemas: dict[str, Schema] = document["components"]["schemas"]
    bodies = {body.__name__: body for body in BODIES}
    lines = [HEAD, "| route | | body |", "| --- | --- | --- |"]
    lines += [_row(*route) for route in _routes(document)]
    for name, body in bodies.items():
        lines += ["", f"## {name}", "", *_fields(schemas[name])]
        if body.refused:
            lines += ["", f"Not in this version, and refused: {_names(body.refused)}."]
        if body.inert:
            lines += ["", f"Known, and without effect: {_names(body.inert)}."]
    lines += ["", "## Parts of bodies"]
    for name in _parts(schemas, list(bodies)):
        lines += ["", f"### {name}", "", *_fields(schemas[name])]
    return "\n".join(lines) + "\n"


def _routes(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def _row(method: str, path: str, operation: Schema) -> str:
    about = operation.get("description", "").partition("\n")[0]
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return f"| `{method} {path}` | {about} | {_type(schema) if schema else ''} |"


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _fields(schema: Schema) -> list[str]:
    required = schema.get("required", ())
    rows = [
        f"| `{name}` | {'required: ' if name in required else ''}{_type(field)} |"
        for name, field in schema.get("properties", {}).items()
    ]
    return ["| field | |", "| --- | --- |", *rows]


def _parts(schemas: dict[str, Schema], bodies: list[str]) -> list[str]:
    """Names of the schemas that bodies refer to, in the order in which they are met."""
    found = list(bodies)
    for name in found:  # grows while it is read
        found += [ref for ref in dict.fromkeys(_references(schemas[name])) if ref not in found]
    return found[len(bodies) :]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield _ref(node)
        for value in (value for key, value in node.items() if key != "discriminator"):
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _ref(schema: Schema) -> str:
    return str(schema["$ref"].rsplit("/", 1)[1])


def _type(schema: Schema) -> str:
    """A schema in words."""
    if "$ref" in schema:
        name = _ref(schema)
        return f"[{name}](#{name.lower()})"
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        words = [_type(branch) for branch in branches if branch.get("type") != "null"]
        return " or ".join(dict.fromkeys(words))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum") or [schema["const"]]
        return " or ".join(f"`{value}`".lower() for value in values)
    inner = schema.get("items") or schema.get("additionalProperties")
    of = f" of {_type(inner)}" if isinstance(inner, dict) else ""
    return WORDS.get(schema.get("type", ""), "anything") + _bounds(schema) + of


def _bounds(schema: Schema) -> str:
    if "exclusiveMinimum" in schema:
        return f" (above {schema['exclusiveMinimum']:g}, up to {schema['maximum']:g})"
    for least, most, unit in (
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", " characters"),
        ("minItems", "maxItems", ""),
        ("minProperties", "maxProperties", ""),
    ):
        low, high = schema.get(least), schema.get(most)
        if high is not None:
            return f" ({low or 0} to {high}{unit})"
        if low is not None:
            return f" (at least {low}{unit})"
    return ""
