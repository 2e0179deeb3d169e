"""Values of a response template's regions: from the text between two markers to what it says.

The names and arguments are those of transformers' response templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Args = Mapping[str, Any]
MOST_DEPTH = 16  # of references, and of choices within choices
READ_S = 0.25  # for the tags of one call; it is the event loop that waits
MARK = "\x01{}\x02"  # in the place of a string with delimiters of its own
MARKED = re.compile("\x01(\\d+)\x02")
BARE_KEY = re.compile(r"(?<=[{,])\s*(\w+)\s*:")
PLACEHOLDER = re.compile(r"\{(\w+(?:\.\w+)*)\}")


def read_content(text: str, parser: str, args: Args) -> Any:
    """Raises ValueError for text that does not fit."""
    return READERS[parser](text, args)


def _text(text: str, args: Args) -> str:
    return text.strip() if args.get("strip", True) else text


def _json(text: str, args: Args) -> Any:
    strings: list[str] = []

    def keep(found: re.Match[str]) -> str:
        strings.append(found[1])
        return MARK.format(len(strings) - 1)

    plain = text
    for begin, end in args.get("string_delims", ()):
        plain = re.sub(f"{re.escape(begin)}(.*?){re.escape(end)}", keep, plain, flags=re.DOTALL)
    if args.get("unquoted_keys"):
        plain = BARE_KEY.sub(r'"\1":', plain)
    if strings:
        plain = MARKED.sub(lambda found: json.dumps(strings[int(found[1])]), plain)
    try:
        return json.loads(plain, strict=False)
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError:
        if args.get("allow_non_json"):
            return _text(text, args)
        raise


def _within(text: str, args: Args) -> Any:
    """A value inside another, by the parser that `value_parser` names."""
    parser = args.get("value_parser")
    return text if parser is None else read_content(text, parser["name"], parser.get("args", {}))


def _xml_inline(text: str, args: Args) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for found in _tags(args["tag_pattern"], text):
        key, value = found["key"], _within(found["value"], args)
        if key in values and args.get("merge_duplicates"):
            before = values[key]
            values[key] = [*(before if isinstance(before, list) else [before]), value]
        else:
            values[key] = value
    if not values and text.strip():
        raise ValueError("text without a tag")
    return values


def _tags(pattern: str, text: str) -> list[Any]:
    """Raises ValueError where it takes too long: tags without ends are tried with all others."""
    import regex

    try:
        return list(regex.finditer(pattern, text, regex.DOTALL, timeout=READ_S))
    except TimeoutError:
        raise ValueError("too many tags") from None


def _kv_lines(text: str, args: Args) -> dict[str, Any]:
    separator = args.get("kv_sep", ":")
    lines = (line.partition(separator) for line in text.split(args.get("line_sep", "\n")))
    return {
        _text(key, args): _within(_text(value, args), args) for key, found, value in lines if found
    }


READERS: dict[str, Callable[[str, Args], Any]] = {
    "text": _text,
    "int": lambda text, args: int(_text(text, args)),
    "float": lambda text, args: float(_text(text, args)),
    "bool": lambda text, args: _text(text, args).lower() in ("true", "1"),
    "json": _json,
    "xml-inline": _xml_inline,
    "kv-lines": _kv_lines,
}


def check(parser: str, args: Args) -> None:
    """Raises what compiling a template catches, for arguments that could not be read by later."""
    import regex

    if parser not in READERS:
        raise ValueError(f"no content parser is called {parser!r}")
    if parser == "xml-inline":
        groups = regex.compile(args["tag_pattern"], regex.DOTALL).groupindex
        if not {"key", "value"} <= groups.keys():
            raise ValueError("tag_pattern has no groups key and value")
    if (inner := args.get("value_parser")) is not None:
        check(inner["name"], inner.get("args", {}))


def fill(transform: Any, names: Mapping[str, Any]) -> Any:
    """A transform with its placeholders replaced. Raises ValueError for one that leads nowhere."""
    if isinstance(transform, dict):
        return {key: fill(value, names) for key, value in transform.items()}
    if isinstance(transform, list):
        return [fill(value, names) for value in transform]
    found = PLACEHOLDER.fullmatch(transform) if isinstance(transform, str) else None
    if found is None:
        return transform
    value: Any = names
    for key in found[1].split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise ValueError(f"there is no {found[1]}")
        value = value[key]
    return value


def typed(arguments: dict[str, Any], schema: Any) -> dict[str, Any]:
    """Arguments that a format without types left as text, as the tool's schema has them."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return arguments
    return {
        name: value
        if not isinstance(value, str) or name not in properties or may_be_text(schema, name)
        else _as(value)
        for name, value in arguments.items()
    }


def may_be_text(schema: Mapping[str, Any], name: str) -> bool:
    """Whether a property may be a string, or does not say what it is."""
    kinds = _types(schema["properties"][name], schema)
    return not kinds or "string" in kinds


def _types(schema: Any, root: Mapping[str, Any], depth: int = 0) -> set[str]:
    """Of a property; empty where it does not say."""
    schema = resolved(schema, root)
    if not isinstance(schema, Mapping) or depth > MOST_DEPTH:
        return set()
    kinds = schema.get("type", [])
    found = {kinds} if isinstance(kinds, str) else {k for k in kinds if isinstance(k, str)}
    for word in ("anyOf", "oneOf"):
        for each in schema.get(word) or ():
            found |= _types(each, root, depth + 1)
    return found


def resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """What a $ref within `root` leads to; None where it leads nowhere."""
    for _ in range(MOST_DEPTH):
        if not isinstance(schema, Mapping) or not isinstance(ref := schema.get("$ref"), str):
            return schema
        schema = root
        for part in ref.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            schema = schema.get(key) if isinstance(schema, Mapping) else None
    return None


PYTHON = {"True": True, "False": False, "None": None}


def _as(text: str) -> Any:
    if text.strip() in PYTHON:
        return PYTHON[text.strip()]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
